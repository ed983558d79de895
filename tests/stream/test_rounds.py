"""What a thread does with an error that nobody expected."""

import logging

import pytest

from stream.rounds import one_round


def test_an_error_that_nobody_expected_ends_its_round_alone_and_is_told_without_its_text(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.ERROR), one_round("the console's pulse"):
        raise KeyError("JANE DOE")
    assert "the console's pulse goes on after KeyError" in caplog.text
    assert "test_rounds.py" in caplog.text
    assert "JANE" not in caplog.text


def test_what_asks_the_process_to_end_is_not_held_up():
    with pytest.raises(SystemExit), one_round("x"):
        raise SystemExit(0)
