"""Commands that only need the ledger: status, events, inputs, predictions, patient, merges, dead, doctor."""

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from db import report
from db.actions import act_on_dead
from db.cards import active_rows
from db.commit import Commit
from db.merges import list_merges, undo_merge
from db.people import same_person
from db.tally import raise_tallies
from dxstream.cli_options import HOME, JSON, main_errors, open_ledger, read_settings
from dxstream.doctor import examine, examine_content
from dxstream.show import print_json, print_records, print_status, print_table, said
from stream.errors import DxstreamError
from worker.keeper import lab_window


@click.command()
@HOME
@JSON
@main_errors
def status(home: Path | None, *, as_json: bool) -> None:
    """Inputs, events, queues and workers in numbers that add up; needs no running process."""
    database = open_ledger(home)
    with database.read() as connection:
        document = report.status(connection, database.now(connection))
    (print_json if as_json else print_status)(document)


@click.command()
@HOME
@JSON
@click.option("--state", type=click.Choice(["waiting", "leased", "done", "dead"]), default=None)
@click.option("--slowest", type=int, default=None, metavar="N", help="The N slowest of the latest, with the seconds of each stage.")
@main_errors
def events(home: Path | None, state: str | None, slowest: int | None, *, as_json: bool) -> None:
    """Events, oldest first; or the slowest first. An event's id is what its log lines have in common."""
    if slowest is not None:
        with open_ledger(home).read() as connection:
            rows = report.slowest_events(connection, slowest)
        stages = [f"{name}_seconds" for name in ("gather", "wait", "fetch", "prepare", "infer", "save")]
        _show(rows, as_json, "slowest", ("id", "modality", "lane", "outcome", "attempts", "seconds", *stages))
        return
    with open_ledger(home).read() as connection:
        rows = report.list_events(connection, state=state or "")
    _show(rows, as_json, "events", ("id", "case_key", "revision", "modality", "lane", "state", "outcome", "reason", "received_at"))


@click.command()
@HOME
@JSON
@main_errors
def inputs(home: Path | None, *, as_json: bool) -> None:
    """What arrived, and what became of it."""
    with open_ledger(home).read() as connection:
        rows = report.list_inputs(connection)
    _show(rows, as_json, "inputs", ("id", "feed", "sender_id", "disposition", "reason", "event_id", "accepted_at"))


@click.command()
@HOME
@JSON
@click.option("--event", type=int, default=None, help="Only what was said of this event.")
@main_errors
def predictions(home: Path | None, event: int | None, *, as_json: bool) -> None:
    """What was said of the events."""
    with open_ledger(home).read() as connection:
        rows = report.list_predictions(connection, event_id=event)
    if as_json:
        print_json(rows)
        return
    shown = [(row["id"], row["event_id"], row["model"], row["status"], said(row), row["as_of"], row["device"]) for row in rows]
    print_table("predictions", ("id", "event", "model", "status", "said", "as of", "device"), shown)


@click.command()
@HOME
@JSON
@click.argument("key")
@main_errors
def patient(home: Path | None, key: str, *, as_json: bool) -> None:
    """All that was said of one patient key, over all modalities."""
    with open_ledger(home).read() as connection:
        document = report.patient(connection, key, same_person(connection, key))
    if as_json:
        print_json(document)
        return
    by_event = {row["event_id"]: row for row in document["predictions"]}
    shown = [_patient_row(event, by_event.get(event["id"])) for event in document["events"]]
    print_table(f"patient {key}", ("event", "modality", "revision", "received", "outcome", "said", "status"), shown)


def _patient_row(event: dict[str, Any], prediction: dict[str, Any] | None) -> Sequence[Any]:
    words = said(prediction) if prediction else event["reason"]
    stands = prediction["status"] if prediction else ""
    shown = [event[name] for name in ("id", "modality", "revision", "received_at")]
    return *shown, event["outcome"] or event["state"], words, stands


@click.group()
def dead() -> None:
    """Events that gave up."""


@dead.command("list")
@HOME
@JSON
@main_errors
def dead_list(home: Path | None, *, as_json: bool) -> None:
    """With the stage that each reached, and the reason."""
    with open_ledger(home).read() as connection:
        rows = report.list_dead(connection)
    _show(rows, as_json, "dead", ("id", "case_key", "modality", "stage", "reason", "attempts", "done_at"))


def _change_dead(name: str, words: str) -> None:
    @dead.command(name, help=words)
    @HOME
    @click.argument("ids", type=int, nargs=-1)
    @click.option("--all", "every", is_flag=True, help="Every dead event.")
    @main_errors
    def command(home: Path | None, ids: tuple[int, ...], *, every: bool) -> None:
        if every == bool(ids):
            raise click.UsageError("name events by id, or say --all")
        with open_ledger(home).write() as (connection, now):
            chosen = [row["id"] for row in report.list_dead(connection)] if every else ids
            number = act_on_dead(connection, now, name, chosen, who=f"{getpass.getuser()}, command line")
        click.echo(f"{number} of {len(chosen)}")
        sys.exit(0 if number == len(chosen) else 1)


_change_dead("retry", "Let them wait again, with a clean sheet.")
_change_dead("drop", "Say that nobody will look at them again; the rows stay.")


@click.group()
def merges() -> None:
    """Patient keys that became one person."""


@merges.command("list")
@HOME
@JSON
@main_errors
def merges_list(home: Path | None, *, as_json: bool) -> None:
    """Oldest first, with those that were undone."""
    with open_ledger(home).read() as connection:
        rows = list_merges(connection)
    _show(rows, as_json, "merges", ("id", "other", "patient_key", "made_at", "undone_at"))


@merges.command("undo")
@HOME
@click.argument("merge_id", metavar="ID", type=int)
@main_errors
def merges_undo(home: Path | None, merge_id: int) -> None:
    """Part the keys again: what was said of the wrongly joined timeline is retracted, and the stays are judged again."""
    with open_ledger(home).write() as (connection, now):
        window, _ = lab_window(active_rows(connection))
        commit = Commit(connection=connection, now=now, window=window)
        undone = undo_merge(commit, merge_id)
        raise_tallies(connection, "merges", commit.counts)
    if not undone:
        raise DxstreamError(f"no merge {merge_id} stands")
    click.echo(f"merge {merge_id} is undone")


@click.command()
@HOME
@JSON
@click.option("--verify", is_flag=True, help="Only look for rows without content and content without rows.")
@click.option("--quick", is_flag=True, help="Without trying the models.")
@main_errors
def doctor(home: Path | None, *, as_json: bool, verify: bool, quick: bool) -> None:
    """Check the installation and name what is missing; exit 1 if anything is."""
    if verify:
        open_ledger(home).close()
    found = examine_content(read_settings(home)) if verify else examine(read_settings(home), quick=quick)
    if as_json:
        print_json(found)
    else:
        print_records("doctor", found, ("check", "state", "remedy"))
    sys.exit(1 if any(row["state"] == "missing" for row in found) else 0)


def _show(rows: list[dict[str, Any]], as_json: bool, title: str, columns: Sequence[str]) -> None:
    if as_json:
        print_json(rows)
    else:
        print_records(title, rows, columns)


def add_ledger_commands(group: click.Group) -> None:
    """Hang them into the front door."""
    for command in (status, events, inputs, predictions, patient, merges, dead, doctor):
        group.add_command(command)
