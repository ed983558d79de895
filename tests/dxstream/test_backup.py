"""Backup and restore: whole while the ledger is written to, checked on the way back, and never over what is there."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from servers import fresh_postgresql

from db.accept import accept
from db.engine import Database
from db.migrate import upgrade
from db.report import list_events, status
from db.verify import verify
from dxstream.backup import MANIFEST, back_up, restore
from stream.arrival import Arrival, JudgeNow
from stream.content import INLINE_BYTES, ContentStore
from stream.errors import DxstreamError
from stream.keep import Keep
from stream.settings import Settings
from stream.window import Window


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    (home / "config" / "feeds.toml").write_text("[dicom]\n")
    (home / "hash.key").write_text("secret")
    (home / "hash.key").chmod(0o600)
    return Settings(home=home, database_url=database.url.render_as_string(hide_password=False))


@pytest.fixture
def elsewhere(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """A new home, with a database of the same kind in which nothing is."""
    home = tmp_path / "elsewhere"
    if database.is_sqlite:
        return Settings(home=home, database_url=f"sqlite:///{home / 'dxstream.sqlite'}")
    name = f"{database.url.database}_again"
    return Settings(home=home, database_url=fresh_postgresql(request.getfixturevalue("postgresql_url"), name))


def send(settings: Settings, *numbers: int) -> None:
    """Images: every second one is a file, the others are rows."""
    store, database = ContentStore(settings.home / "content"), Database(settings.database_url)
    for number in numbers:
        content = store.put(str(number).encode() * (INLINE_BYTES if number % 2 else 1))
        ask = JudgeNow(case_key=f"sop:{number}", modality="scan", facts={})
        arrival = Arrival(feed="dicom", identity=f"sop:{number}", sender_id=str(number), content=content, asks=(ask,))
        with database.write() as (connection, now):
            accept(connection, now, [arrival], slot="test", window=Window())
    database.close()


def told(settings: Settings) -> dict:
    database = Database(settings.database_url)
    with database.read() as connection:
        found = status(connection, database.now(connection))
    database.close()
    return found


def test_what_was_backed_up_comes_back_whole(settings: Settings, elsewhere: Settings, tmp_path: Path):
    send(settings, 10, 11, 12, 13)
    made = back_up(settings, tmp_path / "backup")
    assert (made.inputs, made.events, made.files) == (4, 4, 2)
    assert restore(elsewhere, tmp_path / "backup") == made
    assert {name: told(elsewhere)[name] for name in ("inputs", "events")} == {
        name: told(settings)[name] for name in ("inputs", "events")
    }
    assert (elsewhere.home / "hash.key").read_text() == "secret"
    assert (elsewhere.home / "hash.key").stat().st_mode & 0o777 == 0o600
    assert (elsewhere.home / "config" / "feeds.toml").exists()
    database = Database(elsewhere.database_url)
    found = verify(database, ContentStore(elsewhere.home / "content"), Keep())
    upgrade(database)  # what was restored is a ledger like any other
    database.close()
    assert (found.rows, found.missing, found.orphans) == (8, [], [])


def test_a_backup_beside_a_writer_is_whole(settings: Settings, elsewhere: Settings, tmp_path: Path):
    send(settings, *range(100, 110))
    writing = threading.Thread(target=send, args=(settings, *range(200, 400)))
    writing.start()
    made = back_up(settings, tmp_path / "backup")
    writing.join()
    restore(elsewhere, tmp_path / "backup")
    database = Database(elsewhere.database_url)
    found = verify(database, ContentStore(elsewhere.home / "content"), Keep())
    with database.read() as connection:
        sent = {int(row["case_key"].removeprefix("sop:")) for row in list_events(connection)}
    database.close()
    assert sent == set(sorted([*range(100, 110), *range(200, 400)])[: made.events])
    assert made.events >= 10
    assert found.missing == []
    assert len(list((elsewhere.home / "content").glob("??/*"))) == len([number for number in sent if number % 2])


def test_a_folder_that_holds_something_is_not_backed_up_into(settings: Settings, tmp_path: Path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(DxstreamError, match="not empty"):
        back_up(settings, tmp_path / "full")


def test_a_backup_that_was_not_finished_is_not_restored(settings: Settings, elsewhere: Settings, tmp_path: Path):
    back_up(settings, tmp_path / "backup")
    (tmp_path / "backup" / MANIFEST).unlink()
    with pytest.raises(DxstreamError, match="no finished backup"):
        restore(elsewhere, tmp_path / "backup")


def test_what_is_there_is_not_written_over(settings: Settings, elsewhere: Settings, tmp_path: Path):
    send(settings, 10)
    back_up(settings, tmp_path / "backup")
    with pytest.raises(DxstreamError, match=r"already|not empty"):
        restore(settings, tmp_path / "backup")
    with pytest.raises(DxstreamError, match=r"already|not empty"):
        restore(replace(settings, home=tmp_path / "new"), tmp_path / "backup")


def test_a_content_that_was_damaged_in_the_backup_is_found_when_it_is_restored(
    settings: Settings, elsewhere: Settings, tmp_path: Path
):
    send(settings, 11)
    back_up(settings, tmp_path / "backup")
    (path,) = (tmp_path / "backup" / "content").glob("??/*")
    path.write_bytes(b"something else")
    with pytest.raises(DxstreamError, match="damaged"):
        restore(elsewhere, tmp_path / "backup")


def test_a_backup_of_another_kind_of_database_is_not_restored(settings: Settings, tmp_path: Path):
    back_up(settings, tmp_path / "backup")
    sqlite = settings.database_url.startswith("sqlite")
    other = "postgresql://nobody@127.0.0.1:1/none" if sqlite else f"sqlite:///{tmp_path / 'other.sqlite'}"
    with pytest.raises(DxstreamError, match="this backup is of"):
        restore(Settings(home=tmp_path / "other", database_url=other), tmp_path / "backup")


def test_missing_client_programs_are_named(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if settings.database_url.startswith("sqlite"):
        pytest.skip("SQLite needs none")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DxstreamError, match="pg_dump is not on the path"):
        back_up(settings, tmp_path / "backup")
