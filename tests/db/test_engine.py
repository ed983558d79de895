"""What a connection to PostgreSQL is told before it is used, and what is made of its errors."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa
from servers import fresh_postgresql

from db.engine import Database
from stream.errors import Temporary

_COUNT = sa.text("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%FROM sent%'")


@pytest.fixture
def database(postgresql_url: str) -> Iterator[Database]:
    opened = Database(fresh_postgresql(postgresql_url, f"plans_{uuid.uuid4().hex}"))
    with opened.write() as (connection, _):
        connection.exec_driver_sql("CREATE TABLE sent (number INTEGER PRIMARY KEY)")
    yield opened
    opened.close()


def test_a_statement_is_never_run_by_a_plan_that_was_kept_from_when_its_table_was_empty(database: Database) -> None:
    with database.read() as connection:
        for number in range(20):  # psycopg prepares at the fifth, PostgreSQL would keep a plan from the tenth on
            connection.execute(sa.text("SELECT number FROM sent WHERE number = :number"), {"number": number})
        (plans,) = connection.execute(_COUNT).all()
    assert plans.generic_plans == 0
    assert plans.custom_plans > 10


def test_a_transaction_that_the_server_ended_may_be_tried_again(database: Database) -> None:
    ended = psycopg.errors.IdleInTransactionSessionTimeout()  # which of two errors comes is a race between it and the socket's end
    with pytest.raises(Temporary), database.write():
        raise sa.exc.InternalError("", None, ended)
