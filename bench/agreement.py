"""Online equals offline: real held-out inputs through the whole system, beside ``models evaluate`` on the same files.

    python bench/agreement.py --cxr DIR --icu TAR_OR_DIR --notes CSV [--n 200] [--home DIR] [--out build/agreement.json]

Exit code 1 if a probability differs by more than 1e-3, if something that was sent is not accounted for in ``inputs``, or
if the gates do not say the same of an input on both ways.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agreement_compare import PREDICTED, Pair, Said, compare_all, offline_said, wrong
from agreement_inputs import CARDS, Held, held_out, wrap_all
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from db import report
from db.engine import Database
from dxstream.home import held, read_addresses
from dxstream.hospital.book import Book, compare
from dxstream.hospital.cases import Case
from dxstream.hospital.lines import Ports
from dxstream.hospital.send import PATIENCE, Dealer, Sender
from dxstream.up import Installation
from models.catalogue import find_card, load
from models.evaluate import score
from stream.errors import DxstreamError
from stream.settings import Settings

#: Connections at a time for each kind of input.
LINES = 3
#: Seconds without any change in the ledger before we give up.
SILENCE = 180.0
#: Disagreements that are printed; the JSON has all.
MOST_LINES = 20

Seconds = dict[str, float]


def main() -> None:
    """Run and say by the exit code whether all agree."""
    arguments = read_arguments()
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        found = run(arguments, console)
    except DxstreamError as error:
        sys.exit(f"agreement: {error}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print_found(found, console)
    sys.exit(1 if found["wrong"] else 0)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Online equals offline, on real held-out inputs.")
    parser.add_argument("--cxr", type=Path, required=True, help="chest X-rays: NORMAL/ and PNEUMONIA/")
    parser.add_argument("--icu", type=Path, required=True, help="the 2012 challenge's set-*/ and Outcomes-*.txt: a folder or a tar")
    parser.add_argument("--notes", type=Path, required=True, help="CSV with id,label,text")
    parser.add_argument("--n", type=int, default=200, help="inputs of each kind, all from the card's test part (default 200)")
    parser.add_argument("--home", type=Path, help="keep the installation's home here (default: a temporary folder)")
    parser.add_argument("--out", type=Path, default=Path("build/agreement.json"))
    return parser.parse_args()


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Everything, as one JSON document."""
    seconds: Seconds = {}
    with timed(seconds, "read and wrap"):
        kinds = take_inputs(arguments, console)
    with temporary_home(arguments.home) as home:
        book = Book(home / "books" / f"{time.time_ns()}.jsonl")
        rows = through_the_system(home, kinds, book, seconds, console)
    with timed(seconds, "offline"):
        pairs = {kind: pair_up(one, rows) for kind, one in kinds.items()}
    lines = compare(book, rows["inputs"]) + [line for kind in kinds for line in wrong(pairs[kind])]
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sent": len(book.entries()),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "kinds": {kind: compare_all(one.card, pairs[kind]) for kind, one in kinds.items()},
        "wrong": lines,
    }


def take_inputs(arguments: argparse.Namespace, console: Console) -> dict[str, Held]:
    """Held-out inputs of each kind, wrapped."""
    paths = {"scan": arguments.cxr, "lab": arguments.icu, "note": arguments.notes}
    now = datetime.now(UTC).replace(microsecond=0)
    kinds = {}
    for kind, name in CARDS.items():
        card = find_card(name)
        with console.status(f"reading {paths[kind]}"):
            examples = held_out(card, paths[kind], arguments.n)
            kinds[kind] = Held(card=card, examples=examples, cases=wrap_all(card, paths[kind], examples, now))
        parts = card.training["n"]
        console.print(
            f"{name} {card.version}: {len(examples)} of the {parts['test']} inputs of its test part; none of their patients and "
            f"contents is among the {parts['train']} + {parts['validation']} of training and validation (checked)"
        )
    return kinds


def through_the_system(home: Path, kinds: Mapping[str, Held], book: Book, seconds: Seconds, console: Console) -> dict[str, Any]:
    """Start dxstream, send everything, wait until it is judged; the rows of the ledger."""
    with installed(home, console) as installation:
        with timed(seconds, "send"):
            send([one.cases for one in kinds.values()], ports_of(installation.settings), book, console)
        with timed(seconds, "judge the rest"):
            wait_until_judged(installation.database, console)
        with installation.database.read() as connection:
            return {
                "inputs": report.list_inputs(connection),
                "events": report.list_events(connection),
                "predictions": report.list_predictions(connection),
            }


@contextmanager
def installed(home: Path, console: Console) -> Iterator[Installation]:
    """dxstream's own process tree on free ports; logs go to the home."""
    ports = {f"DXSTREAM_{name}_PORT": "0" for name in ("DICOM", "MLLP", "HTTP", "METRICS")}
    settings = Settings.from_environment({**os.environ, **ports}, home=home)
    with held(home):
        installation, stop = Installation(settings, quiet=True), threading.Event()
        watcher = threading.Thread(target=installation.watch, args=(stop,), daemon=True)
        try:
            with console.status("starting dxstream"):
                installation.start()
            watcher.start()
            yield installation
        finally:
            stop.set()
            if watcher.is_alive():
                watcher.join()
            installation.stop()


def ports_of(settings: Settings) -> Ports:
    """Where it listens."""
    found = read_addresses(settings.home)
    return Ports(
        host="127.0.0.1",
        dicom=found["dicom"],
        ae_title=settings.ae_title,
        mllp=found["mllp"],
        http=found["http"],
        token=settings.http_token,
    )


def send(kinds: Sequence[Sequence[Case]], ports: Ports, book: Book, console: Console) -> None:
    """All kinds at once, over some connections each."""
    with progress(console) as bar:
        task = bar.add_task("sending", total=sum(len(cases) for cases in kinds))
        step: Callable[[int], None] = lambda number: bar.advance(task, number)  # noqa: E731 - the senders' Progress
        stop = threading.Event()
        dealers = [Dealer(cases) for cases in kinds]
        senders = [Sender(ports, book, step, dealer, patience=PATIENCE, stop=stop) for dealer in dealers for _ in range(LINES)]
        with ThreadPoolExecutor(len(senders)) as pool:
            for done in [pool.submit(sender.run) for sender in senders]:
                done.result()


def wait_until_judged(database: Database, console: Console) -> None:
    """Until nothing gathers, waits or is leased; raises DxstreamError when nothing moves for too long."""
    last, moved = (-1, -1), time.monotonic()
    with progress(console) as bar:
        task = bar.add_task("judging", total=None)
        while last[1]:
            done, still = progress_of(database)
            bar.update(task, completed=done, total=done + still)
            if (done, still) != last:
                last, moved = (done, still), time.monotonic()
            if time.monotonic() - moved > SILENCE:
                raise DxstreamError(f"{still} events or cases are open and nothing moves")
            time.sleep(0.2)


def progress_of(database: Database) -> tuple[int, int]:
    """Events done or dead; events and cases that are not."""
    with database.read() as connection:
        now = database.now(connection)
        events = report.status(connection, now)["events"]
        gathering = sum(number for number, _ in report.open_cases(connection, now).values())
    done = events["done"] + events["dead"]
    return done, events["received"] - done + gathering


def pair_up(kind: Held, rows: Mapping[str, Any]) -> list[Pair]:
    """Every input on both ways: scored as evaluate does, and what the ledger says of it."""
    model = load(kind.card)
    model.warm_up()
    said = ledger_said(kind, rows)
    scored = score(model, kind.examples)
    return [
        Pair(scored=one, offline=offline_said(kind.card, example, one), online=online)
        for example, one, online in zip(kind.examples, scored, said, strict=True)
    ]


def ledger_said(kind: Held, rows: Mapping[str, Any]) -> list[Said]:
    """What the system said of each case, in order: by the newest event that one of its inputs went into."""
    event_of = {row["sender_id"]: row["event_id"] for row in rows["inputs"]}
    events = {row["id"]: row for row in rows["events"]}
    current = {row["event_id"]: row for row in rows["predictions"] if row["status"] == "current"}
    said = []
    for case in kind.cases:
        ids = [number for sending in case.sendings if (number := event_of.get(sending.sender_id))]
        event = events[max(ids)] if ids else None
        said.append(Said(outcome="no event") if event is None else _said(kind, event, current.get(event["id"])))
    return said


def _said(kind: Held, event: Mapping[str, Any], prediction: Mapping[str, Any] | None) -> Said:
    if event["state"] != "done":
        return Said(outcome=event["state"], reason=event["reason"])
    if event["outcome"] != PREDICTED:
        return Said(outcome=event["outcome"], reason=event["reason"])
    if prediction is None:
        return Said(outcome="no current prediction")
    if prediction["model_digest"] != kind.card.digest:
        return Said(outcome=f"judged by another model, {prediction['model']} {prediction['version']}")
    return Said(outcome=PREDICTED, chances={one["label"]: one["probability"] for one in prediction["findings"]})


def print_found(found: Mapping[str, Any], console: Console) -> None:
    """Two tables and what does not agree."""
    console.print(difference_table(found["kinds"]))
    console.print(quality_table(found["kinds"]))
    for line in found["wrong"][:MOST_LINES]:
        console.print(line, markup=False)
    parts = ", ".join(f"{name} {value:.1f} s" for name, value in found["seconds"].items())
    verdict = f"{len(found['wrong'])} things do not agree" if found["wrong"] else "online equals offline"
    console.print(f"{verdict}: {found['sent']} things were sent, each answered and accounted for as shown ({parts})")


def difference_table(kinds: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row a kind."""
    columns = ("kind", "n", "predicted online", "accepted offline", "same verdict", "compared", "max", "median", "> 1e-3")
    table = Table(*columns, title="online beside offline: absolute difference of the findings' probabilities")
    for kind, one in kinds.items():
        counts = [one["n"], one["online"].get(PREDICTED, 0), one["offline"].get(PREDICTED, 0), one["same_verdict"], one["compared"]]
        differences = [f"{one[name]:.1e}" if one[name] is not None else "-" for name in ("max_difference", "median_difference")]
        table.add_row(kind, *map(str, counts), *differences, str(one["differ"]))
    return table


def quality_table(kinds: Mapping[str, Mapping[str, Any]]) -> Table:
    """Accuracy at the card's threshold and AUROC beside the labels, on each way."""
    table = Table("kind", "way", "n", "accuracy", "AUROC", title="beside the labels, at the card's own threshold")
    for kind, one in kinds.items():
        for way, figures in one["figures"].items():
            shown = ["-" if figures[name] is None else f"{figures[name]:.4f}" for name in ("accuracy", "auroc")]
            table.add_row(kind, way, str(figures["n"]), *shown)
    return table


def progress(console: Console) -> Progress:
    """A bar with a count and the time gone by."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


@contextmanager
def temporary_home(home: Path | None) -> Iterator[Path]:
    """``home``, or a folder that is gone afterwards."""
    if home is not None:
        yield home.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="dxstream-agreement-") as folder:
        yield Path(folder)


@contextmanager
def timed(seconds: Seconds, name: str) -> Iterator[None]:
    """Seconds that a part of the run took."""
    began = time.monotonic()
    yield
    seconds[name] = time.monotonic() - began


if __name__ == "__main__":
    main()
