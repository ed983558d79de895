"""Training of the scan model: augmentation without a horizontal flip (the heart is on the left), gates."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.interface import Prepared
from models.pixels import Grey
from models.recipe import CONFIG, Draft, Recipe
from models.scan import ScanConfig, contrast, likeness, thumbnail
from models.shape import shaped
from models.split import Split
from stream.judgement import Sample

#: Below this many pixels on the shorter side there is nothing to see, unless the training pictures are smaller.
LEAST_SIDE = 64


def draft(config: Mapping[str, Any], _samples: Sequence[Sample], _source: Path) -> Draft:
    """The network's shape; the pictures decide nothing of it."""
    return Draft(config=asdict(shaped(ScanConfig, config, CONFIG)))


def augment(prepared: Prepared, rng: np.random.Generator) -> Prepared:
    """Turned, scaled and moved a little; another exposure; sometimes blurred, with grain or a patch left out."""
    image = _exposed(_moved(prepared.arrays["image"], rng), rng)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2)).astype(np.uint8)
    if rng.random() < 0.3:
        grain = rng.normal(0.0, rng.uniform(2.0, 8.0), image.shape)
        image = np.clip(image + grain, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        side = image.shape[0]
        size = int(rng.uniform(0.08, 0.25) * side)
        row, column = rng.integers(0, side - size, 2)
        image[row : row + size, column : column + size] = rng.integers(0, 256)
    return Prepared(arrays={"image": image}, details=prepared.details)


def _moved(image: Grey, rng: np.random.Generator) -> Grey:
    side = image.shape[0]
    turned = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-10, 10), rng.uniform(0.85, 1.25))
    matrix = np.array(turned, np.float64)
    matrix[0, :2] *= rng.uniform(0.9, 1.1)  # pictures were squashed to a square from many shapes
    matrix[:, 2] += rng.uniform(-0.07, 0.07, 2) * side
    moved = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(moved, np.uint8)


def _exposed(image: Grey, rng: np.random.Generator) -> Grey:
    """Another gamma, contrast and brightness, as one table."""
    share = np.linspace(0.0, 1.0, 256) ** np.exp(rng.uniform(-0.5, 0.5))
    greys = (share - 0.5) * rng.uniform(0.7, 1.3) + 0.5 + rng.uniform(-0.1, 0.1)
    return np.asarray(cv2.LUT(image, np.clip(greys * 255.0, 0, 255).astype(np.uint8)), np.uint8)


def gates(validation: Sequence[Prepared]) -> dict[str, Any]:
    """Far below what validation holds: half its flattest picture; a likeness that no validation picture misses."""
    images = [prepared.arrays["image"] for prepared in validation]
    mean_picture = np.mean([thumbnail(image) for image in images], axis=0)
    least = min(likeness(image, mean_picture.tolist()) for image in images)
    return {
        "least_side": min(LEAST_SIDE, *(one.details[name] for one in validation for name in ("rows", "columns"))),
        "least_contrast": 0.5 * min(contrast(image) for image in images),
        "mean_picture": [round(float(grey), 4) for grey in mean_picture],
        "least_likeness": min(0.0, least),
    }


RECIPE = Recipe(
    architecture="residual-cnn",
    epochs=30,
    patience=8,
    batch=32,
    learning_rate=2e-3,
    weight_decay=1e-2,
    autoencoder_epochs=15,
    split=Split(validation=0.12, test=0.08),
    draft=draft,
    augment=augment,
    gates=gates,
)
