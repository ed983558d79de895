"""The home folder: what is where, who holds it, and under which addresses it can be reached."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from stream.errors import DxstreamError
from stream.settings import Settings

ADDRESSES = "addresses.json"


class HomeInUseError(DxstreamError):
    """Another ``up`` runs in this home."""


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Hold the home for one ``up``; raises HomeInUseError."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise HomeInUseError(f"another dxstream up runs in {home}") from error
        yield


def write_addresses(settings: Settings, *, pid: int) -> None:
    """What this home says of itself while ``up`` runs: ports, the embedded Redis, the process to end."""
    values = {"pid": pid, "redis_url": settings.redis_url, "dicom": settings.dicom_port, "mllp": settings.mllp_port}
    values |= {"http": settings.http_port, "metrics": settings.metrics_port}
    aside = settings.home / f".{ADDRESSES}.{pid}"
    aside.write_text(json.dumps(values, indent=1), encoding="utf-8")
    aside.replace(settings.home / ADDRESSES)


def read_addresses(home: Path) -> Mapping[str, Any]:
    """What is written there; empty before the first start."""
    try:
        content: Mapping[str, Any] = json.loads((home / ADDRESSES).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content


def with_redis(settings: Settings) -> Settings:
    """Settings with the running home's embedded Redis, where none is set; raises DxstreamError when there is none."""
    if settings.redis_url:
        return settings
    url = read_addresses(settings.home).get("redis_url", "")
    if not url:
        raise DxstreamError("no Redis: set DXSTREAM_REDIS_URL, or start dxstream up in this home")
    return replace(settings, redis_url=url)


def content_folder(settings: Settings) -> Path:
    """Where large contents lie."""
    return settings.home / "content"
