"""``make bench``: the limit, the whole system and Celery as first written, interleaved in one run; latencies; further rows.

``python bench/speed.py [--short] [--rounds 3] [--works scan,lab,note] [--databases sqlite,postgresql]
[--parts drain,latency,further] [--designs limit,dxstream,celery] [--out build/bench.json]``. Each list may be shorter; the limit is
always there, since every ratio and load is one to it. Beside the JSON it leaves a picture of the latencies. Figures are
medians of the rounds. ``DXSTREAM_RUNTIME`` counts for the limit and the system alike, not for Celery.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celery_first
import further
import limit_loops
from design import Design, Fed, Feed
from draining import drain_rows, show_drain
from inputs import write_inputs
from latency import latency_rows, show_latency
from latency_picture import draw
from processes import database_server, new_database, processor, redis_server
from system import System, installed

from dxstream.up import Installation

#: Files of each kind: as many as the figures ask for, and few for a first look.
FULL = {"scan": 2000, "lab": 20_000, "note": 5000}
SHORT = {"scan": 96, "lab": 1000, "note": 256}
#: What may be asked for, by option; all of it unless told otherwise.
LISTED = {
    "works": ("scan", "lab", "note"),
    "databases": ("sqlite", "postgresql"),
    "parts": ("drain", "latency", "further"),
    "designs": ("limit", "dxstream", "celery"),
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where everything lies and runs for one database. ``broker``: Celery's Redis; ``server``: PostgreSQL's URL, or None."""

    broker: str
    folder: Path
    database: str
    server: str | None
    installation: Installation

    def new_database(self, name: str) -> str:
        """The URL of an empty one."""
        return new_database(self.server, self.folder, name)


def main() -> None:
    """All parts that were asked for; the document is written even where a part fails."""
    options = arguments()
    document: dict[str, Any] = {"commit": commit(), "processor": processor(), "rounds": options.rounds, "drain": [], "latency": []}
    document |= {"runtime": os.environ.get("DXSTREAM_RUNTIME", "as the cards have it"), "further": {}}
    folder = Path(tempfile.mkdtemp(prefix="dx-bench-"))
    try:
        with redis_server() as broker:  # one for all: a Celery app keeps its connections
            for database in options.databases:
                with placed(folder / database, database, broker) as place:
                    measure_all(place, options, document)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    if document["drain"]:
        show_drain(document["drain"])
    further.show(document["further"])
    if document["latency"]:
        show_latency(document["latency"])
        draw(document["latency"], options.out.with_name(options.out.stem + "-latency.svg"))


def measure_all(place: Place, options: argparse.Namespace, document: dict[str, Any]) -> None:
    """Everything that is asked of one database."""
    for work in options.works if {"drain", "latency"} & set(options.parts) else ():
        measure(place, work, options, document)
    if "further" in options.parts:
        document["further"][place.database] = further.measure(place, short=options.short)


def measure(place: Place, work: str, options: argparse.Namespace, document: dict[str, Any]) -> None:
    """One modality on one database: the drains of all designs in turn, then the latencies at loads of what the limit reached."""
    paths = write_inputs(work, place.folder / "inputs" / work, (SHORT if options.short else FULL)[work])
    with started(place, work, paths, options.designs) as found:
        rows = drain_rows(found, paths, options.rounds)
        document["drain"] += [{"work": work, "database": place.database, **row} for row in rows]
        if "latency" in options.parts:
            reached = next(row["events_per_s"] for row in rows if row["design"] == "limit")
            some = latency_rows(feeds(found), paths, reached, options.rounds, seconds=1 if options.short else 4)
            document["latency"] += [{"work": work, "database": place.database, **row} for row in some]
    shutil.rmtree(place.folder / "inputs")


def feeds(found: Mapping[str, Design | Fed]) -> dict[str, Feed]:
    """What the latencies are measured of. Small content is a row of the ledger: only that of scans is durable by itself."""
    some: dict[str, Feed] = {name: design.feed for name, design in found.items() if name != "celery"}
    system = found.get("dxstream")
    if isinstance(system, System) and system.kind == "scan":
        some["dxstream, from bytes"] = system.feed_bytes
    return some


@contextmanager
def started(place: Place, work: str, paths: Sequence[Path], names: Sequence[str]) -> Iterator[dict[str, Design | Fed]]:
    """Those that were asked for, warm, by the names that the document has."""
    found: dict[str, Design | Fed] = {}
    with ExitStack() as stack:
        url = place.new_database(f"limit_{work}")
        found["limit"] = stack.enter_context(limit_loops.started(work, paths, url, place.folder))
        if "dxstream" in names:
            found["dxstream"] = System(place.installation, work)
        for design in found.values():
            design.drain(paths[: len(paths) // 8])  # statements are prepared, memory is there
        if "celery" in names:
            url, log = place.new_database(f"celery_{work}"), place.folder / "celery.log"
            found["celery"] = stack.enter_context(celery_first.started(work, paths[0], url, place.broker, log))
        yield found


@contextmanager
def placed(folder: Path, database: str, broker: str) -> Iterator[Place]:
    """A database with dxstream started on it."""
    folder.mkdir(parents=True)
    with database_server(database) as server:
        url = new_database(server, folder, "dxstream") if server else None
        with installed(folder / "home", url) as installation:
            yield Place(broker=broker, folder=folder, database=database, server=server, installation=installation)


def commit() -> str:
    """What was measured."""
    told = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return told.stdout.strip()


def some_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Reads a list of some of these, by commas."""

    def read(text: str) -> list[str]:
        told = text.split(",")
        if unknown := set(told) - set(names):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: none of {', '.join(names)}")
        return told

    return read


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, all_of_it in LISTED.items():
        parser.add_argument(f"--{name}", type=some_of(all_of_it), default=list(all_of_it), metavar=",".join(all_of_it))
    parser.add_argument("--rounds", type=int, default=0, help="3, or 1 of the short form")
    parser.add_argument("--short", action="store_true", help="few inputs, one round: says that all of it works, and little more")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args(words)
    options.rounds = options.rounds or (1 if options.short else 3)
    return options


if __name__ == "__main__":
    main()
