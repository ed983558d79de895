"""A thread that must go on, whatever one of its rounds came to."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def one_round(what: str) -> Iterator[None]:
    """The outermost edge of one round of ``what``: an error that nobody expected is told by its class and place, and is over.

    Never by its text, which may hold values. Without this the thread would end, and nobody would know.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a thread's outer edge
        frame = traceback.extract_tb(error.__traceback__)[-1]
        log.error("%s goes on after %s: file=%s line=%s", what, type(error).__name__, frame.filename, frame.lineno)  # noqa: TRY400
