"""Mutated messages: an arrival or a refusal, never anything else."""

import tempfile
from pathlib import Path

import pytest
from hl7_sender import adt, mdm, oru, plain_door, result, take
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.door import Door
from producers.hl7.answer import accepted, read_header, refused
from stream.errors import Refused

SEEDS = [
    oru(result(), result("<^5", kind="SN")),
    adt("A01"),
    mdm("T02"),
    mdm("T02", "") + b"OBX|1|ED|||^TEXT^^Base64^YWJj||||||F\r",
]
PIECES = st.sampled_from(
    [b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b'""', b"\\X", b"\\X41\\", b"\xff", b"9" * 30, b"MSH|", b"-", b"\x00"]
)


@pytest.fixture(scope="module")
def desk() -> Door:
    return plain_door(Path(tempfile.mkdtemp()))


@settings(max_examples=400, deadline=2000, derandomize=True)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 20), PIECES), min_size=1, max_size=6))
def test_a_mutated_message_is_an_arrival_or_a_refusal(desk: Door, seed: bytes, changes: list[tuple[int, int, bytes]]) -> None:
    frame = seed
    for place, cut, piece in changes:
        frame = frame[:place] + piece + frame[place + cut :]
    try:
        arrival = take(desk, frame)
    except Refused as error:
        answer = refused(read_header(frame), frame, error)
    else:
        answer = accepted(read_header(frame), frame, note=arrival.not_used)
    assert b"MSA" in answer
