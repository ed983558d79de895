"""Settings from the environment."""

from pathlib import Path

import pytest

from stream.settings import BadSettingError, Settings


def test_without_any_variable_everything_is_embedded_and_on_loopback(tmp_path: Path):
    settings = Settings.from_environment({}, home=tmp_path)
    assert (settings.dicom_port, settings.mllp_port, settings.http_port, settings.metrics_port) == (11112, 2575, 8080, 9108)
    assert settings.database_url == f"sqlite:///{tmp_path / 'dxstream.sqlite'}"
    assert settings.on_loopback
    assert settings.redis_url == ""


@pytest.mark.parametrize("port", ["http", "70000", "-1"])
def test_a_port_that_is_none_is_named(port: str):
    with pytest.raises(BadSettingError, match="DXSTREAM_HTTP_PORT"):
        Settings.from_environment({"DXSTREAM_HTTP_PORT": port})


def test_no_secret_is_shown():
    settings = Settings.from_environment({"DXSTREAM_DATABASE_URL": "postgresql://u:secret@h/d", "DXSTREAM_HTTP_TOKEN": "secret"})
    assert "secret" not in repr(settings)
