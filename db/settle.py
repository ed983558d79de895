"""The inputs that a case gathered get their last disposition, and the tally moves with them."""

from collections import Counter

import sqlalchemy as sa

from db.tables import case_inputs, inputs
from db.tally import Counts


def settle(
    connection: sa.Connection, case_id: int, counts: Counts, *, disposition: str, event_id: int | None, reason: str = ""
) -> int:
    """Inputs of the case that are still ``collecting`` (or kept on the timeline for it) get ``disposition``.

    Returns the highest input id of the case: an event judges the inputs up to it.
    """
    gathered = sa.select(case_inputs.c.input_id).where(case_inputs.c.case_id == case_id)
    open_ones = inputs.c.id.in_(gathered) & (inputs.c.disposition == "collecting")
    values: dict[str, object] = {"disposition": disposition, "event_id": event_id}
    if reason:
        values["reason"] = reason
    moved = connection.execute(sa.update(inputs).where(open_ones).values(values).returning(inputs.c.feed)).scalars()
    for feed, number in Counter(moved).items():
        counts["inputs", (feed, "collecting")] -= number
        counts["inputs", (feed, disposition)] += number
    highest = connection.execute(sa.select(sa.func.max(case_inputs.c.input_id)).where(case_inputs.c.case_id == case_id)).scalar()
    return int(highest or 0)
