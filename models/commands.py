"""What the command line calls for ``models list | train | evaluate`` and so on: plain values in and out, no click."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models.card import Card
from models.catalogue import list_cards

#: Figures of the test part that a list shows, as far as a card has them.
SHOWN = ("n", "accuracy", "exact_match", "auroc", "f1_macro", "coverage", "mean_absolute_error", "word_accuracy")
#: What a training tells beside the summary, as far as it has it.
TOLD = ("results_left_out",)


def list_command(*folders: Path) -> list[dict[str, Any]]:
    """Name, version, digest and what matters of each card, shipped ones first. Loads no model."""
    return [summary(card) for card in list_cards(*folders)]


def summary(card: Card) -> dict[str, Any]:
    """One line of the list."""
    test = card.quality.get("test", {})
    return {
        "name": card.name,
        "version": card.version,
        "kind": card.kind,
        "architecture": card.architecture,
        "labels": list(card.labels),
        "model_digest": card.digest,
        "folder": str(card.folder),
        "licence": card.licence,
        "test": {name: test[name] for name in SHOWN if name in test},
    }


def train_command(
    kind: str,
    data: str | Path,
    out: str | Path,
    *,
    folds: int = 0,
    progress: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """Trains, with a progress bar on standard error, and gives the new card's summary, or that of ``folds`` folds.

    ``options``: those of ``models.plan.Plan``.
    """
    from models.folds import cross_validate  # noqa: PLC0415  # torch is loaded only now
    from models.train import train  # noqa: PLC0415

    with _bar() if progress else nullcontext() as tell:
        told = {"tell": tell} if tell else {}
        if folds:
            return cross_validate(kind, data, out, folds, **options, **told)
        card = train(kind, data, out, **options, **told)
    return {**summary(card), **{name: card.training[name] for name in TOLD if name in card.training}}


@contextmanager
def _bar() -> Iterator[Any]:
    """A Tell that moves one bar for each network."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        known: dict[str, Any] = {}

        def tell(what: str, done: int, most: int, loss: float) -> None:
            if what not in known:
                known[what] = bars.add_task(what, total=most, loss=loss)
            bars.update(known[what], completed=done, loss=loss)

        yield tell


def evaluate_command(
    card: Card,
    data: str | Path,
    *,
    part: str = "all",
    device: str = "cpu",
    scores: str | Path | None = None,
    page: str | Path | None = None,
) -> dict[str, Any]:
    """The figures of a card over labelled inputs; ``scores``: a CSV with each input's, ``page``: an HTML file to write."""
    from models.evaluate import evaluate  # noqa: PLC0415  # torch is loaded only now

    return evaluate(card, data, part=part, device=device, scores=scores, page=page)


def beside_command(
    card: Card, data: str | Path, *, networks: Sequence[str] = (), epochs: int | None = None, device: str = "cpu"
) -> dict[str, Any]:
    """Trains the textbook's networks on the card's split and writes their figures into its folder."""
    from models.beside import beside  # noqa: PLC0415  # torch is loaded only now

    with _bar() as tell:
        return beside(card, Path(data), networks=networks, epochs=epochs, device=device, tell=tell)


def embed_command(card: Card, data: str | Path, out: str | Path, *, device: str = "cpu") -> dict[str, Any]:
    """Writes the features that a card's autoencoder gives each input, as .npz or .csv."""
    from models.embed import embed  # noqa: PLC0415  # torch is loaded only now

    return embed(card, Path(data), Path(out), device)


def decode_command(card: Card, data: str | Path, out: str | Path, *, device: str = "cpu") -> dict[str, Any]:
    """Writes what a seq2seq card writes of each note, as a CSV."""
    from models.embed import decode  # noqa: PLC0415  # torch is loaded only now

    return decode(card, Path(data), Path(out), device)
