"""Mutated frames, broken framing and real messages thrown at the port: always an answer or a closed connection.

``DXSTREAM_FUZZ``: how many inputs (2,000 unless told otherwise). ``DXSTREAM_FUZZ_SEED``: which ones. The same
seed gives the same inputs.
"""

import os
import random
import resource
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hl7_sender import adt, header, mdm, message, order, oru, patient, result

from producers.door import Door
from producers.hl7.frames import Frames, FrameTooLongError
from producers.hl7.mllp import MllpFeed

INPUTS = int(os.environ.get("DXSTREAM_FUZZ", "2000"))
SEED = int(os.environ.get("DXSTREAM_FUZZ_SEED", "1"))

#: No input may take longer, in seconds.
PATIENCE = 5.0
#: The process may not grow by more between the first and the last tenth of a long run, in MiB.
GROWTH = 60

SEEDS = [
    oru(result(), result("<^5", kind="SN")),
    oru(order(f22="20261120113000"), *[result(str(n)) for n in range(30)]),
    adt("A01"),
    adt("A08", f44="20261120083000"),
    mdm("T02"),
    mdm("T10", number="D2", f13="D1"),
    mdm("T02", "") + b"OBX|1|ED|||^TEXT^HTML^Base64^PGh0bWw+PHA+SGVsbG8=||||||F\r",
    message(header("ADT^A40"), "EVN|A40|20261120100000", patient(), "MRG|OLD^^^HOSP^MR"),
    message(header("MDM^T02", f18="GB18030"), patient(), "TXA|1|DS|TX|20261120093000||||||||D1"),
]
PIECES = [
    b"|",
    b"^",
    b"~",
    b"\\",
    b"&",
    b"\r",
    b"\n",
    b'""',
    b"\\X41\\",
    b"\xff\xfe",
    b"9" * 40,
    b"MSH|",
    b"-",
    b"\x00",
    b"\x0b",
    b"\x1c",
]
PIECES += [b"\x1c\x0d", b"\x0bMSH|^~\\&|", b"1e999", b"<" * 30, b"+9999", b"20261120", b"UNICODE UTF-8", b"\\" * 50, b"PID|1||7\r"]


def seeds() -> list[bytes]:
    """Our own messages, and the real ones where they are at hand."""
    place = os.environ.get("DXSTREAM_TEST_FEEDS")
    real = sorted((Path(place) / "hl7").rglob("*.hl7")) if place else []
    return SEEDS + [path.read_bytes() for path in real if path.stat().st_size < 20_000]


def mutated(chance: random.Random, seed: bytes) -> bytes:
    frame = seed
    for _ in range(chance.randrange(6)):
        at, cut = chance.randrange(len(frame) + 1), chance.choice((0, 0, 1, 3, 40))
        piece = chance.choice([*PIECES, frame[at : at + 60], bytes([chance.randrange(256)])])
        frame = frame[:at] + piece + frame[at + cut :]
    return frame


def framed_somehow(chance: random.Random, frame: bytes) -> bytes:
    start, end = (
        chance.choice((b"\x0b", b"\x0b", b"\x0b", b"", b"\x0b\x0b", b"junk\x0b")),
        chance.choice((b"\x1c\x0d",) * 6 + (b"\x1c", b"", b"\r")),
    )
    return start + frame + end


@dataclass
class Thrower:
    """One connection at a time; a closed one is opened anew."""

    port: int
    longest: float = 0.0
    answered: int = 0
    closed: int = 0
    line: socket.socket | None = None

    def throw(self, sent: bytes, *, whole: bool) -> None:
        """Send and wait for an answer, or for the end; what is no whole frame is ended by us."""
        began = time.monotonic()
        sender = self._connected()
        try:
            sender.sendall(sent)
            if not whole:
                sender.shutdown(socket.SHUT_WR)
            heard = sender.recv(65536)
        except ConnectionError:
            heard = b""
        self.longest = max(self.longest, time.monotonic() - began)
        self.answered, self.closed = self.answered + bool(heard), self.closed + (not heard)
        if not heard or not whole or len(sent) > 60_000 or sent.count(b"\x1c\x0d") > 1:
            self.close()

    def close(self) -> None:
        if self.line:
            self.line.close()
        self.line = None

    def _connected(self) -> socket.socket:
        if self.line is None:
            self.line = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return self.line


@pytest.fixture
def feed(door: Door) -> Iterator[MllpFeed]:
    feed = MllpFeed(door, bind="127.0.0.1", port=0, most_bytes=200_000, silence_seconds=1.0)
    feed.start()
    yield feed
    feed.stop()


def memory() -> float:
    """What this process holds now, in MiB."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20


@pytest.mark.timeout(3600)
def test_whatever_comes_to_the_port_is_answered_or_the_connection_closes(feed: MllpFeed) -> None:
    chance, pool, thrower = random.Random(SEED), seeds(), Thrower(feed.port)
    held: list[float] = []
    for number in range(INPUTS):
        sent = framed_somehow(chance, mutated(chance, chance.choice(pool)))
        whole = sent.startswith(b"\x0b") and sent.endswith(b"\x1c\x0d") and sent.count(b"\x0b") == 1
        thrower.throw(sent, whole=whole)
        if number % max(1, INPUTS // 20) == 0:
            held.append(memory())
    thrower.throw(b"\x0b" + oru(result()) + b"\x1c\x0d", whole=True)
    thrower.close()
    print(f"\n{INPUTS} inputs, seed {SEED}: {thrower.answered} answered, {thrower.closed} closed, longest {thrower.longest:.2f} s,")
    print(f"memory {held[2]:.0f} MiB after a tenth, {held[-1]:.0f} MiB at the end")
    assert thrower.longest < PATIENCE
    assert thrower.answered > INPUTS * 0.7
    assert held[-1] - held[2] < GROWTH


def test_whatever_comes_in_pieces_ends_in_frames_or_a_limit() -> None:
    chance, pool = random.Random(SEED), seeds()
    for _ in range(INPUTS):
        sent = b"".join(framed_somehow(chance, mutated(chance, chance.choice(pool))) for _ in range(3))
        cuts = sorted(chance.randrange(len(sent) + 1) for _ in range(4))
        frames, whole = Frames(100_000), Frames(100_000)
        try:
            pieces = [
                frame for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True) for frame in frames.feed(sent[start:end])
            ]
            assert pieces == whole.feed(sent)
        except FrameTooLongError:
            assert len(sent) > 100_000
