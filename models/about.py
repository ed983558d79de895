"""What a person writes of a model before it is trained: ``about.json`` in its folder. What it does not know is Refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.card import Window
from models.shape import shaped
from models.split import Split
from stream.errors import Refused

ABOUT_FILE = "about.json"
#: What it may say → its type in JSON, with the word for it.
MAY_SAY: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    **dict.fromkeys(("name", "version", "task", "positive", "finding", "operating_point", "licence"), (str, "a text")),
    **dict.fromkeys(("config", "split", "window", "intended_use"), (Mapping, "an object")),
    **dict.fromkeys(("sources", "notes"), ((list, tuple), "a list")),
    "use_prevalence": ((int, float), "a number"),
}
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
    """Raises Refused for a name that nobody reads and a value of another type. ``config`` is the recipe's to check."""
    for name, value in about.items():
        if name not in MAY_SAY:
            raise Refused(f"nobody reads {name}: {', '.join(MAY_SAY)}", where=ABOUT_FILE)
        kind, word = MAY_SAY[name]
        if not isinstance(value, kind):
            raise Refused(f"{name} is not {word}", where=ABOUT_FILE)
    shaped(Split, {name: value for name, value in about.get("split", {}).items() if name != BY}, f"{ABOUT_FILE}: split")
    if "window" in about:
        shaped(Window, about["window"], f"{ABOUT_FILE}: window")
    if not 0 < about.get("use_prevalence", 0.5) < 1:
        raise Refused("use_prevalence is not between 0 and 1", where=ABOUT_FILE)
