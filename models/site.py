"""What one site says of a model: its prevalence, its threshold. The card, and so its digest, stays as it is.

``site.toml`` in the folder of cards (DXSTREAM_MODELS), a table for each card by name::

    ["lab-icu-mortality"]
    prevalence = { "in-hospital death" = 0.08 }
    threshold = { "in-hospital death" = 0.2 }
    explain = "on"
    runtime = "openvino"

With another prevalence π' than the one π that the card was calibrated for, a finding's logit moves by
logit(π') - logit(π) (Saerens, Latinne and Decaestecker 2002), and its threshold with it, so that the same inputs stay
positive; a threshold that the site sets is used as it stands. Probabilities of classes that exclude each other are
multiplied by π' / π and add up to 1 again; classes that the site says nothing of share the rest as they did.
"""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import log
from pathlib import Path

from stream.errors import DxstreamError

SITE_FILE = "site.toml"
EXPLAIN = ("on", "off")
RUNTIMES = ("torch", "openvino", "onnx")
#: How far the prevalences of all classes may be from 1 together, since people round them.
ROUNDED = 0.01


class BadSite(DxstreamError):
    """A site.toml that cannot be read, or that says what cannot be."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """``prevalence`` and ``threshold`` by finding, each between 0 and 1, ends left out.

    ``explain``: on or off; ``runtime``: torch, openvino or onnx; either empty: as set for the installation.
    """

    prevalence: Mapping[str, float] = field(default_factory=dict)
    threshold: Mapping[str, float] = field(default_factory=dict)
    explain: str = ""
    runtime: str = ""

    @property
    def said(self) -> dict[str, dict[str, float]]:
        """What changes a prediction, for its details."""
        told = {"prevalence": self.prevalence, "threshold": self.threshold}
        return {name: dict(one) for name, one in told.items() if one}

    def of(self, labels: Collection[str], *, exclusive: bool) -> "Site":
        """As far as it holds for a card of these findings; where they exclude each other there is no threshold."""
        return replace(
            self,
            prevalence={name: share for name, share in self.prevalence.items() if name in labels},
            threshold={name: value for name, value in self.threshold.items() if name in labels and not exclusive},
        )

    def check(self, card: str, labels: Collection[str], *, exclusive: bool) -> None:
        """Raises BadSite where classes exclude each other and prevalences leave nothing for the others, or of all are not 1."""
        told = sum(share for name, share in self.prevalence.items() if name in labels)
        every = set(labels) <= self.prevalence.keys()
        if exclusive and (abs(told - 1.0) > ROUNDED if every else told >= 1.0):
            words = "not to 1" if every else "nothing is left for the classes that are not named"
            raise BadSite(f"{SITE_FILE}: {card}: the prevalences add up to {told:g}, {words}")

    def idle(self, card: str, labels: Collection[str], *, exclusive: bool) -> list[str]:
        """What of it holds for nothing, in words."""
        named = [name for name in (*self.prevalence, *self.threshold) if name not in labels]
        without = [name for name in self.threshold if name in labels and exclusive]
        return [f"{card} has no finding {name!r}" for name in dict.fromkeys(named)] + [
            f"{card} tells the most likely of its findings, so the threshold of {name!r} changes nothing" for name in without
        ]

    def __post_init__(self) -> None:
        for name, word, words in (("explain", self.explain, EXPLAIN), ("runtime", self.runtime, RUNTIMES)):
            if word not in ("", *words):
                raise BadSite(f"{SITE_FILE}: {name}: {word!r} is none of {', '.join(words)}")
        for shares in (self.prevalence, self.threshold):
            for finding, value in shares.items():
                if not isinstance(value, float) or not 0.0 < value < 1.0:
                    raise BadSite(f"{SITE_FILE}: {finding}: {value} is not between 0 and 1")


def read_sites(folder: Path) -> dict[str, Site]:
    """Card name → what the site says of it; empty without a file. Raises BadSite."""
    path = folder / SITE_FILE
    if not path.exists():
        return {}
    try:
        return {name: Site(**table) for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, TypeError, AttributeError, ValueError) as error:
        raise BadSite(f"{path}: {error}") from error


def logit(share: float) -> float:
    """ln(p / (1 - p)) of a probability between 0 and 1, ends left out."""
    return log(share / (1.0 - share))
