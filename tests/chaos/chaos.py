"""The long form: ``make chaos``, or ``python tests/chaos/chaos.py --seed 7 --share 0.1``. Exit code 0 only if all held."""

import argparse
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import disk
from hosts import several_hosts
from rounds import full_disk, long_stream, report, two_clocks
from sections import HEAD, Line
from servers import postgresql_binaries

from dxstream.processes import die_with_parent


def parts(seed: int, share: float) -> dict[str, Callable[[], list[Line]]]:
    """Name → what runs."""
    return {
        "sqlite": partial(long_stream, "sqlite", seed=seed, share=share),
        "postgresql": partial(long_stream, "postgresql", seed=seed, share=share),
        "clocks": partial(two_clocks, seed=seed, share=share),
        "disk": partial(full_disk, seed=seed, share=share),
        "hosts": partial(several_hosts, seed=seed, share=share),
    }


#: What runs at the same time: most of it waits.
GROUPS = (("sqlite", "postgresql"), ("clocks", "hosts"), ("disk",))
SUMMARY = re.compile(r"(\d+) rounds; (\d+) things were not as promised")


def run_beside(names: Sequence[str], seed: int, share: float) -> tuple[int, int]:
    """Each part in a process of its own; (rounds, things that were not as promised)."""
    command = [sys.executable, __file__, "--seed", str(seed), "--share", str(share), "--only"]
    with ThreadPoolExecutor(len(names)) as pool:
        found = list(pool.map(lambda name: _follow([*command, name]), names))
    return sum(rounds for rounds, _ in found), sum(wrong for _, wrong in found)


def _follow(command: Sequence[str]) -> tuple[int, int]:
    """Print what it prints; one that ends without its last line has failed."""
    found = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent) as child:
        for line in child.stdout or ():
            found = SUMMARY.search(line) or found
            if not SUMMARY.search(line):
                print(line, end="", flush=True)
    return (int(found[1]), int(found[2])) if found else (0, 1)


def main() -> int:
    """Run the parts that were asked for and print the table of the rounds that really ran."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # disks and hosts are taken down again
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    options.add_argument("--share", type=float, default=1.0, help="of the long form's rounds")
    options.add_argument("--only", default="", help="one part: " + ", ".join(name for group in GROUPS for name in group))
    chosen = options.parse_args()
    if chosen.only:
        lines = parts(chosen.seed, chosen.share)[chosen.only]()
        rounds, wrong = sum(line.rounds for line in lines), report(lines)
        print(f"{rounds} rounds; {wrong} things were not as promised", flush=True)
        return 1 if wrong else 0
    print(f"seed {chosen.seed}, share {chosen.share}", flush=True)
    if not postgresql_binaries():
        print("PostgreSQL is not installed: only SQLite is tested", flush=True)
    if not disk.can_mount():
        print("no root: neither small disks nor network namespaces are tested", flush=True)
    return run_all(chosen.seed, chosen.share)


def run_all(seed: int, share: float) -> int:
    """Group after group."""
    began, rounds, wrong = time.monotonic(), 0, 0
    print(HEAD, flush=True)
    for group in GROUPS:
        ran, found = run_beside([name for name in group if possible(name)], seed, share)
        rounds, wrong = rounds + ran, wrong + found
    minutes = (time.monotonic() - began) / 60
    print(f"{rounds} rounds in {minutes:.1f} minutes, seed {seed}; {wrong} things were not as promised", flush=True)
    return 1 if wrong else 0


def possible(name: str) -> bool:
    """Whether this machine can do it."""
    if name in ("disk", "hosts") and not disk.can_mount():
        return False
    return name in ("sqlite", "disk") or postgresql_binaries() is not None


if __name__ == "__main__":
    sys.exit(main())
