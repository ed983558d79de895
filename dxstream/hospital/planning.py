"""Which cases the simulated hospital sends. They are drawn one by one as they are asked for, so that a plan is small."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from dxstream.hospital.cases import Case
from dxstream.hospital.notes import note_case
from dxstream.hospital.scans import scan_case
from dxstream.hospital.stays import stay_case


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many cases of each kind. Equal plans hold equal cases, byte by byte. ``now``: with a time zone."""

    seed: int
    now: datetime
    scan_count: int
    stay_count: int
    note_count: int

    @property
    def n(self) -> int:
        """All cases."""
        return self.scan_count + self.stay_count + self.note_count

    def scans(self) -> Iterator[Case]:
        """Chest X-rays as DICOM instances."""
        return (scan_case(self.seed, index, self.now) for index in range(self.scan_count))

    def stays(self) -> Iterator[Case]:
        """Stays as ADT and ORU messages, in the order in which they must be sent."""
        return (stay_case(self.seed, index, self.now) for index in range(self.stay_count))

    def notes(self) -> Iterator[Case]:
        """Notes, by turns as a FHIR DocumentReference and as HL7 MDM messages."""
        return (note_case(self.seed, index, self.now) for index in range(self.note_count))

    def cases(self) -> Iterator[Case]:
        """All of them."""
        yield from self.scans()
        yield from self.stays()
        yield from self.notes()


def plan(n: int, seed: int, now: datetime) -> Plan:
    """``n`` cases shared among scans, stays and notes; what does not divide goes to scans first, then stays."""
    if now.tzinfo is None:
        raise ValueError("now has no time zone")
    each, over = divmod(n, 3)
    return Plan(seed=seed, now=now, scan_count=each + (over > 0), stay_count=each + (over > 1), note_count=each)
