"""The sender's own book: what it sent, what it was answered, and whether that agrees with the receiver's inputs."""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dxstream.hospital.cases import Case, Sending

#: What became of a sending: taken, refused for good, or never answered before the deadline.
ACKNOWLEDGED, REFUSED, GIVEN_UP = "acknowledged", "refused", "given up"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that was sent. ``answer``: in the protocol's own words (``0x0000``, ``AA``, ``201``); ``at``: ISO 8601, UTC."""

    kind: str
    protocol: str
    sender_id: str
    sha256: str
    answer: str
    outcome: str
    expected: str
    note: str
    at: str


class Book:
    """Written as JSON lines as it goes, so that it outlives its process. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, case: Case, sending: Sending, answer: str, outcome: str) -> Entry:
        """Adds one line; it is out of this process when this returns."""
        entry = Entry(
            kind=case.kind,
            protocol=sending.protocol,
            sender_id=sending.sender_id,
            sha256=hashlib.sha256(sending.content).hexdigest(),
            answer=answer,
            outcome=outcome,
            expected=case.expected,
            note=case.note,
            at=datetime.now(UTC).isoformat(),
        )
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
        return entry

    def entries(self) -> list[Entry]:
        """All lines so far, in order."""
        if not self.path.exists():
            return []
        with self._lock:
            return [Entry(**json.loads(line)) for line in self.path.read_text(encoding="utf-8").splitlines()]


def compare(book: Book, inputs_rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What does not agree, in words; empty when every sending was acknowledged and each sender_id has exactly one input.

    ``inputs_rows``: rows of the view ``inputs``.
    """
    rows = Counter(str(row["sender_id"]) for row in inputs_rows)
    entries = book.entries()
    wrong = [f"{_name(one)}: {one.outcome} ({one.answer})" for one in entries if one.outcome != ACKNOWLEDGED]
    acknowledged = {one.sender_id: one for one in entries if one.outcome == ACKNOWLEDGED}
    wrong += [f"{_name(one)}: acknowledged, but {rows[key]} inputs" for key, one in acknowledged.items() if rows[key] != 1]
    return wrong


def _name(entry: Entry) -> str:
    return f"{entry.protocol} {entry.kind} {entry.sender_id}"
