"""Training of the lab model: which analytes there are and their scale, the trees, feeds that fall away, gates."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.card import AnalyteInput, Window
from models.curves import Curve, parse, possible
from models.describe import without
from models.interface import Prepared
from models.lab import LabConfig
from models.left_out import left_out
from models.model import Model
from models.recipe import CONFIG, Draft, Recipe
from models.shape import shaped
from models.split import Split
from models.trees import Boosting, Trees, grow
from stream.errors import Refused
from stream.judgement import Sample
from stream.labs import Analyte, Analytes
from stream.points import decode_points, encode_points

#: An analyte is taken when at least this share of the training windows has it.
LEAST_WINDOWS = 0.03
#: Analytes are required, the most measured first, as long as this share of the training windows has them all.
ALL_REQUIRED = 0.985
#: Plausible ranges wider than this ratio are taken by their logarithm.
SKEWED = 50.0

#: Trees beside the GRU, and what its logit counts then (chosen by cross-validation in the training part).
BESIDE = {"trees": 1000, "depth": 4, "recurrent": 0.5}
#: What one tree adds, and the share of the features that it may split by (chosen there too).
RATE, SHARE = 0.015, 0.1
#: Shares of the analytes that fall away in training, and how often each is drawn.
FALLEN, HOW_OFTEN = (0.05, 0.2, 0.5), (0.6, 0.3, 0.1)


def draft(config: Mapping[str, Any], samples: Sequence[Sample], source: Path) -> Draft:
    """The analytes that occur, in the order of ``labs.csv`` (a table beside the labelled inputs adds rows), with their scale."""
    table = _table(source)
    windows = [decode_points(sample.contents[0]) for sample in samples]
    present = [{table.canonical(code.decode()) for code in np.unique(points["code"])} for points in windows]
    counts = Counter(code for codes in present for code in codes)
    taken = [row for row in table.rows if counts[row.codes[0]] >= LEAST_WINDOWS * len(samples)]
    if not taken:
        raise Refused(f"no analyte of labs.csv stands in {LEAST_WINDOWS:.0%} of the training windows{_refused(samples)}")
    required = _required([row.codes[0] for row in taken], counts, present)
    every = np.concatenate(windows)
    inputs = [_input(row, _values(every, row), row.codes[0] in required) for row in taken]
    curves = possible([row.analyte for row in taken]) if config.get("trees", BESIDE["trees"]) else ()
    shape = shaped(LabConfig, {**BESIDE, "curves": curves, **config}, CONFIG)
    _check_curves(shape.curves, [row.analyte for row in taken])
    window = Window(origin="icu_admission", length_hours=shape.hours, speaks_at_hours=shape.hours, grace_minutes=60)
    return Draft(config=asdict(shape), card={"analytes": tuple(inputs), "window": window})


def _check_curves(formulas: Sequence[str], analytes: Sequence[str]) -> None:
    try:
        parse(formulas, analytes)
    except KeyError as error:
        raise Refused(f"curves: {error.args[0]} is no analyte of these windows: {', '.join(analytes)}", where=CONFIG) from error


def _refused(samples: Sequence[Sample]) -> str:
    """Why results were refused, the most frequent reasons with their counts."""
    return "".join(f"; {told['n']} results refused: {reason}" for reason, told in islice(left_out(samples).items(), 3))


def _required(codes: Sequence[str], counts: Counter[str], present: Sequence[set[str]]) -> set[str]:
    """The most measured analytes that ALL_REQUIRED of the windows have together."""
    chosen: set[str] = set()
    for code in sorted(codes, key=lambda code: -counts[code]):
        together = chosen | {code}
        if np.mean([together <= codes_there for codes_there in present]) < ALL_REQUIRED:
            break
        chosen = together
    return chosen


def _values(points: NDArray[np.void], row: Analyte) -> NDArray[np.float64]:
    here = np.isin(points["code"], [code.encode() for code in row.codes])
    return np.clip(points["value"][here].astype(np.float64), *row.plausible)


def _input(row: Analyte, values: NDArray[np.float64], required: bool) -> AnalyteInput:
    low, high = row.plausible
    log = low > 0 and high / low >= SKEWED
    level = np.log(values) if log else values
    return AnalyteInput(
        name=row.analyte,
        codes=row.codes,
        unit=row.unit,
        required=required,
        plausible=row.plausible,
        log=log,
        mean=float(level.mean()),
        std=max(float(level.std()), 1e-6),
    )


def start(model: Model, training: Sequence[Prepared], truth: NDArray[np.int64]) -> None:
    """Grows the trees on every window twice: as it is, and with analytes fallen away."""
    trees = getattr(model.network, "trees", None)
    if not isinstance(trees, Trees):
        return
    seed = torch.initial_seed()
    rng = np.random.default_rng(seed)
    rows = [one.arrays["described"] for one in training]
    width, curves = len(model.card.analytes), getattr(model, "curves", ())
    rows += [without(row, with_their_curves(fallen(width, rng), curves)) for row in rows]
    statics = np.stack([one.arrays["statics"] for one in training] * 2)
    table = np.concatenate([np.stack(rows).reshape(len(rows), -1), statics], axis=1)
    how = Boosting(trees=len(trees.leaf), depth=trees.depth, rate=RATE, share=SHARE)
    grow(trees, table, np.tile(truth, 2), how, seed)


def fallen(width: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(width,) which analytes fall away: mostly few."""
    share = float(rng.choice(FALLEN, p=HOW_OFTEN))
    return np.asarray(rng.random(width) < share)


def with_their_curves(gone: NDArray[np.bool_], curves: Sequence[Curve]) -> NDArray[np.bool_]:
    """(analytes and curves,) what falls away with the ``gone`` (analytes,)."""
    return np.concatenate([gone, np.array([curve.gone(gone) for curve in curves], bool)])


def augment(prepared: Prepared, rng: np.random.Generator) -> Prepared:
    """Some analytes fall away for the whole window, now and then most of them, as where a feed is not connected."""
    series = prepared.arrays["series"].copy()
    hours, width = series.shape[0], series.shape[1] // 3
    gone = np.flatnonzero(fallen(width, rng))
    series[:, gone], series[:, width + gone], series[:, 2 * width + gone] = 0.0, 0.0, 1.0
    series[:, :width] += rng.normal(0.0, 0.05, (hours, width)) * (series[:, :width] != 0)
    return replace(prepared, arrays={**prepared.arrays, "series": series})


def gates(validation: Sequence[Prepared]) -> dict[str, Any]:
    """The two-in-a-thousand point of validation windows for how many analytes and hours there are."""
    names = ("analytes_measured", "hours_with_points")
    told = {name: [prepared.details[name] for prepared in validation] for name in names}
    return {f"least_{name}": int(np.quantile(values, 0.002)) for name, values in told.items()}


def laboratory_only(sample: Sample, source: Path) -> Sample:
    """Without vital signs and scores: only analytes to which ``labs.csv`` (the labelled inputs' own too) gives a specimen."""
    points = decode_points(sample.contents[0])
    return replace(sample, contents=(encode_points(points[np.isin(points["code"], _laboratory_codes(source))]),))


@cache
def _laboratory_codes(source: Path) -> list[bytes]:
    return [code.encode() for row in _table(source).rows if row.specimen for code in row.codes]


def _table(source: Path) -> Analytes:
    """The shipped table and the one beside the labelled inputs."""
    return Analytes.read((source if source.is_dir() else source.parent) / "labs.csv")


RECIPE = Recipe(
    architecture="gru-window",
    epochs=12,
    patience=6,
    batch=128,
    learning_rate=2e-3,
    weight_decay=1e-2,
    autoencoder_epochs=40,
    split=Split(validation=0.12, test=0.10),
    draft=draft,
    augment=augment,
    gates=gates,
    start=start,
    variants={"laboratory_only": laboratory_only},
)
