"""Reading one HL7 v2 message: segments, fields, repetitions, components, subcomponents and escape sequences.

Fields are split when they are asked for, so that a message with hundreds of results costs little. Knows no meaning.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from producers.hl7.charset import codec_of
from stream.errors import Refused

#: What a message may declare besides the field separator: component, repetition, escape and subcomponent separators.
USUAL = "^~\\&"

_NULL = '""'
_LINE_ENDS = re.compile(r"[\r\n]+")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Separators:
    """As MSH-1 and MSH-2 declare them; one that is not declared is empty.

    ``written`` is MSH-2 itself; a field without any ``special`` character is its own text.
    """

    field: str
    component: str
    repetition: str
    escape: str
    subcomponent: str
    written: str
    special: re.Pattern[str]

    @classmethod
    def read(cls, text: str) -> "Separators":
        """Of a text that begins with ``MSH``; raises Refused when one character stands for two things."""
        line = _LINE_ENDS.split(text, maxsplit=1)[0]
        field = line[3:4]
        written = (line[4:].split(field, 1)[0] if field else "") or USUAL
        declared = [field, *written]
        if not field or field.isalnum() or len(set(declared)) < len(declared):
            raise Refused("its separators are ambiguous", where="MSH^1^2")
        return _separators(field, written)


@lru_cache(maxsize=64)
def _separators(field: str, written: str) -> Separators:
    component, repetition, escape, subcomponent = (*written[:4], "", "", "", "")[:4]
    special = re.compile(f"[{re.escape(written[:4])}]")
    return Separators(field, component, repetition, escape, subcomponent, written, special)


class Segment:
    """One segment; fields, components and subcomponents are counted from 1, as in the standard's text."""

    __slots__ = ("codec", "fields", "name", "separators")

    def __init__(self, line: str, separators: Separators, codec: str) -> None:
        self.separators = separators
        self.codec = codec
        self.fields = line.split(separators.field)
        self.name = self.fields[0]
        if self.name in {"MSH", "FHS", "BHS"}:
            self.fields.insert(1, separators.field)

    def raw(self, field: int) -> str:
        """The field as sent; empty when it is absent or the null ``""``."""
        if field >= len(self.fields):
            return ""
        sent = self.fields[field]
        return "" if sent == _NULL else sent

    def repetitions(self, field: int) -> list[str]:
        """The field's repetitions as sent."""
        return _split(self.raw(field), self.separators.repetition)

    def text(self, field: int, component: int = 1, subcomponent: int = 1) -> str:
        """One part of the field's first repetition, without escape sequences and surrounding blanks."""
        sent = self.raw(field)
        if not sent:
            return ""
        if not self.separators.special.search(sent):
            return sent.strip() if component == subcomponent == 1 else ""
        repetition = self.separators.repetition
        if repetition and repetition in sent:
            sent = sent.split(repetition, 1)[0]
        return self.part(sent, component, subcomponent)

    def part(self, repetition: str, component: int = 1, subcomponent: int = 1) -> str:
        """One component, or its subcomponent, of a repetition as sent."""
        sent = _nth(repetition, self.separators.component, component)
        sent = _nth(sent, self.separators.subcomponent, subcomponent)
        text = self.unescaped(sent).strip()
        return "" if text == _NULL else text

    def component(self, repetition: str, place: int) -> str:
        """A whole component as text: its subcomponent separators are part of it."""
        return self.unescaped(_nth(repetition, self.separators.component, place))

    def unescaped(self, sent: str) -> str:
        r"""Text with the meaning of ``\F\``, ``\S\``, ``\T\``, ``\R\``, ``\E\``, ``\.br\``, ``\X0D\``; the rest is left out."""
        if not self.separators.escape or self.separators.escape not in sent:
            return sent
        return _sequence(self.separators.escape).sub(self._meaning, sent)

    def _meaning(self, match: re.Match[str]) -> str:
        sequence = match[1]
        separators = self.separators
        if sequence in _NAMED:
            return str(getattr(separators, _NAMED[sequence]))
        if sequence.startswith((".br", ".sp")):
            return "\n"
        if sequence.startswith("X"):
            return bytes.fromhex(sequence[1:]).decode(self.codec, "replace")
        return ""  # highlighting, indents, other character sets, a site's own


_NAMED = {"F": "field", "S": "component", "T": "subcomponent", "R": "repetition", "E": "escape"}


@lru_cache(maxsize=16)
def _sequence(escape: str) -> re.Pattern[str]:
    """Only what the standard names is a sequence: any other backslash is text."""
    mark = re.escape(escape)
    known = r"[FSTREHNP]|\.[a-z]{2}[+-]?\d*|X(?:[0-9A-Fa-f]{2})+|[CMZ][0-9A-Fa-f]{2,32}"
    return re.compile(f"{mark}({known}){mark}")


def _nth(sent: str, separator: str, place: int) -> str:
    """The part at ``place``, counted from 1; empty when there are fewer."""
    if separator and separator in sent:
        parts = sent.split(separator, place)
        return parts[place - 1] if place <= len(parts) else ""
    return sent if place == 1 else ""


def _split(sent: str, separator: str) -> list[str]:
    return sent.split(separator) if separator and separator in sent else [sent]


@dataclass(frozen=True)
class Message:
    """All segments of one message, in order; ``codec`` is the character set that it was read with."""

    segments: tuple[Segment, ...]
    codec: str

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    @cached_property
    def sender(self) -> str:
        """Sending application and facility (MSH-3, MSH-4)."""
        return f"{self.header.text(3)}|{self.header.text(4)}"

    @property
    def control_id(self) -> str:
        """MSH-10 without unprintable characters; may be empty."""
        return _UNPRINTABLE.sub("", self.header.raw(10))

    def all(self, name: str) -> Iterator[Segment]:
        """Every segment of this name."""
        return iter(self._by_name.get(name, ()))

    @cached_property
    def _by_name(self) -> dict[str, list[Segment]]:
        named: dict[str, list[Segment]] = {}
        for segment in self.segments:
            named.setdefault(segment.name, []).append(segment)
        return named

    def first(self, name: str) -> Segment:
        """The first segment of this name; an empty one when there is none."""
        return next(self.all(name), None) or Segment(name, self.header.separators, self.codec)


def read_message(frame: bytes, fallback: str) -> Message:
    """The message in ``frame``, whatever its line ends; ``fallback`` is the character set where MSH-18 is empty.

    Raises Refused: no MSH, more than one, ambiguous separators, an unknown character set, bytes that do not fit it.
    """
    body = frame.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if not body.startswith(b"MSH") or len(body) < len("MSH|^"):
        raise Refused("no MSH segment", where="MSH")
    codec = codec_of(body, fallback)
    try:
        text = body.decode(codec).replace("\x00", "")  # which no database holds in a text
    except UnicodeDecodeError:  # which holds the whole message
        raise Refused("its bytes do not fit its character set", where="MSH^1^18") from None
    segments = _segments(text, codec)
    if sum(segment.name == "MSH" for segment in segments) > 1:
        raise Refused("more than one message in one frame", where="MSH")
    return Message(tuple(segments), codec)


def _segments(text: str, codec: str) -> list[Segment]:
    """A line that is no segment goes on with the one before: a line break inside a text."""
    separators = Separators.read(text)
    lines: list[str] = []
    for line in _LINE_ENDS.split(text):
        if _begins_segment(line, separators.field):
            lines.append(line)
        elif line.strip():
            lines[-1] += "\n" + line
    return [Segment(line, separators, codec) for line in lines]


def _begins_segment(line: str, field: str) -> bool:
    name = line[:3]
    return len(name) == len("MSH") and line[3:4] in {field, ""} and name.isalnum() and name.isupper() and name.isascii()
