"""OperationOutcome: what is wrong, or what became of a resource, in plain words and without a patient's data."""

from collections.abc import Iterable, Iterator
from typing import Any

from stream.arrival import Arrival, Receipt
from stream.errors import OutOfSpace, Refused, Temporary, Unsupported

#: No more issues than this are named in one answer.
MAX_ISSUES = 100

Issue = dict[str, Any]

_BECAME = {
    "in_event": "taken: it will be judged",
    "collecting": "taken: it waits for the rest of its case",
    "timeline": "taken: it is on the patient's timeline",
    "not_used": "kept, but not used",
}


def issue(severity: str, code: str, diagnostics: str, expression: str = "") -> Issue:
    """One issue. ``code``: an R4 issue-type; ``expression``: a FHIRPath."""
    found: Issue = {"severity": severity, "code": code, "diagnostics": diagnostics}
    return {**found, "expression": [expression]} if expression else found


def operation_outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """The resource; of very many issues the first ones."""
    return {"resourceType": "OperationOutcome", "issue": list(issues)[:MAX_ISSUES]}


def issue_of(error: Refused, *, place: int | None = None) -> Issue:
    """A refusal; ``place``: of the entry in its Bundle."""
    code = "not-supported" if isinstance(error, Unsupported) else "invalid"
    return issue("error", code, error.reason, _expression(error.where, place))


def _expression(where: str, place: int | None) -> str:
    if place is None:
        return where
    if where.startswith("Bundle.entry"):
        return where.replace("Bundle.entry", f"Bundle.entry[{place}]", 1)
    _, dot, inside = where.partition(".")
    return f"Bundle.entry[{place}].resource{dot}{inside}"


def issue_of_fault(error: Temporary) -> Issue:
    """A fault of ours that will pass."""
    return issue("error", "no-store" if isinstance(error, OutOfSpace) else "transient", f"try again later: {error}")


def issues_of(arrival: Arrival, receipt: Receipt, *, place: int | None = None) -> list[Issue]:
    """What became of an accepted resource, each point named that was refused when it was accepted; ``place``: as above."""
    words = _BECAME.get(receipt.disposition, receipt.disposition)
    if receipt.reason and not receipt.refused:
        words = f"{words} ({receipt.reason})"
    told = issue("information", "informational", f"{words}; known before" if receipt.known else words)
    return [told, *_warnings(arrival, receipt, place)]


def _warnings(arrival: Arrival, receipt: Receipt, place: int | None) -> Iterator[Issue]:
    for one in receipt.told(arrival):
        words = f"refused point {one.code}: {one.reason}"
        yield issue("warning", "value", words, _expression(one.where, place) if one.where else "")
