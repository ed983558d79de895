"""The bytes of a DICOM dataset → where its elements lie. Bounded: it neither recurses nor copies nor decodes.

Written by hand because the usual reader recurses into nested sequences and reads silently past the end of half a file.
DICOM PS3.5 section 7: explicit and implicit VR, either byte order, lengths that are not stated.
"""

import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from stream.errors import Refused

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
#: Deflated Explicit VR Little Endian, and JPIP referenced deflate: their dataset is one zlib stream without a header.
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})

#: Sequences within sequences, at most.
MAX_DEPTH = 64
#: Elements and items looked at, at most: an enhanced instance of 4,000 frames has about 300,000.
MAX_ELEMENTS = 1_000_000
#: A deflated dataset may become this many bytes.
MAX_INFLATED = 128 * 2**20

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
#: The last element that is looked at: what stands after the pixels is signatures and padding.
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
#: VRs whose length has 32 bits in explicit VR (PS3.5 table 7.1-1).
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})


def first_item(sequence: bytes, transfer_syntax: str, wanted: Iterable[int]) -> dict[int, bytes]:
    """The ``wanted`` values of a sequence's first item, the sequence as ``read_elements`` gave it; empty when it has none."""
    order = ">" if transfer_syntax == EXPLICIT_BIG else "<"
    if len(sequence) < 8 or struct.unpack_from(f"{order}HH", sequence) != (_ITEM >> 16, _ITEM & 0xFFFF):
        return {}
    (length,) = struct.unpack_from(f"{order}L", sequence, 4)
    end = sequence.find(struct.pack(f"{order}HH", _ITEM_END >> 16, _ITEM_END & 0xFFFF)) if length == _UNDEFINED else 8 + length
    item = sequence[8:end] if end > 0 else b""
    try:
        return _Walk(
            item, implicit=transfer_syntax == IMPLICIT_LITTLE, big=transfer_syntax == EXPLICIT_BIG, wanted=frozenset(wanted)
        ).run()
    except Refused:
        return {}


class _Level(NamedTuple):
    """What we are in: the dataset, a sequence or an item; inside UN of undefined length all is implicit VR."""

    kind: str
    implicit: bool


def read_elements(dataset: bytes, transfer_syntax: str, wanted: Iterable[int]) -> dict[int, bytes]:
    """The raw values of the ``wanted`` tags of the top level, as far as they are there; of a sequence its items.

    Raises Refused when the dataset ends in the middle of an element, is nested too deeply, or is no dataset at all.
    """
    plain = _inflate(dataset) if transfer_syntax in DEFLATED else dataset
    walk = _Walk(plain, implicit=transfer_syntax == IMPLICIT_LITTLE, big=transfer_syntax == EXPLICIT_BIG, wanted=frozenset(wanted))
    return walk.run()


def _inflate(deflated: bytes) -> bytes:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = stream.decompress(deflated, MAX_INFLATED)
    except zlib.error as error:
        raise Refused("the deflated dataset cannot be inflated") from error
    if not stream.eof:
        raise Refused("the deflated dataset is too large or ends too early")
    return plain


class _Walk:
    """One pass over a dataset; ``at`` is the offset of the next element, ``levels`` what is open around it."""

    def __init__(self, dataset: bytes, *, implicit: bool, big: bool, wanted: frozenset[int]) -> None:
        self.dataset = dataset
        self.wanted = wanted
        self.found: dict[int, bytes] = {}
        self.at = 0
        self.opened: tuple[int, int] | None = None  # a wanted sequence of the top level: its tag, and where its value starts
        self.pixels = False
        self.levels = [_Level(kind="dataset", implicit=implicit)]
        order = ">" if big else "<"
        self.tag = struct.Struct(f"{order}HH").unpack_from
        self.short = struct.Struct(f"{order}H").unpack_from
        self.long = struct.Struct(f"{order}L").unpack_from

    def run(self) -> dict[int, bytes]:
        """Walk to the end of the dataset or of its pixels."""
        for _ in range(MAX_ELEMENTS):
            if len(self.levels) == 1 and self._at_end():
                return self.found
            tag = self._next_tag()
            if tag >> 16 == 0xFFFE:
                self._delimit(tag)
            else:
                self._element(tag)
            if len(self.levels) == 1 and self.pixels:
                return self.found
            if len(self.levels) > 2 * MAX_DEPTH:
                raise Refused("sequences are nested too deeply")
        raise Refused("too many elements")

    def _at_end(self) -> bool:
        """At the end, or before nothing but zeros: some writers fill the last block."""
        rest = len(self.dataset) - self.at
        return rest == 0 or (rest < 512 and not any(self.dataset[self.at :]))

    def _next_tag(self) -> int:
        if self.at + 8 > len(self.dataset):
            raise Refused("the dataset ends in the middle of an element")
        group, element = self.tag(self.dataset, self.at)
        return int(group << 16 | element)

    def _element(self, tag: int) -> None:
        self.pixels |= len(self.levels) == 1 and tag in _PIXELS
        vr, length, start = self._length()
        if length == _UNDEFINED:
            self.at = start
            if len(self.levels) == 1 and tag in self.wanted:
                self.opened = tag, start
            self.levels.append(_Level(kind="sequence", implicit=self.levels[-1].implicit or vr == b"UN"))
            return
        self._skip_to(start + length)
        if len(self.levels) == 1 and tag in self.wanted:
            self.found.setdefault(tag, self.dataset[start : start + length])

    def _length(self) -> tuple[bytes, int, int]:
        """VR (empty in implicit VR), the value's length, and where the value starts."""
        vr = b"" if self.levels[-1].implicit else self.dataset[self.at + 4 : self.at + 6]
        if not (vr.isalpha() and vr.isupper()):
            return b"", self.long(self.dataset, self.at + 4)[0], self.at + 8
        if vr not in _LONG:
            return vr, self.short(self.dataset, self.at + 6)[0], self.at + 8
        if self.at + 12 > len(self.dataset):
            raise Refused("the dataset ends in the middle of an element")
        return vr, self.long(self.dataset, self.at + 8)[0], self.at + 12

    def _delimit(self, tag: int) -> None:
        """The start of an item, the end of one, or the end of a sequence; the last two only where one is open."""
        length = self.long(self.dataset, self.at + 4)[0]
        kind = self.levels[-1].kind
        self.at += 8
        if tag == _ITEM and kind == "sequence":
            if length == _UNDEFINED:
                self.levels.append(_Level(kind="item", implicit=self.levels[-1].implicit))
            else:
                self._skip_to(self.at + length)
        elif (tag, kind) in ((_ITEM_END, "item"), (_SEQUENCE_END, "sequence")):
            self.levels.pop()
            if self.opened and len(self.levels) == 1:
                self.found.setdefault(self.opened[0], self.dataset[self.opened[1] : self.at - 8])
                self.opened = None
        elif kind != "dataset" or tag == _ITEM or length:  # some writers end a sequence whose length they have stated
            raise Refused("a delimiter of sequences stands where none is open")

    def _skip_to(self, end: int) -> None:
        if end > len(self.dataset):
            raise Refused("the dataset ends in the middle of an element")
        self.at = end
