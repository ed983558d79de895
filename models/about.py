"""What a person writes of a model before it is trained: ``about.json`` in its folder. What it does not know is Refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.calibrate import CHOICES, Wish
from models.card import ORIGINS, Window
from models.intended import check_rules
from models.shape import shaped
from models.split import Split
from stream.errors import Refused

ABOUT_FILE = "about.json"
#: What it may say → its type in JSON, with the word for it.
MAY_SAY: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    **dict.fromkeys(("name", "version", "task", "positive", "finding", "operating_point", "licence"), (str, "a text")),
    **dict.fromkeys(("config", "split", "window", "intended_use", "uncertainty"), (Mapping, "an object")),
    **dict.fromkeys(("sources", "notes"), ((list, tuple), "a list")),
    "use_prevalence": ((int, float), "a number"),
}
#: What stands in its lists, with the word for it.
LISTED: Mapping[str, tuple[type, str]] = {"sources": (Mapping, "objects"), "notes": (str, "texts")}
#: What a card's own split says beside what a split is made of.
BY = "by"


def read_about(folder: Path) -> dict[str, Any]:
    """What a person wrote there, empty where there is nothing; raises Refused when it is no JSON object."""
    path = folder / ABOUT_FILE
    if not path.is_file():
        return {}
    try:
        about = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise Refused(f"no JSON: {error}", where=str(path)) from error
    if not isinstance(about, dict):
        raise Refused("not a JSON object", where=str(path))
    return about


def check_about(about: Mapping[str, Any]) -> None:
    """Raises Refused for a name that nobody reads, a value of another type and a choice that there is not.

    ``config`` is the recipe's to check.
    """
    for name, value in about.items():
        if name not in MAY_SAY:
            raise Refused(f"nobody reads {name}: {', '.join(MAY_SAY)}", where=ABOUT_FILE)
        kind, word = MAY_SAY[name]
        if not isinstance(value, kind):
            raise Refused(f"{name} is not {word}", where=ABOUT_FILE)
    for name, (kind, word) in LISTED.items():
        if not all(isinstance(one, kind) for one in about.get(name, ())):
            raise Refused(f"{name} is not a list of {word}", where=ABOUT_FILE)
    shaped(Split, {name: value for name, value in about.get("split", {}).items() if name != BY}, f"{ABOUT_FILE}: split")
    if "window" in about:
        _check_window(shaped(Window, about["window"], f"{ABOUT_FILE}: window"))
    wish_of(about)
    check_rules(about.get("intended_use", {}), f"{ABOUT_FILE}: intended_use")
    _check_choices(about)


def _check_window(window: Window) -> None:
    if window.length_hours <= 0 or window.grace_minutes < 0 or window.speaks_at_hours < window.length_hours:
        words = "length_hours is above 0, grace_minutes not below 0, and it speaks when length_hours are over, or later"
        raise Refused(words, where=f"{ABOUT_FILE}: window")
    if window.origin not in ORIGINS:
        raise Refused(f"no origin is called {window.origin}: {', '.join(ORIGINS)}", where=f"{ABOUT_FILE}: window")


def wish_of(about: Mapping[str, Any]) -> Wish | None:
    """The gate by predictive uncertainty that is asked for; None where none is, Refused where it cannot be."""
    if "uncertainty" not in about:
        return None
    wish = shaped(Wish, about["uncertainty"], f"{ABOUT_FILE}: uncertainty")
    if not 0 < wish.false_alarms < 1:
        raise Refused("false_alarms is not between 0 and 1", where=f"{ABOUT_FILE}: uncertainty")
    return wish


def _check_choices(about: Mapping[str, Any]) -> None:
    if not 0 < about.get("use_prevalence", 0.5) < 1:
        raise Refused("use_prevalence is not between 0 and 1", where=ABOUT_FILE)
    point = about.get("operating_point", "sensitive")
    if point not in CHOICES:
        raise Refused(f"no operating point is called {point}: {', '.join(CHOICES)}", where=ABOUT_FILE)
