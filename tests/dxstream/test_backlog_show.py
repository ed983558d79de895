"""What a terminal shows of a backlog."""

from datetime import UTC, datetime

import pytest

from dxstream.backlog_show import Progressing, progress_words

ROW = {
    "id": 3, "state": "running", "waits_for": "", "listed_at": datetime(2026, 3, 1, tzinfo=UTC), "files": 100, "taken": 40,
    "known": 0, "refused": 2, "failed": 1, "files_per_second": 12.4, "eta_at": datetime(2026, 3, 2, 12, 0, tzinfo=UTC),
}  # fmt: skip


def test_speed_end_and_faults_are_shown():
    local = ROW["eta_at"].astimezone().strftime("%Y-%m-%d %H:%M")
    assert progress_words(ROW) == f"12 files/s, through at {local}, 3 not taken"


def test_while_it_lists_the_files_so_far_are_shown():
    assert progress_words(ROW | {"listed_at": None}) == "listing: 100 files so far"


@pytest.mark.parametrize(
    ("reason", "words"), [("hours", "waits for its hours"), ("resume", "paused"), ("source", "waits for the PACS")]
)
def test_what_it_waits_for_is_said(reason, words):
    assert progress_words(ROW | {"waits_for": reason}) == words


def test_without_a_terminal_the_end_is_a_line(capsys):
    with Progressing() as progress:
        progress.show(ROW | {"state": "done", "eta_at": None})
    assert capsys.readouterr().err == "backlog 3: 43 of 100 files, 12 files/s, 3 not taken\n"
