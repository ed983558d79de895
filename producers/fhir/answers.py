"""What a request is answered once the ledger has said what became of it, or that it cannot be had."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse

from producers.fhir.bundle import Parsed
from producers.fhir.elements import Element, text
from producers.fhir.outcome import issue_of, issue_of_fault, issues_of, operation_outcome
from producers.http.body import FHIR_JSON, AnsweredError
from stream.arrival import Arrival, Receipt
from stream.errors import OutOfSpace, Refused, Temporary, Unwritable

#: After this many seconds a sender should try again.
RETRY_AFTER = 5

#: The same when the store is full: somebody has to make room.
RETRY_AFTER_FULL = 60


@dataclass(frozen=True)
class Taken:
    """An arrival and the answer that its sender may be given."""

    arrival: Arrival
    receipt: Receipt


def became(one: Parsed, future: asyncio.Future[Receipt] | None) -> Taken | Refused:
    """What the ledger said of one; raises AnsweredError (503, 507) when it said nothing."""
    if isinstance(one, Refused) or future is None:
        return one if isinstance(one, Refused) else Refused("not submitted")
    try:
        return Taken(one, future.result())
    except Unwritable as error:
        return error
    except Temporary as error:
        raise fault(error) from None


def fault(error: Temporary) -> AnsweredError:
    """503, or 507 when there is no space, with the time after which the sender should try again."""
    full = isinstance(error, OutOfSpace)
    headers = {"Retry-After": str(RETRY_AFTER_FULL if full else RETRY_AFTER)}
    return AnsweredError(507 if full else 503, operation_outcome([issue_of_fault(error)]), headers)


def answer_bundle(bundle: Element, results: Sequence[Taken | Refused]) -> JSONResponse:
    """Entry by entry, in order."""
    kind = "transaction-response" if text(bundle, "type") == "transaction" else "batch-response"
    entries = [{"response": _answer_entry(place, one)} for place, one in enumerate(results)]
    return JSONResponse({"resourceType": "Bundle", "type": kind, "entry": entries}, media_type=FHIR_JSON)


def _answer_entry(place: int, one: Taken | Refused) -> dict[str, Any]:
    if isinstance(one, Refused):
        return {"status": "422 Unprocessable Entity", "outcome": operation_outcome([issue_of(one, place=place)])}
    return {
        "status": "200 OK" if one.receipt.known else "201 Created",
        "location": one.arrival.sender_id,
        "outcome": operation_outcome(issues_of(one.arrival, one.receipt, place=place)),
    }
