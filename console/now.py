"""The page "now": how much comes in, how much waits and how late it is, who works, and when each feed was last heard."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from console.chart import Line, line_chart, short
from console.pulse import BEAT_SECONDS, Beat, quantiles, rates
from console.site import Asked, Site
from db import report
from db.slots import read_slots
from db.tables import workers
from db.tally import read_tallies
from stream.queues import Modality

LAST_RECEIVED = "dxstream_feed_last_received_timestamp_seconds"
SWEEP = "dxstream_keeper_sweep_timestamp_seconds"

#: A worker row that ended longer ago is not shown.
FORGOTTEN = timedelta(hours=1)


def now(site: Site, asked: Asked) -> Response:
    """The whole page."""
    return site.page("now.html", asked, seconds=BEAT_SECONDS, **_told(site))


def live(site: Site, asked: Asked) -> Response:
    """Only what changes, for the page to put in."""
    return site.page("now_live.html", asked, **_told(site))


def _told(site: Site) -> dict[str, Any]:
    beats = site.pulse.beats()
    with site.database.read() as connection:
        moment = site.database.now(connection)
        told = {
            "workers": _workers(connection, moment),
            "feeds": _feeds(connection),
            "queues": report.queues(connection, moment),
            "gathering": report.open_cases(connection, moment),
            "keeper": _keeper(connection, moment),
        }
    return {**told, "at": moment, "tiles": _tiles(beats), "charts": _charts(beats), "modalities": list(Modality)}


def _tiles(beats: Sequence[Beat]) -> list[dict[str, Any]]:
    """The few numbers to look at first."""
    if not beats:
        return []
    last = beats[-1]
    oldest = max(last.oldest.values())
    done = sum(filter(None, (rates(beats, "done", one)[-1] for one in Modality)))
    return [
        {"name": "waiting", "value": short(last.totals["waiting"]), "note": "events in a queue", "link": "/events?state=waiting"},
        {"name": "in work", "value": short(last.totals["leased"]), "note": "leased by a worker", "link": "/events?state=leased"},
        {"name": "delayed", "value": short(last.totals["delayed"]), "note": "tried again later", "link": "/events?state=delayed"},
        {"name": "oldest", "value": short(oldest), "note": "seconds that it has waited", "link": "/events?state=waiting"},
        {"name": "done", "value": short(done), "note": "events a minute, just now", "link": "/events?state=done"},
        {"name": "dead", "value": short(last.totals["dead"]), "note": "gave up, nobody looked yet", "link": "/dead"},
    ]


def _charts(beats: Sequence[Beat]) -> list[dict[str, Any]]:
    times = [beat.at for beat in beats]
    drawn: list[tuple[str, str, Mapping[str, Sequence[float | None]]]] = [
        ("Arrivals", "a minute", {one: rates(beats, "received", one) for one in Modality}),
        ("Throughput", "done a minute", {one: rates(beats, "done", one) for one in Modality}),
        ("Depth", "waiting or in work", {one: [beat.depth[one] for beat in beats] for one in Modality}),
        ("Oldest waiting", "seconds", {one: [beat.oldest[one] for beat in beats] for one in Modality}),
        ("Latency, median", "seconds", {one: quantiles(beats, 0.5, one) for one in Modality}),
        ("Latency, 95 %", "seconds", {one: quantiles(beats, 0.95, one) for one in Modality}),
    ]
    return [
        {
            "title": title,
            "unit": unit,
            "svg": line_chart([Line(name=one, values=lines[one]) for one in Modality], times, title=title, unit=unit),
            "last": {one: short(lines[one][-1]) if lines[one] else "–" for one in Modality},
        }
        for title, unit, lines in drawn
    ]


def _workers(connection: sa.Connection, moment: datetime) -> list[dict[str, Any]]:
    """The last incarnation of each worker, with what it does now."""
    last = sa.select(sa.func.max(workers.c.id)).group_by(workers.c.name, workers.c.host)
    rows = connection.execute(sa.select(workers).where(workers.c.id.in_(last)).order_by(workers.c.host, workers.c.name)).mappings()
    shown = [row for row in rows if row["ended_at"] is None or row["ended_at"] > moment - FORGOTTEN]
    return [{**row, "alive": row["ended_at"] is None and row["lease_until"] >= moment} for row in shown]


def _feeds(connection: sa.Connection) -> list[dict[str, Any]]:
    """Every feed that ever brought something: how much, how much was refused, when last."""
    tallies = read_tallies(connection)
    heard = {labels["feed"]: value for name, labels, value in read_slots(connection) if name == LAST_RECEIVED}
    names = {labels[0] for labels in (*tallies.get("inputs", {}), *tallies.get("refused", {}))} | set(heard)
    return [
        {
            "name": feed,
            "accepted": sum(number for labels, number in tallies.get("inputs", {}).items() if labels[0] == feed),
            "refused": sum(number for labels, number in tallies.get("refused", {}).items() if labels[0] == feed),
            "last": datetime.fromtimestamp(heard[feed], UTC) if feed in heard else None,
        }
        for feed in sorted(names)
    ]


def _keeper(connection: sa.Connection, moment: datetime) -> float | None:
    """Seconds since a keeper last swept; None when none ever did."""
    stamps = [value for name, _, value in read_slots(connection) if name == SWEEP]
    return max(moment.timestamp() - max(stamps), 0.0) if stamps else None
