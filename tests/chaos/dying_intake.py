"""The intake with a fault: it is killed by SIGKILL between two of its own steps. ``python dying_intake.py STEP AFTER``.

STEP: ``store`` (a file is durable, its rows are not committed), ``commit`` (committed, nobody rung), ``ring`` (rung, nobody
answered), ``answer`` (half of the group answered). AFTER: how often the step is passed before.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from dxstream.__main__ import main
from producers.answers import Answers
from producers.intake import Intake
from stream.content import ContentStore
from stream.ring import Bell


class Trap:
    """Kills this process at its ``after``-th call."""

    def __init__(self, after: int) -> None:
        self.left = after

    def spring(self) -> None:
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def then(owner: Any, name: str, after: Callable[[], None]) -> None:
    """Each call of ``owner.name`` is followed by ``after``."""
    original = getattr(owner, name)

    def both(*arguments: Any, **named: Any) -> Any:
        answer = original(*arguments, **named)
        after()
        return answer

    setattr(owner, name, both)


def answer_half(trap: Trap) -> None:
    """A group of several dies between two of its answers; a group of one before its answer."""
    original = Answers._answer

    def half(self: Answers, group: list[Any], accepted: Any) -> None:
        if trap.left <= 1:
            original(self, group[: len(group) // 2], accepted_first(accepted, len(group) // 2))
        trap.spring()
        original(self, group, accepted)

    Answers._answer = half


def accepted_first(accepted: Any, number: int) -> Any:
    return type(accepted)(receipts=accepted.receipts[:number], rings=accepted.rings)


def set_trap(step: str, trap: Trap) -> None:
    match step:
        case "store":
            then(ContentStore, "save", trap.spring)
        case "commit":
            then(Intake, "_write", trap.spring)
        case "ring":
            then(Bell, "ring", trap.spring)
        case "answer":
            answer_half(trap)


if __name__ == "__main__":
    set_trap(sys.argv[1], Trap(int(sys.argv[2])))
    sys.argv[1:] = ["serve", "all"]
    main()
