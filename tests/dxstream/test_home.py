"""The home folder."""

from dataclasses import replace
from pathlib import Path

import pytest

from dxstream.home import HomeInUseError, held, read_addresses, with_redis, write_addresses
from stream.errors import DxstreamError
from stream.settings import Settings


def test_a_home_is_held_by_one_only(tmp_path: Path):
    with held(tmp_path), pytest.raises(HomeInUseError), held(tmp_path):
        pass


def test_a_home_says_where_it_can_be_reached(tmp_path: Path):
    write_addresses(Settings.from_environment({"DXSTREAM_DICOM_PORT": "104"}, home=tmp_path), pid=7)
    assert (read_addresses(tmp_path)["dicom"], read_addresses(tmp_path)["pid"]) == (104, 7)


def test_a_role_alone_finds_the_embedded_redis_of_its_home(tmp_path: Path):
    settings = Settings.from_environment({}, home=tmp_path)
    with pytest.raises(DxstreamError, match="DXSTREAM_REDIS_URL"):
        with_redis(settings)
    write_addresses(replace(settings, redis_url="redis://127.0.0.1:1/0"), pid=7)
    assert with_redis(settings).redis_url == "redis://127.0.0.1:1/0"
    assert with_redis(replace(settings, redis_url="redis://other/0")).redis_url == "redis://other/0"
