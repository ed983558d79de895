"""The page "patient": everything that was said of one patient key, over all modalities, in the order in which it happened."""

from typing import Any
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from console.site import Asked, NotFound, Site
from db.look_events import said_of
from db.look_patient import newest_patients, timeline
from stream.feeds import FeedsConfig

PLACES = {"scan": 0, "lab": 1, "note": 2}


def patients(site: Site, asked: Asked) -> Response:
    """Look one up; those that were heard of last."""
    key = asked.query.get("key", "").strip()[:200]
    if key:
        return RedirectResponse(f"/patients/{quote(key, safe='')}", 303)
    with site.database.read() as connection:
        newest = newest_patients(connection)
    return site.page("patients.html", asked, newest=newest)


def patient(site: Site, asked: Asked) -> Response:
    """One timeline; a key that is another's alias shows both."""
    key = asked.place["key"]
    with site.database.read() as connection:
        found = timeline(connection, key)
        said = said_of(connection, [row["id"] for row in found["events"]])
    if not found["events"] and not found["inputs"]:
        raise NotFound("nothing is known of this patient key")
    names = {code: row.name for code, row in FeedsConfig(site.settings.config).analytes.by_code.items()}
    return site.page("patient.html", asked, key=key, found=found, said=said, marks=_marks(found["events"]), names=names)


def _marks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where each event stands on the strip: x from 70 to 980, a lane a modality."""
    times = [row["shown_at"] for row in rows]
    if not times:
        return []
    begin, span = min(times), max((max(times) - min(times)).total_seconds(), 1.0)
    return [
        {
            "id": row["id"],
            "x": round(70 + 910 * (row["shown_at"] - begin).total_seconds() / span),
            "row": PLACES.get(row["modality"], 0),
            "word": row["outcome"] or row["state"],
            "modality": row["modality"],
            "at": row["shown_at"],
        }
        for row in rows
    ]
