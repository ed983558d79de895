"""``refused list | show``: what senders were refused, and why; its content only where it is asked for."""

import sys
from pathlib import Path

import click

from db.refusals import list_refusals, read_refusal
from dxstream.cli_options import HOME, JSON, main_errors, open_ledger
from dxstream.show import print_json, print_records
from stream.errors import DxstreamError

_COLUMNS = ("id", "feed", "reason", "place", "size", "times", "first_at", "at")


@click.group()
def refused() -> None:
    """What was refused, as it came."""


@refused.command("list")
@HOME
@JSON
@click.option("--feed", default="", help="Only of this feed: dicom, hl7, fhir, folder.")
@click.option("--most", default=100, show_default=True, help="So many at most.")
@main_errors
def refused_list(home: Path | None, feed: str, most: int, *, as_json: bool) -> None:
    """Newest first: the reason, and the place in the protocol's own words."""
    with open_ledger(home).read() as connection:
        rows = list_refusals(connection, feed=feed, most=most)
    if as_json:
        print_json(rows)
    else:
        print_records("refused", rows, _COLUMNS)


@refused.command("show")
@HOME
@JSON
@click.argument("refusal_id", metavar="ID", type=int)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True), help="Write the content there; - is standard output."
)
@main_errors
def refused_show(home: Path | None, refusal_id: int, out: Path | None, *, as_json: bool) -> None:
    """One refusal. Its content may name a patient, so it is written only with --out."""
    with open_ledger(home).read() as connection:
        found = read_refusal(connection, refusal_id)
    if found is None:
        raise DxstreamError(f"no refusal {refusal_id}")
    content: bytes = found.pop("content")
    if out == Path("-"):
        sys.stdout.buffer.write(content)
        return
    if out:
        out.write_bytes(content)
    if as_json:
        print_json({**found, "kept": len(content)})
    else:
        print_records("refused", [found], _COLUMNS)
    if len(content) < found["size"]:
        click.echo(f"of {found['size']} bytes the first {len(content)} were kept", err=True)
