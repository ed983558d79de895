"""Content that was left where it lies: a file's bytes from a place on, behind a head of our own; checked whenever it is read."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa

from db.rows import read_rows
from db.tables import content_places
from db.tally import insert_for
from stream.errors import Broken, NotReadableError


@dataclass(frozen=True, kw_only=True)
class Place:
    """``head`` and the bytes of ``path`` from ``start`` on are together the content that ``digest`` names."""

    digest: str
    path: str
    start: int
    head: bytes

    def read(self) -> bytes:
        """The content; raises Broken when the file is gone or is no longer what was taken in, NotReadableError else."""
        try:
            with Path(self.path).open("rb") as file:
                file.seek(self.start)
                content = self.head + file.read()
        except FileNotFoundError as error:
            raise Broken("its file is gone from where it was left in place") from error
        except OSError as error:
            raise NotReadableError(f"its file, left in place, cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise Broken("its file, left in place, has changed since it was taken in")
        return content


def write_places(connection: sa.Connection, places: Sequence[Place]) -> None:
    """Remember them; a content that lies in two places is read where it was seen last."""
    if places:
        insert = insert_for(connection, content_places)
        newest = {name: insert.excluded[name] for name in ("path", "start", "head")}
        statement = insert.on_conflict_do_update(index_elements=["digest"], set_=newest)
        connection.execute(statement, [asdict(place) for place in places])


def find_places(connection: sa.Connection, digests: Collection[str]) -> dict[str, Place]:
    """Those of these contents that were left in place."""
    wanted = sorted(digests)
    found: dict[str, Place] = {}
    for start in range(0, len(wanted), 500):
        for digest, path, offset, head in read_rows(connection, _PLACES, digests=wanted[start : start + 500]):
            found[digest] = Place(digest=digest, path=path, start=offset, head=bytes(head))
    return found


_PLACES = sa.select(*[content_places.c[name] for name in ("digest", "path", "start", "head")]).where(
    content_places.c.digest.in_(sa.bindparam("digests", expanding=True))
)
