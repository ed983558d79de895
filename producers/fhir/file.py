"""A file of FHIR → arrivals: one resource, a Bundle, or NDJSON as Bulk Data exports write it."""

from collections.abc import Sequence
from datetime import datetime

from producers.door import Door
from producers.fhir.around import Around
from producers.fhir.bundle import Parsed, parse_bundle, read_entries
from producers.fhir.elements import Element, canonical, read_json, resource_type, text
from producers.fhir.gzipped import unzip
from producers.fhir.origins import around_of_feed
from producers.fhir.resource import check_object, parse_resource
from producers.refused_part import refused_part
from stream.arrival import Arrival, Whole
from stream.errors import Refused

#: The most bytes of a compressed file when it is unpacked.
MOST_BYTES = 256 * 2**20

_NOTHING = "there is no resource in it"


def parse_file(raw: bytes, name: str, *, door: Door, received_at: datetime, feed: str = "fhir") -> Sequence[Arrival]:
    """The arrivals of a file; one that ends in ``.ndjson`` has a resource a line, one that ends in ``.gz`` is compressed.

    What is refused of a larger whole becomes an arrival that says so; a transaction is a Whole. Raises Refused for what is no
    JSON, for a transaction with a refused entry, and when everything is refused.
    """
    around = around_of_feed(door, feed, received_at)
    name = name.lower()
    if name.endswith(".gz"):
        raw, name = unzip(raw, MOST_BYTES), name.removesuffix(".gz")
    if name.endswith(".ndjson"):
        parsed = [(line, _try_line(line, around)) for line in raw.splitlines() if line.strip()]
    else:
        resource = check_object(read_json(raw))
        if resource_type(resource) != "Bundle":
            return [parse_resource(resource, around)]
        if text(resource, "type") == "transaction":
            return _parse_transaction(resource, around)
        parsed = list(zip(map(canonical, read_entries(resource)), parse_bundle(resource, around), strict=True))
    refused = [one for _, one in parsed if isinstance(one, Refused)]
    if len(refused) == len(parsed):
        raise refused[0] if refused else Refused(_NOTHING)
    return [parsed_arrival(content, one, around) for content, one in parsed]


def _parse_transaction(bundle: Element, around: Around) -> Whole:
    arrivals: list[Arrival] = []
    for one in parse_bundle(bundle, around):
        if isinstance(one, Refused):
            raise Refused(f"a transaction is taken as a whole or not at all: {one.reason}", where=one.where)
        arrivals.append(one)
    if not arrivals:
        raise Refused(_NOTHING)
    return Whole(arrivals)


def _try_line(line: bytes, around: Around) -> Parsed:
    try:
        resource = check_object(read_json(line))
        return parse_resource(resource, around)
    except Refused as error:
        return error


def parsed_arrival(content: bytes, parsed: Parsed, around: Around) -> Arrival:
    """What was parsed of ``content``, a refusal as an arrival that says so."""
    if isinstance(parsed, Refused):
        return refused_part(around.door.store.put(content), parsed, feed=around.way, protocol="fhir")
    return parsed
