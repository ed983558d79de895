"""What the tests of the backlog do: push paths on a ledger of their own, in this process, and look at what became of them."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from db.backlogs import open_backlog, take_over
from db.engine import Database
from db.tables import backlog_files, backlogs, events, inputs
from producers.backlog.commit import Committer
from producers.backlog.pool import Pool, Setup
from producers.backlog.runner import Runner
from stream.window import Window

OPTIONS = {"in_place": False, "rate": None, "hours": "", "depth": 5000}


@dataclass
class Pushing:
    """One installation; ``rung``: the queues that were rung."""

    database: Database
    redis_url: str
    place: Path
    processes: int = 0
    rung: list[str] = field(default_factory=list)

    def runner(self, *paths: Path, show: Any = lambda _: None, stop: threading.Event | None = None, **options: Any) -> Runner:
        """Opened and taken over, as the command does it."""
        values = OPTIONS | options | {"source": {"paths": [str(path) for path in paths]}}
        with self.database.write() as (connection, now):
            row = open_backlog(connection, now, ", ".join(sorted(map(str, paths))), values)
            fence = take_over(connection, now, row["id"], "here 1", gone=True)
        committer = Committer(self.database, row["id"], fence, window=Window(), ring=self.rung.extend)
        pool = Pool(self.setup(values["in_place"]), processes=self.processes, begin=_nothing)
        return Runner(row, committer, pool, show=show, stop=stop or threading.Event())

    def push(self, *paths: Path, **options: Any) -> Mapping[str, Any]:
        """To its end; the backlog's row."""
        runner = self.runner(*paths, **options)
        try:
            return runner.run()
        finally:
            runner.pool.close()

    def setup(self, in_place: bool) -> Setup:
        return Setup(
            database_url=self.database.url.render_as_string(hide_password=False),
            redis_url=self.redis_url,
            content=self.place / "content",
            config=self.place / "config",
            hash_key=b"a key for tests",
            in_place=in_place,
        )

    def files(self) -> dict[str, str]:
        """Each row of the manifest, by file name, member and part → state."""
        with self.database.read() as connection:
            rows = connection.execute(sa.select(backlog_files).order_by(backlog_files.c.id)).mappings().all()
        return {_name(row): row["state"] for row in rows}

    def reasons(self) -> dict[str, str]:
        """Likewise → reason, of those that were not taken."""
        with self.database.read() as connection:
            rows = connection.execute(sa.select(backlog_files).where(backlog_files.c.reason != "")).mappings().all()
        return {_name(row): row["reason"] for row in rows}

    def rows(self, table: sa.Table) -> Sequence[Mapping[str, Any]]:
        with self.database.read() as connection:
            return [dict(row) for row in connection.execute(sa.select(table)).mappings()]

    def inputs(self) -> list[str]:
        """What the senders call what was taken."""
        return sorted(row["sender_id"] for row in self.rows(inputs))

    def lanes(self) -> set[tuple[str, str]]:
        """(feed, lane) of every event."""
        return {(row["feed"], row["lane"]) for row in self.rows(events)}

    def row(self) -> Mapping[str, Any]:
        (row,) = self.rows(backlogs)
        return row


def _name(row: Mapping[str, Any]) -> str:
    parts = (Path(row["path"]).name, row["member"], str(row["part"] or ""))
    return " ".join(part for part in parts if part)


def _nothing() -> None:
    """A process of a test's pool ends with the pool."""
