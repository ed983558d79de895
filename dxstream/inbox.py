"""The watched folder, with every protocol's parser wired to its suffix."""

from collections.abc import Callable
from datetime import UTC, datetime

from producers.door import Door
from producers.fhir.file import parse_file
from producers.folder.feed import FolderFeed
from producers.hl7.parse import parse_message, split_batch
from stream.arrival import Arrival
from stream.settings import Settings


def folder_feed(settings: Settings, door: Door) -> FolderFeed:
    """The feed ``folder`` on the configured inbox."""
    settings.inbox.mkdir(parents=True, exist_ok=True)
    return FolderFeed(door, inbox=settings.inbox, parsers=parsers(door))


def parsers(door: Door) -> dict[str, Callable[[bytes, str], list[Arrival]]]:
    """Suffix → parser of a whole file."""

    def hl7(content: bytes, _: str) -> list[Arrival]:
        now = datetime.now(UTC)
        return [parse_message(message, door=door, feed="folder", received_at=now) for message in split_batch(content)]

    def fhir(content: bytes, name: str) -> list[Arrival]:
        return parse_file(content, name, door=door, received_at=datetime.now(UTC), feed="folder")

    return {".hl7": hl7, ".json": fhir, ".fhir": fhir, ".ndjson": fhir, ".gz": fhir}
