"""``explain EVENT``: what the predictions of one event leaned on, from the ledger or computed now."""

from pathlib import Path

import click

from db.engine import Database
from db.explanations import Said, explain, explanations_of, said_of
from dxstream.cli_options import HOME, JSON, ledger_settings, main_errors
from dxstream.home import content_folder
from dxstream.show import print_json, print_table
from models.catalogue import list_cards
from stream.content import ContentStore
from stream.errors import DxstreamError
from stream.explanation import PNG, Explanation
from stream.settings import Settings


@click.command("explain")
@click.argument("event", type=int)
@HOME
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write each explanation into this folder as well.")
@click.option("--again", is_flag=True, help="Compute it anew, even if it is stored.")
@JSON
@main_errors
def explain_event(event: int, home: Path | None, out: Path | None, *, again: bool, as_json: bool) -> None:
    """What was said of EVENT leaned on this; stored beside the prediction."""
    settings = ledger_settings(home)
    database = Database(settings.database_url)
    with database.read() as connection:
        said = said_of(connection, event)
    if not said:
        raise DxstreamError(f"nothing was predicted of event {event}")
    rows = []
    for one in said:
        for found in _found(database, settings, one, again=again):
            rows.append(_row(one, found))
            if out:
                rows[-1]["file"] = str(_write(out, event, one, found))
    _show(rows, event, as_json=as_json)


def _found(database: Database, settings: Settings, said: Said, *, again: bool) -> list[Explanation]:
    with database.read() as connection:
        stored = explanations_of(connection, said.prediction_id)
    if stored and not again:
        return stored
    cards = {card.digest: card for card in list_cards(settings.models)}
    if said.model_digest not in cards:
        raise DxstreamError(f"{said.model}: the card that said it does not lie on this machine any more")
    from models.catalogue import load  # noqa: PLC0415 - loads torch
    from models.question import nothing_more_urgent  # noqa: PLC0415
    from worker.explain import explained  # noqa: PLC0415

    model = load(cards[said.model_digest])
    found = explained(database, ContentStore(content_folder(settings)), said, model, nothing_more_urgent)
    with database.write() as (connection, now):
        explain(connection, now, said.prediction_id, found)
    return found


def _row(said: Said, found: Explanation) -> dict[str, object]:
    shown = {name: getattr(found, name) for name in ("kind", "label", "method", "media_type")}
    return {"prediction_id": said.prediction_id, "model": said.model, **shown, "bytes": len(found.body)}


def _write(out: Path, event: int, said: Said, found: Explanation) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    label = "".join(one if one.isalnum() else "-" for one in found.label)
    path = out / f"event-{event}-{said.model}-{label}.{'png' if found.media_type == PNG else 'json'}"
    path.write_bytes(found.body)
    return path


def _show(rows: list[dict[str, object]], event: int, *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    columns = ("model", "label", "kind", "method", "bytes", "file")
    print_table(f"event {event}", columns, [[row.get(name, "") for name in columns] for row in rows])
