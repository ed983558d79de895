"""One OBX with the OBR above it: which result it is, and when that was observed, reported and sent."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from producers.hl7.message import Segment
from producers.hl7.reading import Reading
from producers.hl7.times import first_moment, read_moment
from stream.errors import Refused
from stream.moments import MOST_AHEAD, Moment

#: OBX-11, table 0085: what was sent before is taken back; there is no value (yet).
REMOVED = {"D", "W"}
WITHOUT_VALUE = {"X", "I", "N"}

_LOINC = re.compile(r"\d{1,7}-\d")


@dataclass(frozen=True)
class Observation:
    """``order``: an empty OBR where there is none. ``place``: which OBX of its message it is, from 1."""

    reading: Reading
    order: Segment
    segment: Segment
    place: int

    @cached_property
    def code(self) -> str:
        """LOINC: OBX-3 where it says so, else by the table of local codes, else as it looks; a local code where none is known."""
        segment = self.segment
        for code, system in ((1, 3), (4, 6)):
            if segment.text(3, system).upper() in {"LN", "LOINC"}:
                return segment.text(3, code)
        sent, alternate = segment.text(3), segment.text(3, 4)
        local = self.reading.feeds.local_codes
        mapped = local.get(sent.upper()) or local.get(alternate.upper())
        if mapped:
            return mapped
        return alternate if _LOINC.fullmatch(alternate) and not _LOINC.fullmatch(sent) else sent

    @property
    def status(self) -> str:
        """OBX-11 in capitals."""
        return self.segment.text(11).upper()

    def observed(self) -> Moment:
        """OBX-14, else OBR-7; raises Refused: none, a date alone, in the future."""
        sent = self.segment.text(14) or self.order.text(7)
        if not sent:
            raise Refused("no observation time", where="14")
        try:
            moment = read_moment(sent, self.reading.config.time_zone)
        except Refused as error:
            raise Refused(error.reason, where="14") from error
        if moment.at > self.reading.received_at + MOST_AHEAD:
            raise Refused("in the future", where="14")
        return moment

    @cached_property
    def observed_at(self) -> datetime | None:
        """The same; None where it cannot be told."""
        try:
            return self.observed().at
        except Refused:
            return None

    def times(self) -> tuple[datetime, datetime, datetime]:
        """When it was to be had (OBX-19, else OBR-22, else receipt), what orders its versions, and when it was sent.

        Versions are ordered by the later of OBX-19 and OBR-22, by MSH-7 (else receipt) where there is neither. A date alone and
        a time in the future are passed over: a clock that runs ahead would shut out every later correction.
        """
        zone, now = self.reading.config.time_zone, self.reading.received_at
        written = (self.segment.text(19), self.order.text(22))
        reported = [moment.at for text in written if (moment := first_moment((text,), zone, now))]
        sent = first_moment((self.reading.message.header.text(7),), zone, now)
        sent_at = sent.at if sent else now
        return (reported[0], max(reported), sent_at) if reported else (now, sent_at, sent_at)

    def base(self, at: datetime) -> str:
        """The result's identity: who numbered the order, its number (OBR-3, else OBR-2), OBX-3 and OBX-4.

        Without a number it is the patient's, of the moment ``at``.
        """
        reading, order, segment = self.reading, self.order, self.segment
        code = segment.text(3) or segment.text(3, 4)
        for field in (3, 2):
            if number := order.text(field):
                assigner = order.text(field, 2) or order.text(field, 3) or reading.message.sender
                return reading.identities.digest("result", assigner, number, code, segment.text(4))
        return reading.identities.digest("result", reading.patient_key, at.isoformat(), code, segment.text(4))


def observations(reading: Reading) -> Iterator[Observation]:
    """Every OBX of a message, in order."""
    order, place = Segment("OBR", reading.message.header.separators, reading.message.codec), 0
    for segment in reading.message.segments:
        if segment.name == "OBR":
            order = segment
        elif segment.name == "OBX":
            place += 1
            yield Observation(reading, order, segment, place)
