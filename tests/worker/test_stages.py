"""Which stage each thread is in."""

import threading

import pytest

from worker import stages
from worker.stages import Stages


def test_a_stage_within_another_gives_way_to_it_and_comes_back():
    seen = Stages()
    with seen.at("infer"):
        with seen.at("save"):
            assert seen.current() == "save"
        assert seen.current() == "infer"
    assert seen.current() == ""


def test_the_stage_of_the_longest_running_thread_is_told():
    seen, began, end = Stages(), threading.Event(), threading.Event()

    def other() -> None:
        with seen.at("prepare"):
            began.set()
            end.wait()

    thread = threading.Thread(target=other)
    thread.start()
    began.wait()
    with seen.at("infer"):
        assert seen.current() == "prepare"
    end.set()
    thread.join()


def test_a_stage_past_its_deadline_is_overdue(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(stages.DEADLINES, "infer", -1.0)
    seen = Stages()
    assert seen.overdue() is None
    with seen.at("infer"):
        assert seen.overdue() == "infer"
