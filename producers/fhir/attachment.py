"""Attachments: base64, or what lies behind an address → words, from plain text and from HTML."""

import base64
import binascii
import re

from producers.fhir.around import Around, Fetched, NoTextError
from producers.fhir.elements import Element, text
from producers.markup import strip_tags
from producers.note_text import clean_text
from stream.errors import Refused

_PLAIN = ("text/plain",)
_HTML = ("text/html", "application/xhtml+xml")


def read_text(attachments: list[Element], before: str, after: str, around: Around) -> tuple[str, str]:
    """The text of the first attachment that carries one, else an empty one and why; raises Refused when it cannot be read.

    ``before``, ``after``: the FHIRPath of an attachment around its place.
    """
    why = "it has no text"
    for place, attachment in enumerate(attachments):
        where = f"{before}[{place}]{after}.{'data' if text(attachment, 'data') else 'url'}"
        try:
            return _words_of(attachment, where, around), ""
        except NoTextError as error:
            why = error.reason
    return "", why


def _words_of(attachment: Element, where: str, around: Around) -> str:
    """Raises NoTextError, and Refused for text that cannot be read."""
    kind, _, parameters = text(attachment, "contentType").lower().partition(";")
    kind = kind.strip()
    if kind not in _PLAIN + _HTML:
        raise NoTextError("attachment is not text")
    found = _content(attachment, kind, where, around)
    words = _decode(found.body, found.parameters or parameters, where, around.feed.character_set)
    words = clean_text(strip_tags(words) if kind in _HTML else words)
    if not words:
        raise NoTextError("it has no text")
    return words


def _content(attachment: Element, kind: str, where: str, around: Around) -> Fetched:
    """The attachment's bytes: its own, else those behind its address."""
    encoded, address = text(attachment, "data"), text(attachment, "url")
    if encoded:
        return Fetched(body=read_base64(encoded, where))
    if not address:
        raise NoTextError("it has no text")
    found = around.fetch(address, around.source, kind)
    if found is None:
        raise NoTextError("attachment is elsewhere")
    return found


def read_base64(encoded: str, where: str) -> bytes:
    """The bytes; raises Refused."""
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("data is not base64", where=where) from None


def _decode(content: bytes, parameters: str, where: str, character_set: str) -> str:
    """Text in its declared character set, else UTF-8, else the feed's."""
    declared = re.search(r"charset\s*=\s*\"?([\w.:-]+)", parameters)
    for name in (declared[1],) if declared else ("utf-8-sig", character_set):
        try:
            return content.decode(name)
        except (UnicodeError, LookupError):
            continue
    raise Refused("text is not in its character set", where=where)
