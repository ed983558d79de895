"""An error that nobody expected while one thing was read: that one is refused, so that it blocks no sender and no poll for ever."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stream.errors import DxstreamError, Refused

log = logging.getLogger(__name__)


@contextmanager
def refused_if_unexpected(feed: str) -> Iterator[None]:
    """The outermost edge of reading one input. The log says what it was and where, never its text, which may quote what was sent.

    Raises Refused; what may pass by itself (no disk, no memory) is not the input's doing and goes on as it is.
    """
    try:
        yield
    except (DxstreamError, OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - the outermost edge of one input
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        log.error("an input cannot be read: feed=%s error=%s at=%s", feed, type(error).__name__, place)  # noqa: TRY400 - no content
        raise Refused("it cannot be read") from None
