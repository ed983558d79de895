"""Online equals offline: real held-out inputs through the whole system, beside ``models evaluate`` on the same files.

    python bench/agreement.py --cxr DIR --icu TAR_OR_DIR --notes CSV [--n 200] [--home DIR] [--out build/agreement.json]

Exit code 1 if a probability differs by more than 1e-3, if something that was sent is not accounted for in ``inputs``, or
if what the gates say of an input is not the same on both ways.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agreement_compare import Pair, compare_all, disagreements, ledger_said, offline_said
from agreement_inputs import CARDS, Held, held_out, wrap_all
from agreement_show import print_found
from agreement_system import Rows, installed, ports_of, read_rows, send, wait_until_judged
from rich.console import Console

from dxstream.hospital.book import Book, compare
from models.catalogue import find_card, load
from models.score import score
from stream.errors import DxstreamError

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
    sys.exit(1 if found["unaccounted"] or found["disagreements"] else 0)


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
        lines = unaccounted(kinds, book, rows)
    with timed(seconds, "offline"):
        pairs = {kind: pair_up(one, rows) for kind, one in kinds.items()}
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sent": sum(len(case.sendings) for one in kinds.values() for case in one.cases),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "kinds": {kind: compare_all(one.card, pairs[kind]) for kind, one in kinds.items()},
        "unaccounted": lines,
        "disagreements": [line for kind in kinds for line in disagreements(pairs[kind])],
    }


def through_the_system(home: Path, kinds: Mapping[str, Held], book: Book, seconds: Seconds, console: Console) -> Rows:
    """Start dxstream, send everything, wait until it is judged; what the ledger then holds."""
    with installed(home, console) as installation:
        with timed(seconds, "send"):
            send([one.cases for one in kinds.values()], ports_of(installation.settings), book, console)
        with timed(seconds, "judge the rest"):
            wait_until_judged(installation.database, console)
        return read_rows(installation.database)


def unaccounted(kinds: Mapping[str, Held], book: Book, rows: Rows) -> list[str]:
    """What was not sent, not taken, or has not exactly one input."""
    sent = {entry.sender_id for entry in book.entries()}
    every = (sending for one in kinds.values() for case in one.cases for sending in case.sendings)
    unsent = [f"{one.protocol} {one.sender_id}: never sent" for one in every if one.sender_id not in sent]
    return unsent + compare(book, rows["inputs"])


def pair_up(kind: Held, rows: Rows) -> list[Pair]:
    """Every input on both ways: scored as evaluate does, and what the ledger says of it."""
    model = load(kind.card)
    model.warm_up()
    said = ledger_said(kind.card, kind.cases, rows)
    scored = score(model, kind.examples)
    return [
        Pair(scored=one, offline=offline_said(kind.card, example, one), online=online)
        for example, one, online in zip(kind.examples, scored, said, strict=True)
    ]


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
