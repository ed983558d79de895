"""Explanations are computed when nothing waits, and give way when something does."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from worker_samples import SmallModel, send, worker_on

import worker.explain
from db.engine import Database
from db.explanations import MOST_TRIES, explain, explanations_of, next_wanted, unexplained, want
from db.tables import events, explanations, explanations_wanted, predictions
from models.card import Card
from stream.content import ContentStore
from stream.explanation import JSON, Explanation
from worker.explain import Explainer, MoreUrgentError, is_explained
from worker.keeper import UNEXPLAINED

WORDS = Explanation(kind="tokens", label="sick", method="occlusion", media_type=JSON, body=b"[]")


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Event ids that were explained; each explanation asks once whether it may go on."""
    seen: list[int] = []

    def explained(_database, _store, said, _model, go_on):
        go_on()
        seen.append(said.event.id)
        return [WORDS]

    monkeypatch.setattr(worker.explain, "explained", explained)
    return seen


def judged(database: Database, store: ContentStore, redis_url: str, *texts: str, wanted: bool = True) -> SmallModel:
    model = SmallModel()
    send(database, *texts)
    worker_on(database, store, redis_url, model, explained=lambda: [model.card.digest] if wanted else []).run()
    return model


def explainer(database: Database, store: ContentStore, model: SmallModel, **more) -> Explainer:
    return Explainer(
        database=database, store=store, cards=lambda: [model.card], load=lambda _: model, **{"stopping": lambda: False, **more}
    )


def count(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_every_prediction_is_explained_once_nothing_waits(
    database: Database, store: ContentStore, redis_url: str, asked: list[int]
):
    model = judged(database, store, redis_url, "a", "b", "reject")
    assert explainer(database, store, model).run()
    assert len(asked) == count(database, explanations) == 2
    assert count(database, explanations_wanted) == 0
    with database.read() as connection:
        (first, *_) = connection.execute(sa.select(predictions.c.id).order_by(predictions.c.id)).scalars()
        assert explanations_of(connection, first) == [WORDS]


def test_nothing_is_explained_unless_asked_for(sqlite: Database, store: ContentStore, redis_url: str, asked: list[int]):
    model = judged(sqlite, store, redis_url, "a", wanted=False)
    assert explainer(sqlite, store, model).run()
    assert asked == []


def test_where_nothing_is_wanted_nobody_is_held_up(
    sqlite: Database, store: ContentStore, redis_url: str, monkeypatch: pytest.MonkeyPatch
):
    model = judged(sqlite, store, redis_url, "a", wanted=False)

    def write(**_: bool) -> None:
        raise AssertionError("it takes the write lock")

    monkeypatch.setattr(sqlite, "write", write)
    assert explainer(sqlite, store, model).run()


def test_an_explanation_gives_way_to_an_event_that_waits_and_is_begun_anew_later(
    sqlite: Database, store: ContentStore, redis_url: str, asked: list[int]
):
    model = judged(sqlite, store, redis_url, "a")
    send(sqlite, "urgent")
    one = explainer(sqlite, store, model)
    assert not one.run()
    assert count(sqlite, explanations) == 0
    worker_on(sqlite, store, redis_url, model).run()
    assert one.run()
    assert count(sqlite, explanations) == 1


def test_a_worker_that_is_asked_to_stop_leaves_its_explanation_to_others(
    sqlite: Database, store: ContentStore, redis_url: str, asked: list[int]
):
    model = judged(sqlite, store, redis_url, "a")
    stopping = iter([False, True, True])
    assert not explainer(sqlite, store, model, stopping=lambda: next(stopping)).run()
    with sqlite.read() as connection:
        assert connection.execute(sa.select(explanations_wanted.c.tries)).scalar_one() == 0


def test_an_explanation_that_fails_spares_the_others(
    sqlite: Database, store: ContentStore, redis_url: str, monkeypatch: pytest.MonkeyPatch
):
    model = judged(sqlite, store, redis_url, "a", "b")
    told = iter([ValueError("a value of the patient"), [WORDS]])

    def explained(*_):
        found = next(told)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(worker.explain, "explained", explained)
    assert explainer(sqlite, store, model).run()
    assert (count(sqlite, explanations), count(sqlite, explanations_wanted)) == (1, 0)


def test_what_ended_its_worker_too_often_is_not_tried_again(sqlite: Database, store: ContentStore, redis_url: str):
    judged(sqlite, store, redis_url, "a")
    for _ in range(MOST_TRIES):
        with sqlite.write() as (connection, _):
            assert next_wanted(connection, ["scan"])
    with sqlite.write() as (connection, _):
        assert next_wanted(connection, ["scan"]) is None
    assert count(sqlite, explanations_wanted) == 0


def test_two_workers_do_not_take_the_same_one_first(database: Database, store: ContentStore, redis_url: str):
    judged(database, store, redis_url, "a", "b")
    with database.write() as (connection, _):
        first = next_wanted(connection, ["scan"])
    with database.write() as (connection, _):
        second = next_wanted(connection, ["scan"])
    assert first is not None
    assert second is not None
    assert first.prediction_id != second.prediction_id


def test_a_worker_explains_only_what_it_serves(sqlite: Database, store: ContentStore, redis_url: str, asked: list[int]):
    model = judged(sqlite, store, redis_url, "a")
    assert explainer(sqlite, store, model, queues=("note.stat",)).run()
    assert asked == []


def test_a_model_that_no_longer_answers_explains_nothing(sqlite: Database, store: ContentStore, redis_url: str, asked: list[int]):
    judged(sqlite, store, redis_url, "a")
    assert explainer(sqlite, store, SmallModel("another")).run()
    assert (asked, count(sqlite, explanations_wanted)) == ([], 0)


def test_explaining_again_replaces_what_was_stored(database: Database, store: ContentStore, redis_url: str):
    judged(database, store, redis_url, "a")
    for body in (b"[1]", b"[2]"):
        with database.write() as (connection, now):
            found = Explanation(kind="tokens", label="sick", method="occlusion", media_type=JSON, body=body)
            explain(connection, now, 1, [found])
    with database.read() as connection:
        assert [json.loads(one.body) for one in explanations_of(connection, 1)] == [[2]]


def test_the_keeper_hears_of_what_nobody_explains(database: Database, store: ContentStore, redis_url: str):
    judged(database, store, redis_url, "a", wanted=False)
    with database.write() as (connection, now):
        want(connection, now - 2 * UNEXPLAINED, [1])
        want(connection, now, [1])
        assert unexplained(connection, now, quiet=UNEXPLAINED) == ["scan"]
        assert unexplained(connection, now, quiet=3 * UNEXPLAINED) == []


def test_a_lost_database_leaves_explanations_for_later(sqlite: Database, store: ContentStore, redis_url: str, asked: list[int]):
    model = judged(sqlite, store, redis_url, "a")
    with sqlite.write() as (connection, _):
        connection.execute(sa.update(events).values(digest="gone"))
    one = explainer(sqlite, store, model)
    assert one.run()
    with pytest.raises(MoreUrgentError):
        explainer(sqlite, store, model, stopping=lambda: True)._go_on()


@pytest.mark.parametrize(
    ("site", "setting", "own", "expected"),
    [
        ("", "", {}, False),
        ("", "on", {}, True),
        ("", "", {"on": True}, True),
        ("", "off", {"on": True}, False),
        ("on", "off", {}, True),
    ],
)
def test_the_site_goes_before_the_setting_and_the_setting_before_the_card(site: str, setting: str, own: dict, *, expected: bool):
    from dataclasses import replace

    from models.site import Site

    card: Card = replace(SmallModel().card, explanation=own, site=Site(explain=site))
    assert is_explained(card, setting) is expected
