"""What is wrapped comes out of the feeds' own readers as it went in."""

import sys
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom import dcmread

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import wrapping

from models.pixels import read_picture
from models.stay_files import challenge_sample
from models.words import tokenize
from producers.dicom.file import read_file
from producers.dicom.instance import arrive
from producers.door import Door
from producers.hl7.parse import parse_message
from stream.arrival import AddResults, JudgeNow, Move, WriteNote
from stream.labs import Analytes
from stream.points import decode_points

NOW = datetime(2024, 3, 1, 12, 30, tzinfo=UTC)
STAY = """Time,Parameter,Value
00:00,RecordID,1
00:00,Age,54
00:00,Gender,0
00:00,Weight,-1
00:00,,-1
00:07,HR,73
00:07,NIMAP,92.33
00:07,Platelets,1.4e+02
00:07,MechVent,1
07:00,HR,81
07:00,HR,82
48:00,HR,90
"""


def jpeg(rows: int = 7, columns: int = 9) -> bytes:
    grey = np.random.default_rng(0).integers(0, 256, (rows, columns)).astype(np.uint8)
    return cv2.imencode(".jpg", grey)[1].tobytes()


def stay_rows(tmp_path: Path) -> list[wrapping.Row]:
    (tmp_path / "set-a").mkdir()
    (tmp_path / "set-a" / "1.txt").write_text(STAY)
    return wrapping.read_stay_rows(tmp_path, ["1"])["1"]


def asked(door: Door, content: bytes) -> Any:
    return parse_message(content, door=door, received_at=NOW + timedelta(days=9)).asks[0]


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (7, 9)])
def test_every_pixel_of_a_picture_arrives_as_it_decodes(rows: int, columns: int) -> None:
    picture = jpeg(rows, columns)
    (sending,) = wrapping.wrap_scan(picture, NOW).sendings
    assert np.array_equal(read_picture(sending.content), read_picture(picture))
    assert dcmread(BytesIO(sending.content)).SOPInstanceUID == sending.sender_id


def test_a_wrapped_picture_says_what_the_card_asks_for(door: Door) -> None:
    (sending,) = wrapping.wrap_scan(jpeg(), NOW).sendings
    ask = arrive(door, read_file(sending.content), feed="dicom").asks[0]
    assert isinstance(ask, JudgeNow)
    expected = {"age_years": 3, "view": "AP", "modality": "DX", "body_part": "CHEST", "presentation_intent": "FOR PRESENTATION"}
    assert expected.items() <= ask.facts.items()


@pytest.mark.parametrize(
    "text",
    [
        "SUBJECTIVE:  Pain | 5^6 ~ half & half \\ .br \\.br\\ \\E\\ \\F\\ for two days.",
        "A first line, with blanks at its end.   \n\n  A third one.\r\nA fourth one.\rA fifth one.",
        "Temperature 38 °C, “warm”, 5 µg of it, \\X0D\\ and MSH|^~\\& in the middle.\nMSH|^~\\&|at the start of a line",
    ],
)
def test_every_word_of_a_note_survives_the_way_through_hl7(door: Door, text: str) -> None:
    (sending,) = wrapping.wrap_note(text, NOW).sendings
    ask = asked(door, sending.content)
    assert isinstance(ask, WriteNote)
    assert ask.text is not None
    assert ask.text.data is not None
    told = ask.text.data.decode()
    assert told == "\n".join(text.splitlines()).strip()
    assert tokenize(told) == tokenize(text)


def test_a_control_character_breaks_no_segment_and_no_frame() -> None:
    assert wrapping.escaped("a\x1c\rb\x0bMSH") == "a\\X1C\\\\X0D\\b\\X0B\\MSH"


def test_a_stay_begins_with_its_admission_to_intensive_care(door: Door, tmp_path: Path) -> None:
    first, *_ = wrapping.wrap_stay(stay_rows(tmp_path), NOW, Analytes.read()).sendings
    move = asked(door, first.content)
    assert isinstance(move, Move)
    assert (move.kind, move.at, move.intensive) == ("admit", NOW, True)
    assert move.facts == {"age_years": 54, "sex": "female"}


def test_the_points_of_a_stay_are_those_of_the_offline_reader(door: Door, tmp_path: Path) -> None:
    rows = stay_rows(tmp_path)
    _, *reports = wrapping.wrap_stay(rows, NOW, Analytes.read()).sendings
    asks = [asked(door, report.content) for report in reports]
    assert len(reports) == 3, "one for every six hours in which there are results"
    assert all(isinstance(ask, AddResults) for ask in asks)
    online = {
        (one.code, (one.observed_at - NOW).total_seconds() / 60, np.float32(one.value)) for ask in asks for one in ask.results
    }
    sample = challenge_sample([(row.time, row.parameter, row.value) for row in rows], Analytes.read())
    offline = {(point["code"].decode(), point["minute"], point["value"]) for point in decode_points(sample.contents[0])}
    assert online == offline
    assert [point.reason for ask in asks for point in ask.refused] == ["outside the physical range"]
    assert len({one.base for ask in asks for one in ask.results}) == len(offline), "no result replaces another"


@pytest.mark.parametrize("years", [1, 3, 16, 54, 90])
@pytest.mark.parametrize(
    "on", [datetime(2024, 2, 29, tzinfo=UTC), datetime(2025, 6, 8, tzinfo=UTC), datetime(2025, 12, 31, tzinfo=UTC)]
)
def test_somebody_has_completed_the_years(years: int, on: datetime) -> None:
    born = wrapping.somebody(years, on.date()).born
    assert on.year - born.year - ((on.month, on.day) < (born.month, born.day)) == years


def test_numbers_keep_their_digits_and_lose_their_exponent() -> None:
    assert [wrapping.decimal(written) for written in ("7.30", "-1", "1.474e+04", "0.50")] == ["7.30", "-1", "14740", "0.50"]
