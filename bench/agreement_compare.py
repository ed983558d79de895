"""Online beside offline, input by input: what differs, what the gates said, how good both are. Pure: no network, no database."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dxstream.hospital.cases import Case
from models.card import Card
from models.example import Example
from models.figures import figures
from models.intended import check_intended_use
from models.score import Scored
from stream.errors import NotJudged

#: How far the probability of a finding may be from the offline one.
TOLERANCE = 1e-3
PREDICTED = "predicted"


@dataclass(frozen=True, kw_only=True)
class Said:
    """What became of an input on one way. ``outcome``: predicted, rejected, unmatched, or whatever else went wrong."""

    outcome: str
    reason: str = ""
    chances: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> tuple[str, str]:
        """The outcome with the words of the reason that do not speak of this one input."""
        return self.outcome, self.reason.partition(":")[0]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One input on both ways."""

    scored: Scored
    offline: Said
    online: Said

    @property
    def differences(self) -> list[float]:
        """Of each finding's probability; empty unless both ways have one."""
        if self.online.outcome != PREDICTED or not self.offline.chances:
            return []
        return [abs(self.online.chances.get(label, np.inf) - chance) for label, chance in self.offline.chances.items()]


def offline_said(card: Card, example: Example, scored: Scored) -> Said:
    """What evaluate gives, and whether the gates would have let it pass; of a stay the facts count too."""
    chances = {} if scored.chance is None else dict(zip(card.labels, scored.chance.tolist(), strict=True))
    try:
        if facts := example.open().facts:
            check_intended_use(card, facts)
    except NotJudged as refusal:
        return Said(outcome=refusal.outcome, reason=refusal.reason, chances=chances)
    return Said(outcome="rejected" if scored.refusal else PREDICTED, reason=scored.refusal, chances=chances)


def ledger_said(card: Card, cases: Sequence[Case], rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Said]:
    """What the system said of each case, in order: by the newest event that one of its inputs went into."""
    event_of = {row["sender_id"]: row["event_id"] for row in rows["inputs"]}
    events = {row["id"]: row for row in rows["events"]}
    current = {row["event_id"]: row for row in rows["predictions"] if row["status"] == "current"}
    said = []
    for case in cases:
        ids = [number for sending in case.sendings if (number := event_of.get(sending.sender_id))]
        event = events[max(ids)] if ids else None
        said.append(Said(outcome="no event") if event is None else _said(card, event, current.get(event["id"])))
    return said


def _said(card: Card, event: Mapping[str, Any], prediction: Mapping[str, Any] | None) -> Said:
    if event["state"] != "done":
        return Said(outcome=event["state"], reason=event["reason"])
    if event["outcome"] != PREDICTED:
        return Said(outcome=event["outcome"], reason=event["reason"])
    if prediction is None:
        return Said(outcome="no current prediction")
    if prediction["model_digest"] != card.digest:
        return Said(outcome=f"judged by another model, {prediction['model']} {prediction['version']}")
    return Said(outcome=PREDICTED, chances={one["label"]: one["probability"] for one in prediction["findings"]})


def online_scored(card: Card, pair: Pair) -> Scored:
    """The input with the probabilities that came out of the system."""
    return replace(pair.scored, chance=np.array([pair.online.chances[label] for label in card.labels]))


def compare_all(card: Card, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Counts, differences and figures of one kind of input."""
    differences = [one for pair in pairs for one in pair.differences]
    predicted = [pair for pair in pairs if pair.online.outcome == PREDICTED]
    accepted = [pair for pair in pairs if pair.offline.outcome == PREDICTED]
    return {
        "model": card.name,
        "version": card.version,
        "model_digest": card.digest,
        "n": len(pairs),
        "online": dict(Counter(pair.online.outcome for pair in pairs)),
        "offline": dict(Counter(pair.offline.outcome for pair in pairs)),
        "same_verdict": sum(pair.online.verdict == pair.offline.verdict for pair in pairs),
        "compared": sum(bool(pair.differences) for pair in pairs),
        "max_difference": max(differences, default=None),
        "median_difference": float(np.median(differences)) if differences else None,
        "differ": sum(max(pair.differences, default=0.0) > TOLERANCE for pair in pairs),
        "figures": {
            "offline, all": _quality(card, [pair.scored for pair in pairs]),
            "offline, accepted": _quality(card, [pair.scored for pair in accepted]),
            "online, predicted": _quality(card, [online_scored(card, pair) for pair in predicted]),
        },
    }


def disagreements(pairs: Sequence[Pair]) -> list[str]:
    """What does not agree, one line an input."""
    lines = []
    for pair in pairs:
        name, worst = pair.scored.id, max(pair.differences, default=0.0)
        if worst > TOLERANCE:
            lines.append(f"{name}: a probability differs by {worst:.6f}")
        if pair.online.verdict != pair.offline.verdict:
            lines.append(f"{name}: online {_words(pair.online)}, offline {_words(pair.offline)}")
    return lines


def _words(said: Said) -> str:
    return f"{said.outcome} ({said.reason})" if said.reason else said.outcome


def _quality(card: Card, scored: Sequence[Scored]) -> dict[str, Any]:
    found = figures(card, scored)
    return {name: found.get(name) for name in ("n", "accuracy", "auroc")}
