"""What the operator says of each feed: time zone, authority, defaults, stat senders, quiet times, locations, documents.

Read from the folder ``config``: ``feeds.toml``, ``authorities.csv``, ``locations.csv``, ``documents.csv``, ``labs.csv``.
Each may be missing; what is shipped then holds. docs/connect-a-feed.md describes them.
"""

import codecs
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stream.errors import Refused
from stream.labs import Analytes
from stream.settings import BadSettingError
from stream.table import read_rows

SHIPPED = Path(__file__).parent

#: Seconds of silence after which a series is complete, by DICOM Modality; ``quiet_seconds`` of a feed overrides it.
QUIET_SECONDS = {"CT": 30.0, "MR": 60.0}

#: The tables of ``feeds.toml``.
_FEEDS = ("dicom", "hl7", "fhir", "folder")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Who answers C-FIND for what a sender sends: ``[dicom.sources.TITLE]``, TITLE being the sender's calling AE title."""

    host: str
    port: int
    ae_title: str


@dataclass(frozen=True, kw_only=True)
class FeedConfig:
    """One table of ``feeds.toml``. ``defaults``: facts that hold where the feed says nothing (they are marked as such).

    ``source``: the base address of the one FHIR server whose resources come without a word on where they are from.
    ``servers``: FHIR servers by name, as written; ``producers.fhir.servers`` reads them.
    """

    name: str
    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    authority: str = ""
    character_set: str = "utf-8"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    default_units: Mapping[str, str] = field(default_factory=dict)
    stat_senders: frozenset[str] = frozenset()
    stat_locations: frozenset[str] = frozenset()
    allowed_senders: frozenset[str] = frozenset()
    quiet_seconds: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    source: str = ""
    servers: Mapping[str, Any] = field(default_factory=dict)

    def quiet(self, modality: str) -> float:
        """Seconds without a further instance after which a series of this DICOM Modality is complete."""
        return self.quiet_seconds.get(modality, QUIET_SECONDS.get(modality, 30.0))


class FeedsConfig:
    """The whole ``config`` folder. Reads each file once, when it is first asked for; ``check`` asks for all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._feeds: dict[str, FeedConfig] = {}

    def feed(self, name: str) -> FeedConfig:
        """What is said of the feed ``dicom``, ``hl7``, ``fhir`` or ``folder``. Raises BadSettingError."""
        if name not in self._feeds:
            self._feeds[name] = _feed_config(name, self._toml.get(name, {}))
        return self._feeds[name]

    def check(self) -> None:
        """Read all of it now; raises BadSettingError. Found at the first message, a fault in it would be that sender's."""
        for name in _FEEDS:
            self.feed(name)
        _ = (self.authorities, self.intensive_locations, self.documents, self.local_codes, self.analytes)

    @cached_property
    def _toml(self) -> dict[str, Any]:
        path = self.folder / "feeds.toml"
        try:
            return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except ValueError as error:  # no UTF-8, or no TOML
            raise BadSettingError(f"{path}: {error}") from error

    @cached_property
    def authorities(self) -> Mapping[str, str]:
        """``authorities.csv``: ``sent,authority`` → lower-case name as sent to the installation's name."""
        return {sent.lower(): authority.lower() for sent, authority in self._pairs("authorities.csv", "sent", "authority")}

    @cached_property
    def intensive_locations(self) -> frozenset[str]:
        """Upper-case PV1-3.1 (or FHIR Location names) that are intensive care units: ``locations.csv``, ``location,kind``."""
        kinds = {location.upper(): kind for location, kind in self._pairs("locations.csv", "location", "kind")}
        return frozenset(location for location, kind in kinds.items() if kind == "icu")

    @cached_property
    def documents(self) -> Mapping[str, str]:
        """Document types that are judged: code as sent (LOINC or local, upper case) → LOINC: ``documents.csv``, ``sent,loinc``."""
        return {sent.upper(): loinc for sent, loinc in self._pairs("documents.csv", "sent", "loinc")}

    @cached_property
    def local_codes(self) -> Mapping[str, str]:
        """Local result codes (upper case) → LOINC code: ``codes.csv``, ``sent,loinc``."""
        return {sent.upper(): loinc for sent, loinc in self._pairs("codes.csv", "sent", "loinc")}

    @cached_property
    def analytes(self) -> Analytes:
        """The shipped ``labs.csv`` with the operator's rows laid over it. Raises BadSettingError: no sender is at fault."""
        with _no_senders_fault():
            return Analytes.read(self.folder / "labs.csv")

    def _pairs(self, name: str, *columns: str) -> list[tuple[str, ...]]:
        """These columns of the shipped rows, then of the operator's: a later row of the same key wins. Raises BadSettingError."""
        paths = [path for path in (SHIPPED / name, self.folder / name) if path.exists()]
        with _no_senders_fault():
            return [tuple(row[column].strip() for column in columns) for path in paths for _, row in read_rows(path, *columns)]


@contextmanager
def _no_senders_fault() -> Iterator[None]:
    """What is wrong with a table is the operator's to mend."""
    try:
        yield
    except Refused as error:
        raise BadSettingError(f"{error.where}: {error.reason}") from error


def _feed_config(name: str, table: Mapping[str, Any]) -> FeedConfig:
    try:
        zone = ZoneInfo(table.get("time_zone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadSettingError(f"feeds.toml: [{name}] time_zone is no IANA zone") from error
    try:
        codecs.lookup(table.get("character_set", "utf-8"))
    except LookupError as error:
        raise BadSettingError(f"feeds.toml: [{name}] character_set is none that Python knows") from error
    return FeedConfig(
        name=name,
        time_zone=zone,
        authority=table.get("authority", ""),
        character_set=table.get("character_set", "utf-8"),
        defaults=table.get("defaults", {}),
        default_units=table.get("default_units", {}),
        stat_senders=frozenset(table.get("stat_senders", ())),
        stat_locations=frozenset(str(place).upper() for place in table.get("stat_locations", ())),
        allowed_senders=frozenset(table.get("allowed_senders", ())),
        quiet_seconds=table.get("quiet_seconds", {}),
        source=str(table.get("source", "")).rstrip("/"),
        servers=table.get("servers", {}),
        sources={title: _source(name, title, place) for title, place in table.get("sources", {}).items()},
    )


def _source(feed: str, title: str, table: Mapping[str, Any]) -> Source:
    host, port, ae_title = table.get("host"), table.get("port", 104), table.get("ae_title", title)
    if not (isinstance(host, str) and host and isinstance(port, int) and 0 < port < 65536 and 0 < len(str(ae_title)) <= 16):
        raise BadSettingError(f"feeds.toml: [{feed}.sources.{title}] needs host, port and an ae_title of at most 16 characters")
    return Source(host=host, port=port, ae_title=str(ae_title))
