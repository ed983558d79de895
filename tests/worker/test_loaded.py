"""Models come and go while a worker runs: other cards become active, and the next batch is judged by them."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa
from worker_samples import SmallModel, send, worker_on

import worker.loaded
from db.cards import activate, record_cards
from db.engine import Database
from db.tables import events, predictions
from models.card import BadCard, Card
from models.interface import Model
from stream.content import ContentStore
from worker.loaded import Loaded


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(worker.loaded, "ASK_SECONDS", 0.0)
    monkeypatch.setattr(worker.loaded, "SETTLED_SECONDS", 0.0)
    for version in ("1.0", "2.0"):
        place = tmp_path / "models" / f"own-{version}"
        place.mkdir(parents=True)
        content = {
            "name": "own",
            "version": version,
            "kind": "scan",
            "architecture": "x",
            "task": "",
            "config": {},
            "labels": ["sick"],
        }
        (place / "card.json").write_text(json.dumps(content))
    return tmp_path / "models"


def row(card: Card) -> dict:
    return {"name": card.name, "version": card.version, "modality": card.kind, "digest": card.digest, "card": {}}


def small(card: Card) -> SmallModel:
    model = SmallModel()
    model.card = card
    return model


def cards(folder: Path) -> dict[str, Card]:
    return {card.version: card for card in worker.loaded.list_cards(folder) if card.name == "own"}


def loaded(database: Database, folder: Path, load=small) -> Loaded:
    with database.write() as (connection, now):
        record_cards(connection, now, [row(cards(folder)["1.0"])])
    found = Loaded(database=database, folder=folder, load=load)
    found.start()
    return found


def said(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(predictions.c.version).order_by(predictions.c.id)).scalars())


def now_active(database: Database, card: Card) -> None:
    with database.write() as (connection, now):
        activate(connection, now, row(card))


def test_what_is_activated_answers_the_next_batch_without_a_restart_and_nothing_is_said_again(
    database: Database, store: ContentStore, redis_url: str, folder: Path
):
    models = loaded(database, folder)
    worker = worker_on(database, store, redis_url, *models.models.values(), renew=models.renew)
    send(database, "a")
    worker.run()
    now_active(database, cards(folder)["2.0"])
    send(database, "b")
    worker.run()
    assert said(database) == ["1.0", "2.0"]


def test_a_card_that_cannot_be_loaded_leaves_those_before_it_answering_and_the_log_says_so(
    sqlite: Database, store: ContentStore, redis_url: str, folder: Path, caplog: pytest.LogCaptureFixture
):
    def load(card: Card) -> SmallModel:
        if card.version == "2.0":
            raise BadCard("own: model.safetensors is not the file that the card pins")
        return small(card)

    models = loaded(sqlite, folder, load)
    worker = worker_on(sqlite, store, redis_url, *models.models.values(), renew=models.renew)
    now_active(sqlite, cards(folder)["2.0"])
    send(sqlite, "a", "b")
    with caplog.at_level(logging.ERROR):
        worker.run()
        worker.run()
    assert said(sqlite) == ["1.0", "1.0"]
    assert [one.message for one in caplog.records if "not the file that the card pins" in one.message].__len__() == 1


def test_activating_a_mended_card_again_has_it_loaded(sqlite: Database, folder: Path):
    broken = [True]

    def load(card: Card) -> SmallModel:
        if card.version == "2.0" and broken.pop():
            raise BadCard("own: not yet")
        return small(card)

    models = loaded(sqlite, folder, load)
    broken.append(False)
    broken.append(True)
    for expected in (False, True):
        now_active(sqlite, cards(folder)["2.0"])
        assert bool(models.renew()) is expected


def test_nothing_is_loaded_again_while_nothing_changes(sqlite: Database, folder: Path):
    models = loaded(sqlite, folder)
    before = dict(models.models)
    assert models.renew() is None
    assert models.models == before


def test_only_what_changed_is_loaded_anew(sqlite: Database, folder: Path):
    times: list[str] = []

    def load(card: Card) -> SmallModel:
        times.append(card.version)
        return small(card)

    models = loaded(sqlite, folder, load)
    now_active(sqlite, cards(folder)["1.0"])
    assert models.renew() is not None
    assert times == ["1.0"]


def test_what_was_prepared_ahead_is_judged_by_the_model_that_prepared_it(
    sqlite: Database, store: ContentStore, redis_url: str, folder: Path
):
    models = loaded(sqlite, folder)
    worker = worker_on(sqlite, store, redis_url, *models.models.values())
    send(sqlite, *["fine"] * 40)
    worker.renew = iter([None, {"2": small(cards(folder)["2.0"])}, None, None, None]).__next__
    worker.run()
    with sqlite.read() as connection:
        found = connection.execute(sa.select(predictions.c.model_digest, predictions.c.version).distinct()).all()
        assert connection.execute(sa.select(sa.func.count()).where(events.c.state == "done")).scalar_one() == 40
    assert {one.model_digest for one in found} <= {card.digest for card in cards(folder).values()}


def test_a_card_goes_on_answering_though_its_folder_can_no_longer_be_read(
    sqlite: Database, folder: Path, caplog: pytest.LogCaptureFixture
):
    models = loaded(sqlite, folder)
    (folder / "own-1.0" / "card.json").write_text("{")
    with sqlite.write() as (connection, now):
        activate(connection, now, {**row(cards(folder)["2.0"]), "name": "other"})
    with caplog.at_level(logging.WARNING):
        assert models.renew() is not None
    assert len(models.models) == 2
    assert any("passed over" in one.message for one in caplog.records)


def site(folder: Path, text: str) -> None:
    (folder / "site.toml").write_text(text)


def thresholds(models: Mapping[str, Model] | None) -> list[dict[str, float]]:
    return [dict(model.card.site.threshold) for model in (models or {}).values()]


def test_what_the_site_says_anew_holds_from_the_next_batch_on_and_is_loaded_once(sqlite: Database, folder: Path):
    models = loaded(sqlite, folder)
    for text, expected in (("0.2", {"sick": 0.2}), ("0.25", {"sick": 0.25})):
        site(folder, f"[own]\nthreshold = {{ sick = {text} }}\n")
        assert thresholds(models.renew()) == [expected]
        assert models.renew() is None
    (folder / "site.toml").unlink()
    assert thresholds(models.renew()) == [{}]


def test_what_the_site_says_of_one_card_leaves_the_others_in_memory(sqlite: Database, folder: Path):
    models = loaded(sqlite, folder)
    before = dict(models.models)
    site(folder, "[other]\nthreshold = { sick = 0.2 }\n")
    assert models.renew() == before


def test_a_site_toml_that_may_be_half_written_is_not_read_yet(sqlite: Database, folder: Path, monkeypatch: pytest.MonkeyPatch):
    models = loaded(sqlite, folder)
    with monkeypatch.context() as patch:
        patch.setattr(worker.loaded, "SETTLED_SECONDS", 3600.0)
        site(folder, "[own]\nthreshold = { sick = 0.2 }\n")
        assert models.renew() is None
    assert thresholds(models.renew()) == [{"sick": 0.2}]


def test_a_site_toml_that_cannot_be_read_leaves_what_it_said_before_and_is_read_once_it_is_mended(
    sqlite: Database, folder: Path, caplog: pytest.LogCaptureFixture
):
    site(folder, "[own]\nthreshold = { sick = 0.2 }\n")
    models = loaded(sqlite, folder)
    (folder / "site.toml").unlink()
    (folder / "site.toml").mkdir()  # as one that this user may not read: whoever runs the tests may read everything
    with caplog.at_level(logging.ERROR):
        assert models.renew() is None
    assert "site.toml" in caplog.text
    assert thresholds(models.models) == [{"sick": 0.2}]
    (folder / "site.toml").rmdir()
    site(folder, "[own]\nthreshold = { sick = 0.3 }\n")
    assert thresholds(models.renew()) == [{"sick": 0.3}]
