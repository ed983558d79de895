"""A document within a message (ED): its words, from plain text and from HTML; other kinds are named and not read."""

import base64
import binascii

from producers.hl7.message import Segment
from producers.markup import strip_tags
from stream.errors import Refused, Unsupported

_TEXTS = {"TX", "FT", "ST", "TEXT"}
_HTML = {"HTML", "XHTML+XML"}

#: ED.3, or what a content begins with → what we call it.
_NAMES = {"RTF": "RTF", "X-RTF": "RTF", "PDF": "PDF", "XML": "XML", "SGML": "SGML", "MSWORD": "Word"}
_NAMES |= {"X-HL7-CDA-LEVEL-ONE": "CDA", "X-HL7-CDA-LEVEL-TWO": "CDA"}
_BEGINNINGS = {"{\\rtf": "RTF", "%pdf-": "PDF", "<?xml": "XML"}
_HTML_BEGINNINGS = ("<!doctype html", "<html")


def read_embedded(segment: Segment, one: str) -> str:
    """The words of one repetition of an OBX-5. Raises Unsupported for what is not text, Refused when it cannot be decoded."""
    kind, _, rest = segment.part(one, 2).upper().partition("/")
    subtype = (rest or segment.part(one, 3).upper()).rpartition("/")[2]
    if kind not in _TEXTS or subtype in _NAMES:
        raise _not_read(_NAMES.get(subtype, ""))
    text = _decoded(segment, one)
    beginning = text[:100].lstrip().lower()
    if subtype in _HTML or beginning.startswith(_HTML_BEGINNINGS):
        return strip_tags(text)
    for start, name in _BEGINNINGS.items():
        if beginning.startswith(start):
            raise _not_read(name)
    return text


def _not_read(name: str) -> Unsupported:
    return Unsupported(
        f"an embedded document in {name} is not read" if name else "an embedded document that is no text is not read"
    )


def _decoded(segment: Segment, one: str) -> str:
    encoding, sent = segment.part(one, 4).upper(), segment.component(one, 5)
    if encoding not in {"BASE64", "HEX"}:
        return sent
    try:
        bare = "".join(sent.split())
        content = base64.b64decode(bare, validate=True) if encoding == "BASE64" else bytes.fromhex(bare)
    except (binascii.Error, ValueError) as error:
        raise Refused("an embedded document cannot be decoded", where="OBX^1^5") from error
    return _as_text(content, segment.codec)


def _as_text(content: bytes, codec: str) -> str:
    """UTF-8, else the message's character set."""
    for name in ("utf-8-sig", codec):
        try:
            return content.decode(name)
        except UnicodeDecodeError:
            continue
    raise Refused("an embedded document cannot be decoded", where="OBX^1^5")
