"""What goes into a model and what comes out: Sample → Judgement. Knows no tensor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One thing to be judged, as a model's ``prepare`` takes it.

    ``contents``: the bytes, one entry an instance (a DICOM file), a note (UTF-8 text) or a window of points
    (``stream.points``). ``facts``: what the feed knew of it (``stream.facts``), checked against the card's intended use.
    """

    contents: tuple[bytes, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One target and its calibrated probability, with the threshold as used."""

    label: str
    probability: float
    threshold: float
    positive: bool


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """All that one model said of one event. ``details`` goes into the prediction as JSON (tokens seen, refused points)."""

    findings: tuple[Finding, ...]
    uncertain: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
