"""What is done to Redis and to the database, a round a function."""

import signal
import sqlite3
import time
from contextlib import closing

import redis
from crew import until
from faults import Stage


def let_flow(stage: Stage) -> None:
    """For a moment, so that there is something under way when the fault comes."""
    time.sleep(stage.rng.uniform(0.3, 1.5))


def kill_redis(stage: Stage) -> float:
    """SIGKILL, away for some seconds, back with its file."""
    return _redis_away(stage, signal.SIGKILL)


def restart_redis(stage: Stage) -> float:
    """SIGTERM, and back."""
    return _redis_away(stage, signal.SIGTERM)


def _redis_away(stage: Stage, number: int) -> float:
    let_flow(stage)
    before = stage.traffic.taken
    stage.one.redis.end(number)
    time.sleep(stage.rng.uniform(0.5, 2.0))
    until(lambda: stage.traffic.taken > before + 5, "the intake goes on answering without Redis", seconds=15)
    stage.one.redis.start()
    return stage.flows()


def flush_redis(stage: Stage) -> float:
    """FLUSHALL: every ring and every binding is gone."""
    let_flow(stage)
    with redis.Redis.from_url(stage.one.redis_url) as client:
        client.flushall()
    return stage.flows()


def nobody_is_told_yes(stage: Stage, seconds: float) -> None:
    """While nothing can be committed nobody is answered success. Answers on their way are let through first."""
    time.sleep(0.4)
    before = stage.traffic.taken
    time.sleep(seconds)
    if stage.traffic.taken > before:
        stage.complain(f"{stage.traffic.taken - before} senders were told that we have what nobody could have written")


def stop_postgresql(stage: Stage, number: int, *, seconds: float = 0.0) -> float:
    """SIGINT: a fast shutdown; SIGQUIT: an immediate one; SIGKILL. Away for up to 8 s, longer than a lease."""
    assert stage.one.sql
    let_flow(stage)
    stage.one.sql.end(number)
    nobody_is_told_yes(stage, seconds or stage.rng.choice((0.2, 2.0, 8.0)))
    stage.one.sql.start()
    began = time.monotonic()
    before = stage.traffic.taken
    until(lambda: stage.traffic.taken > before, "senders are answered again")
    stage.flows()
    return time.monotonic() - began


POSTGRESQL_ENDS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)


def busy_sqlite(stage: Stage, *, seconds: float = 0.0) -> float:
    """Somebody holds the database's one write lock: shortly, longer than a lease, longer than anybody waits for it."""
    let_flow(stage)
    path = stage.one.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        nobody_is_told_yes(stage, seconds or stage.rng.choice((0.5, 3.0, 8.0, 13.0)))
        connection.execute("ROLLBACK")
    return stage.flows()
