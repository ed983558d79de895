"""Framing: any bytes in any pieces."""

import os
from pathlib import Path

import pytest
from hl7_sender import framed, oru, result
from hypothesis import given
from hypothesis import strategies as st

from producers.hl7.frames import Frames, FrameTooLongError

FRAME = oru(result())


def test_a_frame_split_at_every_byte_comes_out_whole() -> None:
    sent = framed(FRAME)
    for place in range(len(sent) + 1):
        frames = Frames()
        assert frames.feed(sent[:place]) + frames.feed(sent[place:]) == [FRAME]
        assert not frames.unfinished


def test_a_frame_sent_byte_by_byte_comes_out_once() -> None:
    frames = Frames()
    assert [out for byte in framed(FRAME) for out in frames.feed(bytes([byte]))] == [FRAME]


def test_several_frames_in_one_packet_come_out_in_order() -> None:
    sent = [oru(result(), control_id=str(number)) for number in range(5)]
    assert Frames().feed(b"".join(map(framed, sent))) == sent


def test_garbage_between_frames_is_dropped_and_noticed() -> None:
    frames = Frames()
    assert frames.feed(b"\r\nhello" + framed(FRAME) + b"\r\n" + framed(FRAME)) == [FRAME, FRAME]
    assert not frames.astray
    assert frames.feed(b"GET / HTTP/1.1\r\n") == []
    assert frames.astray


def test_a_frame_over_the_limit_is_refused_before_it_ends() -> None:
    frames = Frames(most_bytes=1000)
    with pytest.raises(FrameTooLongError):
        frames.feed(b"\x0bMSH|" + b"x" * 1000)


def test_many_frames_in_one_packet_do_not_count_as_one_long_frame() -> None:
    assert len(Frames(most_bytes=len(FRAME) + 10).feed(framed(FRAME) * 10)) == 10


def test_garbage_is_not_held() -> None:
    frames = Frames(most_bytes=1000)
    for _ in range(10):
        assert frames.feed(b"x" * 900) == []


def test_a_frame_that_its_sender_gave_up_is_not_joined_with_the_next() -> None:
    assert Frames().feed(b"\x0bMSH|^~\\&|half of" + framed(FRAME)) == [FRAME]


def test_a_vertical_tab_within_a_text_is_part_of_it() -> None:
    frame = oru(result(value="one\x0btwo", kind="TX"))
    assert Frames().feed(framed(frame)) == [frame]


@pytest.mark.skipif(
    "DXSTREAM_TEST_FEEDS" not in os.environ, reason="set DXSTREAM_TEST_FEEDS to a folder with hl7/ to split real files"
)
@pytest.mark.parametrize("third", range(3))
def test_every_real_file_may_be_split_at_every_byte(third: int) -> None:
    """A long file: at every seventh byte, and at every one of the first and the last 1,000."""
    files = sorted((Path(os.environ["DXSTREAM_TEST_FEEDS"]) / "hl7").rglob("*.hl7"))
    for path in files[third::3]:
        content = path.read_bytes().replace(b"\x0b", b"").replace(b"\x1c\x0d", b"\x0d")
        sent = b"\x0b" + content + b"\x1c\x0d"
        step = 1 if len(sent) <= 40_000 else 7
        places = {*range(0, len(sent) + 1, step), *range(min(1000, len(sent))), *range(max(0, len(sent) - 1000), len(sent) + 1)}
        for place in sorted(places):
            frames = Frames()
            assert frames.feed(sent[:place]) + frames.feed(sent[place:]) == [content], (path, place)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_no_bytes_whatever_break_it(chunks: list[bytes]) -> None:
    frames = Frames()
    for chunk in chunks:
        assert all(b"\x1c\x0d" not in frame for frame in frames.feed(chunk))
