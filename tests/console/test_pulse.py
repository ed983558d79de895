"""The thread that takes the ledger's pulse."""

import threading

import pytest
from failing import failing_once

from console import pulse
from console.pulse import Pulse
from db.engine import Database


def test_it_looks_again_after_an_error_that_nobody_expected(sqlite: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.01)
    found, again = Pulse(sqlite), threading.Event()
    monkeypatch.setattr(found, "look", failing_once(again))
    found.start()
    assert again.wait(20)
    found.stop()
