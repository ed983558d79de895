"""Dxstream as a process tree of its own: started on free ports, sent to over the real protocols, asked what it said."""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from db import report
from db.engine import Database
from dxstream.home import held, read_addresses
from dxstream.hospital.book import Book
from dxstream.hospital.cases import Case
from dxstream.hospital.lines import Ports
from dxstream.hospital.send import PATIENCE, Dealer, Sender
from dxstream.up import Installation
from stream.errors import DxstreamError
from stream.settings import Settings

#: Connections at a time for each kind of input.
LINES = 3
#: Seconds without any change in the ledger before we give up.
SILENCE = 180.0

#: What the ledger holds, by the names ``inputs``, ``events`` and ``predictions`` (with their findings).
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


@contextmanager
def installed(home: Path, console: Console) -> Iterator[Installation]:
    """Start everything, and end it afterwards; logs go to the home's folder logs."""
    ports = {f"DXSTREAM_{name}_PORT": "0" for name in ("DICOM", "MLLP", "HTTP", "METRICS")}
    settings = Settings.from_environment({**os.environ, **ports}, home=home)
    with held(home):
        installation = Installation(settings, quiet=True)
        watcher = threading.Thread(target=installation.watch, daemon=True)
        try:
            with console.status("starting dxstream"):
                installation.start()
            watcher.start()
            yield installation
        finally:
            installation.asked_to_stop.set()
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
        step, stop = partial(bar.advance, task), threading.Event()
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


def read_rows(database: Database) -> Rows:
    """All that the ledger says."""
    with database.read() as connection:
        return {
            "inputs": report.list_inputs(connection),
            "events": report.list_events(connection),
            "predictions": report.list_predictions(connection),
        }


def progress(console: Console) -> Progress:
    """A bar with a count and the time gone by."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)
