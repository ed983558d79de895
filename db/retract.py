"""Taking back what was said: current predictions become ``retracted``, and those still to come are born so."""

import sqlalchemy as sa

from db.tables import cases, predictions


def retract(connection: sa.Connection, case_key: str) -> bool:
    """Retract all revisions of a case so far; False when there is no such case."""
    update = sa.update(cases).where(cases.c.case_key == case_key).values(retracted_revision=cases.c.revision, close_at=None)
    if not connection.execute(update).rowcount:
        return False
    said = sa.update(predictions).where(predictions.c.case_key == case_key, predictions.c.status == "current")
    connection.execute(said.values(status="retracted"))
    return True
