"""The course of a stay: its movements, replayed in the order of their recording, whatever order they came in. Knows no database.

So a transfer may come before its admission, and a cancel before what it cancels.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

_UNDOES = {"cancel_admit": "admit", "cancel_transfer": "transfer", "cancel_discharge": "discharge"}
_MOVES = frozenset(_UNDOES.values())


@dataclass(frozen=True, kw_only=True)
class Movement:
    """One row of ``movements``; the kinds are those of ``stream.arrival.Move``.

    ``told_by``: see ``stream.arrival.TellCourse``; of the kind ``none`` where that tells of no movement. ``patient_key``: empty
    where it does not tell for sure whose the stay is; a movement that is told again of another patient is still one movement.
    """

    kind: str
    at: datetime
    recorded_at: datetime
    intensive: bool | None
    person: str = ""
    repeated_hour: bool | None = None
    told_by: str | None = None
    patient_key: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class Course:
    """``origin``: the first admission or transfer into intensive care. ``left_at``: when the patient next left it.

    ``repeated_hour``: of the origin. ``person``: the latest hash of birth date and sex. ``patient_key``: the latest, too.
    """

    origin: datetime | None
    repeated_hour: bool
    left_at: datetime | None
    person: str
    patient_key: str


def replay(movements: Iterable[Movement]) -> Course:
    """What all movements of a stay, given in the order of their arrival, come to."""
    ordered = sorted(movements, key=lambda one: (one.recorded_at, one.kind in _UNDOES))
    standing: list[Movement] = []
    for movement in dict.fromkeys(ordered):  # a movement that is told again is one
        _apply(standing, movement)
    inward = [one for one in standing if one.kind in {"admit", "transfer"} and one.intensive]
    first = min(inward, key=lambda one: one.at, default=None)
    origin = first.at if first else None
    left = [one.at for one in standing if origin and one.at > origin and _leaves(one)]
    person = next((one.person for one in reversed(ordered) if one.person), "")
    patient_key = next((one.patient_key for one in reversed(ordered) if one.patient_key), "")
    return Course(
        origin=origin,
        repeated_hour=bool(first and first.repeated_hour),
        left_at=min(left, default=None),
        person=person,
        patient_key=patient_key,
    )


def _leaves(movement: Movement) -> bool:
    return movement.kind == "discharge" or (movement.kind == "transfer" and movement.intensive is False)


def _apply(standing: list[Movement], movement: Movement) -> None:
    if movement.kind in _UNDOES:
        _remove(standing, movement)
    elif movement.kind == "correct_admit":
        _readmit(standing, movement, None)
    elif movement.kind == "admit" and _readmit(standing, movement, movement.intensive):
        return
    elif movement.kind in _MOVES and not any(_same(one, movement) for one in standing):
        standing.append(movement)


def _same(one: Movement, other: Movement) -> bool:
    return (one.kind, one.at, one.intensive) == (other.kind, other.at, other.intensive)


def _remove(standing: list[Movement], cancel: Movement) -> None:
    """The movement of the cancel's own time no longer stands, else the latest one of the kind.

    A visit whose admission was cancelled has not been: nothing of it stands that was recorded before.
    """
    places = [place for place, one in enumerate(standing) if one.kind == _UNDOES[cancel.kind]]
    if places:
        del standing[max(places, key=lambda place: (standing[place].at == cancel.at, standing[place].at, place))]
    if cancel.kind == "cancel_admit" and not any(one.kind == "admit" for one in standing):
        standing.clear()


def _readmit(standing: list[Movement], told: Movement, intensive: bool | None) -> bool:
    """A visit has one admission: told with another time, or of the same time with another location, the later word holds.

    ``intensive`` None: whatever its location. False when there is none.
    """
    for place, one in enumerate(standing):
        if one.kind == "admit" and (one.at == told.at or intensive in {None, one.intensive}):
            kept = one.intensive if intensive is None else intensive
            standing[place] = replace(one, at=told.at, intensive=kept, repeated_hour=told.repeated_hour)
            return True
    return False
