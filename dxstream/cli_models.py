"""``models list | train | evaluate | activate``: list, train and evaluate need no home."""

from pathlib import Path
from typing import Any

import click

from db.cards import activate as activate_card
from db.engine import Database
from dxstream.cli_options import HOME, JSON, main_errors, read_settings
from dxstream.roles import card_row
from dxstream.show import print_json, print_records, print_table
from models.catalogue import find_card, list_cards
from stream.settings import Settings


@click.group()
def models() -> None:
    """Cards: what there is, training, evaluation, activation."""


@models.command("list")
@HOME
@JSON
@main_errors
def list_models(home: Path | None, *, as_json: bool) -> None:
    """The cards that are shipped and those in DXSTREAM_MODELS."""
    from models.commands import list_command  # noqa: PLC0415

    rows = list_command(Settings.from_environment(home=home).models)
    if as_json:
        print_json(rows)
    else:
        print_records("models", rows, ("name", "version", "kind", "architecture", "licence", "test"))


@models.command()
@click.argument("kind", type=click.Choice(["scan", "lab", "note"]))
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True)
@click.option("--epochs", type=int, default=None, help="As many as the recipe says unless told otherwise.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--folds", default=0, help="Cross-validate with so many folds instead; the table goes to folds.json.")
@click.option("--init", default=None, help="A card, named or by its folder, whose weights to start from.")
@click.option("--architecture", default=None, help="A textbook network: scan cnn3, cnn2, lenet; lab lstm128, rnn.")
@click.option("--freeze", is_flag=True, help="Of the weights of --init train only the last layer.")
@JSON
@main_errors
def train(kind: str, data: Path, out: Path, *, as_json: bool, **options: Any) -> None:
    """Train a model of KIND on --data and write its card to --out."""
    from models.commands import train_command  # noqa: PLC0415

    summary = train_command(kind, data, out, **options)
    if as_json:
        print_json(summary)
    else:
        print_table("trained", ("what", "value"), summary.items())


@models.command()
@click.argument("card")
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--part", type=click.Choice(["all", "train", "validation", "test"]), default="all", show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--scores", type=click.Path(path_type=Path), default=None, help="Write each input's probabilities to this CSV.")
@click.option("--report", type=click.Path(path_type=Path), default=None, help="Write figures and pictures to this HTML file.")
@JSON
@main_errors
def evaluate(card: str, data: Path, part: str, device: str, scores: Path | None, report: Path | None, *, as_json: bool) -> None:
    """Measure CARD (a name or a folder) over every labelled input, at its stored threshold."""
    from models.commands import evaluate_command  # noqa: PLC0415

    figures = evaluate_command(card, data, part=part, device=device, scores=scores, page=report)
    if as_json:
        print_json(figures)
    else:
        plain = [(name, f"{value:.4f}" if isinstance(value, float) else value) for name, value in figures.items()]
        print_table(card, ("figure", "value"), [row for row in plain if not isinstance(row[1], dict | list)])


@models.command()
@click.argument("card")
@HOME
@main_errors
def activate(card: str, home: Path | None) -> None:
    """Let CARD (a name, or a folder under DXSTREAM_MODELS) answer from the workers' next start on."""
    settings = read_settings(home)
    chosen = find_card(card, settings.models)
    if chosen.digest not in {one.digest for one in list_cards(settings.models)}:
        raise click.UsageError(f"put the card's folder into {settings.models} first, so that the workers find it")
    with Database(settings.database_url).write() as (connection, now):
        activate_card(connection, now, card_row(chosen))
    click.echo(f"{chosen.name} {chosen.version} is active")
