"""Statements straight to the driver: many rows by one call, lists of any length, defaults, types and errors as SQLAlchemy's."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa

from db.engine import Database
from db.rows import MOST_ROWS, append_rows, change_rows, read_rows, write_rows
from db.tables import cases, contents
from stream.queues import Lane, Modality

AT = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
KEEP = sa.insert(contents).returning(contents.c.digest)
OPEN = sa.insert(cases)
NAMED = sa.select(cases.c.case_key, cases.c.facts, cases.c.opened_at, cases.c.revision)
BY_KEYS = NAMED.where(cases.c.case_key.in_(sa.bindparam("keys", expanding=True))).order_by(cases.c.case_key)
TELL = sa.update(cases).where(cases.c.case_key == sa.bindparam("key")).values(facts=sa.bindparam("facts"))


def a_case(key: str) -> dict[str, Any]:
    return {"case_key": key, "facts": {"age_years": 4.5}, "opened_at": AT, "touched_at": AT}


@pytest.mark.parametrize("count", [0, 1, MOST_ROWS, 2 * MOST_ROWS + 3])
def test_every_row_is_written_and_comes_back(database: Database, count: int) -> None:
    rows = [{"digest": f"{number:064d}", "data": b"x"} for number in range(count)]
    with database.write() as (connection, _):
        assert sorted(digest for (digest,) in write_rows(connection, KEEP, rows)) == [row["digest"] for row in rows]


@pytest.mark.parametrize("count", [0, 1, MOST_ROWS + 3])
def test_appended_rows_have_their_types_and_defaults(database: Database, count: int) -> None:
    rows = [a_case(f"{number:03d}") for number in range(count)]
    with database.write() as (connection, _):
        append_rows(connection, OPEN, rows)
        found = read_rows(connection, BY_KEYS, keys=[row["case_key"] for row in rows])
    assert found == [(row["case_key"], {"age_years": 4.5}, AT, 0) for row in rows]


def test_types_and_defaults_are_sqlalchemys_own(database: Database) -> None:
    with database.write() as (connection, _):
        write_rows(connection, OPEN, [a_case("a")])
        ((key, facts, opened_at, revision),) = read_rows(connection, BY_KEYS, keys=["a"])
    assert (key, facts, opened_at, revision) == ("a", {"age_years": 4.5}, AT, 0)
    assert opened_at.tzinfo is UTC


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_a_list_may_have_any_length(database: Database, count: int) -> None:
    with database.write() as (connection, _):
        write_rows(connection, OPEN, [a_case(key) for key in "abcdef"])
        assert [row[0] for row in read_rows(connection, BY_KEYS, keys=list("abcdef")[:count])] == list("abcdef")[:count]


def test_each_row_is_changed_by_its_own_values(database: Database) -> None:
    with database.write() as (connection, _):
        write_rows(connection, OPEN, [a_case("a"), a_case("b")])
        change_rows(connection, TELL, [{"key": "a", "facts": {"n": 1}}, {"key": "b", "facts": {"n": 2}}])
        assert [row[1] for row in read_rows(connection, BY_KEYS, keys=["a", "b"])] == [{"n": 1}, {"n": 2}]


def test_it_is_told_how_many_rows_were_changed(database: Database) -> None:
    with database.write() as (connection, _):
        write_rows(connection, OPEN, [a_case("a"), a_case("b")])
        rows = [{"key": key, "facts": {}} for key in ("a", "b", "nobody's")]
        assert change_rows(connection, TELL, rows) == 2


def test_rows_that_differ_in_one_column_keep_what_they_share(database: Database) -> None:
    rows = [a_case(key) | {"modality": Modality.SCAN, "lane": "stat"} for key in "abc"]
    with database.write() as (connection, _):
        write_rows(connection, OPEN, rows)
        query = sa.select(cases.c.case_key, cases.c.modality, cases.c.lane, cases.c.facts, cases.c.touched_at)
        found = connection.execute(query.order_by(cases.c.case_key)).all()
    assert [tuple(row) for row in found] == [(key, "scan", "stat", {"age_years": 4.5}, AT) for key in "abc"]


def test_a_column_may_hold_words_of_several_types_and_nothing(database: Database) -> None:
    different = [{"lane": Lane.STAT, "acquired_at": None}, {"lane": "routine", "acquired_at": AT}]
    with database.write() as (connection, _):
        write_rows(connection, OPEN, [a_case(key) | one for key, one in zip("ab", different, strict=True)])
        found = connection.execute(sa.select(cases.c.lane, cases.c.acquired_at).order_by(cases.c.case_key)).all()
    assert [tuple(row) for row in found] == [("stat", None), ("routine", AT)]


def test_true_and_one_in_json_stay_what_they_are(database: Database) -> None:
    with database.write() as (connection, _):
        write_rows(connection, OPEN, [a_case(key) | {"facts": {"n": value}} for key, value in (("a", 1), ("b", True))])
        assert [type(facts["n"]) for _, facts, _, _ in read_rows(connection, BY_KEYS, keys=["a", "b"])] == [int, bool]


def test_an_error_is_sqlalchemys_and_names_no_value(database: Database) -> None:
    with database.write() as (connection, _):
        write_rows(connection, OPEN, [a_case("twice")])
    with database.read() as connection, pytest.raises(sa.exc.IntegrityError) as caught:
        write_rows(connection, OPEN, [a_case("twice")])
    assert "age_years" not in str(caught.value)


def test_an_error_of_appended_rows_is_sqlalchemys(database: Database) -> None:
    with database.read() as connection, pytest.raises(sa.exc.IntegrityError):
        append_rows(connection, OPEN, [a_case("twice"), a_case("twice")])
