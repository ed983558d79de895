"""What every role does when it starts."""

import logging
from contextlib import closing
from pathlib import Path

import pytest
import redis

from db.cards import active_rows
from dxstream.free_port import free_port
from dxstream.roles import open_database, run_keeper
from stream.settings import Settings


def test_a_site_toml_that_cannot_be_read_keeps_no_feed_from_starting(tmp_path: Path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "site.toml").write_text("[own\n")
    settings = Settings.from_environment({}, home=tmp_path)
    with closing(open_database(settings)) as database, database.read() as connection:
        assert active_rows(connection)


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
def test_a_redis_that_may_drop_rings_is_named_at_the_start(
    redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, policy: str
):
    monkeypatch.setattr("dxstream.roles.wait_for_end", lambda: None)
    given = {"DXSTREAM_REDIS_URL": redis_url, "DXSTREAM_METRICS_PORT": str(free_port())}
    client = redis.Redis.from_url(redis_url)
    client.config_set("maxmemory-policy", policy)
    try:
        with caplog.at_level(logging.WARNING):
            run_keeper(Settings.from_environment(given, home=tmp_path))
    finally:
        client.config_set("maxmemory-policy", "noeviction")
        client.close()
    assert ("maxmemory-policy is allkeys-lru" in caplog.text) is (policy != "noeviction")
