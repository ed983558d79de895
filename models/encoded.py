"""The size that an encoded picture claims, read from its header alone: JPEG, JPEG-LS, JPEG 2000, PNG; of a PNG its depth too."""

import struct

#: Markers of JPEG that begin a frame (T.81 table B.1), and the one of JPEG-LS (T.87).
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
#: Start of a JPEG 2000 codestream and its size segment (T.800 A.4 and A.5).
CODESTREAM = b"\xff\x4f\xff\x51"
PNG = b"\x89PNG"


def claimed_shape(encoded: bytes) -> tuple[int, int] | None:
    """(rows, columns) as the header says, None where it is none of the formats or breaks off before it says so."""
    try:
        if encoded[:2] == b"\xff\xd8":
            return _jpeg_shape(encoded)
        if encoded[:4] == PNG:
            columns, rows = struct.unpack_from(">II", encoded, 16)
            return rows, columns
        start = encoded.find(CODESTREAM)
        return None if start < 0 else _codestream_shape(encoded, start)
    except struct.error:
        return None


def has_16_bits(encoded: bytes) -> bool:
    """Whether it is a PNG with 16 bits a sample (PNG 11.2.2, IHDR)."""
    return encoded[:4] == PNG and encoded[24:25] == b"\x10"


def _jpeg_shape(encoded: bytes) -> tuple[int, int] | None:
    """Walks from segment to segment up to the frame header."""
    place = 2
    while place + 4 <= len(encoded) and encoded[place] == 0xFF:
        marker = encoded[place + 1]
        if marker in FRAMES:
            rows, columns = struct.unpack_from(">HH", encoded, place + 5)
            return rows, columns
        place += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", encoded, place + 2)[0]  # a fill byte
    return None


def _codestream_shape(encoded: bytes, start: int) -> tuple[int, int]:
    right, bottom, left, top = struct.unpack_from(">IIII", encoded, start + 8)
    return bottom - top, right - left
