"""The words of HTML, in time that grows with its length alone."""

import html
import re
from collections.abc import Iterator

_TAG = re.compile(r"<(?:!--|[!?]|/?([A-Za-z][A-Za-z0-9]{0,20}))")
_BLOCKS = {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "table", "section", "title"}

#: Elements whose content is not for reading, each with the beginning of what ends it.
_UNREAD = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "head")}


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
