"""The soak: a steady stream on the real workers; memory, descriptors and latency must not grow. ``make soak``."""

import argparse
import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import poison
from faults import Stage
from installation import Installation, running
from rounds import home
from sections import Line, Stream

#: Seconds between two looks.
LOOK_SECONDS = 10.0
#: Of the whole time, what is not counted: caches fill, pools grow to their size.
WARM_UP = 0.25
#: A process may grow by so much, in MiB in ten minutes, and by so many descriptors.
MOST_MEBIBYTES, MOST_DESCRIPTORS = 1.0, 1.0
#: The last quarter's median latency against the first's after the warm-up.
MOST_LATENCY = 1.5


@dataclass
class Curve:
    """What one process had at each look: seconds, MiB, descriptors."""

    looks: list[tuple[float, float, int]] = field(default_factory=list)

    def slopes(self, since: float) -> tuple[float, float]:
        """(MiB, descriptors) in ten minutes, by least squares."""
        late = np.array([look for look in self.looks if look[0] >= since])
        memory, descriptors = (float(np.polyfit(late[:, 0], late[:, column], 1)[0]) * 600 for column in (1, 2))
        return memory, descriptors


def look(pid: int) -> tuple[float, int]:
    """Resident memory in MiB and open descriptors of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    kibibytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return kibibytes / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def children(pid: int) -> list[int]:
    """Those that a process started, whichever of its threads did."""
    told = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return sorted(int(one) for text in told for one in text.split())


def watch(one: Installation, seconds: float) -> tuple[dict[str, Curve], list[str]]:
    """Look at every process until the time is over; a process that ended meanwhile is told."""
    curves: defaultdict[str, Curve] = defaultdict(Curve)
    pids = {name: member.pid for name, member in one.crew.members.items()} | {
        "redis": one.redis.process.pid if one.redis.process else 0
    }
    pids |= {f"intake's own {place}": pid for place, pid in enumerate(children(pids["intake"]), start=1)}
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        for name, pid in pids.items():
            try:
                curves[name].looks.append((time.monotonic() - began, *look(pid)))
            except (OSError, StopIteration):
                return curves, [f"{name} has ended"]
        time.sleep(min(LOOK_SECONDS, seconds / 20))
    return curves, []


def judge(curves: dict[str, Curve], since: float) -> list[str]:
    """Print each process's slopes; what grows too fast, in words."""
    wrong = []
    print("| process | MiB at the end | MiB / 10 min | descriptors / 10 min |\n|---|---|---|---|")
    for name, curve in curves.items():
        memory, descriptors = curve.slopes(since)
        print(f"| {name} | {curve.looks[-1][1]:.1f} | {memory:+.2f} | {descriptors:+.2f} |", flush=True)
        if memory > MOST_MEBIBYTES or descriptors > MOST_DESCRIPTORS:
            wrong.append(f"{name} grows by {memory:.2f} MiB and {descriptors:.2f} descriptors in ten minutes")
    return wrong


def judge_latency(stage: Stage, seconds: float) -> list[str]:
    """The median and the 95th percentile of each quarter; complains where the last is much above the second."""
    end = poison.now(stage)
    quarter = timedelta(seconds=seconds / 4)
    medians = []
    for place in range(4):
        found = poison.latencies(stage, end - (4 - place) * quarter, end - (3 - place) * quarter, set())
        medians.append(float(np.median(found)) if found else 0.0)
        p95 = float(np.percentile(found, 95)) if found else 0.0
        print(
            f"quarter {place + 1}: {len(found)} events, latency p50 {1000 * medians[-1]:.1f} ms, p95 {1000 * p95:.1f} ms",
            flush=True,
        )
    return [f"latency rose: {medians}"] if medians[3] > MOST_LATENCY * medians[1] else []


def soak(database: str, *, seconds: float, rate: float, seed: int, real: bool) -> tuple[Line, list[str]]:
    """One stream for so long."""
    with home() as place, running(place, database, workers=2, stubs=not real) as one:
        stream = Stream(one, seed, rate=rate)
        stage = stream.stage("soak")
        curves, wrong = watch(one, seconds)
        stage.traffic.stop()
        wrong += judge(curves, WARM_UP * seconds) + judge_latency(stage, seconds)
        return stream.account(stage, "soak", [seconds]), wrong


def main() -> int:
    """Print the slopes; exit code 0 only if nothing grows and the book agrees."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=30.0)
    options.add_argument(
        "--rate", type=float, default=20.0, help="cases a second; about half of what two cores do with the shipped models"
    )
    options.add_argument("--database", default="sqlite", choices=("sqlite", "postgresql"))
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--stub", action="store_true", help="stub models instead of the shipped ones")
    chosen = options.parse_args()
    line, wrong = soak(chosen.database, seconds=60 * chosen.minutes, rate=chosen.rate, seed=chosen.seed, real=not chosen.stub)
    print(json.dumps({"wrong": wrong, "agrees": line.held}))
    return 1 if wrong or not line.held else 0


if __name__ == "__main__":
    sys.exit(main())
