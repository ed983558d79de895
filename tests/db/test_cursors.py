"""Cursors of polled servers."""

from datetime import UTC, datetime, timedelta

from db.cursors import move_cursor, read_cursor

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def test_there_is_none_before_the_first_move(database):
    with database.read() as connection:
        assert read_cursor(connection, "fhir:ehr:Observation") is None


def test_a_cursor_moves_on_and_never_back_and_each_name_has_its_own(database):
    for name, position in (("a", NOON), ("b", NOON + timedelta(days=1)), ("a", NOON - timedelta(hours=1))):
        with database.write() as (connection, now):
            move_cursor(connection, now, name, position)
    with database.read() as connection:
        assert (read_cursor(connection, "a"), read_cursor(connection, "b")) == (NOON, NOON + timedelta(days=1))


def test_a_move_whose_commit_failed_did_not_happen(database):
    try:
        with database.write() as (connection, now):
            move_cursor(connection, now, "a", NOON)
            raise KeyError
    except KeyError:
        pass
    with database.read() as connection:
        assert read_cursor(connection, "a") is None
