"""Measures of one made-up child, drawn by chance: where the parts of the chest lie and how bright they are."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Lengths in the picture's coordinates (``radiograph``), greys from 0 to 255.

    ``heart``: centre and radii. ``patches``: centre, radius and strength of each opacity; ``haze``: over all of the
    lungs. ``marker``: column and row of the letter that marks the side.
    """

    shift: float
    tilt: float
    scale: float
    lift: float
    waist: float
    shoulder: float
    chest: float
    apex: float
    dome: float
    spine: float
    heart: tuple[float, float, float, float]
    chin: float
    arm_end: float
    rib_distance: float
    rib_grey: float
    background: float
    wall_grey: float
    lung_grey: float
    vessels: float
    blur: float
    middle_grey: float
    belly_grey: float
    haze: float
    patches: tuple[tuple[tuple[float, float], float, float], ...]
    gamma: float
    contrast: float
    brightness: float
    marker: tuple[int, int]


def draw_anatomy(rng: np.random.Generator, *, opacity: bool) -> Anatomy:
    """One child. The means and spreads were chosen by eye and by the mean picture of public chest X-rays of children."""

    def about(mean: float, spread: float) -> float:
        return float(mean + spread * np.clip(rng.normal(), -1.5, 1.5))

    dome = about(0.785 if opacity else 0.73, 0.03)
    return Anatomy(
        shift=about(0.0, 0.04),
        tilt=about(0.0, 0.03),
        scale=about(1.0, 0.05),
        lift=about(0.0, 0.015),
        waist=about(0.81 if opacity else 0.86, 0.05),
        shoulder=about(0.12, 0.05),
        chest=about(0.67 if opacity else 0.73, 0.03),
        apex=about(0.15, 0.02),
        dome=dome,
        spine=about(0.12, 0.01),
        heart=(about(0.14, 0.03), dome - about(0.15, 0.02), about(0.26, 0.03), about(0.19, 0.02)),
        chin=about(0.0 if opacity else 0.06, 0.03),
        arm_end=about(0.35, 0.15),
        rib_distance=about(0.082, 0.006),
        rib_grey=about(13.0 if opacity else 17.0, 2.5),
        background=about(10.0, 4.0),
        wall_grey=about(158.0 if opacity else 170.0, 8.0),
        lung_grey=about(98.0 if opacity else 80.0, 8.0),
        vessels=about(4.5, 0.7),
        blur=about(1.2 if opacity else 0.6, 0.1),
        middle_grey=about(185.0 if opacity else 172.0, 7.0),
        belly_grey=about(208.0, 8.0),
        haze=about(0.14, 0.06) if opacity else 0.0,
        patches=_patches(rng) if opacity else (),
        gamma=about(1.0, 0.08),
        contrast=about(0.97, 0.04),
        brightness=about(0.0, 0.02),
        marker=(int(rng.integers(8, 60)), int(rng.integers(30, 200))),
    )


def _patches(rng: np.random.Generator) -> tuple[tuple[tuple[float, float], float, float], ...]:
    """One to three opacities, more often low in the lungs."""
    return tuple(
        (
            (float(rng.choice((-1, 1)) * rng.uniform(0.25, 0.5)), float(rng.uniform(0.35, 0.68))),
            float(rng.uniform(0.07, 0.16)),
            float(rng.uniform(0.35, 0.75)),
        )
        for _ in range(rng.integers(1, 4))
    )
