"""Draws a small child's chest X-ray from soft shapes: layer upon layer of tissue, as greys. Nothing in it is of a real person.

Coordinates: ``u`` from -1 (left of the picture, the patient's right) to 1, ``v`` from 0 (top) to 1.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dxstream.hospital.anatomy import Anatomy, draw_anatomy

#: Rows and columns of a picture; it is drawn at half of that, since no shape in it is finer.
SIDE, DRAWN = 512, 256
#: How much sharper every edge is than the width that is written beside it.
EDGE = 0.5

Layer = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """Where each pixel lies, (DRAWN, DRAWN) each; the tilt and shift of the child are already taken off."""

    u: Layer
    v: Layer


def draw_chest(rng: np.random.Generator, *, opacity: bool) -> NDArray[np.uint8]:
    """(SIDE, SIDE) greys, dark lungs; with ``opacity`` parts of the lungs are veiled, as in pneumonia."""
    body = draw_anatomy(rng, opacity=opacity)
    canvas = _canvas(body)
    lungs = _lungs(canvas, body)
    picture = _trunk(canvas, body)
    air = body.lung_grey + 110.0 * np.clip(0.42 - canvas.v, 0.0, 0.3) + body.vessels * (_texture(rng, 40) + _texture(rng, 90))
    picture = _over(picture, lungs, air)
    picture = _veil(rng, picture, lungs, canvas, body)
    picture = _middle(picture, canvas, body)
    picture = _over(picture, _abdomen(canvas, body), body.belly_grey - 62.0 * np.abs(canvas.u / body.waist) ** 2.2)
    picture += _bones(canvas, body)
    picture *= 1.0 + 0.05 * _texture(rng, 5) + 0.012 * _texture(rng, 100)
    return _exposed(rng, picture, body)


def _canvas(body: Anatomy) -> Canvas:
    line = (np.arange(DRAWN, dtype=np.float32) + 0.5) / DRAWN
    v, u = np.meshgrid(line, 2 * line - 1, indexing="ij")
    turned = u - body.shift - body.tilt * (v - 0.5)
    return Canvas(u=(turned / body.scale).astype(np.float32), v=((v - 0.5) / body.scale + 0.5 - body.lift).astype(np.float32))


def _soft(distance: Layer, width: float) -> Layer:
    """1 inside (``distance`` negative), 0 outside, over an edge of ``width``."""
    return np.asarray(1.0 / (1.0 + np.exp(np.clip(distance / (EDGE * width), -30, 30))), np.float32)


def _ellipse(canvas: Canvas, centre: tuple[float, float], radii: tuple[float, float], edge: float) -> Layer:
    distance = np.hypot((canvas.u - centre[0]) / radii[0], (canvas.v - centre[1]) / radii[1]) - 1.0
    return _soft(distance * min(radii), edge)


def _over(picture: Layer, mask: Layer, grey: Layer | float) -> Layer:
    """``grey`` laid over the picture where ``mask`` is 1."""
    return np.asarray(picture + mask * (grey - picture), np.float32)


def _texture(rng: np.random.Generator, cells: int) -> Layer:
    """Smooth noise of standard deviation about 1, with so many cells across the picture."""
    coarse = rng.normal(0.0, 1.0, (cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (DRAWN, DRAWN), interpolation=cv2.INTER_CUBIC), np.float32)


def _trunk(canvas: Canvas, body: Anatomy) -> Layer:
    """Background, trunk, arms, neck and head."""
    u, v = canvas.u, canvas.v
    shoulder = body.shoulder * np.exp(-(((v - 0.08) / 0.22) ** 2))
    width = body.waist + shoulder + 0.03 * np.cos(9.0 * v)
    trunk = _soft(np.abs(u) - width, 0.02) * _soft(0.16 * np.abs(u) - 0.04 - v, 0.03)
    thickness = np.sqrt(np.clip(1.0 - (u / (width + 0.05)) ** 2, 0.0, 1.0))
    wall = body.wall_grey * (0.46 + 0.54 * thickness) * (0.86 + 0.14 * np.clip(v / 0.3, 0, 1))
    picture = _over(np.full_like(u, body.background), trunk, wall)
    for side in (-1, 1):
        arm = _soft(np.abs(u - side * (0.92 - 0.25 * v)) - 0.16, 0.03) * _soft(v - body.arm_end, 0.06)
        picture = _over(picture, 0.8 * arm, 92.0)
    picture = _over(picture, _soft(np.abs(u) - 0.24, 0.04) * _soft(v - 0.2, 0.05), 150.0)
    return _over(picture, _ellipse(canvas, (0.0, -0.1), (0.42, body.chin + 0.1), 0.03), 192.0)


def _lungs(canvas: Canvas, body: Anatomy) -> Layer:
    """Both lungs: pointed above, wide below, cut off by the domes of the diaphragm."""
    u, v = canvas.u, canvas.v
    depth = np.clip((v - body.apex) / (body.dome - body.apex), 0.0, 1.2)
    outer = body.chest * (0.36 + 0.7 * depth**0.6)
    both = _soft(np.abs(u) - outer, 0.02) * _soft(body.apex + 0.02 - v, 0.015)
    return np.asarray(both * _soft(v - _floor(canvas, body), 0.012) * _soft(body.spine * 1.2 - np.abs(u), 0.03), np.float32)


def _veil(rng: np.random.Generator, picture: Layer, lungs: Layer, canvas: Canvas, body: Anatomy) -> Layer:
    """Opacities in the lungs, if there are any: cloudy patches of tissue that holds fluid instead of air."""
    if body.haze:
        picture = _over(picture, lungs * body.haze, 165.0)
    for centre, radius, strength in body.patches:
        distance = np.hypot((canvas.u - centre[0]) / 2, canvas.v - centre[1]) / radius - 1.0 + 0.25 * _texture(rng, 9)
        picture = _over(picture, strength * lungs * _soft(distance, 0.6), 172.0)
    return picture


def _middle(picture: Layer, canvas: Canvas, body: Anatomy) -> Layer:
    """Mediastinum, heart, roots of the lungs and spine."""
    u, v = canvas.u, canvas.v
    inside = _soft(v - body.dome - 0.1, 0.05) * _soft(0.1 - v, 0.05)
    picture = _over(picture, inside * _soft(np.abs(u - 0.02) - body.spine * 1.35, 0.035), body.middle_grey - 8.0)
    heart = _ellipse(canvas, (body.heart[0], body.heart[1]), (body.heart[2], body.heart[3]), 0.025)
    picture = _over(picture, 0.92 * heart, body.middle_grey - 6.0)
    for side in (-1, 1):
        root = _ellipse(canvas, (side * 0.2 + 0.02, 0.5), (0.11, 0.2), 0.1)
        picture = _over(picture, 0.5 * root, body.middle_grey - 20.0)
    discs = 4.0 * np.sin(2 * np.pi * v / 0.052)
    return _over(picture, 0.8 * _soft(np.abs(u) - body.spine * 0.72, 0.025), body.middle_grey + 10.0 + discs)


def _abdomen(canvas: Canvas, body: Anatomy) -> Layer:
    """All below the domes of the diaphragm."""
    below = _soft(_floor(canvas, body) - canvas.v, 0.012)
    return np.asarray(below * _soft(np.abs(canvas.u) - body.waist * 0.97, 0.04), np.float32)


def _floor(canvas: Canvas, body: Anatomy) -> Layer:
    """The height of the diaphragm over each place: domes that fall off to the sides, the left one a little lower."""
    across = np.abs(canvas.u) / body.chest
    left = 0.02 / (1.0 + np.exp(-canvas.u / 0.03))
    return np.asarray(body.dome + 0.16 * (across - 0.45) ** 2 + 0.16 * np.clip(across - 0.75, 0, 1) + left, np.float32)


def _bones(canvas: Canvas, body: Anatomy) -> Layer:
    """What ribs, collar bones and upper arms add."""
    u, v = canvas.u, canvas.v
    across = np.abs(u) / body.chest
    fall = 0.02 + 0.16 * across**1.6 - 0.05 * across
    phase = (v - body.apex - fall) / body.rib_distance
    thorax = _soft(across - 1.06, 0.02) * _soft(body.apex - v, 0.02) * _soft(v - body.dome - 0.12, 0.04)
    ribs = body.rib_grey * thorax * _soft(0.1 - np.abs(u), 0.03) * _rib_profile(phase)
    edge = 0.7 * body.rib_grey * thorax * np.exp(-(((across - 1.0) / 0.05) ** 2))
    line = body.apex - 0.03 - 0.06 * across + 0.012 * np.sin(5.0 * across)
    collar = 34.0 * np.exp(-(((v - line) / 0.012) ** 2)) * _soft(across - 1.1, 0.05) * _soft(0.15 - np.abs(u), 0.02)
    arm = 22.0 * np.exp(-(((np.abs(u) - 0.86 + 0.2 * v) / 0.05) ** 2)) * _soft(v - body.arm_end, 0.05)
    return np.asarray(ribs + edge + collar + arm, np.float32)


def _rib_profile(phase: Layer) -> Layer:
    """A bright band with brighter edges for each whole number of ``phase``; a little darker in between."""
    turn = 2 * np.pi * phase
    edges = np.exp(-(((np.abs((phase % 1.0) - 0.5) - 0.27) / 0.06) ** 2))
    return np.asarray(np.maximum(np.cos(turn), -0.4) + 1.2 * edges, np.float32)


def _exposed(rng: np.random.Generator, picture: Layer, body: Anatomy) -> NDArray[np.uint8]:
    """Contrast, grain and the marker of the side."""
    share = np.clip(picture / 255.0, 0.0, 1.0) ** body.gamma
    grey = np.asarray(share * body.contrast + body.brightness, np.float32)
    large = cv2.resize(cv2.GaussianBlur(grey, (0, 0), body.blur), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    noisy = large * 255.0 + rng.normal(0.0, 1.5, large.shape)
    out: NDArray[np.uint8] = np.clip(np.rint(noisy), 0, 250).astype(np.uint8)
    cv2.putText(out, "R", body.marker, cv2.FONT_HERSHEY_SIMPLEX, 0.8, 235, 2, cv2.LINE_AA)
    return out
