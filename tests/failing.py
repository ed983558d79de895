"""What fails, so that a test sees what goes on after it."""

import threading
from collections.abc import Callable


def failing_once(again: threading.Event) -> Callable[[], None]:
    """A round that ends with an error that nobody expected, and tells ``again`` when it is called once more."""
    errors = iter([KeyError])

    def one_round() -> None:
        if error := next(errors, None):
            raise error
        again.set()

    return one_round
