"""What people and spreadsheets get wrong in a CSV is told with its file and line."""

from pathlib import Path

import pytest

from stream.errors import Refused
from stream.table import once, read_head, read_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.csv"


def refusal(path: Path, content: bytes, *needed: str) -> Refused:
    path.write_bytes(content)
    with pytest.raises(Refused) as told:
        list(once(read_rows(path, *needed), needed[0]))
    return told.value


def test_rows_come_with_the_line_that_they_end_on(path: Path) -> None:
    path.write_text('id, text\n1,"two\nlines"\n\n2,x\n')
    assert list(read_rows(path, "id")) == [
        (f"{path}, line 3", {"id": "1", "text": "two\nlines"}),
        (f"{path}, line 5", {"id": "2", "text": "x"}),
    ]


def test_the_mark_that_excel_writes_before_utf_8_belongs_to_no_column(path: Path) -> None:
    path.write_bytes("id,text\n1,Fièvre\n".encode("utf-8-sig"))
    assert read_head(path, "id") == ("id", "text")
    assert [row["text"] for _, row in read_rows(path, "id")] == ["Fièvre"]


def test_another_encoding_is_refused_with_its_first_odd_line(path: Path) -> None:
    told = refusal(path, "id,text\n1,x\n2,Fièvre\n".encode("latin-1"), "id")
    assert (told.reason, told.where) == ("not UTF-8: save it as CSV UTF-8", f"{path}, line 3")


@pytest.mark.parametrize(
    ("content", "reason", "line"),
    [
        (b"id\n1\n", "no column text", ""),
        (b"", "no column id, text", ""),
        (b"id,text\n1\n", "the row breaks off before column text", ", line 2"),
        (b"id,text\n1,one, two\n", "the row has more cells than the head", ", line 2"),
        (b"id,text\n1,x\n ,y\n", "column id is empty", ", line 3"),
        (b"id,text\n1,x\n1,y\n", "the same id as in", ", line 3"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_with_its_line(path: Path, content: bytes, reason: str, line: str) -> None:
    told = refusal(path, content, "id", "text")
    assert reason in told.reason
    assert told.where == f"{path}{line}"


def test_a_cell_beyond_all_measure_is_refused(path: Path) -> None:
    assert "field larger" in refusal(path, b"id,text\n1," + b"x" * (4 * 2**20 + 1) + b"\n", "id").reason


def test_cells_that_a_spreadsheet_leaves_out_or_adds_at_a_rows_end_are_empty(path: Path) -> None:
    path.write_text("id,text,sex\n1,x\n2,y,,,\n")
    rows = [row for _, row in read_rows(path, "id", "text")]
    assert rows == [{"id": "1", "text": "x", "sex": ""}, {"id": "2", "text": "y", "sex": ""}]
