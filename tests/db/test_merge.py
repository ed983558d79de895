"""Two patient keys become one person, and apart again."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from stay_samples import (
    judge,
    judged_values,
    keep,
    merged,
    moved,
    quiet,
    results,
    revisions,
    rows,
    sent,
    statuses,
    take,
)

from db.claim import claim
from db.commit import Commit
from db.engine import Database
from db.leases import WorkerRow, enlist
from db.merges import list_merges, undo_merge
from db.people import same_person
from db.tables import aliases, cases, inputs
from db.tally import raise_tallies, read_tallies
from dxstream.cli import cli
from dxstream.cli_ledger import add_ledger_commands
from stream.content import ContentStore
from stream.window import Window


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def undo(database: Database, alias_id: int = 1) -> bool:
    with database.write() as (connection, now):
        commit = Commit(connection=connection, now=now, window=Window())
        done = undo_merge(commit, alias_id)
        raise_tallies(connection, "test", commit.counts)
    return done


def person(database: Database, key: str) -> list[str]:
    with database.read() as connection:
        return same_person(connection, key)


def judged(database: Database, store: ContentStore) -> list[list[float]]:
    """Let the quiet time pass and judge; the values of each new event."""
    quiet(database, store)
    return [judged_values(database, store.folder, event) for event in judge(database)]


def tallies_agree(database: Database) -> bool:
    counted: dict[str, int] = {}
    for row in rows(database, inputs):
        counted[row["disposition"]] = counted.get(row["disposition"], 0) + 1
    with database.read() as connection:
        told = read_tallies(connection)["inputs"]
    return {labels[1]: number for labels, number in told.items() if number} == counted


def test_a_stay_that_was_judged_is_judged_again_with_the_other_keys_results(database: Database, store: ContentStore):
    take(database, sent("a01", moved("admit", 0)), sent("m1", results(1.0)), sent("m2", results(2.0, base="c"), patient="q"))
    assert judged(database, store) == [[1.0]]
    take(database, merged("a40"))
    assert judged(database, store) == [[1.0, 2.0]]
    assert statuses(database) == ["superseded", "current"]
    assert tallies_agree(database)


def test_a_stay_that_nothing_of_the_other_key_falls_into_is_left_alone(database: Database, store: ContentStore):
    take(database, sent("a01", moved("admit", 0)), sent("m1", results(1.0)), sent("m2", results(2.0, 99, "c"), patient="q"))
    assert judged(database, store) == [[1.0]]
    take(database, merged("a40"))
    assert judged(database, store) == []
    assert statuses(database) == ["current"]


def test_an_undone_merge_retracts_and_the_stay_is_judged_with_its_own_results(database: Database, store: ContentStore):
    take(database, sent("a01", moved("admit", 0)), sent("m1", results(1.0)), sent("m2", results(2.0, base="c"), patient="q"))
    take(database, merged("a40"))
    assert judged(database, store) == [[1.0, 2.0]]
    assert undo(database)
    assert statuses(database) == ["retracted"]
    assert judged(database, store) == [[1.0]]
    assert statuses(database) == ["retracted", "current"]
    assert (person(database, "p"), person(database, "q")) == (["p"], ["q"])
    assert tallies_agree(database)


def test_a_merge_that_was_undone_before_anything_was_judged_retracts_nothing(database: Database, store: ContentStore):
    take(database, sent("a01", moved("admit", 0)), sent("m1", results(1.0)))
    assert judged(database, store) == [[1.0]]
    take(database, sent("m2", results(2.0, base="c"), patient="q"), merged("a40"))
    assert undo(database)
    assert statuses(database) == ["current"]
    assert [row["disposition"] for row in rows(database, inputs)][2] == "timeline"
    assert judged(database, store) == [[1.0]]
    assert tallies_agree(database)


def test_results_that_came_while_the_merge_stood_go_back_too(database: Database, store: ContentStore):
    take(database, sent("a01", moved("admit", 0)), sent("m1", results(1.0)), merged("a40"))
    take(database, sent("m2", results(2.0, base="c"), patient="q"))
    assert judged(database, store) == [[1.0, 2.0]]
    undo(database)
    assert judged(database, store) == [[1.0]]


def test_a_prediction_that_is_under_way_when_the_merge_is_undone_is_born_retracted(database: Database, store: ContentStore):
    take(database, sent("a01", moved("admit", 0)), sent("m2", results(2.0), patient="q"), merged("a40"))
    quiet(database, store)
    with database.write() as (connection, now):
        worker_id = enlist(connection, now, WorkerRow(name="w", device="cpu", host="here", pid=1, queues=""))
    batch = claim(database, worker_id)
    undo(database)
    keep(database, worker_id, batch)
    assert statuses(database) == ["retracted"]


def test_both_sides_stays_are_judged_again(database: Database, store: ContentStore):
    other = moved("admit", 1)
    take(database, sent("a01", moved("admit", 0)), sent("m1", results(1.0)))
    take(database, sent("a01q", type(other)(**{**vars(other), "stay": "visit q"}), patient="q"))
    take(database, sent("m2", results(2.0, base="c"), patient="q"))
    assert judged(database, store) == [[1.0], [2.0]]
    take(database, merged("a40"))
    assert judged(database, store) == [[1.0, 2.0], [1.0, 2.0]]
    undo(database)
    assert sorted(judged(database, store)) == [[1.0], [2.0]]
    assert statuses(database) == ["superseded"] * 2 + ["retracted"] * 2 + ["current"] * 2


def test_a_merge_told_twice_is_one_merge_and_one_undoing_parts_it(database: Database):
    take(database, merged("a40"), merged("a40 again"), merged("turned", "p", "q"))
    assert [row["disposition"] for row in rows(database, inputs)] == ["timeline", "not_used", "not_used"]
    assert undo(database)
    assert not undo(database)
    assert person(database, "p") == ["p"]
    take(database, merged("a40"))  # the same message sent again is a duplicate
    assert person(database, "p") == ["p"]


def test_keys_that_another_merge_holds_together_stay_together(database: Database, store: ContentStore):
    take(database, sent("a01", moved("admit", 0)), sent("m2", results(2.0), patient="q"))
    take(database, merged("1", "q", "p"), merged("2", "r", "p"), merged("3", "r", "q"))
    assert judged(database, store) == [[2.0]]
    undo(database, 1)
    assert person(database, "p") == ["p", "q", "r"]
    assert judged(database, store) == []


def test_no_number_stands_for_no_merge(database: Database):
    assert not undo(database, 7)


def in_threads(*calls: Callable[[], object]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_results_and_merges_at_the_same_time_lose_nothing(database: Database, store: ContentStore):
    """Whatever goes first, in the end every stay has been judged with all results of its person."""
    for number in range(8):
        p, q, r = f"p{number}", f"q{number}", f"r{number}"
        base = moved("admit", 0)
        admit = type(base)(**{**vars(base), "stay": f"visit {number}"})
        take(database, sent(f"a01 {number}", admit, patient=p))
        quiet(database, store)
        judge(database)
        in_threads(
            lambda q=q: take(database, sent(f"m {q}", results(2.0, base=q), patient=q)),
            lambda p=p, q=q: take(database, merged(f"a {q}", q, p)),
            lambda q=q, r=r: take(database, merged(f"a {r}", r, q)),
            lambda r=r: take(database, sent(f"m {r}", results(3.0, base=r), patient=r)),
        )
        assert judged(database, store) == [[2.0, 3.0]]


def test_an_undoing_and_a_closing_at_the_same_time_end_with_own_results(database: Database, store: ContentStore):
    for number in range(6):
        base = moved("admit", 0)
        admit = type(base)(**{**vars(base), "stay": f"visit {number}"})
        p, q = f"p{number}", f"q{number}"
        take(database, sent(f"a01 {number}", admit, patient=p), sent(f"m {q}", results(2.0, base=q), patient=q))
        take(database, sent(f"m {p}", results(1.0, base=p), patient=p), merged(f"a {q}", q, p))
        in_threads(lambda number=number: undo(database, number + 1), lambda: quiet(database, store), lambda: judge(database))
        quiet(database, store)
        judge(database)
        (case,) = [row for row in rows(database, cases) if row["patient_key"] == p]
        assert case["close_at"] is None
        assert statuses(database).count("current") == number + 1
        with database.read() as connection:
            assert same_person(connection, p) == [p]


def test_the_command_line_lists_and_undoes(sqlite: Database, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DXSTREAM_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("DXSTREAM_HOME", str(tmp_path))
    add_ledger_commands(cli)
    take(sqlite, merged("a40"))
    run = CliRunner().invoke
    (row,) = json.loads(run(cli, ["merges", "list", "--json"]).stdout)
    assert (row["other"], row["patient_key"], row["undone_at"]) == ("q", "p", None)
    assert run(cli, ["merges", "undo", "1"]).exit_code == 0
    assert run(cli, ["merges", "undo", "1"]).exit_code == 1
    document = json.loads(run(cli, ["patient", "p", "--json"]).stdout)
    assert document["keys"] == ["p"]
    with sqlite.read() as connection:
        assert list_merges(connection)[0]["undone_at"] is not None
    assert len(rows(sqlite, aliases)) == 1
    assert revisions(sqlite) == []
