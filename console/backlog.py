"""The page "backlog": how far each is, how fast, until when, within which hours; pause and resume under a name."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import RedirectResponse, Response

from console.site import Asked, NotFound, Site
from db.actions import record_deed
from db.backlogs import NoBacklogError, list_backlogs, set_state

#: What a button does to ``backlogs.state``.
STATES = {"pause": "paused", "resume": "running"}


def backlog(site: Site, asked: Asked) -> Response:
    """The whole page."""
    return site.page("backlog.html", asked, done=asked.query.get("done", ""), **_told(site))


def live(site: Site, asked: Asked) -> Response:
    """Only what changes."""
    return site.page("backlog_live.html", asked, **_told(site))


def _told(site: Site) -> dict[str, Any]:
    with site.database.read() as connection:
        moment = site.database.now(connection)
        rows = list_backlogs(connection)
    return {"rows": [{**row, **_progress(row)} for row in rows], "at": moment}


def _progress(row: Mapping[str, Any]) -> dict[str, Any]:
    ended = row["taken"] + row["known"] + row["refused"] + row["failed"]
    return {"dealt": ended, "share": ended / row["files"] if row["files"] else 0.0}


def act(site: Site, asked: Asked) -> Response:
    """Pause or resume one; the record names who did it."""
    name, number = asked.one("act"), asked.one("backlog")
    if name not in STATES or not (number.isascii() and number.isdigit() and len(number) < 18):
        raise NotFound("no such act")
    try:
        with site.database.write() as (connection, now):
            changed = set_state(connection, int(number), STATES[name])
            if changed:
                record_deed(connection, now, f"{name} backlog {number}", who=asked.visitor.name, reason=asked.one("reason")[:400])
    except NoBacklogError as error:
        raise NotFound(str(error)) from error
    return RedirectResponse(f"/backlog?done={name if changed else 'nothing'}", 303)
