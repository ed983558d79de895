"""Reading FHIR's JSON without trusting its shape: what is not of the expected type is as good as absent. Knows no resource."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from stream.errors import Refused

Element = Mapping[str, Any]

#: How deep a resource may be nested; the deepest of HL7's own examples has 16 levels.
MAX_DEPTH = 64

#: How many commas and opening brackets one JSON text may have: its values each take some 100 bytes of memory.
MAX_VALUES = 4_000_000

LOINC = ("http://loinc.org", "urn:oid:2.16.840.1.113883.6.1")

_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")


def read_json(raw: bytes) -> Any:
    """The JSON value in ``raw`` (UTF-8, a byte order mark is passed over); NaN becomes null, of equal keys the last holds.

    Raises Refused when it is no JSON, nested deeper than ``MAX_DEPTH`` or of more than ``MAX_VALUES``.
    """
    if sum(raw.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise Refused("too many values in one text")
    try:
        value = json.loads(raw.decode("utf-8-sig"), parse_constant=lambda _: None)
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None
    except RecursionError:
        raise Refused("nested too deeply") from None
    except ValueError:
        raise Refused("not JSON") from None
    if _deeper_than(value, MAX_DEPTH):
        raise Refused("nested too deeply")
    return value


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterator[Any]:
    """The objects and lists directly inside ``value``."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (one for one in inner if isinstance(one, dict | list))


def canonical(resource: Element) -> bytes:
    """The resource with sorted keys and no blanks: the same resource, however it was written, has one digest."""
    return json.dumps(resource, sort_keys=True, separators=(",", ":")).encode("ascii")


def sha256(content: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def element(parent: Element, name: str) -> Element:
    """The element of this name; empty when it is absent or no object."""
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def elements(parent: Element, name: str) -> list[Element]:
    """The repetitions of an element; a single object counts as one (DSTU2 and hand-made files)."""
    value = parent.get(name)
    several = value if isinstance(value, list) else [value]
    return [one for one in several if isinstance(one, dict)]


def text(parent: Element, name: str) -> str:
    """A string without blanks at its ends; empty when it is absent or no string."""
    value = parent.get(name)
    return value.strip() if isinstance(value, str) else ""


def required_text(parent: Element, name: str, where: str) -> str:
    """A string that must be there; raises Refused naming the place."""
    value = text(parent, name)
    if not value:
        raise Refused(f"{name} is missing or no string", where=where)
    return value


def codings(concept: Element) -> list[tuple[str, str]]:
    """(system, code) of each coding of a CodeableConcept."""
    return [(text(coding, "system"), text(coding, "code")) for coding in elements(concept, "coding")]


def resource_type(resource: Element) -> str:
    """The resource's type; empty when it says none."""
    return text(resource, "resourceType")


def resource_id(resource: Element) -> str:
    """The logical id; empty when it is absent or not as FHIR allows it."""
    value = text(resource, "id")
    return value if _ID.fullmatch(value) else ""
