"""The rounds of the long form, a section a fault; ``share`` makes fewer of them."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import clocks
import disk
import poison
from faults import STEPS, kill_intake, kill_keeper, kill_worker, terminate_worker, zombie
from faults_stores import POSTGRESQL_ENDS, busy_sqlite, flush_redis, kill_redis, restart_redis, stop_postgresql
from installation import Installation, running
from sections import Line, Round, Section, Stream

#: Workers of a stream: some are always dead.
WORKERS = 5
#: Minutes between the clocks of the two keepers.
APART_MINUTES = 5


def times(number: float, *rounds: Round) -> list[Round]:
    """So many in all, by turns; one at the least."""
    return [rounds[place % len(rounds)] for place in range(max(1, round(number)))]


def sections(database: str, share: float) -> Iterator[Section]:
    """Half of each fault's rounds: there are two databases."""
    yield Section(name="SIGKILL of a worker in mid-batch", rounds=times(150 * share, kill_worker), at_once=3)
    yield Section(name="SIGTERM of a worker", rounds=times(150 * share, terminate_worker), at_once=2)
    yield Section(name="SIGSTOP past the lease, SIGCONT", rounds=times(25 * share, zombie), at_once=2)
    yield Section(name="SIGKILL of Redis", rounds=times(25 * share, kill_redis))
    yield Section(name="restart of Redis", rounds=times(25 * share, restart_redis))
    yield Section(name="FLUSHALL", rounds=times(25 * share, flush_redis))
    yield Section(name="SIGKILL of the keeper", rounds=times(10 * share, kill_keeper))
    for step in STEPS:
        yield Section(name=f"SIGKILL of the intake: {step}", rounds=times(20 * share, partial(kill_intake, step=step)))
    if database == "postgresql":
        stops = [partial(stop_postgresql, number=number) for number in POSTGRESQL_ENDS]
        yield Section(name="PostgreSQL stopped, killed, restarted", rounds=times(30 * share, *stops))
    else:
        yield Section(name="SQLite busy", rounds=times(30 * share, busy_sqlite))


@contextmanager
def home() -> Iterator[Path]:
    """A place that PostgreSQL's own user can reach."""
    with tempfile.TemporaryDirectory(prefix="dx-chaos-") as place:
        Path(place).chmod(0o755)
        yield Path(place) / "home"


def long_stream(database: str, *, seed: int, share: float) -> list[Line]:
    """Every fault of processes and stores against one long-lived installation."""
    with home() as place, running(place, database, workers=WORKERS) as one:
        stream = Stream(one, seed)
        for section in sections(database, share):
            stream.run(section)
        return [*stream.lines, *poisoned(one, seed=seed, share=share / 2, stream=stream)]


def poisoned(one: Installation, *, seed: int, share: float, stream: Stream | None = None) -> list[Line]:
    """Crash, endless allocation and hanging; how much the others suffer is measured beside the same stream without poison."""
    stream = stream or Stream(one, seed)
    deeds = [partial(stream.poisons.round, deed=deed) for deed in ("crash", "alloc", "hang")]
    rounds = times(30 * share, *deeds)
    stage = stream.stage("poison")
    seconds: list[float] = []
    try:
        time.sleep(5)  # the stream begins
        began = poison.now(stage)
        time.sleep(max(10, 4 * len(rounds)))
        middle = poison.now(stage)
        for act in rounds:
            try:
                seconds.append(act(stage))
            except AssertionError as error:
                stage.complain(f"poison: {error}")
    finally:
        stage.traffic.stop()
    one.settle()
    without, during = ((began, middle), (middle, poison.now(stage)))
    note = poison.compare(stage, *(poison.latencies(stage, *times_of, stream.poisons.ids) for times_of in (without, during)))
    return [stream.account(stage, "poison: crash, alloc, hang", seconds, note)]


def full_disk(*, seed: int, share: float) -> list[Line]:
    """SQLite, contents and Redis on a small disk."""
    fills = [partial(disk.fill, left=left) for left in disk.LEFT]
    with home() as place, disk.small_disk(place) as folder, running(folder, "sqlite", workers=2) as one:
        stream = Stream(one, seed, rate=20.0)
        stream.run(Section(name="disk full", rounds=times(10 * share, *fills)))
        stream.run(Section(name="disk read-only", rounds=times(10 * share, disk.make_read_only)))
        return stream.lines


def two_clocks(*, seed: int, share: float) -> list[Line]:
    """Two keepers whose clocks are minutes apart, and workers and an intake with other clocks still."""
    half = APART_MINUTES * 30
    ahead = {"keeper": half, "keeper2": -half, "w0": half, "w1": -half, "w2": 40, "intake": -70}
    with home() as place:
        place.parent.mkdir(exist_ok=True)
        more = clocks.skewed(clocks.build(place.parent), ahead)
        with running(place, "postgresql", workers=4, keepers=("keeper", "keeper2"), more=more) as one:
            stream = Stream(one, seed)
            kills = Section(name="SIGKILL", rounds=times(20 * share, kill_worker), at_once=2)
            stops = Section(name="zombies", rounds=times(4 * share, zombie))
            stream.run(kills, stops, name="two keepers, clocks 5 minutes apart")
            return stream.lines


def report(lines: Sequence[Line]) -> int:
    """How many things were not as promised."""
    return sum(len(line.lost) + len(line.doubled) + len(line.wrong) for line in lines)
