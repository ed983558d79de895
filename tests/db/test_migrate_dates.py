"""Versions dated ahead by a release that did not check their times, and what a migration makes of them."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from stay_samples import rows, sent, take

from db.engine import Database
from db.migrate import upgrade
from db.tables import cases, inputs, patients, points
from stream.arrival import AddResults, Result

#: The revision before the migration.
pytestmark = pytest.mark.parametrize("earlier", ["0008"], indirect=True)

NOW = datetime.now(UTC).replace(microsecond=0)
CAME, TOLD_AGAIN, AHEAD = NOW - timedelta(hours=9), NOW - timedelta(hours=3), NOW + timedelta(days=1800)


def sodium(value: float, version_at: datetime) -> Result:
    times = {"observed_at": CAME, "available_at": CAME, "version_at": version_at}
    return Result(base="f1", code="2951-2", value=value, flags=0, **times)


def lay(database: Database, version_at: datetime) -> None:
    take(database, sent("m1", AddResults(results=(sodium(140, version_at),))))
    with database.write() as (connection, _):
        connection.execute(sa.update(inputs).values(accepted_at=CAME))


def test_a_correction_holds_against_a_version_that_was_dated_ahead(earlier: Database):
    lay(earlier, AHEAD)
    upgrade(earlier)
    assert [row["version_at"] for row in rows(earlier, points)] == [CAME]
    take(earlier, sent("m2", AddResults(results=(sodium(120, NOW),))))
    assert [row["value"] for row in rows(earlier, points)] == [120]


def test_a_value_that_was_told_again_keeps_its_version(earlier: Database):
    lay(earlier, TOLD_AGAIN)
    upgrade(earlier)
    assert [row["version_at"] for row in rows(earlier, points)] == [TOLD_AGAIN]


def test_a_point_whose_input_was_pruned_is_dated_by_the_migration(earlier: Database):
    lay(earlier, AHEAD)
    with earlier.write() as (connection, _):
        connection.execute(sa.delete(inputs))
    upgrade(earlier)
    (row,) = rows(earlier, points)
    assert NOW <= row["version_at"] <= datetime.now(UTC)


def document(key: str, digest: str, version_at: datetime | None) -> dict[str, object]:
    row = {"case_key": key, "digest": digest, "version_at": version_at, "opened_at": CAME, "touched_at": CAME}
    return {**row, "modality": "note", "lane": "routine", "facts": {}}


def test_documents_and_patients_dated_ahead_are_set_back_and_no_others(earlier: Database):
    told = [document("text", "d", AHEAD), document("cancelled", "", AHEAD), document("late cancel", "", TOLD_AGAIN)]
    with earlier.write() as (connection, _):
        connection.execute(sa.insert(cases), [*told, document("undated", "d", None)])
        known = [{"bare_key": key, "version_at": at, "seen_at": CAME} for key, at in (("a", AHEAD), ("b", TOLD_AGAIN), ("c", None))]
        connection.execute(sa.insert(patients), known)
    upgrade(earlier)
    dates = {row["case_key"]: row["version_at"] for row in rows(earlier, cases)}
    assert NOW <= dates.pop("cancelled") <= datetime.now(UTC)
    assert dates == {"text": CAME, "late cancel": TOLD_AGAIN, "undated": None}
    assert {row["bare_key"]: row["version_at"] for row in rows(earlier, patients)} == {"a": CAME, "b": TOLD_AGAIN, "c": None}
