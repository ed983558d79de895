"""The process that polls is killed (SIGKILL) in the middle of many pages and started again: everything is there, once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from fhir_samples import ago, foreign_server, observation, quantity
from servers import end_with_parent

from db.engine import Database
from db.tables import cursors, inputs, points
from stream.errors import Temporary

MANY = 120
PATIENCE = 90.0


@contextmanager
def serving(home: Path, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """``dxstream serve http`` in a process of its own."""
    own = {"DXSTREAM_HOME": str(home), "DXSTREAM_REDIS_URL": redis_url, "DXSTREAM_HTTP_PORT": "0"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DXSTREAM_")} | own
    with (home / "log").open("ab") as log:
        command = [sys.executable, "-m", "dxstream", "serve", "http"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, preexec_fn=end_with_parent)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def count(database: Database, table: sa.Table) -> int:
    """0 before the migration."""
    try:
        with database.read() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    except Temporary:
        return 0


def wait_for(database: Database, least: int, home: Path) -> None:
    end = time.monotonic() + PATIENCE
    while count(database, inputs) < least:
        assert time.monotonic() < end, (home / "log").read_text()[-2000:]
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_poll_goes_on_where_it_was(tmp_path, redis_url):
    with foreign_server() as foreign:
        foreign.most, foreign.slow = 5, 0.1
        for place in range(MANY):
            one = observation(id=f"o{place}", valueQuantity=quantity(100 + place / 10, "mmol/L"))
            foreign.hold(one, at=ago(minutes=2 * MANY - 2 * place))
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "feeds.toml").write_text(f'[fhir.servers.ehr]\nurl = "{foreign.url}"\ntypes = ["Observation"]\n')
        database = Database(f"sqlite:///{tmp_path / 'dxstream.sqlite'}")
        for least in (20, 60):
            with serving(tmp_path, redis_url):
                wait_for(database, least, tmp_path)
        asked_before = len(foreign.asked)
        with serving(tmp_path, redis_url):
            wait_for(database, MANY, tmp_path)
            time.sleep(0.5)
        assert (count(database, inputs), count(database, points), count(database, cursors)) == (MANY, MANY, 1)
        assert len(foreign.asked) - asked_before < MANY / 5  # it did not begin at the beginning
        database.close()
