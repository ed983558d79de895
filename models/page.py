"""An evaluation as one HTML page: figures with their intervals, pictures inside. It calls no other host."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.beside import KEPT, read_beside
from models.card import Card
from models.pictures import calibration_picture, confusion_picture, curves, precision_curve, roc_curve
from models.score import Scored

STYLE = (
    "body{font:15px system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;text-align:left;border-bottom:1px solid #ddd}"
    "figure{display:inline-block;margin:.5rem}figcaption{text-align:center;color:#555}img{max-width:100%}"
)
#: The page may load nothing from anywhere; its pictures are inside.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
LEARNING_CURVE = "learning-curve.png"


def pictures(card: Card, scored: Sequence[Scored], told: Mapping[str, Any]) -> dict[str, bytes]:
    """Caption → PNG; the learning curve too where it lies beside the card. No other when nothing could be scored."""
    kept = [one for one in scored if one.chance is not None]
    found = {}
    if kept:
        truth, chance = np.array([one.truth for one in kept]), np.array([one.chance for one in kept], np.float64)
        found = {**_of_scores(card, truth, chance), **_confusions(card, told)}
    path = card.folder / LEARNING_CURVE
    return {**found, "Learning curve": path.read_bytes()} if path.is_file() and told["n"] else found


def _confusions(card: Card, told: Mapping[str, Any]) -> dict[str, bytes]:
    """The table of all classes; where several labels may be true, one of each label."""
    if not card.multi_label:
        return {"Confusion": confusion_picture(told["confusion"], card.classes)}
    tables = zip(card.labels, told["confusion"], strict=True)
    return {f"Confusion: {label}": confusion_picture(table, ("absent", "present")) for label, table in tables}


def _of_scores(card: Card, truth: NDArray[np.int64], chance: NDArray[np.float64]) -> dict[str, bytes]:
    """ROC, precision and recall, and calibration: of the class that was told, or of every label and input at once."""
    first = 0 if card.exclusive else 1
    true = truth == 1 if card.multi_label else truth[:, None] == np.arange(len(card.labels)) + first
    named = [(label, true[:, place], chance[:, place]) for place, label in enumerate(card.labels)]
    sure, right = chance.ravel(), true.ravel()
    if card.exclusive:
        sure, right = chance.max(axis=1), chance.argmax(axis=1) == truth
    return {
        "ROC": curves(named, roc_curve, ("1 - specificity", "sensitivity")),
        "Precision and recall": curves(named, precision_curve, ("recall", "precision")),
        "Calibration": calibration_picture(right, sure),
    }


def page(card: Card, scored: Sequence[Scored], told: Mapping[str, Any]) -> str:
    """The whole page as HTML text. ``told``: what ``models.evaluate.told_of`` gave."""
    title = escape(f"{card.name} {card.version}")
    shown = "".join(_picture(caption, png) for caption, png in pictures(card, scored, told).items())
    parts = [
        f"<h1>{title}</h1><p>{escape(card.task)}</p>",
        f"<p>Part: {escape(str(told.get('part', 'all')))}. Model digest: <code>{card.digest}</code>.</p>",
        "<p>In brackets: 95 % intervals, patients drawn with replacement.</p>",
        "<h2>All inputs</h2>" + _table(told),
        shown,
        _accepted(told),
        _named("Marked uncertain, by gate", told.get("marked_by", {}), told["intervals"].get("marked_by", {})),
        _named("Operating points", told.get("operating_points", {}), told["intervals"].get("operating_points", {})),
        _named("Classes", told.get("per_class", {}), told["intervals"].get("per_class", {})),
        _named("Groups of patients", told.get("groups", {})),
        _beside(card, told),
        "<h2>What the card says</h2><ul>" + "".join(f"<li>{escape(note)}</li>" for note in card.notes) + "</ul>",
    ]
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>{title}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{"".join(parts)}</body></html>\n'


def _accepted(told: Mapping[str, Any]) -> str:
    """The figures over accepted inputs; empty for a model without gates."""
    if "accepted" not in told:
        return ""
    held = "<p>Held back: refused by a gate or marked uncertain; of the accepted ones below: marked uncertain.</p>"
    title = f"<h2>Inputs that every gate lets pass (coverage {_number(told['coverage'])})</h2>"
    reasons = ", ".join(f"{number} {escape(reason)}" for reason, number in told["rejected_by"].items())
    refused = f"<p>Refused by a gate: {reasons}.</p>" if reasons else ""
    return held + title + refused + _table(told["accepted"])


def _beside(card: Card, told: Mapping[str, Any]) -> str:
    """The textbook's networks on the card's own split beside this model, where they were measured."""
    beside = read_beside(card)
    if not beside:
        return ""
    part = str(told.get("part"))
    part = part if part in ("validation", "test") else "test"
    ours = card.quality.get(part, {}) if told.get("part") != part else told
    rows = {f"{card.name} (ours)": ours, **{name: one[part] for name, one in beside["networks"].items()}}
    names = [name for name in KEPT if any(row.get(name) is not None for row in rows.values())]
    between = {name: row.get("intervals", {}) for name, row in rows.items()}
    shown = {name: {one: row.get(one) for one in names} for name, row in rows.items()}
    commands = [f"<li><code>{escape(one['command'])}</code></li>" for one in beside["networks"].values()]
    again = f"<p>Made by:</p><ul>{''.join(commands)}</ul>"
    return _named(f"Networks of the textbook on the same split, {part} part", shown, between) + again


def _picture(caption: str, png: bytes) -> str:
    source, words = b64encode(png).decode(), escape(caption)
    return f'<figure><img alt="{words}" src="data:image/png;base64,{source}"><figcaption>{words}</figcaption></figure>'


def _table(told: Mapping[str, Any]) -> str:
    """Every plain figure, one a row."""
    names = [name for name, value in told.items() if isinstance(value, int | float)]
    rows = "".join(f"<tr><th>{name}</th><td>{_cell(told, name)}</td></tr>" for name in names)
    return f"<table>{rows}</table>"


def _named(title: str, rows: Mapping[str, Mapping[str, Any]], between: Mapping[str, Any] | None = None) -> str:
    """One row a name; empty without any. ``between``: the rows' intervals, unless they hold them."""
    if not rows:
        return ""
    rows = {one: {**row, "intervals": between.get(one, {})} for one, row in rows.items()} if between else rows
    names = [name for name in dict.fromkeys(name for row in rows.values() for name in row) if name != "intervals"]
    head = "".join(f"<th>{name}</th>" for name in names)
    cells = {one: "".join(f"<td>{_cell(row, name)}</td>" for name in names) for one, row in rows.items()}
    body = "".join(f"<tr><th>{escape(one)}</th>{row}</tr>" for one, row in cells.items())
    return f"<h2>{title}</h2><table><tr><th></th>{head}</tr>{body}</table>"


def _cell(row: Mapping[str, Any], name: str) -> str:
    ends = row.get("intervals", {}).get(name)
    between = f" [{_number(ends[0])}, {_number(ends[1])}]" if ends else ""
    return _number(row.get(name)) + between


def _number(value: Any) -> str:
    """Three decimals, whole numbers as they are, a dash for what is not defined."""
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else escape(str(value))
