"""Rounds of one fault after another against a long-lived stream, and the table of what came of it."""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from faults import LIMIT, Stage
from installation import Installation
from poison import Poisons
from reckoning import Reckoning, reckon
from traffic import Traffic, open_book

#: One round: seconds until all went on, or None where it did not come about (the worker held nothing any more).
Round = Callable[[Stage], float | None]
#: Tries that did not come about, for each round that is wanted.
PATIENCE = 4


@dataclass(frozen=True, kw_only=True)
class Section:
    """``at_once``: so many rounds side by side, on different workers."""

    name: str
    rounds: Sequence[Round]
    at_once: int = 1


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table."""

    fault: str
    database: str
    rounds: int
    seconds: Sequence[float]
    lost: Sequence[str]
    doubled: Sequence[str]
    wrong: Sequence[str]
    acknowledged: int
    note: str = ""

    @property
    def held(self) -> bool:
        return not self.lost and not self.doubled and not self.wrong

    def __str__(self) -> str:
        slowest = f"{max(self.seconds):.1f}" if self.seconds else "-"
        middle = f"{sorted(self.seconds)[len(self.seconds) // 2]:.1f}" if self.seconds else "-"
        cells = (self.fault, self.database, self.rounds, len(self.lost), len(self.doubled), len(self.wrong), middle, slowest)
        return "| " + " | ".join(map(str, (*cells, self.acknowledged))) + " |"


HEAD = "| fault | database | rounds | lost | doubled | otherwise wrong | middle s | slowest s | acknowledged |\n" + "|---" * 9 + "|"


def _again(stage: Stage) -> str:
    """Of the rounds whose events lost more than one worker; each of these may take a lease."""
    if not stage.again:
        return ""
    return f"{len(stage.again)} rounds held events whose next worker was hit too; these took up to {max(stage.again):.1f} s"


@dataclass
class Stream:
    """One installation under one stream after another, all in one book."""

    one: Installation
    seed: int
    rate: float = 40.0
    lines: list[Line] = field(default_factory=list)
    poisons: Poisons = field(default_factory=Poisons)
    before: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.book = open_book(self.one.home)

    def stage(self, name: str) -> Stage:
        """A started stream of its own seed."""
        seed = random.Random(f"{self.seed} {self.one.database} {name}").randrange(2**31)
        return Stage(self.one, Traffic(self.one.ports, self.book, seed=seed, rate=self.rate).start(), random.Random(seed))

    def run(self, *sections: Section, name: str = "", limit: float = LIMIT) -> Line:
        """The sections side by side against one stream; then all must settle, and the book is compared with the ledger."""
        name = name or ", ".join(section.name for section in sections)
        stage = self.stage(name)
        stage.limit = limit
        seconds: list[float] = []
        try:
            threads = [thread for section in sections for thread in self._start(stage, section, seconds)]
            for thread in threads:
                thread.join()
        finally:
            stage.traffic.stop()
        return self.account(stage, name, seconds, _again(stage))

    def _start(self, stage: Stage, section: Section, seconds: list[float]) -> list[threading.Thread]:
        waiting = list(section.rounds)
        left = [PATIENCE * len(waiting)]

        def work() -> None:
            while True:
                with stage.lock:
                    left[0] -= 1
                    if not waiting or left[0] < 0:
                        return
                    act = waiting.pop(0)
                try:
                    took = act(stage)
                except AssertionError as error:
                    stage.complain(f"{section.name}: {error}")
                    stage.one.crew.free_all()
                    return
                with stage.lock:
                    if took is None:
                        waiting.append(act)
                    else:
                        seconds.append(took)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(section.at_once)]
        for thread in threads:
            thread.start()
        return threads

    def account(self, stage: Stage, name: str, seconds: Sequence[float], note: str = "") -> Line:
        """What this section lost or doubled, and what went wrong otherwise."""
        try:
            self.one.settle()
        except AssertionError as error:
            stage.complain(str(error))
        found = reckon(self.one, self.book)
        fresh = {*found.lost, *found.doubled} - self.before
        self.before |= fresh
        line = Line(
            fault=name,
            database=self.one.database,
            rounds=len(seconds),
            seconds=list(seconds),
            lost=[words for words in found.lost if words in fresh],
            doubled=[words for words in found.doubled if words in fresh],
            wrong=[*stage.wrong, *self._innocent(found)],
            acknowledged=stage.traffic.taken,
            note=note,
        )
        self.lines.append(line)
        print(line, *(f"\n    {words}" for words in (*line.lost[:5], *line.doubled[:5], *line.wrong[:5])), flush=True)
        if note:
            print(f"    {note}", flush=True)
        return line

    def _innocent(self, found: Reckoning) -> list[str]:
        """Whoever is dead was poison."""
        dead = {row["id"]: row for row in found.dead if row["id"] not in self.poisons.ids}
        self.poisons.ids |= set(dead)  # told once
        return [f"event {number} is dead, though there is nothing wrong with it: {row['reason']}" for number, row in dead.items()]
