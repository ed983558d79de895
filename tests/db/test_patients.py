"""Patients that are remembered: in which order they and their resources come, what is forgotten, and when nothing is joined."""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from db.accept import accept
from db.engine import Database
from db.patients import FORGET_AFTER, Known, find_patients
from db.people import same_person
from db.tables import aliases, cases, inputs, patients
from stream.arrival import AddResults, Arrival, KnowPatient, Move, Result
from stream.content import Content
from stream.window import Window

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def take(database: Database, *arrivals: Arrival) -> list[tuple[str, str]]:
    with database.write() as (connection, now):
        receipts = accept(connection, now, arrivals, slot="test", window=Window()).receipts
    return [(receipt.disposition, receipt.reason) for receipt in receipts]


def arrival(name: str, key: str, *asks: Any, feed: str = "fhir") -> Arrival:
    content = Content(digest=name.rjust(64, "0"), size=1, data=name.encode())
    return Arrival(feed=feed, identity=f"fhir:{name}", sender_id=name, content=content, patient_key=key, asks=asks)


def a_patient(
    name: str = "Patient/1", key: str = "number", *, born: str = "1950-06-01", version: datetime | None = None
) -> Arrival:
    def facts_at(at: datetime) -> dict[str, Any]:
        return {"age_years": at.year - int(born[:4]), "sex": "male"}

    ask = KnowPatient(bare_key="bare", birth_date=born, sex="male", facts_at=facts_at, version_at=version)
    return arrival(name, key, ask)


def a_result(name: str, key: str) -> Arrival:
    moment = {"observed_at": NOW, "available_at": NOW, "version_at": NOW}
    return arrival(name, key, AddResults(results=(Result(base=name, code="2160-0", value=1.0, flags=0, **moment),)))


def a_stay(key: str, **facts: Any) -> Arrival:
    return arrival("stay", key, Move(kind="admit", stay="visit", at=NOW, intensive=True, facts=facts))


def joined(database: Database) -> list[str]:
    with database.read() as connection:
        return same_person(connection, "number")


def count(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_a_patient_is_found_by_its_bare_key(database):
    take(database, a_patient())
    with database.read() as connection:
        assert find_patients(connection, ["bare", "other"]) == {"bare": Known("number", "1950-06-01", "male")}


def test_resources_that_came_before_are_joined_and_later_ones_need_no_alias(database):
    take(database, a_patient())
    assert (joined(database), count(database, aliases)) == (["number"], 0)
    take(database, a_result("r", "bare"))
    assert joined(database) == ["bare", "number"]


def test_in_one_commit_both_orders_are_joined_once(database):
    take(database, a_result("r1", "bare"), a_patient(), a_result("r2", "bare"))
    take(database, a_patient("again"), a_result("r3", "bare"))
    assert (joined(database), count(database, aliases)) == (["bare", "number"], 1)


def test_a_corrected_identifier_does_not_join_two_people(database):
    take(database, a_result("r1", "bare"), a_patient())
    take(database, a_patient("corrected", "another number"))
    assert joined(database) == ["bare", "number"]


def test_a_stay_learns_age_and_sex_and_its_defaults_give_way(database):
    take(database, a_stay("bare", age_years=60, sex="female", defaults=["age_years"]))
    take(database, a_patient())
    with database.read() as connection:
        facts = connection.execute(sa.select(cases.c.facts)).scalar_one()
    assert facts == {"age_years": 76, "sex": "male", "setting": "icu"}


def test_a_stay_that_knows_age_and_sex_keeps_them(database):
    take(database, a_stay("bare", age_years=60, sex="female"))
    take(database, a_patient())
    with database.read() as connection:
        assert connection.execute(sa.select(cases.c.facts)).scalar_one()["age_years"] == 60


def test_an_older_version_is_not_remembered(database):
    take(database, a_patient(version=NOW))
    old = a_patient("older", born="1999-01-01", version=NOW - timedelta(days=1))
    assert take(database, old) == [("not_used", "an older version of a patient that is known")]
    with database.read() as connection:
        assert find_patients(connection, ["bare"])["bare"].birth_date == "1950-06-01"


def test_a_year_after_it_was_last_sent_a_patient_is_forgotten(database):
    take(database, a_patient())
    age = sa.update(patients).values(seen_at=NOW - FORGET_AFTER - timedelta(days=400))
    for sent_again, kept in ((True, 1), (False, 0)):
        with database.write() as (connection, _):
            connection.execute(age)
        if sent_again:
            take(database, a_patient())
        else:
            other = KnowPatient(bare_key="other", birth_date="", sex="", facts_at=lambda _: {})
            take(database, arrival("Patient/2", "other number", other))
        with database.read() as connection:
            assert len(find_patients(connection, ["bare"])) == kept
    assert count(database, inputs) == 2
