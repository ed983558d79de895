"""Pictures of an evaluation as PNG bytes: ROC, precision over recall, calibration, confusion. Knows no file."""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

Real = NDArray[np.floating[Any]]
Curve = tuple[Real, Real]


def draw(paint: Callable[[Axes], None], side: float = 4.2) -> bytes:
    """A PNG of what ``paint`` puts on the axes; ``side`` in inches."""
    figure = Figure(figsize=(side, side), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    paint(figure.add_subplot())
    out = BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def roc_curve(positive: NDArray[np.bool_], chance: Real) -> Curve:
    """(1 - specificity, sensitivity) at every threshold, the highest first."""
    order = np.argsort(-chance, kind="stable")
    last = np.append(np.diff(chance[order]) != 0, True)  # tied inputs are one step
    hits, wrong = np.cumsum(positive[order])[last], np.cumsum(~positive[order])[last]
    return np.append(0.0, wrong / max(wrong[-1], 1)), np.append(0.0, hits / max(hits[-1], 1))


def precision_curve(positive: NDArray[np.bool_], chance: Real) -> Curve:
    """(recall, precision) at every threshold, the highest first."""
    order = np.argsort(-chance, kind="stable")
    last = np.flatnonzero(np.append(np.diff(chance[order]) != 0, True))
    hits = np.cumsum(positive[order])[last]
    return hits / max(hits[-1], 1), hits / (last + 1.0)


def calibration_curve(right: NDArray[np.bool_], chance: Real, bins: int = 10) -> Curve:
    """(mean probability, share that was so) in bins of equal mass, as the calibration error takes them."""
    pieces = [one for one in np.array_split(np.argsort(chance, kind="stable"), bins) if len(one)]
    return np.array([chance[one].mean() for one in pieces]), np.array([right[one].mean() for one in pieces])


def curves(
    named: Sequence[tuple[str, NDArray[np.bool_], Real]], curve: Callable[[NDArray[np.bool_], Real], Curve], words: tuple[str, str]
) -> bytes:
    """One line a label: (name, which are positive, probability); labels that do not occur are left out."""

    def paint(axes: Axes) -> None:
        for name, positive, chance in named:
            if positive.any() and not positive.all():
                axes.plot(*curve(positive, chance), label=name, linewidth=1.2)
        axes.set(xlabel=words[0], ylabel=words[1], xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend(frameon=False, fontsize=6)

    return draw(paint)


def calibration_picture(right: NDArray[np.bool_], chance: Real) -> bytes:
    """Ten bins of equal mass beside the diagonal of perfect calibration."""

    def paint(axes: Axes) -> None:
        axes.plot((0, 1), (0, 1), color="grey", linestyle=":")
        axes.plot(*calibration_curve(right, chance), marker="o", linewidth=1)
        axes.set(xlabel="probability told", ylabel="share that was so", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))

    return draw(paint)


def confusion_picture(table: Sequence[Sequence[int]], classes: Sequence[str]) -> bytes:
    """Rows the true class, columns the predicted one, counts inside."""
    counts = np.asarray(table)

    def paint(axes: Axes) -> None:
        axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            axes.text(column, row, str(count), ha="center", va="center", fontsize=7)
        axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=6)
        axes.set_yticks(range(len(classes)), classes, fontsize=6)
        axes.set(xlabel="predicted", ylabel="true")

    return draw(paint, side=max(4.2, 0.45 * len(classes)))
