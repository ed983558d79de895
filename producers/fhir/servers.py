"""The FHIR servers that feeds.toml names: what each is called, which token it shows us, what is read from it and how often."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from producers.fhir.resource import TAKEN_ALONE
from stream.feeds import FeedConfig
from stream.settings import BadSettingError

#: A name stands in an address and in the names of cursors.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

#: A server is never polled more often, in seconds.
LEAST_SECONDS = 1.0

#: The keys of ``[fhir.servers.NAME]``, each with the types that it may have.
_KEYS: Mapping[str, tuple[type, ...]] = {
    "url": (str,),
    "authority": (str,),
    "sender_token_env": (str,),
    "token_env": (str,),
    "types": (list,),
    "every_seconds": (int, float),
    "since_days": (int, float),
    "attachments": (bool,),
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """One table ``[fhir.servers.NAME]``.

    ``url``: the base address, without a slash at its end. ``authority``: of identifiers that name no system.
    ``sender_token``: what it shows when it sends to us. ``token``: what we show when we read from it.
    ``types``: those that are polled. ``since_days``: how far back the first poll reads. ``attachments``: whether
    ``attachment.url`` is fetched from it.
    """

    name: str
    url: str
    authority: str = ""
    sender_token: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    types: tuple[str, ...] = ()
    every_seconds: float = 30.0
    since_days: float = 3.0
    attachments: bool = False


Servers = Mapping[str, Server]


def read_servers(feed: FeedConfig, environment: Mapping[str, str]) -> Servers:
    """The configured servers by name; tokens come from the variables that the file names. Raises BadSettingError."""
    servers = {name: _read_server(name, table, environment) for name, table in feed.servers.items()}
    for what in ("url", "sender_token"):
        values = [value for server in servers.values() if (value := getattr(server, what))]
        if len(values) != len(set(values)):
            raise BadSettingError(f"feeds.toml: two of [fhir.servers] have the same {what}")
    return servers


def _read_server(name: str, table: Any, environment: Mapping[str, str]) -> Server:
    where = f"feeds.toml: [fhir.servers.{name}]"
    if not _NAME.fullmatch(name) or not isinstance(table, dict):
        raise BadSettingError(f"{where} is no table of a name of letters, digits, - and _")
    for key, value in table.items():
        if key not in _KEYS or not isinstance(value, _KEYS[key]):
            raise BadSettingError(f"{where} {key} is not known, or not of its type")
    types = tuple(table.get("types", ()))
    if not set(types) <= set(TAKEN_ALONE):
        raise BadSettingError(f"{where} types may hold {', '.join(TAKEN_ALONE)}")
    return Server(
        name=name,
        url=_url(table.get("url", ""), where),
        authority=table.get("authority", ""),
        sender_token=_token(table.get("sender_token_env", ""), environment, where),
        token=_token(table.get("token_env", ""), environment, where),
        types=tuple(sorted(types, key=lambda kind: kind != "Patient")),  # whose it is first
        every_seconds=max(float(table.get("every_seconds", 30)), LEAST_SECONDS),
        since_days=min(max(float(table.get("since_days", 3)), 0.0), 36500.0),
        attachments=table.get("attachments", False),
    )


def _url(written: str, where: str) -> str:
    try:
        parts = urlsplit(written)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or parts.username or parts.password:
        raise BadSettingError(f"{where} url must be the server's base address, http:// or https://, without a user or a query")
    return written.rstrip("/")


def _token(variable: str, environment: Mapping[str, str], where: str) -> str:
    """The token itself never stands in the file."""
    token = environment.get(variable, "").strip() if variable else ""
    if variable and not (token and token.isascii() and token.isprintable()):
        raise BadSettingError(f"{where} names the variable {variable}, which is not set to a token")
    return token
