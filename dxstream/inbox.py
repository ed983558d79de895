"""The watched folder, with every protocol's parser wired to its suffix."""

from collections.abc import Sequence
from datetime import UTC, datetime

from producers.door import Door
from producers.fhir import file as fhir_file
from producers.folder.feed import FolderFeed, Parser
from producers.hl7 import file as hl7_file
from stream.arrival import Arrival
from stream.settings import Settings


def folder_feed(settings: Settings, door: Door) -> FolderFeed:
    """The feed ``folder`` on the configured inbox."""
    settings.inbox.mkdir(parents=True, exist_ok=True)
    return FolderFeed(door, inbox=settings.inbox, parsers=parsers(door))


def parsers(door: Door) -> dict[str, Parser]:
    """Suffix → parser of a whole file."""

    def hl7(content: bytes, _: str) -> Sequence[Arrival]:
        return hl7_file.parse_file(content, door=door, received_at=datetime.now(UTC), feed="folder")

    def fhir(content: bytes, name: str) -> Sequence[Arrival]:
        return fhir_file.parse_file(content, name, door=door, received_at=datetime.now(UTC), feed="folder")

    return {".hl7": hl7, ".json": fhir, ".fhir": fhir, ".ndjson": fhir, ".gz": fhir}
