"""Backup and restore of an installation: the ledger as it stood at one moment, and every content that it names.

The ledger is copied first and the files after it, from what the copy names: a file is there before the row that names it, so a
backup of a running installation is whole. ``backup.json`` is written last; without it a backup was not finished.
"""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from db.engine import Database
from db.tables import events, inputs, predictions
from dxstream import backup_postgresql
from dxstream.home import content_folder, held
from stream.content import ContentStore
from stream.disk import sync_folder, write_durably
from stream.errors import DxstreamError
from stream.settings import Settings

MANIFEST = "backup.json"
SQLITE, POSTGRESQL = "ledger.sqlite", "ledger.dump"
#: What of the home goes with it. The key is a secret: patient keys depend on it.
OF_HOME = ("hash.key", "config", "models")
CHUNK = 2**20


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a backup holds; the numbers are the ledger's at the moment of the copy."""

    at: str
    ledger: str
    inputs: int
    events: int
    predictions: int
    files: int
    bytes: int


def back_up(settings: Settings, folder: Path) -> Manifest:
    """Into a new or empty folder, running or not; raises DxstreamError."""
    if folder.exists() and any(folder.iterdir()):
        raise DxstreamError(f"{folder} is not empty: name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    with closing(Database(settings.database_url)) as database:
        return _back_up(settings, database, folder)


def _back_up(settings: Settings, database: Database, folder: Path) -> Manifest:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with _copied(database, folder) as (name, connection):
        counts = {table.name: _count(connection, table) for table in (inputs, events, predictions)}
        files, size = _copy_contents(connection, ContentStore(content_folder(settings)), folder / "content")
    for part in OF_HOME:
        _copy_part(settings.home / part, folder / part)
    manifest = Manifest(at=at, ledger=name, files=files, bytes=size, **counts)
    write_durably(folder / MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
    sync_folder(folder)
    return manifest


@contextmanager
def _copied(database: Database, folder: Path) -> Iterator[tuple[str, sa.Connection]]:
    """The ledger's copy in ``folder``, and a connection that sees exactly what it holds."""
    if not database.is_sqlite:
        with backup_postgresql.dumped(database, folder / POSTGRESQL) as connection:
            yield POSTGRESQL, connection
        return
    path = folder / SQLITE
    source, target = sqlite3.connect(str(database.url.database)), sqlite3.connect(path)
    try:
        source.backup(target)  # in one step: writers go on, since the ledger is in WAL mode
        target.execute("PRAGMA journal_mode=DELETE")
    finally:
        source.close()
        target.close()
    engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(f"file:{path}?mode=ro", uri=True))
    with engine.connect() as connection:
        yield SQLITE, connection
    engine.dispose()


def _count(connection: sa.Connection, table: sa.Table) -> int:
    number: int = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    return number


def _copy_contents(connection: sa.Connection, store: ContentStore, folder: Path) -> tuple[int, int]:
    """Every file that the ledger names and that is there; how many, and their bytes."""
    files = size = 0
    named = sa.union(sa.select(inputs.c.digest), sa.select(events.c.digest))
    for digest in connection.execution_options(yield_per=1000).execute(named).scalars():
        source = store.path(digest)
        if digest and source.is_file():
            target = folder / digest[:2] / digest
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy_file(source, target)
            files += 1
            size += target.stat().st_size
    return files, size


def _copy_file(source: Path, target: Path) -> None:
    """With its age, and durably."""
    shutil.copy2(source, target)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_part(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        _copy_file(source, target)


def restore(settings: Settings, folder: Path) -> Manifest:
    """Into a home and a database in which nothing is yet; raises DxstreamError."""
    manifest = _read_manifest(folder)
    with closing(Database(settings.database_url)) as database:
        _restore(settings, database, folder, manifest)
    return manifest


def _restore(settings: Settings, database: Database, folder: Path, manifest: Manifest) -> None:
    if database.is_sqlite != (manifest.ledger == SQLITE):
        kind = "SQLite" if manifest.ledger == SQLITE else "PostgreSQL"
        raise DxstreamError(f"this backup is of {kind}: set DXSTREAM_DATABASE_URL to such a database")
    with held(settings.home):
        for part in ("content", *OF_HOME):
            if (settings.home / part).exists():
                raise DxstreamError(f"{settings.home / part} is there already: restore into a new home")
        _restore_contents(folder / "content", content_folder(settings))
        if database.is_sqlite:
            _restore_sqlite(folder / SQLITE, Path(str(database.url.database)))
        else:
            backup_postgresql.restore(database, folder / POSTGRESQL)
        for part in OF_HOME:
            _copy_part(folder / part, settings.home / part)


def _read_manifest(folder: Path) -> Manifest:
    try:
        return Manifest(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DxstreamError(f"{folder} holds no finished backup ({MANIFEST} is missing or broken)") from error


def _restore_sqlite(source: Path, target: Path) -> None:
    if target.exists():
        raise DxstreamError(f"{target} is there already: restore into a new home")
    aside = target.with_name(f".{target.name}")
    shutil.copyfile(source, aside)
    _copy_is_sound(aside)
    aside.replace(target)
    sync_folder(target.parent)


def _copy_is_sound(path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        told = connection.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.DatabaseError:
        told = "no database"
    finally:
        connection.close()
    if told != "ok":
        path.unlink()
        raise DxstreamError("the backup's ledger is damaged")


def _restore_contents(source: Path, target: Path) -> None:
    """Each file is read for its digest on the way: a damaged backup is found now, not when it is needed."""
    for path in sorted(source.glob("??/*")):
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != path.name:
                raise DxstreamError(f"content {path.name[:16]}… of the backup is damaged")
        place = target / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        _copy_file(path, place)
    target.mkdir(parents=True, exist_ok=True)
