"""From logits to a judgement: calibration, thresholds, what is uncertain. NumPy only; knows no network."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.card import UNCERTAINTY, Card
from models.site import logit
from stream.judgement import Finding, Judgement


def probabilities(card: Card, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(…, labels) calibrated probabilities of (…, labels) logits: a softmax where labels exclude each other, else a sigmoid."""
    scaled = np.asarray(logits, np.float64) / np.asarray(card.temperature) + np.asarray(card.offset)
    if not card.exclusive:
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(scaled, -500, 500))))
    return softmax(scaled)


def softmax(scaled: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(…, classes): shares of one, by the exponents of (…, classes)."""
    exponents = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))


def shifts(card: Card) -> NDArray[np.float64]:
    """(labels,) how far each logit moves from the prevalence that the card was calibrated for to the site's."""
    site = card.site.prevalence
    return np.array([logit(site[one]) - logit(card.speaks_at(one)) if one in site else 0.0 for one in card.labels])


def decide(card: Card, chances: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(labels,) which findings are positive: by threshold, or the argmax where it reaches the abstention limit."""
    if card.exclusive:
        best = np.arange(len(chances)) == chances.argmax()
        return np.asarray(best & (chances >= card.abstention))
    return np.asarray(chances >= thresholds_of(card))


def thresholds_of(card: Card) -> NDArray[np.float64]:
    """(labels,): each finding's threshold as used here; where classes exclude each other, the abstention limit."""
    if card.exclusive:
        return np.full(len(card.labels), card.abstention)
    own = _moved(np.array([card.thresholds.get(label, 0.5) for label in card.labels]), shifts(card))
    return np.array([card.site.threshold.get(label, one) for label, one in zip(card.labels, own, strict=True)])


def _moved(chances: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities with their logits moved; unchanged where nothing moves."""
    return np.where(by == 0.0, chances, 1.0 / (1.0 + np.exp(-(_logit(chances) + by))))


def here(card: Card, chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """(labels,) probabilities at the site's prevalence; where classes exclude each other they still add up to 1."""
    if not card.exclusive:
        return _moved(chances, shifts(card))
    if not card.site.prevalence:
        return chances
    before = np.array([card.speaks_at(label) for label in card.labels])
    weighted = chances * _at_site(card, before / before.sum()) / before
    return np.asarray(weighted / weighted.sum())


def _at_site(card: Card, before: NDArray[np.float64]) -> NDArray[np.float64]:
    """(labels,) the site's prevalences; labels that it says nothing of share the rest as they did ``before``."""
    said = card.site.prevalence
    silent = np.array([label not in said for label in card.labels])
    rest = max(1.0 - sum(said.get(label, 0.0) for label in card.labels), 0.0)
    among = before / max(float(before[silent].sum()), 1e-9)
    return np.array([said.get(label, rest * one) for label, one in zip(card.labels, among, strict=True)])


def judge(
    card: Card,
    logits: NDArray[np.floating[Any]],
    error: float,
    details: Mapping[str, Any],
    passes: NDArray[np.floating[Any]] | None = None,
) -> Judgement:
    """The findings of one input, and whether they are uncertain. ``passes``: (passes, labels) logits, where asked for."""
    chances = here(card, probabilities(card, logits))
    positive, thresholds = decide(card, chances), thresholds_of(card)
    findings = tuple(
        Finding(label=label, probability=float(chance), threshold=float(threshold), positive=bool(one))
        for label, chance, threshold, one in zip(card.labels, chances, thresholds, positive, strict=True)
    )
    said = {"site": card.site.said} if card.site.said else {}
    spread = uncertainty(card, passes)
    told = {} if spread is None else {UNCERTAINTY: round(spread, 6)}
    return Judgement(
        findings=findings,
        uncertain=any(doubts(card, chances, error, spread).values()),
        details={**details, **said, "reconstruction_error": round(error, 6), **told},
    )


def uncertainty(card: Card, passes: NDArray[np.floating[Any]] | None) -> float | None:
    """The predictive entropy of (passes, labels) logits: that of the mean of their probabilities, in nats; None without any.

    Of labels that may be true together the greatest; at the card's own prevalence, so that a site's does not move it.
    """
    if passes is None:
        return None
    mean = probabilities(card, passes).mean(axis=0)  # (labels,)
    shares = mean[None] if card.exclusive else np.stack([mean, 1.0 - mean], axis=1)  # (…, outcomes)
    return float((-shares * np.log(np.maximum(shares, 1e-12))).sum(axis=1).max())


def doubts(card: Card, chances: NDArray[np.float64], error: float, spread: float | None) -> dict[str, bool]:
    """Gate after the model → whether it marks (labels,) probabilities as uncertain; of the gates that the card has.

    ``error``: of the reconstruction; ``spread``: the ``uncertainty``.
    """
    found = {"reconstruction error": error > card.gates.get("unusual_error", float("inf"))}
    if card.exclusive:
        found["abstention limit"] = not decide(card, chances).any()
    else:
        near = np.abs(_logit(chances) - _logit(thresholds_of(card))) < card.gates.get("uncertain_margin", 0.0)
        found["margin"] = bool(near.any())
    if "uncertain_between" in card.gates:
        found["operating points"] = _disputed(card, chances)
    if spread is not None:
        found["predictive uncertainty"] = spread > card.gates[UNCERTAINTY].get("limit", float("inf"))
    return found


def _disputed(card: Card, chances: NDArray[np.float64]) -> bool:
    """Whether (1,) is between the operating points, where they decide here and not a threshold of the site's own."""
    if card.site.threshold:
        return False
    low, high = (_moved(np.array([end]), shifts(card)) for end in card.gates["uncertain_between"])
    return bool((low <= chances).all() and (chances < high).all())


def _logit(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(chances, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(inside / (1 - inside)))
