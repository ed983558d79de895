"""``dxstream backlog``: years of files, pushed through on their own lane; also its list, pause, resume and report."""

import signal
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from db import backlogs
from db.engine import Database
from dxstream.backlog_show import Progressing, print_report, write_failures
from dxstream.cli_options import HOME, JSON, main_errors, open_ledger, read_settings
from dxstream.show import print_json, print_records
from stream.errors import DxstreamError

#: So many events of the backlog's lane may wait in the ledger.
DEPTH = 5000
#: Rows of a manifest that are deleted in one transaction.
FORGET_AT_ONCE = 5000


class _Pushing(click.Group):
    """What is no command of the group is a path to push."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``backlog PATH`` is short for ``backlog push PATH``."""
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["push", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Pushing)
def backlog() -> None:
    """Push a backlog: PATH… is folders, DICOMDIR, ZIP and tar archives, files, or a CSV of paths."""


def _pacing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of whatever pushes."""
    depth = "So many events of the backlog's lane may wait in the ledger."
    for option in (
        click.option(
            "--depth", type=click.IntRange(1), default=DEPTH, envvar="DXSTREAM_BACKLOG_DEPTH", show_default=True, help=depth
        ),
        click.option("--window", "hours", default="", help="Local time, as 22:00-06:00; otherwise it waits."),
        click.option("--rate", type=click.FloatRange(0, min_open=True), help="Files a second, at most."),
    ):
        command = option(command)
    return command


@backlog.command()
@HOME
@_pacing
@click.option("--in-place", is_flag=True, help="Do not copy DICOM files: the workers read them where they lie.")
@click.option("--processes", type=click.IntRange(0), help="That read files; one less than there are cores unless told otherwise.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@main_errors
def push(home: Path | None, paths: tuple[Path, ...], processes: int | None, **options: Any) -> None:
    """Push files; killed and started again with the same paths, it goes on where it was. Exit 0 if everything was taken."""
    from dxstream.backlog_run import push_paths  # noqa: PLC0415 - a command imports what it needs

    settings = read_settings(home)
    asked = [str(path.absolute()) for path in paths]
    with Progressing() as progress:
        row = push_paths(settings, asked, options, processes, show=progress.show, stop=_stop())
    _end(Database(settings.database_url), row, settings.home)


@backlog.command()
@HOME
@_pacing
@click.option("--from", "source", required=True, metavar="AE@HOST:PORT", help="The PACS that answers C-FIND and C-MOVE.")
@click.option("--dates", required=True, metavar="FROM-TO", help="Study dates, as 20200101-20201231; asked for day by day.")
@click.option("--modality", "modalities", multiple=True, help="Only studies with this DICOM Modality; may be given again.")
@click.option("--ae-title", default="DXBACKLOG", show_default=True, help="Ours: the PACS must know it as this host and --listen.")
@click.option("--listen", type=click.IntRange(0, 65535), default=11113, show_default=True, help="The port that it moves to.")
@main_errors
def pull(home: Path | None, **options: Any) -> None:
    """Pull studies from a PACS by C-FIND and C-MOVE, in steps of a day."""
    from dxstream.backlog_run import pull_studies  # noqa: PLC0415

    settings = read_settings(home)
    with Progressing() as progress:
        row = pull_studies(settings, options, show=progress.show, stop=_stop())
    _end(Database(settings.database_url), row, settings.home)


def _stop() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _end(database: Database, row: Any, home: Path) -> None:
    print_report(database, row["id"])
    number = write_failures(database, row["id"], home / f"backlog-{row['id']}-failures.csv")
    if number:
        click.echo(f"{number} that were not taken: {home / 'backlog-'}{row['id']}-failures.csv", err=True)
    sys.exit(1 if number else 0)


@backlog.command("list")
@HOME
@JSON
@main_errors
def list_command(home: Path | None, *, as_json: bool) -> None:
    """Every backlog, the newest first."""
    database = open_ledger(home)
    with database.read() as connection:
        rows, now = backlogs.list_backlogs(connection), database.now(connection)
    shown = [{**row, "state": _state(row, now)} for row in rows]
    if as_json:
        print_json(shown)
        return
    columns = ("id", "name", "state", "waits_for", "files", "taken", "known", "refused", "failed", "files_per_second", "eta_at")
    print_records("backlogs", shown, columns)


def _state(row: dict[str, Any], now: datetime) -> str:
    """As in the ledger; a running one without a process is said to be stopped."""
    heard = row["seen_at"] and now - row["seen_at"] < backlogs.SILENT
    return "stopped" if row["state"] == "running" and not heard else str(row["state"])


def _set_state(name: str, state: str, words: str) -> None:
    @backlog.command(name, help=words)
    @HOME
    @click.argument("backlog_id", metavar="ID", type=int)
    @main_errors
    def command(home: Path | None, backlog_id: int) -> None:
        with open_ledger(home).write() as (connection, _):
            changed = backlogs.set_state(connection, backlog_id, state)
        if not changed:
            raise DxstreamError(f"backlog {backlog_id} is done")
        click.echo(f"backlog {backlog_id} is {state}")


_set_state("pause", "paused", "Its process goes on waiting, and so does one that is started.")
_set_state("resume", "running", "Its process goes on; where none runs, the command that began it goes on.")


@backlog.command()
@HOME
@click.argument("backlog_id", metavar="ID", type=int)
@main_errors
def forget(home: Path | None, backlog_id: int) -> None:
    """Take the manifest of a backlog that is done out of the ledger; what it brought stays."""
    database = open_ledger(home)
    gone = False
    while not gone:
        with database.write() as (connection, _):
            gone = backlogs.forget_backlog(connection, backlog_id, FORGET_AT_ONCE)
    click.echo(f"backlog {backlog_id} is forgotten")


@backlog.command()
@HOME
@JSON
@click.argument("backlog_id", metavar="ID", type=int)
@click.option("--failures", type=click.Path(path_type=Path, dir_okay=False), help="Write what was not taken to this CSV.")
@main_errors
def report(home: Path | None, backlog_id: int, failures: Path | None, *, as_json: bool) -> None:
    """Counts by outcome and reason; the CSV of failures can be pushed again as it is, or edited."""
    database = open_ledger(home)
    print_report(database, backlog_id, as_json=as_json)
    if failures:
        number = write_failures(database, backlog_id, failures)
        click.echo(f"{number} rows in {failures}", err=True)
