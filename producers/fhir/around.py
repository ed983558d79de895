"""What a resource is read with: the installation, when it came, from which server, and the resources beside it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from producers.door import Door
from producers.fhir.elements import Element, elements, resource_id, resource_type, text
from stream.feeds import FeedConfig

_RESTFUL = re.compile(r"(?:(?P<base>https?://.+)/)?(?P<local>[A-Z][A-Za-z]+/[A-Za-z0-9.\-]{1,64})(?:/_history/.+)?")


@dataclass(frozen=True, kw_only=True)
class Around:
    """``source``: the base address of the server that holds the resource, empty when nobody said.

    ``beside``: the resources of the same Bundle by full address (or ``urn:uuid:…``), by ``Type/id``, and by ``/Type/id`` those
    of which the Bundle does not say on which server they are.
    """

    door: Door
    feed: FeedConfig
    received_at: datetime
    source: str = ""
    beside: Mapping[str, Element] = field(default_factory=dict)

    def find(self, reference: Element, holder: Element) -> Element:
        """The resource that a Reference of ``holder`` points to, contained or beside it; empty when it is elsewhere."""
        written = text(reference, "reference")
        if written.startswith("#"):
            inside = (one for one in elements(holder, "contained") if text(one, "id") == written[1:])
            return next(inside, {})
        base, local = split_address(written)
        origin = base or self.source
        relative = () if base else (f"/{local}",)
        names = (written, f"{origin}/{local}", *relative, *(() if origin else (local,)))
        return next((self.beside[name] for name in names if name in self.beside), {})


def split_address(address: str) -> tuple[str, str]:
    """``http://server/fhir/Patient/1/_history/2`` → the server's base and ``Patient/1``; empty where there is none."""
    match = _RESTFUL.fullmatch(address)
    return (match["base"] or "", match["local"]) if match else ("", "")


def local_name(resource: Element) -> str:
    """``Type/id``; empty without an id."""
    name = resource_id(resource)
    return f"{resource_type(resource)}/{name}" if name else ""
