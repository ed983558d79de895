"""The learning curve as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from models.fit import Epoch


def draw_learning_curve(epochs: Sequence[Epoch], path: Path, title: str) -> None:
    """A PNG: mean loss of the training and the validation part over epochs; the kept epoch is marked."""
    figure = Figure(figsize=(6.4, 4.0), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    numbers = range(1, len(epochs) + 1)
    axes.plot(numbers, [epoch.training for epoch in epochs], label="training (augmented)")
    axes.plot(numbers, [epoch.validation for epoch in epochs], label="validation")
    best = min(numbers, key=lambda number: epochs[number - 1].validation)
    axes.axvline(best, color="grey", linestyle=":", label=f"kept: epoch {best}")
    axes.set(xlabel="epoch", ylabel="loss, classes weighted alike", title=title)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Software": None})
