"""Runs a backlog in this process: takes it over in the ledger, wires its parts, and ends them."""

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from db.backlogs import open_backlog, take_over
from db.cards import active_rows
from db.engine import Database
from dxstream.home import content_folder, with_redis
from dxstream.processes import die_with_parent
from dxstream.roles import open_database
from producers.backlog.commit import SLOT, Committer
from producers.backlog.pace import Hours
from producers.backlog.pacs import Pacs, read_source
from producers.backlog.pool import Pool, Setup
from producers.backlog.pull import PullRunner, read_days
from producers.backlog.pull_intake import PullFeeds, PullIntake
from producers.backlog.runner import Runner
from producers.dicom.feed import DicomFeed
from producers.door import Door
from stream.content import ContentStore
from stream.errors import DxstreamError
from stream.identity import Identities, read_hash_key
from stream.metrics import Measures
from stream.ring import Bell, RingThread
from stream.settings import Settings
from stream.window import Window
from worker.keeper import lab_window

Show = Callable[[Mapping[str, Any]], None]

#: Where no Redis runs nothing is rung: the keeper does it when it comes.
_NOWHERE = "redis://127.0.0.1:9/0"


def push_paths(
    settings: Settings,
    paths: Sequence[str],
    options: Mapping[str, Any],
    processes: int | None,
    *,
    show: Show,
    stop: threading.Event,
) -> Mapping[str, Any]:
    """Push files to their end; the backlog's last row. ``options``: rate, hours, depth, in_place."""
    Hours.read(options["hours"])
    database = open_database(settings)
    values = {**options, "source": {"paths": list(paths)}}
    row, fence = _take(database, ", ".join(sorted(paths)), values)
    settings = _ringing(settings)
    setup = Setup(
        database_url=settings.database_url,
        redis_url=settings.redis_url or _NOWHERE,
        content=content_folder(settings),
        config=settings.config,
        hash_key=read_hash_key(settings.home, settings.hash_key),
        in_place=options["in_place"],
    )
    ring = _ring(settings)
    committer = Committer(
        database, row["id"], fence, window=_window(database), ring=ring.want if settings.redis_url else lambda _: None
    )
    pool = Pool(setup, processes=max(1, (os.cpu_count() or 2) - 1) if processes is None else processes, begin=die_with_parent)
    try:
        return Runner(row, committer, pool, show=show, stop=stop).run()
    finally:
        pool.close()
        ring.stop()
        database.close()


def pull_studies(settings: Settings, options: Mapping[str, Any], *, show: Show, stop: threading.Event) -> Mapping[str, Any]:
    """Pull from a PACS to the end; the backlog's last row. ``options``: those of ``dxstream backlog pull``."""
    Hours.read(options["hours"])
    asked = {"from": options["source"], "dates": options["dates"], "modalities": list(options["modalities"])}
    source, _ = read_source(asked["from"]), read_days(asked["dates"])
    database = open_database(settings)
    values = {"source": asked, "in_place": False, **{name: options[name] for name in ("rate", "hours", "depth")}}
    row, fence = _take(database, " ".join((asked["from"], asked["dates"], *asked["modalities"])), values)
    settings = _ringing(settings)
    ring, window = _ring(settings), _window(database)
    intake = PullIntake(database, ring, Measures(), slot=SLOT, window=window)
    feed = _listen(settings, intake, options)
    pacs = Pacs(source=source, ae_title=options["ae_title"], intake=intake)
    committer = Committer(database, row["id"], fence, window=window, ring=lambda _: None)
    try:
        return PullRunner(row, committer, pacs, show=show, stop=stop, pacs=pacs).run()
    finally:
        feed.stop()
        intake.stop()
        ring.stop()
        database.close()


def _listen(settings: Settings, intake: PullIntake, options: Mapping[str, Any]) -> DicomFeed:
    logging.getLogger("producers.dicom.feed").setLevel(logging.WARNING)  # a line an instance would hide the bar
    feeds = PullFeeds(settings.config)
    identities = Identities(read_hash_key(settings.home, settings.hash_key), feeds.authorities)
    door = Door(intake=intake, store=ContentStore(content_folder(settings)), identities=identities, feeds=feeds)
    feed = DicomFeed(door, bind=settings.bind, port=options["listen"], ae_title=options["ae_title"])
    try:
        feed.start()
    except OSError as error:
        raise DxstreamError(f"--listen {options['listen']}: the port cannot be had ({error.strerror})") from error
    intake.start()
    return feed


def _ring(settings: Settings) -> RingThread:
    ring = RingThread(Bell(settings.redis_url or _NOWHERE))
    ring.start()
    return ring


def _window(database: Database) -> Window:
    with database.read() as connection:
        return lab_window(active_rows(connection))[0]


def _take(database: Database, name: str, values: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Open the backlog and work on it from now on; raises BusyError."""
    with database.write() as (connection, now):
        row = open_backlog(connection, now, name, values)
        fence = take_over(connection, now, row["id"], f"{socket.gethostname()} {os.getpid()}", gone=_gone(row["runner"]))
    return row, fence


def _gone(runner: str) -> bool:
    """Whether the process that worked on it was one of this host and has ended."""
    host, _, pid = runner.rpartition(" ")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        return b"dxstream" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def _ringing(settings: Settings) -> Settings:
    with suppress(DxstreamError):
        return with_redis(settings)
    return replace(settings, redis_url="")
