"""Commits wait for the disk where it is fast; where it is slow the next groups are synced beside one another."""

from db.engine import Database
from producers import writer
from producers.writer import UNSYNCED_GROUPS, Commits


def durable(commits: Commits) -> bool:
    """Whether the next one waits."""
    with commits.begin():
        pass
    return commits.durable


def test_on_a_fast_disk_every_commit_waits(sqlite: Database, monkeypatch):
    monkeypatch.setattr(writer, "SLOW_COMMIT", 60.0)
    commits = Commits(sqlite)
    assert all(durable(commits) for _ in range(2 * UNSYNCED_GROUPS))


def test_on_a_slow_disk_one_of_so_many_waits_and_sees_how_slow_it_is(sqlite: Database, monkeypatch):
    monkeypatch.setattr(writer, "SLOW_COMMIT", 0.0)
    commits = Commits(sqlite)
    beside = [False] * UNSYNCED_GROUPS
    assert [durable(commits) for _ in range(2 * UNSYNCED_GROUPS + 3)] == [True, True, *beside, True, *beside]


def test_one_slow_commit_alone_makes_no_slow_disk(sqlite: Database, monkeypatch):
    commits, waited = Commits(sqlite), []
    for slow in (60.0, 0.0, 60.0, 60.0):
        monkeypatch.setattr(writer, "SLOW_COMMIT", slow)
        waited.append(durable(commits))
    assert waited == [True] * 4


def test_a_disk_that_is_fast_again_is_waited_for_again(sqlite: Database, monkeypatch):
    monkeypatch.setattr(writer, "SLOW_COMMIT", 0.0)
    commits = Commits(sqlite)
    for _ in range(2 + UNSYNCED_GROUPS):
        durable(commits)
    monkeypatch.setattr(writer, "SLOW_COMMIT", 60.0)
    assert [durable(commits) for _ in range(3)] == [True] * 3


def test_on_postgresql_every_commit_waits(postgresql_url: str, monkeypatch):
    monkeypatch.setattr(writer, "SLOW_COMMIT", 0.0)
    database = Database(postgresql_url)
    commits = Commits(database)
    assert all(durable(commits) for _ in range(UNSYNCED_GROUPS))
    database.close()
