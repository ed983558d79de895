"""Tries each card's golden case in a process of its own, so that whoever asks never loads torch: ``python -m``, JSON in and out."""

import json
import sys
from pathlib import Path
from typing import Any

from stream.errors import DxstreamError


def try_cards(folder: str, digests: list[str]) -> list[dict[str, Any]]:
    """One row a card: its name and, when the golden case does not come out, why."""
    from models.catalogue import load, plain_cards  # noqa: PLC0415 - loads torch

    found = []
    for card in plain_cards(Path(folder)):
        if card.digest in digests:
            try:
                load(card, "cpu").warm_up()
                words = ""
            except DxstreamError as error:
                words = str(error)
            except Exception as error:  # noqa: BLE001 - a foreign network may fail in any way, and the others are still tried
                words = f"it cannot be run ({type(error).__name__})"
            found.append({"card": f"{card.name} {card.version}", "why": words})
    return found


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(try_cards(asked["folder"], asked["digests"]), sys.stdout)
