"""Many rows by one UPDATE: each has its own values, what is not named stays, and times and nothing come back as they went in."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from db.change import change_all
from db.engine import Database
from db.rows import write_rows
from db.tables import cases

AT = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=UTC)
OPEN = sa.insert(cases).returning(cases.c.id)


def opened(connection: sa.Connection, number: int) -> list[int]:
    rows = [{"case_key": f"{place:03}", "facts": {"n": place}, "opened_at": AT, "touched_at": AT} for place in range(number)]
    return sorted(one for (one,) in write_rows(connection, OPEN, rows))


def read(connection: sa.Connection, *names: str) -> list[tuple[Any, ...]]:
    query = sa.select(*[cases.c[name] for name in names]).order_by(cases.c.id)
    return [tuple(row) for row in connection.execute(query)]


@pytest.mark.parametrize("number", [0, 1, 2, 3, 64, 100, 256])
def test_each_row_has_its_own_values_and_what_all_share(database: Database, number: int) -> None:
    with database.write() as (connection, _):
        ids = opened(connection, number)
        change_all(connection, cases, [{"id": one, "revision": place, "lane": "stat"} for place, one in enumerate(ids)])
        assert read(connection, "revision", "lane") == [(place, "stat") for place in range(number)]


def test_rows_and_columns_that_are_not_named_stay(database: Database) -> None:
    with database.write() as (connection, _):
        ids = opened(connection, 3)
        change_all(connection, cases, [{"id": ids[1], "revision": 7}])
        assert read(connection, "revision", "facts") == [(0, {"n": 0}), (7, {"n": 1}), (0, {"n": 2})]


def test_times_and_nothing_come_back_as_they_went_in(database: Database) -> None:
    times = [AT, None, AT + timedelta(seconds=1)]
    with database.write() as (connection, _):
        ids = opened(connection, 3)
        change_all(connection, cases, [{"id": one, "close_at": time} for one, time in zip(ids, times, strict=True)])
        assert read(connection, "close_at") == [(time,) for time in times]


def test_json_and_words_of_several_types_are_written_as_sqlalchemy_would(database: Database) -> None:
    rows = [{"facts": {"age_years": 4}, "lane": "stat"}, {"facts": {}, "lane": Word("routine")}]
    with database.write() as (connection, _):
        ids = opened(connection, 2)
        change_all(connection, cases, [{"id": one, **row} for one, row in zip(ids, rows, strict=True)])
        assert read(connection, "facts", "lane") == [({"age_years": 4}, "stat"), ({}, "routine")]


class Word(str):
    """As an enumeration's member is."""

    __slots__ = ()
