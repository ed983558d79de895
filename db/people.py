"""Who is the same person: patient keys that stand under one another by merges, and the lock that merges take.

PostgreSQL: what reads a person's timeline holds a shared lock to the end of its transaction and a merge holds it alone, so
that no result slips between a merge and the stays that it has judged again. SQLite has one writer anyway.
"""

from collections.abc import Collection

import sqlalchemy as sa

from db.rows import read_rows
from db.tables import aliases

#: The advisory lock's number: "dxpeople" as eight bytes.
_LOCK = int.from_bytes(b"dxpeople", "big")


_KEYS: sa.BindParameter[str] = sa.bindparam("keys", expanding=True)
_STANDS = aliases.c.undone_at.is_(None) & (aliases.c.other.in_(_KEYS) | aliases.c.patient_key.in_(_KEYS))
_PAIRS = sa.select(aliases.c.other, aliases.c.patient_key).where(_STANDS)
_ANY = sa.select(aliases.c.id).where(_STANDS).limit(1)


def hold_people(connection: sa.Connection, *, alone: bool) -> None:
    """No merge is made or undone by others until this transaction ends; ``alone``: nor does anybody lay results."""
    if connection.dialect.name == "postgresql":
        lock = sa.func.pg_advisory_xact_lock if alone else sa.func.pg_advisory_xact_lock_shared
        connection.execute(sa.select(lock(_LOCK)))


def same_people(connection: sa.Connection, keys: Collection[str]) -> dict[str, list[str]]:
    """Key → every key of its person; without aliases, which is nearly always, one statement for all."""
    if not keys or not read_rows(connection, _ANY, keys=list(keys)):
        return {key: [key] for key in keys}
    return {key: same_person(connection, key) for key in keys}


def same_person(connection: sa.Connection, patient_key: str) -> list[str]:
    """Every key of the person that ``patient_key`` names, over the aliases that stand."""
    keys = {patient_key}
    while True:
        rows = connection.execute(_PAIRS, {"keys": list(keys)}).all()
        more = keys.union(*rows) if rows else keys
        if more == keys:
            return sorted(keys)
        keys = more


def are_two(connection: sa.Connection, one: str, other: str) -> bool:
    """Both keys are known, and no merge makes one person of them."""
    return bool(one and other) and one != other and other not in same_person(connection, one)
