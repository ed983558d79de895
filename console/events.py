"""The page "events": search by filters, fifty at a time, newest first."""

from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.responses import Response

from console.site import Asked, Site
from db.look_events import EventsPage, Filters, events_page, feeds_seen, said_of
from stream.queues import Lane, Modality

STATES = ("waiting", "delayed", "leased", "done", "dead")
OUTCOMES = ("predicted", "rejected", "unmatched")
_TEXTS = ("modality", "lane", "state", "outcome", "feed", "reason", "patient")


def events(site: Site, asked: Asked) -> Response:
    """One page of the list; a time that cannot be read filters nothing and is said so."""
    texts = {name: asked.query.get(name, "").strip()[:200] for name in _TEXTS}
    given = {name: asked.query.get(name, "").strip()[:40] for name in ("since", "until")}
    times = {name: _time(text) for name, text in given.items()}
    unread = [name for name, text in given.items() if text and times[name] is None]
    filters = Filters(**texts, since=times["since"], until=times["until"])
    with site.database.read() as connection:
        moment = site.database.now(connection)
        found = events_page(connection, moment, filters, before=asked.number("before"), after=asked.number("after"))
        said = said_of(connection, [row["id"] for row in found.rows])
        feeds = feeds_seen(connection)
    chosen = {name: text for name, text in {**texts, **given}.items() if text}
    return site.page(
        "events.html",
        asked,
        found=found,
        said=said,
        given={**texts, **given},
        chosen=chosen,
        unread=unread,
        ways=_ways(found, chosen),
        choices={"modality": list(Modality), "lane": list(Lane), "state": STATES, "outcome": OUTCOMES, "feed": feeds},
    )


def _ways(found: EventsPage, chosen: dict[str, str]) -> dict[str, str]:
    """The addresses of the newer and the older page; empty where there is none."""
    return {
        "newer": "/events?" + urlencode({**chosen, "after": found.newer}) if found.newer is not None else "",
        "older": "/events?" + urlencode({**chosen, "before": found.older}) if found.older is not None else "",
    }


def _time(text: str) -> datetime | None:
    """What a browser's field of a local time sends, taken as UTC; None where it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
