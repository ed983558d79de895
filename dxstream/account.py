"""The demo's account: what was sent beside what the ledger holds, and what was said of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db import report
from db.engine import Database
from dxstream.hospital.book import Book, compare
from dxstream.hospital.planning import Plan
from dxstream.show import print_status, print_table, said

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Account:
    """``own``: the inputs of what stands in the book; ``events``: by id."""

    book: Book
    own: Sequence[Row]
    events: Mapping[int, Row]
    predictions: Sequence[Row]
    status: Row

    def disagreements(self) -> list[str]:
        """What is not as it should be, in words; empty when all was accounted for and every event ended ``done``."""
        return [*compare(self.book, self.own), *self._unfinished(), *self._doubled()]

    def _unfinished(self) -> list[str]:
        mine = [self.events[number] for number in sorted({row["event_id"] for row in self.own if row["event_id"]})]
        return [f"event {event['id']} is {event['state']}: {event['reason']}" for event in mine if event["state"] != "done"]

    def _doubled(self) -> list[str]:
        seen = Counter((one["event_id"], one["model_digest"]) for one in self.predictions)
        return [f"event {event} has {number} predictions of one model" for (event, _), number in seen.items() if number > 1]

    def show(self, cases: Plan) -> None:
        """Tables of what was said, of what was odd on purpose, and of the ledger in numbers."""
        ids = {row["event_id"] for row in self.own}
        shown = [one for one in self.predictions if one["event_id"] in ids]
        counted = Counter((one["modality"], one["model"], one["status"], _said_shortly(one)) for one in shown)
        title = "predictions: preliminary routing aids and triage hints for research, not diagnoses"
        rows = [(*key, number) for key, number in sorted(counted.items())]
        print_table(title, ("modality", "model", "status", "said", "events"), rows)
        last = [(one["event_id"], one["modality"], one["patient_key"][:8], said(one), self._latency(one)) for one in shown[-12:]]
        print_table("the last twelve", ("event", "modality", "patient", "said", "latency s"), last)
        print_table("odd on purpose", ("kind", "what is odd", "expected", "what was said"), self._odd(cases))
        print_status(self.status)

    def _latency(self, prediction: Row) -> str:
        event = self.events[prediction["event_id"]]
        return f"{(event['done_at'] - event['received_at']).total_seconds():.2f}"

    def _odd(self, cases: Plan) -> list[Sequence[Any]]:
        rows: list[Sequence[Any]] = []
        for case in cases.cases():
            if case.note:
                sent = {sending.sender_id for sending in case.sendings}
                mine = [row for row in self.own if row["sender_id"] in sent]
                rows.append((case.kind, case.note, case.expected, self._what_became(mine)))
        return rows

    def _what_became(self, mine: Sequence[Row]) -> str:
        ids = sorted({row["event_id"] for row in mine if row["event_id"]})
        if not ids:
            return "no event: " + "; ".join(sorted({f"{row['disposition']} {row['reason']}".strip() for row in mine}))
        words = [f"{said(one)} [{one['status']}]" for one in self.predictions if one["event_id"] in ids]
        silent = [self.events[number] for number in ids if self.events[number]["outcome"] != "predicted"]
        return "; ".join(words + [f"{event['outcome'] or event['state']}: {event['reason']}" for event in silent])


def _said_shortly(prediction: Row) -> str:
    """What is said, without the probability, so that it can be counted."""
    positive = [finding["label"] for finding in prediction["findings"] if finding["positive"]]
    if positive:
        return ", ".join(positive)
    return f"no {prediction['findings'][0]['label']}" if len(prediction["findings"]) == 1 else "none above its limit"


def read_account(database: Database, book: Book) -> Account:
    """Everything at one moment."""
    sent = {entry.sender_id for entry in book.entries()}
    with database.read() as connection:
        return Account(
            book=book,
            own=[row for row in report.list_inputs(connection) if row["sender_id"] in sent],
            events={event["id"]: event for event in report.list_events(connection)},
            predictions=report.list_predictions(connection),
            status=report.status(connection, database.now(connection)),
        )
