"""Takes away what is finished and old: a few rows or files a sweep, each step a short transaction of its own."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from db import retention, retention_content
from db.engine import Database
from db.retention import Step
from db.tally import Counts, raise_tallies
from stream.content import ContentStore
from stream.errors import Temporary
from stream.keep import Keep

log = logging.getLogger(__name__)

#: Once a pass has come to what is young, the next one begins after so long, in seconds.
REST_SECONDS = 60.0
FOLDERS = 256

#: Ids of the next few that may go, and where the step after goes on.
Look = Callable[[sa.Connection, datetime, int], tuple[list[int], Step]]
Take = Callable[[sa.Connection, datetime, Sequence[int], Counts], None]


class _Pass:
    """One kind's way through its table, from the oldest to what is still young, then a rest."""

    def __init__(self, look: Look, take: Take) -> None:
        self.look, self.take = look, take
        self.after = 0
        self.rests_until = 0.0

    def step(self, database: Database, slot: str) -> Counts:
        """Look at a few; what may go is taken away in one transaction."""
        if time.monotonic() < self.rests_until:
            return Counter()
        with database.read() as connection:
            ids, step = self.look(connection, database.now(connection), self.after)
        counts: Counts = Counter()
        if ids:
            with database.write() as (connection, now):
                self.take(connection, now, ids, counts)
                raise_tallies(connection, slot, counts)
        self.after = step.after or 0
        if step.after is None:
            self.rests_until = time.monotonic() + REST_SECONDS
        return counts


class Pruner:
    """What a keeper does in each sweep where anything is to be kept for a time only. Two at once take nothing twice."""

    def __init__(self, database: Database, store: ContentStore, keep: Keep, *, slot: str) -> None:
        self.database, self.store, self.keep, self.slot = database, store, keep, slot
        self.passes = list(_passes(keep))
        self._place: retention_content.Place | None = None
        self._folder = 0
        self._rests_until = 0.0

    def step(self) -> Counts:
        """A few of each kind; what it took away. A step that cannot be had now is left to the next sweep."""
        counts: Counts = Counter()
        steps = [one.step for one in self.passes]
        if self.keep.refusals:
            steps.append(self._refusals)
        if self.keep.content:
            steps += [self._rows, self._files]
        for step in steps:
            try:
                counts.update(step(self.database, self.slot))
            except Temporary as error:
                log.info("nothing is pruned now: %s", error)
        told = retention.pruned_counts(counts)
        if told:
            log.info("pruned: %s", told)
        return counts

    def _refusals(self, database: Database, slot: str) -> Counts:
        assert self.keep.refusals
        counts: Counts = Counter()
        with database.read() as connection:
            before = database.now(connection) - self.keep.refusals
            if not retention.old_refusals(connection, before):
                return counts
        with database.write() as (connection, _):
            retention.prune_refusals(connection, before, counts)
            raise_tallies(connection, slot, counts)
        return counts

    def _rows(self, database: Database, slot: str) -> Counts:
        """Contents that are rows. A pass that has come to the young ones rests."""
        counts: Counts = Counter()
        if time.monotonic() < self._rests_until:
            return counts
        with database.read() as connection:
            before = database.now(connection) - self._age
            if retention_content.too_many_wait(connection):
                return counts
            undated = retention_content.undated(connection)
            digests, self._place = retention_content.old_rows(connection, before, self._place)
        if self._place is None and not undated:
            self._rests_until = time.monotonic() + REST_SECONDS
        if digests or undated:
            with database.write() as (connection, now):
                retention_content.date_rows(connection, now)
                retention_content.prune_rows(connection, before, digests, counts)
                raise_tallies(connection, slot, counts)
        return counts

    def _files(self, database: Database, slot: str) -> Counts:
        """Contents that are files: one of their folders a step."""
        counts: Counts = Counter()
        digests = retention_content.old_files(self.store, self._folder, self._age)
        self._folder = (self._folder + 1) % FOLDERS
        if not digests:
            return counts
        with database.read() as connection:
            if retention_content.too_many_wait(connection):
                return counts
            free = set(digests) - retention_content.needed(connection, digests)
        with database.write() as (connection, _):
            retention_content.prune_files(connection, self.store, sorted(free), self._age, counts)
            raise_tallies(connection, slot, counts)
        return counts

    @property
    def _age(self) -> timedelta:
        assert self.keep.content
        return self.keep.content


def _passes(keep: Keep) -> list[_Pass]:
    """Those that walk through a table by id."""
    found: list[_Pass] = []
    if keep.events or keep.dead:
        found.append(
            _Pass(
                lambda connection, now, after: retention.over(connection, now, keep, after),
                lambda connection, now, ids, counts: retention.prune_cases(connection, now, keep, ids, counts),
            )
        )
    if keep.events:
        events = keep.events
        found.append(
            _Pass(
                lambda connection, now, after: retention.unused(connection, now - events, after),
                lambda connection, _, ids, counts: retention.prune_unused(connection, ids, counts),
            )
        )
    if keep.predictions:
        predictions = keep.predictions
        found.append(
            _Pass(
                lambda connection, now, after: retention.history(connection, now - predictions, after),
                lambda connection, _, ids, counts: retention.prune_history(connection, ids, counts),
            )
        )
    return found
