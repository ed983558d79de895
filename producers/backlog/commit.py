"""One transaction: what was read becomes inputs, and the manifest says so. So a kill between the two cannot be."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.accept import Accepted, accept
from db.backlogs import advance
from db.engine import Database
from db.manifest import EVERY_PART, add_files, positions, update_files
from db.places import write_places
from db.tally import raise_tallies
from producers.backlog.reading import FEED
from producers.backlog.unit import Piece, Read, Unit
from stream.arrival import Receipt
from stream.errors import DxstreamError
from stream.window import Window

log = logging.getLogger(__name__)

#: Who counts, in the tallies.
SLOT = "backlog"

_UNWRITABLE = "the ledger cannot hold this input"

_NOTHING = Accepted(receipts=(), rings={})

#: Rings queues; a queue's name → new events.
Ring = Callable[[dict[str, list[int]]], None]


@dataclass(frozen=True, kw_only=True)
class Committed:
    """What the backlog's row says after the commit, and units of which something is left."""

    backlog: Mapping[str, Any]
    left: Sequence[Unit]
    files: int


class Committer:
    """Writes what was read of one backlog, under its fence."""

    def __init__(self, database: Database, backlog_id: int, fence: int, *, window: Window, ring: Ring) -> None:
        self.database = database
        self.backlog_id = backlog_id
        self.fence = fence
        self.window = window
        self._ring = ring

    def commit(self, group: Sequence[Read], **values: Any) -> Committed:
        """Write a group, and if that fails each piece alone, so that only the culprit is refused. Raises Temporary, Fatal.

        Pieces of a whole stay together. ``values``: what else the backlog's row is to say from now on.
        """
        try:
            return self._write(group, values)
        except DxstreamError:
            raise
        except Exception as error:  # noqa: BLE001 - the outer edge of a group: no input may end the backlog
            return self._alone(group, values, error)

    def _alone(self, group: Sequence[Read], values: Mapping[str, Any], error: Exception) -> Committed:
        if len(group) > 1:
            done = [self.commit([read], **values) for read in group]
        elif len(group[0].pieces) > 1 and not group[0].pieces[0].whole:
            done = self._by_piece(group[0], values)
        else:
            log.warning("an input cannot be written: feed=%s error=%s", FEED, type(error).__name__)
            (read,) = group
            pieces = [replace(piece, arrival=None, place=None, reason=_UNWRITABLE) for piece in read.pieces]
            done = [self._write([replace(read, pieces=pieces)], values)]
        left = [unit for one in done for unit in one.left]
        return Committed(backlog=done[-1].backlog, left=left, files=sum(one.files for one in done))

    def _by_piece(self, read: Read, values: Mapping[str, Any]) -> list[Committed]:
        """One after the other, the unit going on from each to the next."""
        done: list[Committed] = []
        unit, last = read.unit, len(read.pieces) - 1
        for number, piece in enumerate(read.pieces):
            one = replace(read, unit=unit, pieces=[piece], ended=read.ended and number == last, several=True)
            done.append(self.commit([one], **values))
            unit = done[-1].left[0] if done[-1].left else unit
        left = [] if read.ended else [unit]
        return [replace(one, left=[]) for one in done[:-1]] + [replace(done[-1], left=left)]

    def _write(self, group: Sequence[Read], values: Mapping[str, Any]) -> Committed:
        with self.database.write() as (connection, now):
            group = _still_open(connection, group)
            pieces = [piece for read in group for piece in read.pieces if piece.arrival]
            arrivals = [piece.arrival for piece in pieces if piece.arrival]
            accepted = accept(connection, now, arrivals, slot=SLOT, window=self.window) if arrivals else _NOTHING
            write_places(connection, [piece.place for piece in pieces if piece.place])
            receipts = {id(piece): receipt for piece, receipt in zip(pieces, accepted.receipts, strict=True)}
            outcomes = [_outcome(read, receipts, now) for read in group]
            update_files(connection, [outcome.row for outcome in outcomes])
            _write_faulty(connection, self.backlog_id, group, now)
            counts = sum((outcome.counts for outcome in outcomes), Counter[str]())
            refused = sum(outcome.refused for outcome in outcomes)
            raise_tallies(connection, SLOT, {("refused", (FEED, "content refused")): refused})
            row = advance(connection, self.backlog_id, self.fence, counts, seen_at=now, **values)
        self._ring(accepted.rings)
        left = [outcome.left for outcome in outcomes if outcome.left]
        return Committed(backlog=row, left=left, files=sum(outcome.left is None for outcome in outcomes))


def _still_open(connection: sa.Connection, group: Sequence[Read]) -> list[Read]:
    """Those that stand in the manifest as they were read: a commit whose answer was lost is not made twice."""
    at = positions(connection, [read.unit.id for read in group])
    return [read for read in group if at.get(read.unit.id) == read.unit.position]


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    row: Mapping[str, Any]
    counts: Counter[str]
    refused: int
    left: Unit | None


def _outcome(read: Read, receipts: Mapping[int, Receipt], now: datetime) -> _Outcome:
    """What becomes of a unit's row, by the receipts of its pieces so far."""
    unit = read.unit
    own = [receipts[id(piece)] for piece in read.pieces if id(piece) in receipts]
    new = [receipt for receipt in own if not receipt.known]
    first = unit.input_id or next((receipt.input_id for receipt in [*new, *own]), None)
    now_at = replace(
        unit,
        parts=max([unit.parts, *[piece.number for piece in read.pieces]]),
        position=max([unit.position, *[piece.end for piece in read.pieces]]),
        inputs=unit.inputs + len(new) + read.inputs,
        input_id=first,
    )
    state = _state(read, now_at) if read.ended else "pending"
    counts = Counter({"inputs": len(new) + read.inputs})
    if read.ended:
        counts[state] += 1
    row = {name: getattr(now_at, name) for name in ("id", "parts", "position", "inputs", "input_id")}
    row |= {"state": state, "reason": _reason(read, own, state), "ended_at": now if read.ended else None}
    refused = sum(1 for piece in read.pieces if not piece.arrival) + (read.state == "refused")
    return _Outcome(row=row, counts=counts, refused=refused, left=None if read.ended else now_at)


def _state(read: Read, unit: Unit) -> str:
    if read.state:
        return read.state
    if unit.inputs:
        return "taken"
    return "known" if unit.input_id is not None else "refused"


def _reason(read: Read, receipts: Sequence[Receipt], state: str) -> str:
    """Why a file was refused; of a file that is one input also what the ledger said of it."""
    if read.reason:
        return read.reason
    if state == "refused":
        return EVERY_PART if read.several and not read.unit.part else read.pieces[0].reason
    return receipts[0].reason if len(receipts) == 1 and not read.several else ""


def _write_faulty(connection: sa.Connection, backlog_id: int, group: Sequence[Read], now: datetime) -> None:
    """A row for each refused part, so that the report names it; the whole file has its own."""
    rows = [_faulty_row(read.unit, piece, now) for read in group if _in_parts(read) for piece in read.pieces if not piece.arrival]
    add_files(connection, backlog_id, rows)


def _in_parts(read: Read) -> bool:
    return read.several and not read.unit.part


def _faulty_row(unit: Unit, piece: Piece, now: datetime) -> dict[str, Any]:
    row = {"path": unit.path, "member": unit.member, "part": piece.number}
    return {**row, "state": "refused", "reason": piece.reason, "ended_at": now}
