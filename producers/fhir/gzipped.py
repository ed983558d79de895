"""gzip → bytes, within a limit: a small body must not become a large one."""

import zlib

from stream.errors import Refused

#: zlib's word for a gzip header.
_GZIP = 16 + zlib.MAX_WBITS

#: Each further member costs a copy of what is left.
MOST_MEMBERS = 64


class TooLargeError(Refused):
    """What came out is over the limit."""


def unzip(packed: bytes, limit: int) -> bytes:
    """At most ``limit`` bytes, over all members; raises Refused, and TooLargeError for more."""
    whole = bytearray()
    try:
        for _ in range(MOST_MEMBERS):
            member = zlib.decompressobj(_GZIP)
            whole += member.decompress(packed, limit + 1 - len(whole))
            if len(whole) > limit:
                raise TooLargeError("too large when unpacked")
            if not member.eof:
                raise Refused("not whole gzip")
            packed = member.unused_data.lstrip(b"\0")
            if not packed:
                return bytes(whole)
    except zlib.error:
        raise Refused("not gzip") from None
    raise Refused("gzip in too many parts")
