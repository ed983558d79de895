"""Attachments: base64 → words, from plain text and from HTML."""

import base64
import binascii
import html
import re
from collections.abc import Iterator

from producers.fhir.elements import Element, text
from producers.note_text import clean_text
from stream.errors import Refused

_PLAIN = ("text/plain",)
_HTML = ("text/html", "application/xhtml+xml")

_TAG = re.compile(r"<(?:!--|[!?]|/?([A-Za-z][A-Za-z0-9]{0,20}))")
_BLOCKS = {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "table", "section", "title"}

#: Elements whose content is not for reading, each with the beginning of what ends it.
_UNREAD = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "head")}


def first_text(attachments: list[Element], before: str, after: str, character_set: str) -> str | None:
    """The text of the first attachment that carries one; raises Refused when it cannot be read.

    ``before``, ``after``: the FHIRPath of an attachment around its place. ``character_set``: of text
    that is not UTF-8 and declares none.
    """
    for place, attachment in enumerate(attachments):
        kind, _, parameters = text(attachment, "contentType").lower().partition(";")
        if kind.strip() not in _PLAIN + _HTML or not text(attachment, "data"):
            continue
        where = f"{before}[{place}]{after}.data"
        words = _decode(text(attachment, "data"), parameters, where, character_set)
        words = clean_text(strip_tags(words) if kind.strip() in _HTML else words)
        if words:
            return words
    return None


def _decode(encoded: str, parameters: str, where: str, character_set: str) -> str:
    """Base64 → text in its declared character set, else UTF-8, else the feed's."""
    try:
        content = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("data is not base64", where=where) from None
    declared = re.search(r"charset\s*=\s*\"?([\w.:-]+)", parameters)
    for name in (declared[1],) if declared else ("utf-8-sig", character_set):
        try:
            return content.decode(name)
        except (UnicodeError, LookupError):
            continue
    raise Refused("text is not in its character set", where=where)


def why_no_text(attachments: list[Element]) -> str:
    """Why ``first_text`` found none."""
    if any(text(attachment, "data") for attachment in attachments):
        return "attachment is not text"
    if any(text(attachment, "url") for attachment in attachments):
        return "attachment is elsewhere"
    return "it has no text"


def strip_tags(markup: str) -> str:
    """The words of an HTML text, a line a block; scripts and styles are left out. Takes time in proportion to the text.

    The standard library's HTMLParser takes minutes for 100 kB of unclosed tags, so it is not used here.
    """
    lines = (" ".join(line.split()) for line in html.unescape("".join(_words(markup))).splitlines())
    return "\n".join(line for line in lines if line)


def _words(markup: str) -> Iterator[str]:
    """What stands between the tags, with a line end where a block begins or ends."""
    place = 0
    while (start := markup.find("<", place)) >= 0:
        yield markup[place:start]
        tag = _TAG.match(markup, start)
        if tag is None:  # a "less than" in the text
            yield "<"
            place = start + 1
            continue
        place = _end_of(markup, tag)
        if place < 0:
            return
        if (tag[1] or "").lower() in _BLOCKS:
            yield "\n"
    yield markup[place:]


def _end_of(markup: str, tag: re.Match[str]) -> int:
    """Where a tag, a comment or an element that is not read has ended; -1 when it never does."""
    start = tag.end()
    unread = _UNREAD.get((tag[1] or "").lower())
    if unread and not tag[0].startswith("</"):
        closing = unread.search(markup, start)
        if closing is None:
            return -1
        start = closing.end()
    mark = "-->" if tag[0] == "<!--" else ">"
    found = markup.find(mark, start)
    return found + len(mark) if found >= 0 else -1
