"""The page "dead and rejected": what went wrong by reason; retry or drop one or many, after a confirmation, under a name."""

import json
from datetime import timedelta
from typing import Any

from starlette.responses import RedirectResponse, Response

from console.site import Asked, NotFound, Site
from db.actions import ACTS, STEP, act_on_dead
from db.look_trouble import (
    Group,
    dead_groups,
    dead_of,
    dead_rows,
    newest_actions,
    newest_dead,
    not_predicted_groups,
    refusal_groups,
)

#: Rejected inputs and refusals of so many days are counted unless told otherwise.
DAYS = (1, 7, 30)
#: Dead events that are listed one by one; deeds that are listed.
LISTED = 50
#: Events of one confirmation that are listed by number.
EXAMPLES = 12


def dead(site: Site, asked: Asked) -> Response:
    """The whole page."""
    days = asked.number("days") or DAYS[1]
    with site.database.read() as connection:
        since = site.database.now(connection) - timedelta(days=min(days, 3650))
        told: dict[str, Any] = {
            "groups": [{**row, "key": _key(row)} for row in dead_groups(connection)],
            "rows": newest_dead(connection, LISTED),
            "rejected": not_predicted_groups(connection, since),
            "refused": refusal_groups(connection, since),
            "deeds": newest_actions(connection, LISTED),
        }
    return site.page("dead.html", asked, days=days, choices=DAYS, done=asked.query.get("done", ""), **told)


def confirm(site: Site, asked: Asked) -> Response:
    """What is about to be done, to how many; nothing is done yet."""
    act = _act(asked)
    with site.database.read() as connection:
        rows = dead_rows(connection, _chosen(connection, asked))
    return site.page(
        "confirm.html",
        asked,
        act=act,
        rows=rows[:EXAMPLES],
        n=len(rows),
        events=asked.form.get("event", []),
        groups=asked.form.get("group", []),
    )


def act(site: Site, asked: Asked) -> Response:
    """Do it, in steps that hold the database for a moment each."""
    name, done = _act(asked), 0
    with site.database.read() as connection:
        ids = _chosen(connection, asked)
    for start in range(0, len(ids), STEP):
        with site.database.write() as (connection, now):
            step = ids[start : start + STEP]
            done += act_on_dead(connection, now, name, step, who=asked.visitor.name, reason=asked.one("reason")[:400])
    return RedirectResponse(f"/dead?done={done}+{name}", 303)


def _act(asked: Asked) -> str:
    name = asked.one("act")
    if name not in ACTS:
        raise NotFound("no such act")
    return name


def _chosen(connection: Any, asked: Asked) -> list[int]:
    """The events that a form names, one by one or as groups, each once."""
    ids = {int(one) for one in asked.form.get("event", []) if one.isascii() and one.isdigit() and len(one) < 18}
    for key in asked.form.get("group", []):
        ids.update(dead_of(connection, _group(key)))
    return sorted(ids)


def _key(row: dict[str, Any]) -> str:
    return json.dumps([row["modality"], row["stage"], row["reason"]])


def _group(key: str) -> Group:
    try:
        modality, stage, reason = map(str, json.loads(key))
    except (ValueError, TypeError):
        raise NotFound("no such group") from None
    return Group(modality=modality, stage=stage, reason=reason)
