"""ADT: admissions, transfers, discharges and their undoing as movements of a stay; A40 as a merge."""

from producers.hl7.reading import Reading
from producers.hl7.times import first_moment, read_moment
from stream.arrival import Ask, Merge, Move
from stream.errors import Refused
from stream.moments import Moment

#: Trigger event → kind of movement. A06 makes an outpatient an inpatient, A07 the reverse; A04 registers an outpatient.
#: A06 is no admission, since PV1-44 then is the time of the outpatient's coming.
_KINDS = {
    "A01": "admit",
    "A02": "transfer",
    "A03": "discharge",
    "A06": "transfer",
    "A07": "discharge",
    "A11": "cancel_admit",
    "A12": "cancel_transfer",
    "A13": "cancel_discharge",
}

#: Where a movement's time stands, the best first. EVN-6: occurred; EVN-2: recorded; PV1-44: admitted; PV1-45: discharged.
_OCCURRED = (("EVN", 6), ("EVN", 2))
_TIMES = {"A01": (("PV1", 44), *_OCCURRED), "A03": (("PV1", 45), *_OCCURRED)}


def read_movement(reading: Reading, event: str) -> tuple[Ask | None, str]:
    """What an ADT message asks, or None with the reason. Raises Refused for a movement without a time."""
    if event == "A40":
        return _merge(reading), ""
    if event == "A08":
        return _update(reading)
    if event not in _KINDS:
        return None, f"nothing to judge in ADT^{event}"
    texts = tuple(reading.message.first(name).text(field) for name, field in _TIMES.get(event, _OCCURRED))
    moment = first_moment(texts, reading.config.time_zone, reading.received_at)
    if moment is None:
        raise _no_time(reading, texts)
    return _move(reading, _KINDS[event], moment, _intensive(reading)), ""


def _update(reading: Reading) -> tuple[Ask | None, str]:
    """A08 gives the visit's admission (PV1-44), birth date and sex anew; its location is no movement."""
    if not _numbered(reading):
        return None, "no visit to update"
    admitted = first_moment((reading.message.first("PV1").text(44),), reading.config.time_zone, reading.received_at)
    if admitted is None:
        return _move(reading, "update", Moment(reading.recorded_at), None), ""
    return _move(reading, "correct_admit", admitted, None), ""


def _move(reading: Reading, kind: str, moment: Moment, intensive: bool | None) -> Move:
    return Move(
        kind=kind,
        stay=_stay(reading),
        at=moment.at,
        intensive=intensive,
        facts=reading.facts_at(moment.at),
        recorded_at=reading.recorded_at,
        person=reading.person,
        repeated_hour=moment.repeated_hour,
    )


def _merge(reading: Reading) -> Merge:
    """MRG-1 names the key that is given up for the one in PID-3."""
    given_up = list(reading.message.all("MRG"))
    if len(given_up) != 1:
        raise Refused("not exactly one MRG segment", where="MRG")
    return Merge(other=reading.key_given_up(given_up[0]))


def _no_time(reading: Reading, texts: tuple[str, ...]) -> Refused:
    sent = [text for text in texts if text]
    if not sent:
        return Refused("no time of the movement", where="EVN^1^2")
    try:
        read_moment(sent[0], reading.config.time_zone)
    except Refused as error:
        return Refused(error.reason, where="EVN^1^2")
    return Refused("in the future", where="EVN^1^2")


def _stay(reading: Reading) -> str:
    """The visit by its number, else the patient and the time of admission. Raises Refused without either."""
    if stay := _numbered(reading):
        return stay
    visit = reading.message.first("PV1")
    admitted = first_moment((visit.text(44),), reading.config.time_zone, reading.received_at)
    if admitted is None:  # all visits of the patient would be one stay
        raise Refused("neither a visit nor an account number, nor a time of admission", where="PV1^1^19")
    return reading.identities.digest("visit", reading.patient_key, admitted.at.isoformat())


def _numbered(reading: Reading) -> str:
    """The visit by PV1-19, else PID-18, with its assigning authority, else the patient's; empty without either."""
    for name, field in (("PV1", 19), ("PID", 18)):
        segment = reading.message.first(name)
        if number := segment.text(field):
            authority = segment.text(field, 4) or segment.text(field, 4, 2) or reading.authority or reading.feed
            return reading.identities.visit_key(authority=authority, number=number)
    return ""


def _intensive(reading: Reading) -> bool | None:
    """Whether PV1-3's point of care (1) or facility (4) is on the list; None without a location."""
    return not reading.locations.isdisjoint(reading.feeds.intensive_locations) if reading.locations else None
