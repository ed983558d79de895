"""A pull from a PACS: day by day, study by study, from a real Orthanc."""

import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dicom_samples import file_of, projection
from pydicom.uid import generate_uid

sys.path.insert(0, str(Path(__file__).parent.parent / "dicom"))

from orthanc import BINARY, MISSING, Orthanc, running_orthanc
from pushing import Pushing

from db.backlogs import open_backlog, take_over
from db.tables import inputs
from dxstream.free_port import free_port
from producers.backlog.commit import Committer
from producers.backlog.pacs import Pacs, read_source
from producers.backlog.pull import PullRunner, read_days
from producers.backlog.pull_intake import PullFeeds, PullIntake
from producers.dicom.feed import DicomFeed
from producers.door import Door
from stream.content import ContentStore
from stream.identity import Identities
from stream.metrics import Measures
from stream.ring import Bell, RingThread
from stream.settings import BadSettingError
from stream.window import Window

needs_orthanc = pytest.mark.skipif(BINARY is None, reason=MISSING)


@pytest.mark.parametrize(
    "text", ["ORTHANC", "ORTHANC@host", "@host:104", "ORTHANC@host:0", "ORTHANC@host:99999", "A" * 17 + "@h:1"]
)
def test_what_names_no_pacs_is_refused(text):
    with pytest.raises(BadSettingError, match="AE@host:port"):
        read_source(text)


def test_an_ipv6_address_is_written_in_brackets():
    assert read_source("PACS@[::1]:104").host == "::1"


@pytest.mark.parametrize("text", ["20200101", "20200101-20191231", "20201301-20201302", "2020-2021"])
def test_what_are_no_dates_is_refused(text):
    with pytest.raises(BadSettingError, match="20200101-20201231"):
        read_days(text)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def orthanc(tmp_path: Path, port: int) -> Iterator[Orthanc]:
    (tmp_path / "orthanc").mkdir()
    with running_orthanc(tmp_path / "orthanc", dicom=port) as running:
        for day, modality in (("20230301", "DX"), ("20230302", "DX"), ("20230302", "CR"), ("20230305", "DX")):
            study = generate_uid()
            for _ in range(2):
                running.upload(file_of(projection(StudyDate=day, StudyInstanceUID=study, Modality=modality)))
        yield running


class Pulling:
    """An installation that listens for what a PACS moves to it."""

    def __init__(self, pushing: Pushing, port: int) -> None:
        self.pushing = pushing
        ring = RingThread(Bell(pushing.redis_url))
        self.intake = PullIntake(pushing.database, ring, Measures(), slot="test")
        feeds = PullFeeds(pushing.place / "config")
        store = ContentStore(pushing.place / "content")
        door = Door(intake=self.intake, store=store, identities=Identities(b"a key for tests"), feeds=feeds)
        self.feed = DicomFeed(door, bind="127.0.0.1", port=port, ae_title="DXSTREAM")
        self.intake.start()
        self.feed.start()

    def runner(self, orthanc: Orthanc, dates: str, *modalities: str, title: str = "DXSTREAM", **options: Any) -> PullRunner:
        source = {"from": f"ORTHANC@127.0.0.1:{orthanc.dicom_port}", "dates": dates, "modalities": list(modalities)}
        values = {"source": source, "in_place": False, "rate": None, "hours": "", "depth": 5000}
        with self.pushing.database.write() as (connection, now):
            row = open_backlog(connection, now, str(source), values)
            fence = take_over(connection, now, row["id"], "here 1", gone=True)
        committer = Committer(self.pushing.database, row["id"], fence, window=Window(), ring=lambda _: None)
        pacs = Pacs(source=read_source(source["from"]), ae_title=title, intake=self.intake)
        arguments = {"show": lambda _: None, "stop": threading.Event(), **options}
        return PullRunner(row, committer, pacs, pacs=pacs, **arguments)

    def close(self) -> None:
        self.feed.stop()
        self.intake.stop()


@pytest.fixture
def pulling(pushing: Pushing, port: int) -> Iterator[Pulling]:
    pulling = Pulling(pushing, port)
    yield pulling
    pulling.close()


@needs_orthanc
def test_the_studies_of_the_days_come_on_the_backlog_lane(pulling: Pulling, orthanc: Orthanc):
    row = pulling.runner(orthanc, "20230301-20230304").run()
    assert (row["files"], row["taken"], row["inputs"]) == (3, 3, 6)
    assert pulling.pushing.lanes() == {("backlog", "backlog")}


@needs_orthanc
def test_only_studies_of_the_modality_come(pulling: Pulling, orthanc: Orthanc):
    row = pulling.runner(orthanc, "20230301-20230305", "CR").run()
    assert (row["files"], row["inputs"]) == (1, 2)


@needs_orthanc
def test_a_pull_that_was_ended_goes_on_with_the_next_day_and_study(pulling: Pulling, orthanc: Orthanc):
    class Killed(BaseException):
        pass

    def show(row):
        if row["taken"] == 2:
            raise Killed

    with pytest.raises(Killed):
        pulling.runner(orthanc, "20230301-20230305", show=show).run()
    asked: list[object] = []
    runner = pulling.runner(orthanc, "20230301-20230305")
    find = runner.pacs.find
    runner.pacs.find = lambda day, modalities: asked.append(day) or find(day, modalities)
    row = runner.run()
    assert (row["taken"], row["inputs"], len(pulling.pushing.rows(inputs))) == (4, 8, 8)
    assert asked == []  # every day stood in the manifest


@needs_orthanc
def test_a_study_of_which_all_is_here_is_known(pulling: Pulling, orthanc: Orthanc):
    pulling.runner(orthanc, "20230301-20230301").run()
    row = pulling.runner(orthanc, "20230301-20230302").run()
    assert (row["known"], row["taken"]) == (1, 2)


@needs_orthanc
def test_a_move_that_is_broken_off_is_failed_with_what_to_look_at(pulling: Pulling, orthanc: Orthanc):
    row = pulling.runner(orthanc, "20230301-20230301", title="NOBODY").run()
    assert (row["taken"], row["failed"]) == (0, 1)
    (reason,) = pulling.pushing.reasons().values()
    assert "does it know our AE title" in reason


@needs_orthanc
def test_a_study_whose_instances_cannot_be_stored_is_failed(pulling: Pulling, orthanc: Orthanc, monkeypatch):
    monkeypatch.setattr("producers.backlog.pull_intake.COUNT_SECONDS", 0.1)
    pulling.feed.config = pulling.feed.config.__class__(name="dicom", allowed_senders=frozenset({"NOT ORTHANC"}))
    row = pulling.runner(orthanc, "20230301-20230301").run()
    assert (row["taken"], row["failed"]) == (0, 1)
    assert pulling.pushing.reasons()


@needs_orthanc
def test_a_pacs_that_is_away_is_waited_for(pulling: Pulling, orthanc: Orthanc):
    waited: list[str] = []
    runner = pulling.runner(orthanc, "20230301-20230301", show=lambda row: waited.append(row["waits_for"]))
    there = runner.pacs.source
    runner.pacs.source = replace(there, port=9)
    asked = runner.pacs.find

    def find(*arguments):
        try:
            return asked(*arguments)
        finally:
            runner.pacs.source = there

    runner.pacs.find = find
    assert runner.run()["taken"] == 1
    assert "source" in waited
