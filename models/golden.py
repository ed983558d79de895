"""The synthetic case of each kind, that a model is tried with before it is called ready. No one's data."""

import cv2
import numpy as np

from models.card import Card
from stream.judgement import Sample
from stream.points import POINT, decode_points, encode_points

SIDE = 256  # pixels of the synthetic picture
NOTE = (
    "PREOPERATIVE DIAGNOSIS: Right inguinal hernia. PROCEDURE: Repair of right inguinal hernia with mesh. ANESTHESIA: "
    "General. The patient was brought to the operating room and placed in the supine position. The abdomen was prepped "
    "and draped in the usual sterile fashion. An incision was made and carried down through the subcutaneous tissue. "
    "The wound was closed in layers. The patient tolerated the procedure well and was taken to the recovery room in "
    "stable condition."
)


def golden_sample(card: Card) -> Sample:
    """The case for a card's kind; the same bytes on every machine."""
    if card.kind == "scan":
        return Sample(contents=(_picture(),), facts={})
    if card.kind == "lab":
        return Sample(contents=(_window(card),), facts={"age_years": 64, "sex": "female"})
    return Sample(contents=(NOTE.encode(),), facts={})


#: Besides the golden case itself, so many variants of it are what another way of running a model is tried with.
VARIANTS = 7


def check_samples(card: Card) -> list[Sample]:
    """The golden case and variants of it, the same on every machine: moved and darkened pictures, other values, fewer words."""
    golden = golden_sample(card)
    rng = np.random.default_rng(1)
    vary = {"scan": _other_picture, "lab": _other_window, "note": _other_note}[card.kind]
    others = [vary(golden.contents[0], rng) for _ in range(VARIANTS)]
    return [golden, *[Sample(contents=(content,), facts=golden.facts) for content in others]]


def _other_picture(content: bytes, rng: np.random.Generator) -> bytes:
    grey = np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE), np.float64)
    down, across = np.mgrid[0 : grey.shape[0], 0 : grey.shape[1]] / SIDE - 0.5
    place, width = rng.uniform(-0.3, 0.3, 2), rng.uniform(0.03, 0.15)
    spot = rng.uniform(-120, 120) * np.exp(-(((across - place[0]) / width) ** 2) - ((down - place[1]) / width) ** 2)
    other = np.roll(grey, rng.integers(-20, 21, 2), (0, 1)) * rng.uniform(0.6, 1.1) + spot + rng.normal(0, 8, grey.shape)
    done, encoded = cv2.imencode(".png", np.clip(other, 0, 255).astype(np.uint8))
    assert done, "OpenCV writes PNG"
    return encoded.tobytes()


def _other_window(content: bytes, rng: np.random.Generator) -> bytes:
    points = decode_points(content)
    points = points[rng.random(len(points)) < rng.uniform(0.4, 1.0)].copy()
    points["value"] *= np.exp(rng.normal(0, 0.2, len(points)))
    return encode_points(points)


def _other_note(content: bytes, rng: np.random.Generator) -> bytes:
    words = content.decode().split()
    return " ".join(rng.permutation(words)[: rng.integers(len(words) // 3, len(words))]).encode()


def _picture() -> bytes:
    """A PNG, 8 bits: a bright trunk with two dark fields and some grain."""
    down, across = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    picture = 200.0 * np.exp(-((across / 0.45) ** 4) - (down / 0.6) ** 4)
    for centre in (-0.18, 0.18):
        picture -= 110.0 * np.exp(-(((across - centre) / 0.12) ** 2) - (down / 0.25) ** 2)
    grain = np.random.default_rng(0).integers(-6, 7, picture.shape)
    done, encoded = cv2.imencode(".png", np.clip(picture + grain, 0, 255).astype(np.uint8))
    assert done, "OpenCV writes PNG"
    return encoded.tobytes()


def _window(card: Card) -> bytes:
    """Every analyte of the card once in four hours, wandering around its mean."""
    hours = np.arange(0, int(card.window.length_hours) if card.window else 48, 4)
    points = np.zeros(len(hours) * len(card.analytes), POINT)
    for number, analyte in enumerate(card.analytes):
        rows = points[number * len(hours) : (number + 1) * len(hours)]
        level = analyte.mean + 0.5 * analyte.std * np.sin(hours / 6.0 + number)
        rows["code"] = analyte.codes[0].encode()
        rows["minute"] = hours * 60.0 + number
        rows["value"] = np.exp(level) if analyte.log else level
    return encode_points(points)
