"""Commands that keep house: backup, restore, labels."""

import sys
from contextlib import closing
from pathlib import Path

import click

from db.engine import Database
from dxstream.cli_options import HOME, JSON, ledger_settings, main_errors, read_settings
from dxstream.show import print_json, print_table

FOLDER = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))


@click.command()
@HOME
@FOLDER
@main_errors
def backup(home: Path | None, folder: Path) -> None:
    """Ledger, content, key and configuration into a new folder, while everything runs."""
    from dxstream.backup import back_up  # noqa: PLC0415 - a command imports what it needs

    settings = ledger_settings(home)
    done = back_up(settings, folder.absolute())
    click.echo(
        f"{done.inputs} inputs, {done.events} events, {done.predictions} predictions, {done.files} files ({done.bytes} bytes)"
    )
    if settings.hash_key:
        click.echo("DXSTREAM_HASH_KEY is not in it: keep it elsewhere", err=True)


@click.command()
@HOME
@FOLDER
@main_errors
def restore(home: Path | None, folder: Path) -> None:
    """A backup into a new home and an empty database."""
    from dxstream.backup import restore as put_back  # noqa: PLC0415

    settings = read_settings(home)
    done = put_back(settings, folder.absolute())
    click.echo(
        f"{done.inputs} inputs and {done.events} events as of {done.at} are in {settings.home}; dxstream up goes on from there"
    )


@click.group()
def labels() -> None:
    """What turned out to be true of events."""


@labels.command("import")
@HOME
@JSON
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--source", default="", help="Who says so, where the file has no column source.")
@main_errors
def labels_import(home: Path | None, file: Path, source: str, *, as_json: bool) -> None:
    """A CSV: event_id or sender_id, label, value (1 or 0), and if you like source and at. Exit 1 if a line cannot be used."""
    from dxstream.label_file import import_labels, unused_lines  # noqa: PLC0415

    settings = ledger_settings(home)
    with closing(Database(settings.database_url)) as database:
        done = import_labels(database, file, source=source)
    if as_json:
        unused = [{"line": number, "why": why} for number, why in sorted(done.unused.items())]
        print_json({"new": done.new, "again": done.again, "unused": unused})
    else:
        print_table("labels", ("new", "told again", "not used"), [(done.new, done.again, len(done.unused))])
        for line in unused_lines(done):
            click.echo(line, err=True)
    sys.exit(1 if done.unused else 0)


def add_house_commands(group: click.Group) -> None:
    """Hang them into the front door."""
    for command in (backup, restore, labels):
        group.add_command(command)
