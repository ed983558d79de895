"""Is an event what a card is meant for? Checked before the model, on facts alone. Imports neither torch nor cv2.

A card's ``intended_use`` is ``{fact: {"one_of": [...], "at_least": x, "below": y, "needed": bool}}``, facts named as in
``stream.facts``. Texts are compared without case; a language by its primary subtag (BCP 47: ``en-GB`` is ``en``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from models.card import Card
from stream import facts as names
from stream.errors import NotJudged, Refused, Rejected, Unmatched
from stream.window import ORIGIN

#: Every fact that a feed may know.
FACTS = frozenset(value for name, value in vars(names).items() if name.isupper())
#: What a rule may say → its type in JSON, with the word for it.
RULES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "one_of": ((list, tuple), "a list"),
    "at_least": ((int, float), "a number"),
    "below": ((int, float), "a number"),
    "needed": (bool, "true or false"),
}


def check_rules(intended_use: Mapping[str, Any], where: str) -> None:
    """Raises Refused for a fact that no feed knows and a rule that would never be read."""
    for fact, rule in intended_use.items():
        if fact not in FACTS:
            raise Refused(f"no feed knows a fact called {fact}: {', '.join(sorted(FACTS))}", where=where)
        if not isinstance(rule, Mapping):
            raise Refused(f"{fact} is not an object", where=where)
        for name, value in rule.items():
            if name not in RULES:
                raise Refused(f"{fact}: nobody reads {name}: {', '.join(RULES)}", where=where)
            if not isinstance(value, RULES[name][0]):
                raise Refused(f"{fact}: {name} is not {RULES[name][1]}", where=where)


def check_intended_use(card: Card, facts: Mapping[str, Any]) -> None:
    """Raises Unmatched when the window or a known fact is outside the intended use, else Rejected when a needed one is unknown."""
    check_window(card, facts)
    for fact, rule in card.intended_use.items():
        if _known(facts, fact) and not _fits(fact, rule, facts[fact]):
            raise Unmatched(f"{card.name} is not meant for {_told(fact, facts[fact])}: {_words(rule)}")
    for fact, rule in card.intended_use.items():
        if rule.get("needed", True) and not _known(facts, fact):
            raise Rejected(f"{fact} is unknown, {card.name} needs it: {_words(rule)}")


def check_window(card: Card, facts: Mapping[str, Any]) -> None:
    """Raises Unmatched for a window of results that is counted from another moment, or has other hours, than the card declares."""
    window = card.window
    if window is None:
        return
    if window.origin != ORIGIN:
        raise Unmatched(f"{card.name} counts its window from {window.origin}; stays are counted from {ORIGIN}")
    hours = facts.get(names.WINDOW_HOURS, window.length_hours)
    if hours != window.length_hours:
        raise Unmatched(f"{card.name} judges windows of {window.length_hours:g} hours, this one has {hours:g}")


def match(cards: Sequence[Card], modality: str, facts: Mapping[str, Any]) -> Card:
    """The first of the active ``cards`` that is meant for an event of ``modality`` (scan, lab or note) with ``facts``.

    When none is, raises the reason of the card that came nearest: Rejected (only a fact is missing) before Unmatched,
    and of those the one with the fewest facts outside.
    """
    refusals: list[tuple[int, NotJudged]] = []
    for card in cards:
        if card.kind != modality or not card.labels:  # a card without labels (an autoencoder) makes no finding
            continue
        try:
            check_intended_use(card, facts)
        except NotJudged as refusal:
            refusals.append((_outside(card, facts), refusal))
        else:
            return card
    if not refusals:
        raise Unmatched(f"no active model takes a {modality}")
    raise min(refusals, key=lambda pair: pair[0])[1]


def _outside(card: Card, facts: Mapping[str, Any]) -> int:
    """How many known facts lie outside the card's intended use."""
    rules = card.intended_use.items()
    return sum(_known(facts, fact) and not _fits(fact, rule, facts[fact]) for fact, rule in rules)


def _known(facts: Mapping[str, Any], fact: str) -> bool:
    return facts.get(fact) not in (None, "")


def _fits(fact: str, rule: Mapping[str, Any], value: Any) -> bool:
    if "one_of" in rule:
        return _text(fact, value) in {_text(fact, one) for one in rule["one_of"]}
    return bool(rule.get("at_least", value) <= value and ("below" not in rule or value < rule["below"]))


def _text(fact: str, value: Any) -> str:
    text = str(value).strip().casefold()
    return text.split("-")[0] if fact == names.LANGUAGE else text


def _words(rule: Mapping[str, Any]) -> str:
    """A rule in words, for the reason that is stored with the event."""
    if "one_of" in rule:
        return "only " + ", ".join(_plain(one) for one in rule["one_of"])
    parts = [f"{words} {rule[key]:g}" for key, words in (("at_least", "from"), ("below", "below")) if key in rule]
    return " and ".join(parts)


def _told(fact: str, value: Any) -> str:
    """A fact with its value where that is a number; words are not repeated, since a sender can write anything into them."""
    return f"{fact} {_plain(value)}" if isinstance(value, bool | int | float) else f"this {fact}"


def _plain(value: Any) -> str:
    """A fact in words: true or false as JSON has them, whole numbers without a point."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
