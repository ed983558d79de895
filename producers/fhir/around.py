"""What a resource is read with: the installation, when it came, from which server, and the resources beside it."""

import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime

from db.patients import Known, find_patients
from producers.door import Door
from producers.fhir.elements import Element, elements, resource_id, resource_type, text
from stream.errors import Refused, Temporary
from stream.feeds import FeedConfig

#: (address as written, base of the server that holds it, media type) → what was fetched, None when it is on no listed server.
#: Raises NoTextError, AttachmentAwayError, and Temporary without room for one more.
Fetch = Callable[[str, str, str], "Fetched | None"]

_RESTFUL = re.compile(r"(?:(?P<base>https?://.+)/)?(?P<local>[A-Z][A-Za-z]+/[A-Za-z0-9.\-]{1,64})(?:/_history/.+)?")


class NoTextError(Refused):
    """An attachment gives no text, now or later; the reason says why."""


class AttachmentAwayError(Temporary):
    """An attachment cannot be had now: its fault, and not that of whoever refers to it."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The bytes behind an ``attachment.url``; ``parameters``: of their media type."""

    body: bytes
    parameters: str = ""


def fetch_nothing(address: str, source: str, kind: str) -> Fetched | None:
    """Where no server is listed."""
    del address, source, kind
    return None


@dataclass(frozen=True, kw_only=True)
class Around:
    """What stands around a resource. ``way``: the feed that it came over.

    ``source``: the base address of the server that holds it, empty when nobody said. ``sender``: what then tells its ids
    from those of others: the address that it was sent from.

    ``vouched``: the sources of which this sender may speak, by configuration; only their Patients are remembered.
    ``authority``: of identifiers that name no system. ``beside``: the resources of the same Bundle by full address (or
    ``urn:uuid:…``), by ``Type/id``, and by ``/Type/id`` those of which the Bundle does not say on which server they are.
    """

    door: Door
    feed: FeedConfig
    received_at: datetime
    way: str = "fhir"
    source: str = ""
    sender: str = ""
    vouched: frozenset[str] = frozenset()
    authority: str = ""
    beside: Mapping[str, Element] = field(default_factory=dict)
    fetch: Fetch = fetch_nothing
    asked: MutableMapping[str, Known | None] = field(default_factory=dict)

    @property
    def holder(self) -> str:
        """Within what the resource's ids name one thing."""
        return self.source or self.sender

    def remembered(self, bare_key: str, source: str) -> Known | None:
        """The Patient of an earlier request; the ledger is asked once for each. Raises Temporary."""
        if source not in self.vouched:
            return None
        if bare_key not in self.asked:
            with self.door.intake.database.read() as connection:
                self.asked[bare_key] = find_patients(connection, [bare_key]).get(bare_key)
        return self.asked[bare_key]

    def find(self, reference: Element, holder: Element) -> Element:
        """The resource that a Reference of ``holder`` points to, contained or beside it; empty when it is elsewhere."""
        written = text(reference, "reference")
        if written.startswith("#"):
            inside = (one for one in elements(holder, "contained") if text(one, "id") == written[1:])
            return next(inside, {})
        base, local = split_address(written)
        origin = base or self.source
        relative = () if base else (f"/{local}",)
        names = (written, f"{origin}/{local}", *relative, *(() if origin else (local,)))
        return next((self.beside[name] for name in names if name in self.beside), {})


def split_address(address: str) -> tuple[str, str]:
    """``http://server/fhir/Patient/1/_history/2`` → the server's base and ``Patient/1``; empty where there is none."""
    match = _RESTFUL.fullmatch(address)
    return (match["base"] or "", match["local"]) if match else ("", "")


def local_name(resource: Element) -> str:
    """``Type/id``; empty without an id."""
    name = resource_id(resource)
    return f"{resource_type(resource)}/{name}" if name else ""
