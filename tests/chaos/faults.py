"""What is done to processes, a round a function: the seconds until all went on; what was not as promised goes into ``wrong``."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crew import Member, until
from installation import Installation
from traffic import Traffic

from db.leases import FEW
from worker.heartbeat import EXIT_HUNG, EXIT_LEASE_LOST

#: With which a process ends that has lost its lease, or whose stage took longer than it may.
LOST = (EXIT_LEASE_LOST, EXIT_HUNG)
HERE = Path(__file__).parent
#: What a dead worker held is judged elsewhere, and a worker that was asked to has ended, within so many seconds.
LIMIT = 10.0


@dataclass
class Stage:
    """Where it happens. ``limit``: for what a dead worker held, in seconds; ``wrong``: what was not as promised, in words.

    ``hits``: event → how many workers were killed or stopped while they held it; ``again``: seconds of the rounds that held one
    whose next worker was taken from it too.
    """

    one: Installation
    traffic: Traffic
    rng: random.Random
    limit: float = LIMIT
    wrong: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    hits: Counter[int] = field(default_factory=Counter)
    again: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def flows(self) -> float:
        """Seconds until something that is accepted from now on has been judged."""
        last = self.one.one("SELECT coalesce(max(id), 0) FROM events")
        return until(
            lambda: self.one.one("SELECT count(*) FROM events WHERE id > :last AND state = 'done'", last=last), "work goes on"
        )

    def hit(self, held: Collection[int]) -> None:
        """The worker that holds these was taken from them."""
        with self.lock:
            self.hits.update(held)

    def elsewhere(self, what: str, held: Collection[int], seconds: float) -> None:
        """What it held has run elsewhere: within the limit, for each worker that was taken from an event of it."""
        times = max(self.hits[number] for number in held)
        if times > 1:
            self.again.append(seconds)
        if seconds > self.limit * times:
            self.complain(f"{what}: {len(held)} events took {seconds:.1f} s to run elsewhere, {times} of their workers were hit")

    def complain(self, words: str) -> None:
        self.wrong.append(words)


@dataclass(frozen=True)
class Victim:
    """A worker with its incarnation and what it held."""

    member: Member
    worker_id: int
    held: tuple[int, ...]


def in_mid_batch(stage: Stage, *, at_least: int = 2) -> Victim:
    """A worker that holds so many events, which no other round has chosen.

    Not one that judges suspects alone: an event is rightly dead after two such ends.
    """
    query = (
        "SELECT w.id, w.name, count(*) AS held FROM events e JOIN workers w ON w.id = e.holder"
        " WHERE e.state = 'leased' AND w.ended_at IS NULL GROUP BY w.id, w.name"
        f" HAVING count(*) >= :least AND (count(*) > {FEW} OR max(CASE WHEN e.suspect THEN 1 ELSE 0 END) = 0)"
    )
    chosen: list[Any] = []

    def found() -> bool:
        rows = [row for row in stage.one.rows(query, least=at_least) if row["name"] in stage.one.crew.members]
        with stage.lock:
            rows = [row for row in rows if row["name"] not in stage.taken]
            if rows:
                chosen.append(stage.rng.choice(rows))
                stage.taken.add(chosen[0]["name"])
        return bool(rows)

    until(found, "a worker in mid-batch")
    return Victim(stage.one.worker(chosen[0]["name"]), chosen[0]["id"], ())


def held_by(stage: Stage, worker_id: int) -> tuple[int, ...]:
    rows = stage.one.rows("SELECT id FROM events WHERE holder = :holder AND state = 'leased'", holder=worker_id)
    return tuple(row["id"] for row in rows)


def ended(stage: Stage, ids: Collection[int]) -> bool:
    listed = ",".join(map(str, ids))
    return not stage.one.one(f"SELECT count(*) FROM events WHERE id IN ({listed}) AND state NOT IN ('done', 'dead')")


def kill_worker(stage: Stage) -> float | None:
    """SIGKILL in mid-batch; nobody starts it again before what it held has run elsewhere. None where it held nothing any more."""
    victim = in_mid_batch(stage)
    time.sleep(stage.rng.uniform(0, 0.03))
    victim.member.held = True
    victim.member.signal(signal.SIGKILL)
    began = time.monotonic()
    held = held_by(stage, victim.worker_id)
    stage.hit(held)
    if held:
        until(lambda: ended(stage, held), "what it held runs elsewhere")
    seconds = time.monotonic() - began
    _back(stage, victim.member)
    if held:
        stage.elsewhere("SIGKILL", held, seconds)
    return seconds if held else None


def _back(stage: Stage, member: Member) -> None:
    """The member may be started, and chosen again once it has a new lease."""
    before = stage.one.one("SELECT coalesce(max(id), 0) FROM workers WHERE name = :name", name=member.name)
    member.held = False
    newer = "SELECT count(*) FROM workers WHERE name = :name AND id > :id AND ended_at IS NULL"
    until(lambda: stage.one.one(newer, name=member.name, id=before), f"{member.name} is back")
    with stage.lock:
        stage.taken.discard(member.name)


def terminate_worker(stage: Stage) -> float:
    """SIGTERM while messages arrive: exit code 0, leases handed back, nothing a suspect."""
    names = [name for name in stage.one.alive() if name in stage.one.crew.members]
    with stage.lock:
        name = stage.rng.choice([name for name in names if name not in stage.taken])
        stage.taken.add(name)
    time.sleep(stage.rng.uniform(0, 0.1))
    member = stage.one.worker(name)
    worker_id = stage.one.one("SELECT max(id) FROM workers WHERE name = :name", name=name)
    suspects = stage.one.one("SELECT count(*) FROM events WHERE suspect")
    process = member.process
    assert process
    member.held = True
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code = process.wait(60)
    seconds = time.monotonic() - began
    left = held_by(stage, worker_id)
    if code or seconds > LIMIT or left:
        stage.complain(f"SIGTERM: exit code {code} after {seconds:.1f} s, {len(left)} events still leased")
    if stage.one.one("SELECT count(*) FROM events WHERE suspect") > suspects:
        stage.complain("SIGTERM: what was handed back is suspect")
    _back(stage, member)
    return seconds


def zombie(stage: Stage) -> float | None:
    """SIGSTOP past the lease, until all it held was judged by others; then SIGCONT. What it says then is not recorded."""
    victim = in_mid_batch(stage)
    name, process = victim.member.name, victim.member.process
    assert process
    victim.member.held = True
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    if not _others_write(stage):  # stopped within a write to SQLite: everybody waits for its lock
        process.send_signal(signal.SIGCONT)
        _others_write(stage)  # chosen again at once, it would still be within that same write
        victim.member.held = False
        with stage.lock:
            stage.taken.discard(name)
        return None
    held = held_by(stage, victim.worker_id)
    stage.hit(held)
    until(lambda: not held or ended(stage, held), "what the zombie held runs elsewhere")
    seconds = time.monotonic() - began
    until(
        lambda: stage.one.one("SELECT count(*) FROM workers WHERE id = :id AND ended_at IS NOT NULL", id=victim.worker_id),
        "its end",
    )
    before = _said(stage, held, name)  # by a commit that was on its way when the process was stopped
    process.send_signal(signal.SIGCONT)
    code = process.wait(30)
    if code not in LOST:
        last = victim.member.log.read_text(errors="replace").splitlines()[-1:]
        stage.complain(f"a zombie ended with {code}, not for its lost lease or its overdue stage: {last}")
    if _said(stage, held, name) > before:
        stage.complain("what a zombie said late was recorded")
    _back(stage, victim.member)
    return seconds if held else None


def _said(stage: Stage, held: Collection[int], name: str) -> int:
    """How many of these events have a prediction by that worker."""
    listed = ",".join(map(str, held)) or "0"
    query = f"SELECT count(*) FROM predictions WHERE event_id IN ({listed}) AND device = :name"
    return int(stage.one.one(query, name=name))


def _others_write(stage: Stage) -> bool:
    """Whether anything is accepted within some seconds."""
    if stage.one.database != "sqlite":
        return True
    before, end = stage.traffic.taken, time.monotonic() + 1.5  # what waits for them has a limit of its own
    while time.monotonic() < end:
        if stage.traffic.taken > before + 3:
            return True
        time.sleep(0.05)
    return False


STEPS = ("store", "commit", "ring", "answer", "any time")


def kill_intake(stage: Stage, step: str) -> float:
    """SIGKILL between two of its steps, or at any time; until the next sender is answered."""
    member = stage.one.crew.members["intake"]
    until(lambda: bool(member.pid), "the intake is there again")  # its last death may be a moment ago
    usual, deaths = member.command, len(member.ends)
    if step == "any time":
        time.sleep(stage.rng.uniform(0, 1.0))
        member.signal(signal.SIGKILL)
    else:
        member.command = [usual[0], str(HERE / "dying_intake.py"), step, str(stage.rng.randint(1, 12))]
        member.signal(signal.SIGKILL)
        try:
            until(lambda: len(member.ends) > deaths, "the intake ends")
            until(lambda: len(member.ends) > deaths + 1, f"the intake falls into its trap ({step})")
        finally:
            member.command = usual
    began, before = time.monotonic(), stage.traffic.taken
    if member.ends[-1:] not in ([], [-signal.SIGKILL]):
        stage.complain(f"the intake ended with {member.ends[-1]}")
    until(lambda: stage.traffic.taken > before, "a sender is answered")
    return time.monotonic() - began


def kill_keeper(stage: Stage) -> float:
    """SIGKILL of the keeper; until something new was judged."""
    stage.one.crew.members["keeper"].signal(signal.SIGKILL)
    return stage.flows()
