"""Logs never hold what an exception was about."""

import json
import logging
import sys

from dxstream.logs import ConsoleLines, JsonLines


def line_of(form: logging.Formatter) -> str:
    try:
        raise ValueError("ZZCANARY Jane Doe")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it broke: event=%d", (7,), sys.exc_info())
    return form.format(record)


def test_a_line_for_people_names_an_exception_by_class_and_place():
    line = line_of(ConsoleLines())
    assert "ValueError at " in line
    assert "CANARY" not in line


def test_a_line_of_json_names_an_exception_by_class():
    line = json.loads(line_of(JsonLines()))
    assert (line["error"], line["message"], line["level"]) == ("ValueError", "it broke: event=7", "error")
    assert "CANARY" not in str(line)
