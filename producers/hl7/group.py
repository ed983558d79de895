"""Hands arrivals to the committer and brings its answers back, both a group at a time.

All that was read in one turn of the event loop is submitted together, so that it goes into one commit; all that a commit
answers wakes the loop once. Nothing waits for a timer.
"""

import asyncio
import contextlib
from collections import deque
from concurrent.futures import Future
from functools import partial

from producers.intake import Intake
from stream.arrival import Arrival, Receipt


class Group:
    """Used on the event loop's thread, but for ``_answered``."""

    def __init__(self, intake: Intake, loop: asyncio.AbstractEventLoop) -> None:
        self._intake = intake
        self._loop = loop
        self._gathered: list[tuple[Arrival, asyncio.Future[Receipt]]] = []
        self._answers: deque[tuple[Future[Receipt], asyncio.Future[Receipt]]] = deque()
        self._woken = False

    def submit(self, arrival: Arrival) -> asyncio.Future[Receipt]:
        """The future gives the Receipt after the commit, or raises Refused or Temporary."""
        receipt: asyncio.Future[Receipt] = self._loop.create_future()
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append((arrival, receipt))
        return receipt

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        for arrival, receipt in gathered:
            self._intake.submit(arrival).add_done_callback(partial(self._answered, receipt))

    def _answered(self, receipt: asyncio.Future[Receipt], answer: Future[Receipt]) -> None:
        """On the committer's thread. The answer is there before the flag is looked at, and the flag falls before they are taken."""
        self._answers.append((answer, receipt))
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                self._loop.call_soon_threadsafe(self._bring_back)

    def _bring_back(self) -> None:
        self._woken = False
        while self._answers:
            answer, receipt = self._answers.popleft()
            if not receipt.done():
                _copy(answer, receipt)


def _copy(answer: Future[Receipt], receipt: asyncio.Future[Receipt]) -> None:
    error = answer.exception()
    if error is None:
        receipt.set_result(answer.result())
    else:
        receipt.set_exception(error)
        receipt.exception()  # seen: a connection that has gone asks for it no more
