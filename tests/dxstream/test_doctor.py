"""The doctor: each fault is found and its remedy named."""

import os
import socket
from datetime import timedelta
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa
from servers import running_redis

from db.engine import Database
from dxstream import doctor_machine
from dxstream.doctor import examine, examine_content
from dxstream.doctor_golden import try_cards
from models.catalogue import list_cards
from stream.content import INLINE_BYTES, ContentStore
from stream.settings import Settings


def settings_of(home: Path, **more: object) -> Settings:
    values = {"database_url": f"sqlite:///{home / 'dxstream.sqlite'}", "config": home / "config", "models": home / "models"}
    return Settings(home=home, devices="cpu", **{**values, **dict.fromkeys(PORTS, 0), **more})


PORTS = ("dicom_port", "mllp_port", "http_port", "metrics_port")


def faults(settings: Settings) -> dict[str, str]:
    return {row["check"]: row["remedy"] for row in examine(settings, quick=True) if row["state"] == "missing"}


def test_an_empty_home_has_no_fault(tmp_path: Path):
    assert faults(settings_of(tmp_path)) == {}


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "codes.csv").write_text("code,loinc\nNATRIUM,2951-2\n")
    assert "codes.csv: no column sent" in faults(settings_of(tmp_path))["config"]


def test_a_port_that_is_taken_is_named_with_its_variable(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = faults(settings_of(tmp_path, mllp_port=port))
    assert list(found) == [f"port {port} (mllp)"]
    assert "DXSTREAM_MLLP_PORT" in found[f"port {port} (mllp)"]


def test_a_redis_that_evicts_or_is_almost_full_is_named(tmp_path: Path, redis_url: str):
    client = redis.Redis.from_url(redis_url)
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", client.info()["used_memory"])
    try:
        found = faults(settings_of(tmp_path, redis_url=redis_url))
    finally:
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
    assert found["redis evicts nothing"] == "CONFIG SET maxmemory-policy noeviction"
    assert any("raise maxmemory" in remedy for remedy in found.values())


def test_a_redis_that_lets_nobody_see_its_configuration_is_examined_all_the_same(tmp_path: Path):
    with running_redis("--rename-command", "CONFIG", "") as url:
        assert faults(settings_of(tmp_path, redis_url=url)) == {}


def test_a_site_toml_that_cannot_be_read_is_named_beside_everything_else(tmp_path: Path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "site.toml").write_text("[own\n")
    rows = examine(settings_of(tmp_path), quick=True)
    assert any("site.toml" in row["remedy"] for row in rows if row["state"] == "missing")
    assert any(row["check"].startswith("model note-specialty") and row["state"] == "ok" for row in rows)


def test_a_database_that_has_still_to_be_migrated_is_named(database: Database, tmp_path: Path):
    url = database.url.render_as_string(hide_password=False)
    with database.write() as (connection, _):
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    found = faults(settings_of(tmp_path, database_url=url))
    assert "start any role: it migrates" in found.values()


def test_a_database_of_a_newer_dxstream_is_named(sqlite: Database, tmp_path: Path):
    with sqlite.write() as (connection, _):
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert any("older than the database" in remedy for remedy in faults(settings_of(tmp_path)).values())


def test_clocks_that_differ_are_named(database: Database, monkeypatch: pytest.MonkeyPatch):
    honest = Database.now
    monkeypatch.setattr(Database, "now", lambda self, connection: honest(self, connection) - timedelta(seconds=30))
    (found,) = list(doctor_machine.clock(database)) or [None]
    assert database.is_sqlite if found is None else (found["state"], "NTP" in found["remedy"]) == ("missing", True)


@pytest.mark.parametrize(("version", "state"), [("12.9 (Debian)", "missing"), ("13.0", "ok"), ("17.2 (Debian 17.2-1)", "ok")])
def test_a_server_that_is_too_old_is_named(version, state):
    assert doctor_machine.new_enough("PostgreSQL", version)["state"] == state


def test_the_golden_case_of_each_card_comes_out(tmp_path: Path):
    smallest = min(list_cards(), key=lambda card: sum(path.stat().st_size for path in card.folder.iterdir()))
    assert list(doctor_machine.golden_cases(settings_of(tmp_path), [smallest.digest])) == [
        {"check": f"golden case of {smallest.name} {smallest.version}", "state": "ok", "remedy": ""}
    ]


def test_a_card_whose_golden_case_does_not_come_out_is_named(monkeypatch: pytest.MonkeyPatch):
    from models import model

    smallest = min(list_cards(), key=lambda card: sum(path.stat().st_size for path in card.folder.iterdir()))
    monkeypatch.setattr(model, "GOLDEN_TOLERANCE", -1.0)
    (told,) = try_cards("/nowhere", [smallest.digest])
    assert "does not give the golden case its probabilities" in told["why"]


def test_content_without_a_row_is_listed(sqlite: Database, tmp_path: Path):
    del sqlite
    store = ContentStore(tmp_path / "content")
    content = store.put(b"x" * (INLINE_BYTES + 1))
    os.utime(store.path(content.digest), (0, 0))
    (fault,) = [row for row in examine_content(settings_of(tmp_path)) if row["state"] == "missing"]
    assert fault["check"] == f"file {content.digest[:16]}…, {INLINE_BYTES + 1} bytes, belongs to nothing"
