"""Bundle → arrivals, each resource read with those beside it."""

from collections.abc import Sequence
from dataclasses import replace

from producers.fhir.around import Around, local_name, split_address
from producers.fhir.elements import Element, element, text
from producers.fhir.resource import check_object, parse_resource
from stream.arrival import Arrival
from stream.errors import Refused, Unsupported

#: Bundle types that are taken. A transaction is refused as a whole, of the others each entry by itself.
TYPES = ("transaction", "batch", "message", "collection", "searchset", "document", "history", "subscription-notification")

#: A Bundle of more entries is refused: its sender should send several.
MAX_ENTRIES = 20_000

#: The same of a transaction, which is one commit: others wait for it, a second or two.
MAX_TRANSACTION = 1_000

#: Requests of an entry that bring a resource; an entry of a message or a collection has none.
_WRITES = ("", "POST", "PUT")

#: What became of one entry's parsing.
Parsed = Arrival | Refused


def parse_bundle(bundle: Element, around: Around) -> list[Parsed]:
    """An arrival or a refusal for each entry, in order. Raises Refused for a Bundle that cannot be read at all."""
    entries = read_entries(bundle)
    beside = resources_beside(entries)
    return [parse_entry(entry, replace(around, beside=beside)) for entry in entries]


def read_entries(bundle: Element) -> list[Element]:
    """The entries of a Bundle of a type that is taken; raises Refused."""
    kind = text(bundle, "type")
    if not kind:
        raise Refused("type is missing or no string", where="Bundle.type")
    if kind not in TYPES:
        raise Unsupported(f"of Bundles only these types are taken: {', '.join(TYPES)}", where="Bundle.type")
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise Refused("entry is no list", where="Bundle.entry")
    most = MAX_TRANSACTION if kind == "transaction" else MAX_ENTRIES
    if len(entries) > most:
        raise Refused(f"more than {most} entries", where="Bundle.entry")
    return [entry if isinstance(entry, dict) else {} for entry in entries]


def resources_beside(entries: Sequence[Element]) -> dict[str, Element]:
    """The resources of a Bundle under every name by which another may refer to them; the first of a name holds."""
    found: dict[str, Element] = {}
    for entry in entries:
        resource = element(entry, "resource")
        address, local = text(entry, "fullUrl"), local_name(resource)
        unplaced = f"/{local}" if local and not split_address(address)[0] else ""
        for name in (address, local, unplaced):
            if name:
                found.setdefault(name, resource)
    return found


def parse_entry(entry: Element, around: Around) -> Parsed:
    """The arrival of one entry, or its refusal."""
    try:
        if text(element(entry, "request"), "method").upper() not in _WRITES:
            raise Unsupported("of requests only POST and PUT are taken", where="Bundle.entry.request.method")
        resource = check_object(entry.get("resource"))
        base, _ = split_address(text(entry, "fullUrl"))
        return parse_resource(resource, replace(around, source=base or around.source))
    except Refused as error:
        return error
