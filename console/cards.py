"""The page "models": each card with what it is meant for, what it was measured at, and which is active."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from console.site import Asked, Site
from db import tables
from db.tally import read_tallies

#: Figures of a part, in the order in which they are shown.
FIGURES = (
    ("auroc", "AUROC"), ("auprc", "AUPRC"), ("sensitivity", "sensitivity"), ("specificity", "specificity"), ("precision", "PPV"),
    ("f1_macro", "F1, macro"), ("accuracy", "accuracy"), ("min_se_ppv", "min(Se, PPV)"), ("ece", "calibration error"),
    ("brier", "Brier score"),
)  # fmt: skip


def models(site: Site, asked: Asked) -> Response:
    """Every card that this ledger knows."""
    with site.database.read() as connection:
        rows = connection.execute(sa.select(tables.cards).order_by(tables.cards.c.modality, tables.cards.c.name)).mappings().all()
        tallies = read_tallies(connection)
    said = {labels[0]: number for labels, number in tallies.get("predictions", {}).items()}
    stopped: dict[str, int] = {}
    for labels, number in tallies.get("gate_rejections", {}).items():
        stopped[labels[0]] = stopped.get(labels[0], 0) + number
    shown = [{**row, "parts": _parts(row["card"]), "intended": _intended(row["card"])} for row in rows]
    return site.page("models.html", asked, cards=shown, said=said, stopped=stopped, figures=FIGURES)


def _parts(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each part that the card was measured on, over all inputs and over those that its gates let pass."""
    found = []
    for name, part in card.get("quality", {}).items():
        if not isinstance(part, Mapping) or "n" not in part:
            continue
        found.append({"name": name, "over": "all inputs", "coverage": None, "told": part, "intervals": part.get("intervals", {})})
        passed = part.get("accepted")
        if isinstance(passed, Mapping) and "n" in passed:
            found.append(
                {
                    "name": name,
                    "over": "accepted inputs",
                    "coverage": part.get("coverage"),
                    "told": passed,
                    "intervals": passed.get("intervals", {}),
                }
            )
    return found


def _intended(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each condition of intended use in words."""
    return [(name.replace("_", " "), _words(rule)) for name, rule in card.get("intended_use", {}).items()]


def _words(rule: Mapping[str, Any]) -> str:
    parts = []
    if "one_of" in rule:
        allowed = [str(one).lower() if isinstance(one, bool) else str(one) for one in rule["one_of"]]
        parts.append("one of " + ", ".join(allowed) if len(allowed) > 1 else allowed[0])
    if "at_least" in rule:
        parts.append(f"from {rule['at_least']}")
    if "below" in rule:
        parts.append(f"below {rule['below']}")
    if rule.get("needed") is False:
        parts.append("(where it is known)")
    return " ".join(parts)
