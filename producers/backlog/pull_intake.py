"""Where a pull comes in: an intake on the backlog lane that counts what a PACS moves to it."""

import time
from concurrent.futures import Future
from dataclasses import replace

from producers.backlog.reading import FEED
from producers.intake import Intake
from stream.arrival import Arrival, Receipt
from stream.feeds import FeedConfig, FeedsConfig
from stream.queues import Lane

#: The count of what came is behind the answers by far less than this, in seconds.
COUNT_SECONDS = 2.0


class PullFeeds(FeedsConfig):
    """As configured, but that a PACS that is pulled from is not asked for counts of its series: those come whole."""

    def feed(self, name: str) -> FeedConfig:
        """As for the feed itself."""
        return replace(super().feed(name), sources={})


class PullIntake(Intake):
    """Takes what the PACS sends on the backlog lane, and counts it."""

    new = 0
    known = 0
    first: int | None = None

    def submit(self, arrival: Arrival) -> Future[Receipt]:
        """As any intake, on our lane."""
        answer = super().submit(replace(arrival, feed=FEED, lane=Lane.BACKLOG))
        answer.add_done_callback(self._count)
        return answer

    def start_again(self) -> None:
        """Before the next study."""
        self.new, self.known, self.first = 0, 0, None

    def wait_for(self, number: int) -> int:
        """How many came; what was answered a moment ago is waited for."""
        end = time.monotonic() + COUNT_SECONDS
        while self.new + self.known < number and time.monotonic() < end:
            time.sleep(0.01)
        return self.new + self.known

    def _count(self, answer: Future[Receipt]) -> None:
        """Called by the committer's thread alone."""
        if not answer.cancelled() and answer.exception() is None:
            receipt = answer.result()
            self.first = self.first or receipt.input_id
            self.new += not receipt.known
            self.known += receipt.known
