"""Nobody is answered before the disk has what was sent; what comes meanwhile is written meanwhile."""

import errno
import os
import threading

import pytest
from note_samples import kept, note

from db import sqlite
from producers.door import Door
from stream.errors import Temporary


def test_what_comes_while_the_disk_is_slow_is_written_and_nobody_is_answered_yet(door: Door, monkeypatch):
    slow = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda _: slow.wait(30))
    first = door.intake.submit(note(door, "first"))
    second = door.intake.submit(note(door, "second"))
    while kept(door) != ["first", "second"]:
        assert not first.done()
    assert not second.done()
    slow.set()
    assert [first.result(10).known, second.result(10).known] == [False, False]


def test_without_a_disk_the_sender_hears_that_it_may_send_again_and_is_recognised(door: Door, monkeypatch):
    intake = door.intake
    monkeypatch.setattr(sqlite, "BUSY_MILLISECONDS", 100)
    intake.database.engine.dispose()  # so that its next connection waits no longer than that
    syncing, locked = threading.Event(), threading.Event()

    def fail(_: int) -> None:
        syncing.set()
        locked.wait(30)
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as failing:
        failing.setattr(os, "fdatasync", fail)
        sent = intake.submit(note(door, "first"))
        syncing.wait(30)
        with intake.database.write():  # so that the log cannot be brought into the file either
            locked.set()
            with pytest.raises(Temporary):
                sent.result(10)
    assert intake.submit(note(door, "first")).result(10).known
