"""The commands under ``models``: only ``activate`` and ``deactivate`` need a home."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from db.cards import activate as activate_card
from db.cards import deactivate as deactivate_card
from db.engine import Database
from dxstream.cli_options import DEVICE, EPOCHS, HOME, JSON, NEW_FILE, ledger_settings, main_errors, open_ledger
from dxstream.roles import card_row
from dxstream.show import print_json, print_records, print_table
from models.card import Card, read_card
from models.catalogue import find_card, list_cards
from models.site import Site
from stream.errors import DxstreamError
from stream.settings import Settings

#: The figures that are told by reason and by gate.
LEFT_OUT, MARKED_BY = "results_left_out", "marked_by"


class CardType(click.ParamType[Card]):
    """A card by its folder, or by its name among the shipped ones and those in DXSTREAM_MODELS; without what the site says."""

    name = "card"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Card:
        """The card, or a usage error."""
        try:
            return replace(find_card(value, Settings.from_environment().models), site=Site())
        except DxstreamError as error:
            self.fail(str(error), param, ctx)


CARD = CardType()


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
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@EPOCHS
@DEVICE
@click.option("--folds", default=0, help="Cross-validate with so many folds instead; the table goes to folds.json.")
@click.option("--init", type=CARD, default=None, help="A card, named or by its folder, whose weights to start from.")
@click.option(
    "--architecture",
    default=None,
    help="A textbook network: scan cnn3, cnn2, lenet; lab lstm128, rnn; note embed-lstm, seq2seq; any autoencoder.",
)
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True, help="bf16: mixed precision.")
@click.option("--freeze", is_flag=True, help="Of the weights of --init train only the last layer.")
@click.option("--refit", is_flag=True, help="Train once more on the training and validation part, when thresholds are fixed.")
@JSON
@main_errors
def train(kind: str, data: Path, out: Path, *, as_json: bool, **options: Any) -> None:
    """Train a model of KIND on --data and write its card to --out."""
    from models.commands import train_command  # noqa: PLC0415

    summary = train_command(kind, data, out, **options)
    if as_json:
        print_json(summary)
    else:
        print_table("trained", ("what", "value"), _plain(summary))


@models.command()
@click.argument("card", type=CARD)
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--part", type=click.Choice(["all", "train", "validation", "test"]), default="all", show_default=True)
@DEVICE
@click.option("--scores", type=NEW_FILE, default=None, help="Write each input's probabilities to this CSV.")
@click.option("--report", type=NEW_FILE, default=None, help="Write figures and pictures to this HTML file.")
@JSON
@main_errors
def evaluate(card: Card, data: Path, part: str, device: str, scores: Path | None, report: Path | None, *, as_json: bool) -> None:
    """Measure CARD (a name or a folder) over every labelled input, at its stored threshold."""
    from models.commands import evaluate_command  # noqa: PLC0415

    figures = evaluate_command(card, data, part=part, device=device, scores=scores, page=report)
    if as_json:
        print_json(figures)
    else:
        shown = {
            name: value for name, value in figures.items() if name in (LEFT_OUT, MARKED_BY) or not isinstance(value, dict | list)
        }
        print_table(card.name, ("figure", "value"), _plain(shown))


def _plain(told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Rows for people; the results that were left out by reason, what is marked uncertain by gate."""
    for name, value in told.items():
        if name == LEFT_OUT:
            yield from ((f"results left out: {why}", f"{one['n']} ({', '.join(one['codes'])})") for why, one in value.items())
        elif name == MARKED_BY:
            yield from ((f"marked by {gate}", _shares(one)) for gate, one in value.items())
        else:
            yield name, f"{value:.4f}" if isinstance(value, float) else value


def _shares(held: Mapping[str, float | None]) -> str:
    """What a gate holds back, in words."""
    words = {"held_back": "of all", "held_back_of_errors": "of the errors", "held_back_of_correct": "of the correct"}
    return ", ".join(f"{held[name]:.4f} {of}" for name, of in words.items() if held[name] is not None)


@models.command()
@click.argument("card", type=CARD)
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--network", "networks", multiple=True, help="Only this network of the textbook; may be told several times.")
@EPOCHS
@DEVICE
@main_errors
def beside(card: Card, data: Path, **options: Any) -> None:
    """Train the textbook's networks on CARD's split; its report then shows them beside it."""
    from models.commands import beside_command  # noqa: PLC0415

    print_json(beside_command(card, data, **options))


@models.command()
@click.argument("card", type=CARD)
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=NEW_FILE, default=Path("features.npz"), show_default=True, help="An .npz or a .csv file.")
@DEVICE
@main_errors
def embed(card: Card, data: Path, out: Path, device: str) -> None:
    """Write the features that CARD's autoencoder gives each input under --data."""
    from models.commands import embed_command  # noqa: PLC0415

    print_json(embed_command(card, data, out, device=device))


@models.command()
@click.argument("card", type=CARD)
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=NEW_FILE, default=Path("told.csv"), show_default=True)
@DEVICE
@main_errors
def decode(card: Card, data: Path, out: Path, device: str) -> None:
    """Write what CARD, a seq2seq network, writes of each note under --data."""
    from models.commands import decode_command  # noqa: PLC0415

    print_json(decode_command(card, data, out, device=device))


@models.command()
@click.argument("card", type=CARD)
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--part", type=click.Choice(["all", "train", "validation", "test"]), default="validation", show_default=True)
@click.option("--write", is_flag=True, help="Where bfloat16 loses no AUROC, put that and its check into the card.")
@main_errors
def hasten(card: Card, data: Path, part: str, *, write: bool) -> None:
    """Measure every way to run CARD on this processor: AUROC over labelled inputs, seconds an input alone and in a batch."""
    from models.hasten import hasten as measure  # noqa: PLC0415

    print_json(measure(card, data, part, write=write))
    if write:
        same = read_card(card.folder).digest == card.digest
        words = (
            "the card stays as it is: bfloat16 loses AUROC, or this processor has none" if same else "bfloat16 is in the card now"
        )
        click.echo(words, err=True)


@models.command()
@click.argument("card", type=CARD)
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--part", type=click.Choice(["validation", "test"]), default="validation", show_default=True, help="It sets the limit."
)
@click.option("--passes", type=click.IntRange(1), default=32, show_default=True, help="Judgements with dropout, for each input.")
@click.option(
    "--false-alarms", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.05, show_default=True,
    help="Share of right answers that the gate may mark.",
)  # fmt: skip
@click.option("--write", is_flag=True, help="Put the gate into the card.")
@main_errors
def doubt(card: Card, data: Path, part: str, *, passes: int, false_alarms: float, write: bool) -> None:
    """Try predictive uncertainty as a gate of CARD, which is not trained for it: what is held back with it and without."""
    from models.calibrate import Wish  # noqa: PLC0415
    from models.doubt import doubt as measure  # noqa: PLC0415

    print_json(measure(card, data, part, Wish(passes=passes, false_alarms=false_alarms), write=write))


@models.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@main_errors
def pin(folder: Path) -> None:
    """Write the digests of FOLDER's files and its golden case into its card.json: after each change of a file."""
    from models.pin import pin as pin_card  # noqa: PLC0415

    card = pin_card(folder)
    click.echo(f"{card.name} {card.version} pins {', '.join(card.files)}")


@models.command()
@click.argument("weights", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The card's folder.")
@main_errors
def take(weights: Path, out: Path) -> None:
    """Copy the tensors of WEIGHTS (a bundle's models/model.pt, or safetensors) into a card's folder; nothing else is opened."""
    from models.pin import take_weights  # noqa: PLC0415

    click.echo(f"{take_weights(weights, out)} tensors")


@models.command()
@click.argument("card")
@HOME
@main_errors
def activate(card: str, home: Path | None) -> None:
    """Let CARD (a name, or a folder under DXSTREAM_MODELS) answer from now on; workers take it up between two batches."""
    from models.catalogue import load  # noqa: PLC0415
    from models.intended import check_window  # noqa: PLC0415

    settings = ledger_settings(home)
    chosen = find_card(card, settings.models)
    if chosen.digest not in {one.digest for one in list_cards(settings.models)}:
        raise click.UsageError(f"put the card's folder into {settings.models} first, so that the workers find it")
    check_window(chosen, {})
    load(chosen).warm_up()
    with Database(settings.database_url).write() as (connection, now):
        activate_card(connection, now, card_row(chosen))
    click.echo(f"{chosen.name} {chosen.version} is active")


@models.command()
@click.argument("name")
@HOME
@main_errors
def deactivate(name: str, home: Path | None) -> None:
    """Let the card NAME answer no longer; what it said stays."""
    with open_ledger(home).write() as (connection, now):
        if not deactivate_card(connection, now, name):
            raise DxstreamError(f"no active card is named {name}")
    click.echo(f"{name} answers no longer")
