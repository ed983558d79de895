"""Logging: to standard error, as lines for people or as JSON; only fields that are on the list, never a message's values."""

import json
import logging
import sys
import threading
import time
import warnings
from types import TracebackType
from typing import Any

from celery.platforms import SecurityWarning

#: Loggers of libraries that print what they were sent.
_SILENCED = (
    "asyncio",
    "pynetdicom",
    "pydicom",
    "uvicorn",
    "uvicorn.access",
    "uvicorn.error",
    "alembic",
    "sqlalchemy.engine",
    "multipart",
)


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, logger, message; ``event`` where it is about one, by its number in the ledger."""

    def format(self, record: logging.LogRecord) -> str:
        """Without the trace's values: an exception is named by its class alone."""
        line: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        event = getattr(record, "event", None)
        if isinstance(event, int):
            line["event"] = event
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line)


class ConsoleLines(logging.Formatter):
    """A line for people; an exception is shown by its class and the places it passed, never by its text."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        """Where it happened, without values."""
        kind, trace = ei[0], ei[2]
        places = []
        while trace is not None:
            places.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
            trace = trace.tb_next
        return f"{kind.__name__} at " + " < ".join(reversed(places[-6:]))


def _tell(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """An error that nobody caught, through the same formatter as all others: its text may hold what was sent."""
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("dxstream").critical("nobody caught this", exc_info=(kind, error, trace) if error else None)


def set_up_logging(form: str) -> None:
    """``console`` or ``json``."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(JsonLines() if form == "json" else ConsoleLines())
    logging.basicConfig(level=logging.INFO, handlers=[stream], force=True)
    logging.captureWarnings(capture=True)
    warnings.simplefilter("ignore", SecurityWarning)  # Celery's, for a worker that runs as root: ours takes JSON only
    sys.excepthook = _tell
    threading.excepthook = lambda told: _tell(told.exc_type, told.exc_value, told.exc_traceback)
    logging.getLogger("celery").setLevel(logging.WARNING)
    logging.getLogger("kombu").setLevel(logging.WARNING)
    for name in _SILENCED:
        logging.getLogger(name).setLevel(logging.CRITICAL)
