"""Processes that read: one that dies takes only the file with it that ended it."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from dicom_samples import file_of, projection
from pushing import Pushing

from producers.backlog import pool
from producers.backlog.pool import stays_here
from producers.backlog.unit import Unit


def unit(path: str, member: str = "") -> Unit:
    return Unit(id=1, path=path, member=member)


@pytest.mark.parametrize("one", [unit("a.ndjson"), unit("a.json.gz"), unit("a.tar.gz", "1:a.dcm"), unit("a.zip", "1:b.ndjson")])
def test_what_asks_the_ledger_or_is_read_in_order_stays_in_the_process_that_commits(one):
    assert stays_here(one)


@pytest.mark.parametrize("one", [unit("a.dcm"), unit("a.hl7"), unit("a.zip", "1:a.dcm")])
def test_everything_else_is_read_beside_it(one):
    assert not stays_here(one)


def _begin_deadly() -> None:
    """In each process of the pool: the file ``deadly.dcm`` ends it, as a fault in a library would."""
    from producers.backlog.reading import FileReader

    genuine = FileReader.read

    def read(self: FileReader, one: Unit) -> Any:
        if one.path.endswith("deadly.dcm"):
            os.kill(os.getpid(), signal.SIGKILL)
        return genuine(self, one)

    FileReader.read = read  # type: ignore[method-assign] # in this process alone


def test_a_file_that_ends_its_process_is_failed_and_all_others_are_taken(pushing: Pushing, archive: Path):
    for name in ("a", "b", "deadly", "c"):
        (archive / f"{name}.dcm").write_bytes(file_of(projection()))
    pushing.processes = 1
    runner = pushing.runner(archive)
    runner.pool.close()
    runner.pool = pool.Pool(pushing.setup(in_place=False), processes=1, begin=_begin_deadly)
    row = runner.run()
    runner.pool.close()
    assert (row["taken"], row["failed"]) == (3, 1)
    assert pushing.reasons() == {"deadly.dcm": "reading it ended the process"}
