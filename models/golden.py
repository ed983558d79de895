"""The synthetic case of each kind, that a model is tried with before it is called ready. No one's data."""

import cv2
import numpy as np

from models.card import Card
from stream.judgement import Sample
from stream.points import POINT, encode_points

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
