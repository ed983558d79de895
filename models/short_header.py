"""The few elements that an ordinary image needs, read without a DICOM library; anything odd is left to pydicom.

Ordinary: explicit VR little endian, one frame, one sample, no sequence before the pixels, a window or none, no look-up table.
``read_short`` gives None for everything else, and a test holds it equal to pydicom on every file of the feeds' collection.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The transfer syntax whose files are read here, as its element (0002,0010) stands in a file.
_PLAIN = b"1.2.840.10008.1.2.1"
#: Value representations whose length takes four bytes after two reserved ones (PS3.5 7.1.2).
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"UC", b"UN", b"UR", b"UT", b"SQ", b"SV", b"UV"}
_PIXELS = 0x7FE00010
#: Elements that are taken over: tag → (keyword, value representation).
_WANTED = {
    0x00280002: ("SamplesPerPixel", b"US"),
    0x00280004: ("PhotometricInterpretation", b"CS"),
    0x00280008: ("NumberOfFrames", b"IS"),
    0x00280010: ("Rows", b"US"),
    0x00280011: ("Columns", b"US"),
    0x00280100: ("BitsAllocated", b"US"),
    0x00280101: ("BitsStored", b"US"),
    0x00280102: ("HighBit", b"US"),
    0x00280103: ("PixelRepresentation", b"US"),
    0x00281050: ("WindowCenter", b"DS"),
    0x00281051: ("WindowWidth", b"DS"),
    0x00281052: ("RescaleIntercept", b"DS"),
    0x00281053: ("RescaleSlope", b"DS"),
    0x00281056: ("VOILUTFunction", b"CS"),
    0x20500020: ("PresentationLUTShape", b"CS"),
}
#: Where one of these stands, the whole file is pydicom's: padding, tables, unsigned lengths, overlays in unused bits.
_ODD = range(0x00280120, 0x00280122), range(0x00283000, 0x00283011), range(0x00280200, 0x00280201)
_NEEDED = {"SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"}


class Elements(dict[str, Any]):
    """What a pydicom ``Dataset`` is to those who only ask it: ``in``, ``get`` and attributes by keyword."""

    def __getattr__(self, keyword: str) -> Any:
        """The element's value."""
        try:
            return self[keyword]
        except KeyError:
            raise AttributeError(keyword) from None


@dataclass(frozen=True, kw_only=True)
class Short:
    """The elements of the picture, and (rows, columns) stored values that lie in the file's own bytes."""

    elements: Elements
    stored: NDArray[np.unsignedinteger[Any]]


def read_short(content: bytes) -> Short | None:
    """An ordinary file's elements and pixels; None where there is the least doubt."""
    start = _after_meta(content)
    if start is None:
        return None
    found = Elements()
    place = start
    last = 0
    while place + 8 <= len(content):
        tag = content[place] << 16 | content[place + 1] << 24 | content[place + 2] | content[place + 3] << 8
        kind = content[place + 4 : place + 6]
        if kind in _LONG:
            length = int.from_bytes(content[place + 8 : place + 12], "little")
            value = place + 12
        else:
            length = content[place + 6] | content[place + 7] << 8
            value = place + 8
        if tag <= last or value + length > len(content) or kind == b"SQ" or any(tag in odd for odd in _ODD):
            return None
        if tag == _PIXELS:
            return _with_pixels(found, content, value, length, kind)
        if tag in _WANTED and not _take(found, tag, kind, content[value : value + length]):
            return None
        place, last = value + length, tag
    return None


def _after_meta(content: bytes) -> int | None:
    """Where the dataset begins, in a file of the plain transfer syntax whose meta information says its own length."""
    if content[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        return None
    end = 144 + int.from_bytes(content[140:144], "little")
    syntax = content.find(b"\x02\x00\x10\x00UI", 144, end)
    if syntax < 0:
        return None
    length = int.from_bytes(content[syntax + 6 : syntax + 8], "little")
    return end if content[syntax + 8 : syntax + 8 + length].rstrip(b"\0 ") == _PLAIN else None


def _take(found: Elements, tag: int, kind: bytes, value: bytes) -> bool:
    """Whether the element is one value as it must be; an empty one or one of several is not."""
    keyword, wanted = _WANTED[tag]
    if kind != wanted:
        return False
    if kind == b"US":
        found[keyword] = int.from_bytes(value, "little")
        return len(value) == 2
    try:
        text = value.decode("ascii").strip(" \0")
        found[keyword] = float(text) if kind == b"DS" else int(text) if kind == b"IS" else text
    except ValueError:
        return False
    return bool(text) and "\\" not in text


def _with_pixels(found: Elements, content: bytes, start: int, length: int, kind: bytes) -> Short | None:
    """The pixels as they lie there, where they are whole and of one or two bytes."""
    allocated, stored = found.get("BitsAllocated"), found.get("BitsStored")
    if not found.keys() >= _NEEDED or found.get("NumberOfFrames", 1) != 1 or found["SamplesPerPixel"] != 1:
        return None
    rows, columns = int(found["Rows"]), int(found["Columns"])
    size = rows * columns * (int(allocated or 0) // 8)
    grey = found["PhotometricInterpretation"] in ("MONOCHROME1", "MONOCHROME2")
    ordinary = grey and allocated in (8, 16) and found.get("PixelRepresentation") == 0 and kind in (b"OW", b"OB") and size > 0
    whole = length == size + size % 2 and start + length == len(content)
    if not (ordinary and whole and 0 < int(stored or 0) <= int(allocated or 0) and found["HighBit"] == int(stored or 0) - 1):
        return None
    pixels: NDArray[np.unsignedinteger[Any]] = np.frombuffer(content, "<u1" if allocated == 8 else "<u2", rows * columns, start)
    if int(pixels.max()) >> int(stored or 0):  # something else stands in the unused bits, and pydicom leaves it out
        return None
    return Short(elements=found, stored=pixels.reshape(rows, columns))
