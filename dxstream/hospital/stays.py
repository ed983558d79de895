"""Stays in intensive care, as the ADT and ORU messages that a hospital's engine would send."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from dxstream.hospital.cases import STAY, Case, Oddity, Sending, chance, digits, oddity_at
from dxstream.hospital.course import HOURS, Measured, draw_course
from dxstream.hospital.people import Person, invent
from dxstream.hospital.segments import message, patient, segment, stamp, visit

INTENSIVE = ("MICU", "SICU", "CCU", "ICU")
WARDS = ("WARD3", "WARD7", "WARD9")

ODDITIES = (
    Oddity("child", "unmatched", "the patient is 9 years old: unmatched"),
    Oddity("ward", "no event", "admitted to a normal ward only: the results stay on the timeline, no event"),
    Oddity("few", "rejected", "hardly anything was measured: rejected"),
    Oddity("unknown unit", "predicted", "potassium in a unit that nobody knows: those points refused, predicted from the rest"),
    Oddity("other units", "predicted", "creatinine in umol/L, glucose in mmol/L, temperature in degF: converted, predicted"),
    Oddity("corrected", "predicted", "a result is corrected afterwards (OBX-11 C): predicted with the new value"),
    Oddity("left early", "unmatched", "left intensive care after 20 hours: unmatched"),
)

#: Shares of the stays: admitted straight to intensive care; declining.
STRAIGHT_SHARE, FAILING_SHARE = 0.5, 0.25

#: Analyte → (LOINC code, unit, how the value in the analyte's own unit becomes one of that unit).
OTHER_UNITS: dict[str, tuple[str, str, Callable[[float], float]]] = {
    "Creatinine": ("14682-9", "umol/L", lambda value: round(value * 88.42, 1)),
    "Glucose": ("14749-6", "mmol/L", lambda value: round(value * 0.0555, 2)),
    "Temp": ("8310-5", "[degF]", lambda value: round(value * 9.0 / 5.0 + 32.0, 1)),
}
#: A unit that ``stream/units.csv`` does not know.
NO_UNIT = "{furlong}/fortnight"

#: Hours in intensive care of the one who left early.
LEFT_AFTER = 20.0


@dataclass(frozen=True, kw_only=True)
class Stay:
    """One stay before it is written down. ``admitted``: to the hospital; ``origin``: to intensive care, if ever."""

    person: Person
    number: str
    location: str
    admitted: datetime
    origin: datetime
    way: str


def stay_case(seed: int, index: int, now: datetime) -> Case:
    """The stay at ``index``: movements first, then results, 8 to 12 messages of them."""
    rng = chance(seed, STAY, index)
    oddity = oddity_at(index, ODDITIES)
    stay = _stay(rng, now, oddity.name if oddity else "")
    sendings = (*_admission(rng, stay), *_results(rng, stay), *_departure(rng, stay))
    if oddity is None:
        return Case(kind=STAY, sendings=sendings)
    return Case(kind=STAY, sendings=sendings, expected=oddity.expected, note=oddity.note)


def _stay(rng: np.random.Generator, now: datetime, way: str) -> Stay:
    origin = (now - timedelta(hours=float(rng.uniform(72, 240)))).replace(microsecond=0)
    earlier = timedelta(minutes=int(rng.integers(60, 2000)))
    straight = bool(rng.random() < STRAIGHT_SHARE)
    return Stay(
        person=invent(rng, 9 if way == "child" else int(rng.integers(35, 89)), origin),
        number=digits(rng, 8),
        location=str(rng.choice(WARDS if way == "ward" else INTENSIVE)),
        admitted=origin if straight or way == "ward" else origin - earlier,
        origin=origin,
        way=way,
    )


def _admission(rng: np.random.Generator, stay: Stay) -> list[Sending]:
    """A01 straight to where the patient is, or A01 to a ward and A02 from there."""
    if stay.admitted == stay.origin:
        return [_move(rng, stay, "A01", stay.origin, stay.location)]
    ward = str(rng.choice(WARDS))
    return [_move(rng, stay, "A01", stay.admitted, ward), _move(rng, stay, "A02", stay.origin, stay.location)]


def _departure(rng: np.random.Generator, stay: Stay) -> list[Sending]:
    if stay.way != "left early":
        return []
    return [_move(rng, stay, "A02", stay.origin + timedelta(hours=LEFT_AFTER), str(rng.choice(WARDS)))]


def _move(rng: np.random.Generator, stay: Stay, trigger: str, at: datetime, location: str) -> Sending:
    event = segment("EVN", {1: trigger, 2: stamp(at), 6: stamp(at)})
    segments = [event, patient(stay.person), visit(location, stay.number, stay.admitted)]
    return message(f"ADT^{trigger}^ADT_{trigger}", "SIM" + digits(rng, 12), at, segments)


def _results(rng: np.random.Generator, stay: Stay) -> list[Sending]:
    """One message for every 4 to 6 hours of the stay."""
    measured = draw_course(rng, failing=bool(rng.random() < FAILING_SHARE))
    if stay.way == "few":
        measured = [one for one in measured if one.analyte.analyte == "HR"][:2]
    if stay.way == "left early":
        measured = [one for one in measured if one.hour < LEFT_AFTER]
    sendings: list[Sending] = []
    for part in _parts(rng, measured):
        order = digits(rng, 10)
        sendings.append(_report(rng, stay, order, part))
    if stay.way == "corrected":
        sendings.append(_correction(rng, stay, order, part))
    return sendings


def _parts(rng: np.random.Generator, measured: Sequence[Measured]) -> list[list[Measured]]:
    ends = np.cumsum(rng.uniform(4.0, 6.0, int(HOURS)))
    cut: dict[int, list[Measured]] = {}
    for one in measured:
        cut.setdefault(int(np.searchsorted(ends, one.hour)), []).append(one)
    return [cut[place] for place in sorted(cut)]


def _report(rng: np.random.Generator, stay: Stay, order: str, part: Sequence[Measured]) -> Sending:
    """ORU^R01 with one order; ``order``: its filler number."""
    done = stay.origin + timedelta(hours=part[-1].hour, minutes=20)
    return _oru(rng, stay, order, done, (_written(stay, one, number, "F") for number, one in enumerate(part, start=1)))


def _correction(rng: np.random.Generator, stay: Stay, order: str, part: Sequence[Measured]) -> Sending:
    """One of the results of ``order`` again, an hour later, with another value."""
    wrong = next((one for one in part if one.analyte.analyte == "Glucose"), part[0])
    right = replace(wrong, value=round(wrong.value * 1.1, 1))
    done = stay.origin + timedelta(hours=part[-1].hour, minutes=80)
    return _oru(rng, stay, order, done, [_written(stay, right, 1, "C")])


def _oru(rng: np.random.Generator, stay: Stay, order: str, done: datetime, results: Iterable[str]) -> Sending:
    asked = "74728-7^Vital signs and laboratory^LN"
    request = segment("OBR", {1: "1", 3: f"{order}^SIMLAB", 4: asked, 7: stamp(done), 22: stamp(done), 25: "F"})
    segments = [patient(stay.person), visit(stay.location, stay.number, stay.admitted), request, *results]
    return message("ORU^R01^ORU_R01", "SIM" + digits(rng, 12), done, segments)


def _written(stay: Stay, one: Measured, number: int, status: str) -> str:
    """One OBX NM. ``status``: OBX-11."""
    code, unit, value = one.analyte.codes[0], one.analyte.unit, one.value
    if stay.way == "other units" and one.analyte.analyte in OTHER_UNITS:
        code, unit, convert = OTHER_UNITS[one.analyte.analyte]
        value = convert(one.value)
    if stay.way == "unknown unit" and one.analyte.analyte == "K":
        unit = NO_UNIT
    at = stay.origin + timedelta(hours=one.hour)
    name = f"{code}^{one.analyte.name}^LN"
    return segment("OBX", {1: str(number), 2: "NM", 3: name, 5: f"{value:g}", 6: unit, 11: status, 14: stamp(at)})
