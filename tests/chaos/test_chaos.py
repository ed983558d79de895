"""The short form of ``make chaos``: each fault of one host once, the same code, one seed."""

import logging
import os
import random
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parent))

import clocks
import disk
from cases import scan
from faults import LIMIT, kill_intake, kill_worker, terminate_worker, zombie
from faults_stores import busy_sqlite, flush_redis, kill_redis, restart_redis, stop_postgresql
from installation import running
from reckoning import reckon
from rounds import home
from sections import Line, Round, Section, Stream
from servers import postgresql_binaries

from db.tables import events, inputs

#: Fixed, so that a failure can be had again; ``CHAOS_SEED`` tries another.
SEED = int(os.environ.get("CHAOS_SEED", "7"))

needs_postgresql = pytest.mark.skipif(postgresql_binaries() is None, reason="PostgreSQL is not installed")
needs_root = pytest.mark.skipif(not disk.can_mount(), reason="mounts need root")


@pytest.fixture(autouse=True)
def quiet_senders(caplog: pytest.LogCaptureFixture):
    """Every refused connection is an error to a DICOM client: beside so many nobody would see what has failed."""
    caplog.set_level(logging.CRITICAL, logger="pynetdicom")


def one_of_each(*rounds: Round, name: str = "others") -> Section:
    return Section(name=name, rounds=rounds)


def agrees(*lines: Line) -> bool:
    """Nothing lost, nothing doubled, nothing else amiss, and every round came about."""
    found = [words for line in lines for words in (*line.lost, *line.doubled, *line.wrong)]
    assert not found, f"seed {SEED}: {found[:10]}"
    return all(line.rounds for line in lines)


def test_on_sqlite_nothing_is_lost_or_doubled_whatever_dies():
    with home() as place, running(place, "sqlite", workers=4) as one:
        stream = Stream(one, SEED)
        intake = [partial(kill_intake, step=step) for step in ("store", "commit")]
        processes = stream.run(
            Section(name="SIGKILL", rounds=[kill_worker]),
            Section(name="zombie", rounds=[zombie]),
            one_of_each(terminate_worker, kill_redis, flush_redis, *intake),
        )
        stream.poisons.apart = 0.0
        deeds = [partial(stream.poisons.round, deed=deed) for deed in ("crash", "alloc", "hang")]
        others = stream.run(one_of_each(partial(busy_sqlite, seconds=3.0)), Section(name="poison", rounds=deeds, at_once=3))
        assert agrees(processes, others)
        assert len(stream.poisons.ids) == len(deeds)


@needs_postgresql
def test_on_postgresql_nothing_is_lost_or_doubled_whatever_dies_and_whatever_the_clocks_say(tmp_path: Path):
    tmp_path.chmod(0o755)
    ahead = {"keeper": 150, "keeper2": -150, "w0": 150, "w1": -150, "intake": -70}
    more = clocks.skewed(clocks.build(tmp_path), ahead)
    with home() as place, running(place, "postgresql", workers=4, keepers=("keeper", "keeper2"), more=more) as one:
        stream = Stream(one, SEED)
        intake = [partial(kill_intake, step=step) for step in ("ring", "answer", "any time")]
        stops = [partial(stop_postgresql, number=number, seconds=2.0) for number in (signal.SIGINT, signal.SIGKILL)]
        line = stream.run(
            Section(name="SIGKILL", rounds=[kill_worker]),
            Section(name="zombie", rounds=[zombie]),
            one_of_each(terminate_worker, restart_redis, *intake, *stops),
            limit=LIMIT + 10.0,  # the database may be away meanwhile
        )
        assert agrees(line)


@needs_root
def test_a_full_disk_is_told_to_every_sender_and_is_over_when_there_is_room():
    with home() as place, disk.small_disk(place) as folder, running(folder, "sqlite", workers=1) as one:
        stream = Stream(one, SEED, rate=30.0)
        fills = [partial(disk.fill, left=left) for left in disk.LEFT]
        assert agrees(stream.run(one_of_each(*fills, disk.make_read_only)))


def test_a_book_that_does_not_agree_with_the_ledger_is_noticed():
    with home() as place, running(place, "sqlite", workers=1) as one:
        stream = Stream(one, SEED)
        stage = stream.stage("little")
        stage.traffic.deliver(scan(random.Random(SEED)), {})
        stage.traffic.stop()
        one.settle()
        assert reckon(one, stream.book).agrees
        with one.ledger.write() as (connection, _):
            connection.execute(sa.delete(inputs))
            connection.execute(sa.update(events).values(state="dead"))
        found = reckon(one, stream.book)
        assert any("there is no input" in words for words in found.lost)
        assert any("though it is not done" in words for words in found.doubled)
