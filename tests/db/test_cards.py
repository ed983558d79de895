"""Cards made known by the roles of one installation."""

import threading
import time

from db.cards import active_rows, record_cards
from db.engine import Database

ROWS = [{"name": name, "version": "1.0.0", "modality": "scan", "digest": 64 * "d", "card": {}} for name in "ba"]


def test_roles_that_start_at_once_make_the_same_cards_known(database: Database) -> None:
    failed: list[Exception] = []

    def start() -> None:
        try:
            with database.write() as (connection, now):
                record_cards(connection, now, ROWS[::-1])
        except Exception as error:  # noqa: BLE001 - told below
            failed.append(error)

    other = threading.Thread(target=start)
    with database.write() as (connection, now):
        record_cards(connection, now, ROWS[:1])
        other.start()
        time.sleep(0.5)  # the other one has looked by then, and waits for us
    other.join()
    with database.read() as connection:
        assert [row["name"] for row in active_rows(connection)] == ["a", "b"]
    assert failed == []
