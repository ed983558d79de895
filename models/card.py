"""A model's card: all that may be known of it without loading it. Imports neither torch nor cv2.

A card is ``card.json`` in a folder of its own, beside the files that it pins by sha256 (safetensors weights, a
vocabulary). Nothing is ever unpickled.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from models.site import Site
from stream.errors import DxstreamError

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.safetensors"
AUTOENCODER_FILE = "autoencoder.safetensors"
VOCABULARY_FILE = "vocabulary.json"
#: What a card may bring along instead of safetensors: a ``torch.export`` file, an ONNX file.
PROGRAM_FILE = "model.pt2"
ONNX_FILE = "model.onnx"
MODEL_FILES = (WEIGHTS_FILE, AUTOENCODER_FILE, VOCABULARY_FILE, PROGRAM_FILE, ONNX_FILE)
#: The gate that keeps dropout on: ``passes``, ``limit`` of the predictive entropy in nats, ``false_alarms`` it was chosen for.
UNCERTAINTY = "predictive_uncertainty"
#: The moments that a lab card's window may be counted from.
ORIGINS = ("icu_admission", "admission", "first_observation", "rolling")
#: Fields that no card.json has: they are known only where it lies.
BESIDE = ("site", "folder", "digest")


class BadCard(DxstreamError):
    """A card that cannot be read, or whose files are not the ones that it pins."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """The window of results that a lab model judges. ``origin``: the moment that minutes are counted from, one of ORIGINS."""

    origin: str
    length_hours: float
    speaks_at_hours: float
    grace_minutes: float


@dataclass(frozen=True, kw_only=True)
class AnalyteInput:
    """One analyte as a lab model takes it.

    ``codes``: LOINC, the canonical one first. Values in ``unit`` are clipped to ``plausible``, taken by their natural
    logarithm when ``log``, then standardised by ``mean`` and ``std`` (of the training part).
    """

    name: str
    codes: tuple[str, ...]
    unit: str
    required: bool
    plausible: tuple[float, float]
    log: bool
    mean: float
    std: float


@dataclass(frozen=True, kw_only=True)
class Card:
    """One trained model.

    ``kind``: ``scan``, ``lab`` or ``note``. ``classes``: the labels of training examples; ``labels``: the findings in
    output order, for two classes only the positive one. ``temperature`` and ``offset``: a logit z becomes
    ``z / temperature + offset``, where classes exclude each other with one offset a class. ``thresholds``: by finding, as used;
    ``operating_points``: named thresholds. ``multi_label``: any number of the labels may be true of one input; ``temperature``
    and ``offset`` then hold one number a label. ``abstention``: where classes exclude each other, no finding is positive below
    it. ``gates``: thresholds of the gates before and after the model. ``prevalence``: of each finding in training;
    ``calibrated_for``: the one at which its probabilities mean what they say. ``golden``: what the synthetic case of
    ``models.golden`` must give. ``explanation``: ``on``, whether every prediction is explained, and for a scan the ``method``;
    ``speed``: how it is run (``models.fast``). ``files``: name → sha256. ``site``: what the installation says beside the card,
    no part of it. ``digest``: sha256 of the card, which pins its files, so that it names the whole model.
    """

    name: str
    version: str
    kind: str
    architecture: str
    task: str
    config: Mapping[str, Any]
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    multi_label: bool = False
    intended_use: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    window: Window | None = None
    analytes: tuple[AnalyteInput, ...] = ()
    temperature: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] = 0.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    operating_point: str = ""
    operating_points: Mapping[str, float] = field(default_factory=dict)
    abstention: float = 0.0
    gates: Mapping[str, Any] = field(default_factory=dict)
    split: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    prevalence: Mapping[str, float] = field(default_factory=dict)
    calibrated_for: Mapping[str, float] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[Mapping[str, str], ...] = ()
    licence: str = ""
    notes: tuple[str, ...] = ()
    golden: Mapping[str, Any] = field(default_factory=dict)
    explanation: Mapping[str, Any] = field(default_factory=dict)
    speed: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    site: Site = field(default_factory=Site)
    folder: Path = Path()
    digest: str = ""

    @property
    def exclusive(self) -> bool:
        """Whether exactly one of the labels is true of an input."""
        return len(self.labels) > 1 and not self.multi_label

    def speaks_at(self, label: str) -> float:
        """The prevalence of a finding at which its probabilities mean what they say.

        A card that does not state it (those of before, those brought along): that of training, unless ``prevalence`` names
        another ``calibrated_for``; 0.5 where nothing is known, so that classes count alike.
        """
        before = self.prevalence.get("calibrated_for", self.prevalence.get(label, 0.5))
        return max(self.calibrated_for.get(label, before), 1e-9)


def read_card(folder: Path) -> Card:
    """The card in ``folder``; raises BadCard when there is none, it lacks something or its text is no card."""
    path = folder / CARD_FILE
    try:
        raw = path.read_bytes()
        return decode_card(raw, folder)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadCard(f"no readable card in {folder}: {type(error).__name__}: {error}") from error


def decode_card(raw: bytes, folder: Path) -> Card:
    """The card whose JSON text is ``raw``; raises ValueError, TypeError or KeyError when it is none."""
    content = json.loads(raw)
    if not isinstance(content, dict):
        raise TypeError("a card is a JSON object")
    if content.keys() & set(BESIDE):
        raise TypeError(f"a card does not say {', '.join(BESIDE)} of itself")
    content["window"] = Window(**content["window"]) if content.get("window") else None
    content["analytes"] = tuple(_analyte(row) for row in content.get("analytes", ()))
    for name in ("classes", "labels", "sources", "notes"):
        content[name] = tuple(content.get(name, ()))
    for name in ("temperature", "offset"):
        if isinstance(content.get(name), list):
            content[name] = tuple(content[name])
    return Card(**content, folder=folder, digest=hashlib.sha256(raw).hexdigest())


def _analyte(row: Mapping[str, Any]) -> AnalyteInput:
    low, high = row["plausible"]
    return AnalyteInput(**{**row, "codes": tuple(row["codes"]), "plausible": (low, high)})


def encode_card(card: Card) -> bytes:
    """The JSON text of ``card``, without what is known only where it lies (BESIDE)."""
    names = [one.name for one in fields(card) if one.name not in BESIDE]
    content = {name: _plain(getattr(card, name)) for name in names}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _plain(value: Any) -> Any:
    """``value`` in JSON's own types, floats to 9 significant digits (float32 survives unchanged)."""
    if isinstance(value, Window | AnalyteInput):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def file_digest(path: Path) -> str:
    """sha256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_files(card: Card) -> None:
    """Raises BadCard unless every file that the card pins is there, unchanged, and every model's file there is pinned."""
    for name in MODEL_FILES:
        if name not in card.files and (card.folder / name).exists():
            raise BadCard(f"{card.name}: {name} is not pinned by the card: dxstream models pin")
    for name, pinned in card.files.items():
        path = card.folder / name
        if not path.is_file():
            raise BadCard(f"{card.name}: {name} is missing")
        if file_digest(path) != pinned:
            raise BadCard(f"{card.name}: {name} is not the file that the card pins")
