"""The demo: ``up``, a simulated hospital over the real ports, and an account of all that was sent."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from db import report
from db.engine import Database
from dxstream.account import read_account
from dxstream.home import held
from dxstream.hospital.book import Book
from dxstream.hospital.lines import Ports
from dxstream.hospital.planning import Plan, plan
from dxstream.hospital.send import send_all
from dxstream.show import print_addresses
from dxstream.up import PORTS, Installation, addresses
from stream.errors import DxstreamError, Temporary
from stream.settings import Settings

#: Longest silence of the ledger before the demo gives up, in seconds; a stay gathers for a minute at the most.
PATIENCE = 120.0


def run_demo(settings: Settings, events: int, *, seed: int | None, stay: bool, console: Console) -> bool:
    """True when all that was sent is accounted for and every event ended ``done``."""
    settings = _with_free_ports(settings, console)
    with held(settings.home):
        installation = Installation(settings, quiet=True)
        watcher = threading.Thread(target=installation.watch, daemon=True)
        try:
            with console.status("starting Redis, the intake, the keeper and the workers"):
                installation.start()
            watcher.start()
            print_addresses(addresses(installation.settings))
            agreed = _run(installation, plan(events, secrets.randbits(31) if seed is None else seed, datetime.now(UTC)), console)
            if stay:
                _stay(console)
        finally:
            installation.asked_to_stop.set()
            with suppress(RuntimeError):
                watcher.join()
            installation.stop()
    return agreed


def _run(installation: Installation, cases: Plan, console: Console) -> bool:
    book = Book(installation.settings.home / "books" / f"{cases.seed}.jsonl")
    began = time.monotonic()
    _send(installation.settings, cases, book, console)
    _drain(installation.database, console)
    account = read_account(installation.database, book)
    account.show(cases)
    wrong = account.disagreements()
    for line in wrong[:20]:
        console.print(f"[red]does not agree:[/red] {line}")
    seconds = time.monotonic() - began
    verdict = f"{len(book.entries())} things were sent, {len(account.own)} inputs are accounted for, in {seconds:.0f} s"
    console.print(f"[red]{len(wrong)} things do not agree[/red]" if wrong else f"[green]all agree[/green]: {verdict}")
    return not wrong


def _with_free_ports(settings: Settings, console: Console) -> Settings:
    """Ports that nobody chose and somebody has are replaced by free ones."""
    for name in PORTS:
        if f"DXSTREAM_{name.upper()}" not in os.environ and not _is_free(getattr(settings, name)):
            console.print(f"port {getattr(settings, name)} is taken, so {name.removesuffix('_port')} listens on another")
            settings = replace(settings, **{name: 0})  # type: ignore[arg-type] # a port's name
    return settings


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _send(settings: Settings, cases: Plan, book: Book, console: Console) -> None:
    ports = Ports(
        host="127.0.0.1",
        dicom=settings.dicom_port,
        ae_title=settings.ae_title,
        mllp=settings.mllp_port,
        http=settings.http_port,
        token=settings.http_token,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("the hospital sends", total=cases.n)
        send_all(cases, ports, book, lambda number: bar.advance(task, number))


def _drain(database: Database, console: Console) -> None:
    """Until nothing gathers, waits or is leased; raises DxstreamError when nothing moves for too long."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("the workers judge", total=None)
        last: tuple[Any, ...] = ()
        moved = time.monotonic()
        while True:
            now = _now(database)
            if now is not None:
                done, open_ones, gathering = now
                bar.update(task, total=done + open_ones + gathering, completed=done)
                if not open_ones and not gathering:
                    return
                if now != last:
                    last, moved = now, time.monotonic()
            if time.monotonic() - moved > PATIENCE:
                raise DxstreamError("nothing moves any more; the logs are in the home's folder logs")
            time.sleep(0.2)


def _now(database: Database) -> tuple[int, int, int] | None:
    """(events done or dead, events open, cases that gather), or None while the database is away."""
    try:
        with database.read() as connection:
            now = database.now(connection)
            gathering = sum(number for number, _ in report.open_cases(connection, now).values())
            events = report.status(connection, now)["events"]  # after the cases: one may become an event in between
    except Temporary:
        return None
    return events["done"] + events["dead"], events["received"] - events["done"] - events["dead"], gathering


def _stay(console: Console) -> None:
    console.print("everything goes on running; Ctrl-C ends it")
    stop: Callable[[float], bool] = threading.Event().wait
    with suppress(KeyboardInterrupt):
        while True:
            stop(1.0)
