"""Events as the console finds them in the ledger."""

import json
from datetime import datetime, timedelta
from typing import Any

import cv2
import numpy as np
import sqlalchemy as sa

from db.accept import accept
from db.tables import events
from stream.arrival import Arrival, JudgeNow
from stream.content import Content
from stream.explanation import JSON, PNG, Explanation
from stream.queues import Lane
from stream.window import Window


def dead_event(connection: sa.Connection, now: datetime, number: int) -> None:
    """A scan whose content is gone: a worker that claims it gives it up."""
    content = Content(digest=f"{number:064x}", size=100_000, data=None)
    ask = JudgeNow(case_key=f"image:9.{number}", modality="scan", facts=_FACTS)
    arrival = Arrival(
        feed="dicom", identity=f"sop:9.{number}", sender_id=f"9.{number}", content=content, asks=(ask,), lane=Lane.ROUTINE
    )
    accept(connection, now, [arrival], slot="test", window=Window())


_FACTS = {"age_years": 3, "view": "AP", "modality": "DX", "body_part": "CHEST"}


def put_event(connection: sa.Connection, now: datetime, number: int, **values: Any) -> int:
    """A row of its own; ``values`` are laid over a routine scan that is done."""
    row = {
        "case_key": f"case:{number}",
        "revision": 1,
        "modality": "scan",
        "lane": "routine",
        "lane_rank": 1,
        "feed": "dicom",
        "patient_key": f"key{number}",
        "state": "done",
        "outcome": "predicted",
        "received_at": now + timedelta(seconds=number),
        "done_at": now + timedelta(seconds=number + 1),
        "facts": {},
    }
    return int(connection.execute(sa.insert(events).values({**row, **values}).returning(events.c.id)).scalar_one())


def heat_map() -> bytes:
    """A hot place in the middle of a small square, as PNG with transparency."""
    rows, columns = np.mgrid[-1:1:32j, -1:1:32j]
    heat = np.exp(-4 * (rows**2 + columns**2))
    picture = np.dstack([np.zeros_like(heat), 120 * heat, 255 * np.ones_like(heat), 200 * heat]).astype(np.uint8)
    return bytes(cv2.imencode(".png", picture)[1])


_RESULTS = {
    "analytes": {"Creatinine": 0.8, "BUN": 0.5, "Na": -0.2, "K": 0.1, "HR": 0.3},
    "facts": {"age_years": 0.4},
    "hours": [0.1 * (hour % 5) - 0.1 for hour in range(48)],
    "stretch_hours": 4,
    "matrix": {"Creatinine": [0.0, 0.3] * 6, "BUN": [-0.1] * 12},
}
_TOKENS = [{"token": "x", "start": 8 * place, "end": 8 * place + 6, "weight": 0.9 - 0.2 * place} for place in range(9)]

#: By modality, as a worker stores them.
EXPLANATIONS = {
    "scan": Explanation(kind="heat_map", label="pneumonia", method="integrated-gradients", media_type=PNG, body=heat_map()),
    "lab": Explanation(
        kind="results", label="in-hospital death", method="shapley-sampling", media_type=JSON, body=json.dumps(_RESULTS).encode()
    ),
    "note": Explanation(kind="tokens", label="Urology", method="occlusion", media_type=JSON, body=json.dumps(_TOKENS).encode()),
}
