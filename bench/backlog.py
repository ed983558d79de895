"""The backlog on many small files, killed again and again: files per second, memory, and whether all was taken once.

``python bench/backlog.py [--files 100000] [--kills 20] [--seed 1] [--in-place] [--list 1000000] [--out build/backlog.json]``.
No worker runs: what is measured is the way into the ledger. ``--list`` makes so many links to files and only lists them.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from backlog_files import write_files

from db.engine import Database
from db.manifest import count_reasons
from db.tables import backlog_files, backlogs, inputs
from stream.errors import Temporary

#: The ledger takes them all at once: nothing here makes room.
DEPTH = 100_000_000
#: Links to one file, below what ext4 allows.
LINKS = 60_000


def start(home: Path, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """The command in a session of its own."""
    command = [
        sys.executable,
        "-m",
        "dxstream",
        "backlog",
        "push",
        "--home",
        str(home),
        "--depth",
        str(DEPTH),
        *options,
        str(folder),
    ]
    with (home.parent / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def memory(session: int) -> float:
    """MiB that all processes of a session hold now."""
    pages = 0
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and os.getsid(int(folder.name)) == session:
                pages += int((folder / "statm").read_text().split()[1])
        except (OSError, ProcessLookupError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def watch(process: subprocess.Popen[bytes], seconds: float) -> list[float]:
    """Its memory each half second, until it ends or the time is over."""
    seen = []
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        seen.append(memory(process.pid))
        time.sleep(min(0.5, max(0.0, end - time.monotonic())))
    return seen


def push(home: Path, folder: Path, kills: int, seed: int, *options: str) -> dict[str, Any]:
    """Start, kill at a random moment, start again; the last start is left to its end."""
    chance = random.Random(seed)
    began, killed, seen = time.monotonic(), 0, []
    while True:
        process = start(home, folder, *options)
        seen += watch(process, chance.uniform(2.0, 20.0) if killed < kills else 1e9)
        if process.poll() is not None:
            return {"kills": killed, "seconds": round(time.monotonic() - began, 1), "exit": process.returncode, **_shape(seen)}
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        killed += 1


def _shape(seen: list[float]) -> dict[str, float]:
    tenth = max(1, len(seen) // 10)
    middle = sorted(seen[len(seen) // 2 : len(seen) // 2 + tenth])
    return {"mib_most": round(max(seen)), "mib_middle": round(middle[len(middle) // 2]), "mib_last": round(seen[-2])}


def compare(home: Path, book: list[tuple[str, str]]) -> dict[str, Any]:
    """The book beside the ledger and the manifest."""
    database = Database(f"sqlite:///{home / 'dxstream.sqlite'}")
    wanted = Counter(name for kind, name in book if kind != "broken")
    broken = {name for kind, name in book if kind == "broken"}
    with database.read() as connection:
        row = connection.execute(sa.select(backlogs)).mappings().one()
        have = Counter(connection.execute(sa.select(inputs.c.sender_id)).scalars())
        refused = set(connection.execute(sa.select(backlog_files.c.path).where(backlog_files.c.state == "refused")).scalars())
        reasons = count_reasons(connection, row["id"])
        rows = connection.execute(sa.select(sa.func.count()).select_from(backlog_files)).scalar_one()
    return {
        "state": row["state"],
        "files": row["files"],
        "rows": rows,
        "inputs": sum(have.values()),
        "wanted": sum(wanted.values()),
        "missing": len(wanted - have),
        "doubled": sum(number > 1 for number in have.values()),
        "strange": len(have - wanted),
        "broken": len(broken),
        "broken_not_refused": len(broken - refused),
        "refused_not_broken": len(refused - broken),
        "reasons": reasons,
    }


def measure_list(place: Path, files: int) -> dict[str, Any]:
    """Only the listing of so many files: outside its hours a backlog lists and then waits."""
    folder, home = place / "links", place / "list-home"
    home.mkdir(parents=True)
    for number in range(files):
        at = folder / f"{number // 1000:05d}"
        if number % 1000 == 0:
            at.mkdir(parents=True)
        if number % LINKS == 0:
            original = at / f"{number}.dcm"
            original.write_bytes(b"x")
        else:
            os.link(original, at / f"{number}.dcm")
    hour = (time.localtime().tm_hour + 12) % 24
    began = time.monotonic()
    process = start(home, folder, "--window", f"{hour:02d}:00-{(hour + 1) % 24:02d}:00")
    seen: list[float] = []
    while not (listed := _listed(home)):
        seen += watch(process, 0.5)
    seconds = time.monotonic() - began
    os.kill(process.pid, signal.SIGTERM)
    process.wait()
    return {
        "links": files,
        "listed": listed,
        "seconds": round(seconds, 1),
        "files_per_second": round(files / seconds),
        **_shape(seen),
    }


def _listed(home: Path) -> int:
    """How many files the manifest holds, once it is whole."""
    try:
        with Database(f"sqlite:///{home / 'dxstream.sqlite'}").read() as connection:
            row = connection.execute(sa.select(backlogs.c.listed_at, backlogs.c.files)).first()
            return row.files if row and row.listed_at else 0
    except (Temporary, sa.exc.DatabaseError):
        return 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--list", type=int, default=0)
    parser.add_argument("--in-place", action="store_true")
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path("build/backlog.json"))
    asked = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="dx-backlog-"))
    print(f"seed {asked.seed}, in {place}", flush=True)
    try:
        found: dict[str, Any] = {"seed": asked.seed}
        if asked.list:
            found["list"] = measure_list(place, asked.list)
            print(json.dumps(found["list"], indent=1), flush=True)
        if asked.files:
            home = place / "home"
            home.mkdir()
            book = list(write_files(place / "files", asked.files, asked.seed))
            print(f"{asked.files} files with {len(book)} inputs or faults are written", flush=True)
            options = ["--in-place"] if asked.in_place else []
            options += ["--processes", str(asked.processes)] if asked.processes is not None else []
            found["push"] = push(home, place / "files", asked.kills, asked.seed, *options)
            found["push"]["files_per_second"] = round(asked.files / found["push"]["seconds"])
            found["compare"] = compare(home, book)
            print(json.dumps({name: found[name] for name in ("push", "compare")}, indent=1), flush=True)
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
