"""What every part of reading a message needs: the message, what is configured of its feed, and whose it is."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from producers.hl7.message import Message, Segment
from producers.hl7.times import first_moment, least_age
from stream import facts
from stream.content import ContentStore
from stream.errors import Refused
from stream.feeds import FeedConfig, FeedsConfig
from stream.identity import Identities
from stream.queues import Lane

_SEXES = {"F": "female", "M": "male", "O": "other", "A": "other"}
_STAT = {"S", "STAT", "ST"}
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")

#: OBR-5, OBR-27.6 and TQ1-9 hold the priority: segment, field, component.
_PRIORITIES = (("OBR", 5, 1), ("OBR", 27, 6), ("TQ1", 9, 1))


@dataclass(frozen=True)
class Reading:
    """One message being read; ``received_at``: aware UTC."""

    message: Message
    feed: str
    config: FeedConfig
    feeds: FeedsConfig
    identities: Identities
    store: ContentStore
    received_at: datetime

    @cached_property
    def authority(self) -> str:
        """The assigning authority of the patient's identifier as sent (PID-3.4), else the feed's; may be empty."""
        pid = self.message.first("PID")
        return self._assigner(pid, _chosen(pid, 3))

    @cached_property
    def patient_key(self) -> str:
        """Of PID-3; raises Refused without one, and when the message holds more than one patient."""
        keys = {self.key_in(segment, 3, "PID^1^3") for segment in self.message.all("PID")}
        if len(keys) > 1:
            raise Refused("more than one patient in one message", where="PID")
        if not keys:
            raise Refused("no PID segment", where="PID^1")
        return keys.pop()

    def key_in(self, segment: Segment, field: int, where: str) -> str:
        """The patient key in a field of the type CX: the identifier of type MR, else the first. Raises Refused without one."""
        chosen = _chosen(segment, field)
        number = segment.part(chosen)
        if not number:
            raise Refused("no patient identifier", where=where)
        authority = self._assigner(segment, chosen)
        return self.identities.patient_key(authority=authority, number=number, feed=self.feed, kind=segment.part(chosen, 5))

    def key_given_up(self, merge: Segment) -> str:
        """The patient key in MRG-1, which is as in PID-3 where it leaves authority or type out. Raises Refused without a number."""
        chosen = _chosen(merge, 1)
        number = merge.part(chosen)
        if not number:
            raise Refused("no patient identifier", where="MRG^1^1")
        authority = merge.part(chosen, 4) or merge.part(chosen, 4, 2) or self.authority
        kind = merge.part(chosen, 5)
        if not kind and authority == self.authority:
            pid = self.message.first("PID")
            kind = pid.part(_chosen(pid, 3), 5)
        return self.identities.patient_key(authority=authority, number=number, feed=self.feed, kind=kind)

    def _assigner(self, segment: Segment, identifier: str) -> str:
        return segment.part(identifier, 4) or segment.part(identifier, 4, 2) or self.config.authority

    @cached_property
    def lane(self) -> Lane:
        """STAT by OBR-5, OBR-27.6 or TQ1-9, or by the feed's rules on the sender (MSH-3, MSH-4) and the location (PV1-3)."""
        if self._by_rule():
            return Lane.STAT
        for name, field, component in _PRIORITIES:
            for segment in self.message.all(name):
                if any(segment.part(one, component).upper() in _STAT for one in segment.repetitions(field)):
                    return Lane.STAT
        return Lane.ROUTINE

    def _by_rule(self) -> bool:
        config, header = self.config, self.message.header
        if {header.text(3), header.text(4)} & config.stat_senders:
            return True
        return bool(config.stat_locations) and not config.stat_locations.isdisjoint(self.locations)

    @cached_property
    def locations(self) -> frozenset[str]:
        """Point of care (PV1-3.1) and facility (PV1-3.4) of the visit, in capitals; empty without a location."""
        visit = self.message.first("PV1")
        return frozenset(visit.text(3, component).upper() for component in (1, 4)) if visit.raw(3) else frozenset()

    def facts_at(self, moment: datetime, known: dict[str, Any] | None = None) -> dict[str, Any]:
        """``known`` with age and sex of PID at ``moment``; what is still unknown comes from the feed's defaults, and is named."""
        pid = self.message.first("PID")
        found = {
            facts.AGE_YEARS: least_age(pid.text(7), moment, self.config.time_zone),
            facts.SEX: _SEXES.get(pid.text(8).upper()),
            **(known or {}),
        }
        sure = {name: value for name, value in found.items() if value is not None}
        supplied = {name: value for name, value in self.config.defaults.items() if name not in sure}
        return {**sure, **supplied, facts.DEFAULTS: sorted(supplied)} if supplied else sure

    @cached_property
    def person(self) -> str:
        """A hash of birth date and sex (PID-7, PID-8), so that their correction is noticed; empty without either."""
        pid = self.message.first("PID")
        born, sex = pid.text(7), pid.text(8).upper()
        return self.identities.digest("person", born, sex) if born or sex else ""

    @cached_property
    def recorded_at(self) -> datetime:
        """EVN-2, else MSH-7, else receipt: it orders the movements of a stay and the versions of a document."""
        texts = (self.message.first("EVN").text(2), self.message.header.text(7))
        moment = first_moment(texts, self.config.time_zone, self.received_at)
        return moment.at if moment else self.received_at

    @property
    def language(self) -> str | None:
        """BCP 47, where MSH-19 says it."""
        written = self.message.header.text(19)
        return written.lower() if _LANGUAGE.fullmatch(written) else None


def _chosen(segment: Segment, field: int) -> str:
    """The repetition of type MR, else the first that holds an identifier, as sent."""
    held = [one for one in segment.repetitions(field) if segment.part(one)]
    return next((one for one in held if segment.part(one, 5).upper() == "MR"), held[0] if held else "")
