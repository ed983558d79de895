"""Which bytes are which characters (MSH-18), and which bytes are which message (batch files)."""

import codecs
import re
from itertools import pairwise

from stream.errors import Refused

#: MSH-18 (table 0211) in capitals and without blanks and marks → Python's codec; the ISO 8859 family is added below.
_CODECS = {
    "ASCII": "ascii",
    "USASCII": "ascii",
    "ISOIR6": "ascii",
    "UNICODEUTF8": "utf-8",
    "UNICODE": "utf-8",
    "UTF8": "utf-8",
    "GB18030": "gb18030",
    "GB180302000": "gb18030",
} | {f"{prefix}8859{part}": f"iso8859-{part}" for prefix in ("", "ISO") for part in (*range(1, 12), *range(13, 17))}

#: MSH-18 in a list of MSH's parts: MSH-1 is the separator itself, so the count is one less.
_CHARACTER_SET = 17

#: Where a text goes over to another set: as ISO 2022 has it (its bytes may even be separators), and as HL7's own escapes have it.
_ISO_2022 = re.compile(rb"\x1b[$()*+\-./]")
_ESCAPED = rb"%b[CM](?:[0-9A-Fa-f]{2}){2,3}%b"

_MARKS = re.compile(r"[^A-Z0-9]")
_MESSAGE = re.compile(rb"(?:\A|(?<=[\r\n\x0b]))[ \t]*MSH(?=[^A-Za-z0-9\r\n])")
_ENVELOPE = re.compile(rb"(?<=[\r\n])(?:BTS|FTS|BHS|FHS)(?![A-Za-z0-9])|\x1c")


def codec_of(body: bytes, fallback: str) -> str:
    """The codec that MSH-18 names, else ``fallback``; ``body`` begins with MSH.

    Raises Refused for a set that is not known, and where a text goes over to a further set, of which none is read: senders
    name further sets in every message, and most never use them.
    """
    line = re.split(rb"[\r\n]", body, maxsplit=1)[0]
    fields = line.split(line[3:4] or b"|")
    declared = fields[_CHARACTER_SET] if len(fields) > _CHARACTER_SET else b""
    if _ISO_2022.search(body) or (b"~" in declared and _goes_over(body)):
        raise Refused("it goes over to a further character set", where="MSH^1^18")
    name = _MARKS.sub("", re.split(rb"[~^]", declared, maxsplit=1)[0].decode("latin-1").upper())
    if not name:
        return codecs.lookup(fallback).name
    if name not in _CODECS:
        raise Refused("its character set is not known", where="MSH^1^18")
    return _CODECS[name]


def _goes_over(body: bytes) -> bool:
    """By an escape sequence of HL7's own; MSH-2 says which character begins and ends one."""
    escape = re.escape(body[6:7])
    return re.search(_ESCAPED % (escape, escape), body) is not None


def split_batch(content: bytes) -> list[bytes]:
    """The messages of a file: one, several, or a batch in FHS, BHS, BTS, FTS; a content without any comes back whole."""
    body = content.removeprefix(b"\xef\xbb\xbf")
    places = [match.start() for match in _MESSAGE.finditer(body)]
    if not places:
        return [content]
    return [_without_envelope(body[start:end]) for start, end in pairwise([*places, len(body)])]


def _without_envelope(chunk: bytes) -> bytes:
    end = _ENVELOPE.search(chunk)
    return (chunk[: end.start()] if end else chunk).strip(b"\x0b")
