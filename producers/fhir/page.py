"""One page of a polled server → arrivals of what is new in it. Knows no cursor and no ledger."""

import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from producers.fhir.around import Around, AttachmentAwayError, Fetched, local_name
from producers.fhir.bundle import parse_entry, resources_beside
from producers.fhir.elements import Element, canonical, resource_type, sha256
from producers.fhir.file import parsed_arrival
from producers.fhir.times import last_updated
from stream.arrival import Arrival

#: So long may the attachments of one page take, in seconds; those that are left wait for the next poll.
ATTACHMENTS_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Page:
    """``fresh``: digest of each resource that has an arrival → its lastUpdated. ``held``: how many wait for their attachment."""

    arrivals: Sequence[Arrival]
    fresh: Mapping[str, datetime]
    held: int


def parse_page(resources: Sequence[Element], kind: str, around: Around, seen: Container[str]) -> Page:
    """Those of type ``kind`` whose digest is not in ``seen``; what cannot be read becomes an arrival that says so."""
    entries = [{"fullUrl": f"{around.source}/{local_name(one)}", "resource": one} for one in resources]
    around = replace(around, beside=resources_beside(entries))
    late = time.monotonic() + ATTACHMENTS_SECONDS
    fresh: dict[str, datetime] = {}
    arrivals: list[Arrival] = []
    held = 0
    for entry, resource in zip(entries, resources, strict=True):
        content = canonical(resource)
        digest = sha256(content)
        if resource_type(resource) != kind or digest in seen:
            continue
        try:
            parsed = parse_entry(entry, around if time.monotonic() < late else replace(around, fetch=_fetch_later))
            arrivals.append(parsed_arrival(content, parsed, around))
        except AttachmentAwayError:
            held += 1
        else:
            fresh[digest] = last_updated(resource, around.feed.time_zone, around.received_at) or datetime.now(UTC)
    return Page(arrivals=arrivals, fresh=fresh, held=held)


def _fetch_later(address: str, source: str, kind: str) -> Fetched | None:
    """Where this page's time is used up."""
    del address, source, kind
    raise AttachmentAwayError("this page's attachments take too long")
