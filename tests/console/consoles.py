"""A running console: on a real socket beside the feeds, or that of a live system with a browser before it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from browser import Browser
from started import Up

from console.app import Console
from producers.door import Door
from producers.http.server import HttpFeed
from stream.settings import Settings

TOKEN = "open sesame"


@dataclass
class Open:
    """A running console: its ledger's door, itself, and a client of it."""

    door: Door
    console: Console
    client: httpx.Client

    def form(self, path: str = "/dead") -> str:
        """What forms must carry, read off a page as a browser does."""
        return self.client.get(path).text.partition('name="csrf" value="')[2].partition('"')[0]

    def sign_in(self, name: str = "Ada", token: str = TOKEN) -> httpx.Response:
        return self.client.post("/sign-in", data={"name": name, "token": token, "to": "/dead"})


@contextmanager
def opened(door: Door, tmp_path: Path, **settings: Any) -> Iterator[Open]:
    """A console beside the feeds on a free port."""
    given = replace(Settings.from_environment({}, home=tmp_path), database_url=str(door.intake.database.url), **settings)
    console = Console(given, door.store)
    feed = HttpFeed(door, bind="127.0.0.1", port=0, token=given.http_token, ready=lambda: None, pages=console)
    feed.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{feed.port}", timeout=60, trust_env=False) as client:
            yield Open(door, console, client)
    finally:
        feed.stop()
        console.stop()


@dataclass
class Live:
    """A running system with content of every kind, and the browser that looks at it, signed in."""

    up: Up
    browser: Browser
    ids: dict[str, int]

    @property
    def patient(self) -> str:
        (row,) = self.up.ledger.rows("SELECT patient_key FROM events WHERE id = :id", id=self.ids["scan"])
        return str(row["patient_key"])
