"""With what a resource is read, by who brought it: a configured server, another sender, or the folder."""

from dataclasses import replace
from datetime import UTC, datetime

from producers.door import Door
from producers.fhir.around import Around, Fetch, fetch_nothing
from producers.fhir.servers import Servers


def around_of_feed(door: Door, way: str, received_at: datetime, fetch: Fetch = fetch_nothing) -> Around:
    """For a sender without a name: all that it may speak of is the ``source`` of the way it came (``fhir``, ``folder``).

    All else that the table ``[fhir]`` of feeds.toml says holds for every way.
    """
    config, source = door.feeds.feed("fhir"), door.feeds.feed(way).source
    return Around(
        door=door,
        feed=config,
        way=way,
        received_at=received_at,
        source=source,
        vouched=frozenset({source} - {""}),
        authority=config.authority or source,
        fetch=fetch,
    )


class Origins:
    """The FHIR feed's configured servers, and what each one's resources are read with."""

    def __init__(self, door: Door, servers: Servers, fetch: Fetch) -> None:
        self.door = door
        self.servers = servers
        self._fetch = fetch

    def around(self, name: str = "") -> Around:
        """``name``: of a configured server, which speaks of nothing but itself; else a sender that may forward all of them."""
        whoever = around_of_feed(self.door, "fhir", datetime.now(UTC), self._fetch)
        if name not in self.servers:
            return replace(whoever, vouched=whoever.vouched | {server.url for server in self.servers.values()})
        server = self.servers[name]
        authority = server.authority or whoever.feed.authority or server.url
        return replace(whoever, source=server.url, vouched=frozenset({server.url}), authority=authority)
