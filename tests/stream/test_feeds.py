"""The operator's folder ``config``."""

from pathlib import Path

import pytest

from stream.feeds import FeedsConfig
from stream.settings import BadSettingError


def test_a_feed_without_a_table_is_in_utc_and_has_no_defaults(tmp_path: Path):
    feed = FeedsConfig(tmp_path).feed("hl7")
    assert (feed.time_zone.key, dict(feed.defaults)) == ("UTC", {})


@pytest.mark.parametrize("line", ['time_zone = "Mars/Olympus"', 'character_set = "klingon"'])
def test_a_feed_setting_that_is_none_is_named(tmp_path: Path, line: str):
    (tmp_path / "feeds.toml").write_text(f"[hl7]\n{line}\n")
    with pytest.raises(BadSettingError, match=line.split(maxsplit=1)[0]):
        FeedsConfig(tmp_path).feed("hl7")


def test_the_operators_locations_are_added_to_the_shipped_ones(tmp_path: Path):
    (tmp_path / "locations.csv").write_text("location,kind\nW12,icu\nMICU,ward\n")
    assert "W12" in FeedsConfig(tmp_path).intensive_locations
    assert "CCU" in FeedsConfig(tmp_path).intensive_locations


def test_a_table_that_excel_saved_is_read(tmp_path: Path):
    (tmp_path / "codes.csv").write_bytes("sent,loinc\r\nNATRIUM , 2951-2\r\n".encode("utf-8-sig"))
    assert FeedsConfig(tmp_path).local_codes["NATRIUM"] == "2951-2"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("codes.csv", b"code,loinc\nNATRIUM,2951-2\n", "codes.csv: no column sent"),
        ("codes.csv", b"sent,loinc\nNATRIUM\n", "codes.csv, line 2: the row breaks off before column loinc"),
        ("locations.csv", "location,kind\nKünzle,icu\n".encode("latin-1"), "locations.csv, line 2: not UTF-8"),
        ("documents.csv", b"sent,loinc\nBRIEF,18842-5,2\n", "documents.csv, line 2: the row has more cells than the head"),
        ("authorities.csv", b"", "authorities.csv: no column authority, sent"),
        ("labs.csv", b"analyte\nsodium\n", "labs.csv: no column"),
        ("feeds.toml", b"[hl7\n", "feeds.toml: "),
        ("feeds.toml", b'[folder]\ntime_zone = "Mars/Olympus"\n', "time_zone"),
    ],
)
def test_a_wrong_file_is_named_before_any_message_is_read(tmp_path: Path, name: str, content: bytes, told: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadSettingError, match=told):
        FeedsConfig(tmp_path).check()


def test_without_a_folder_nothing_is_wrong(tmp_path: Path):
    FeedsConfig(tmp_path / "none").check()
