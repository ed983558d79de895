"""What a producer's ``parse`` hands to the intake: one input and all that it asks of the ledger.

Everything here has been checked: times are aware UTC, units are the analyte's own, identifiers are keyed hashes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stream.content import Content
from stream.queues import Lane


@dataclass(frozen=True, kw_only=True)
class JudgeNow:
    """Judge this input by itself, now: a projection image, a multi-frame instance, anything else that is one instance.

    ``acquired_at``: when the image was taken or the document written.
    """

    case_key: str
    modality: str
    facts: Mapping[str, Any]
    acquired_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class JoinSeries:
    """Add this instance to a series; it is complete after ``quiet_seconds`` without another, or at ``expected`` instances."""

    case_key: str
    facts: Mapping[str, Any]
    quiet_seconds: float
    expected: int | None = None
    acquired_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class WriteNote:
    """A document's text, new or edited; the same ``case_key`` again is its next revision.

    ``text``: None when only the document's status changed. ``available``: False while the document waits to be released
    (TXA-17 DI, IN, IP). ``version_at`` orders the versions where the sender dates them: an older one is not used.
    ``known_as``: the case key of a replacement's own number; later messages that name it belong to ``case_key``.
    """

    case_key: str
    text: Content | None
    facts: Mapping[str, Any]
    available: bool = True
    acquired_at: datetime | None = None
    version_at: datetime | None = None
    known_as: str = ""


@dataclass(frozen=True, kw_only=True)
class CancelNote:
    """The sender took the document back: what was said of it is retracted.

    ``version_at``: as a text's; a text that is newer opens the document again.
    """

    case_key: str
    version_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """One version of one result on the patient's timeline.

    ``base``: hash of (assigning authority, filler order, code, sub-id), or of a FHIR resource. ``identity``: of one result of
    that resource; where it is empty the base identifies, and where that stands more than once in its message, the observation
    time too. ``code``: the analyte's first LOINC code; ``value``: in the analyte's unit, None when
    the result was removed (OBX-11 D, W; ``entered-in-error``) or its correction cannot be read: whose and when it was then
    need not be told again. ``only_known``: without a value because there is none (yet): nothing is remembered of it where
    no value was. ``version_at`` orders the versions: an older one never replaces a newer. ``sent_at``: when its message was
    sent, which orders what ``version_at`` leaves open; where the laboratory gave no time of its own they are one.
    ``observed_at``: None where a removal does not say when what it takes back was observed.
    ``flags``: see ``stream.points``.
    """

    base: str
    code: str
    value: float | None
    flags: int
    observed_at: datetime | None
    available_at: datetime
    version_at: datetime
    sent_at: datetime | None = None
    identity: str = ""
    only_known: bool = False


#: A refused code is shown to at most so many characters.
MOST_CODE = 40


@dataclass(frozen=True, kw_only=True)
class RefusedPoint:
    """A result that was not taken. ``observed_at``: None where that cannot be told.

    ``where``: its place in the protocol's own words, for the sender's answer alone: the ledger does not keep it.
    """

    code: str
    reason: str
    observed_at: datetime | None = None
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class AddResults:
    """Put results on the patient's timeline.

    ``refused``: those that were not taken. ``whole``: these are all results of their base; what an earlier version of it held
    besides is taken back. ``why``: what is said of the input where no result has a value and nothing is taken back.
    """

    results: tuple[Result, ...]
    refused: tuple[RefusedPoint, ...] = ()
    whole: bool = False
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Move:
    """A movement of a stay: an admission, a transfer, a discharge, or the undoing of one.

    ``kind``: ``admit``, ``transfer``, ``discharge``, ``cancel_admit``, ``cancel_transfer``, ``cancel_discharge``;
    ``correct_admit`` gives the admission's time anew, ``update`` only the person's facts.
    ``stay``: hash of the visit. ``intensive``: the new location is on the list of intensive care locations; None when
    no location was given. ``facts``: age and sex at the moment of the movement. ``recorded_at``: when it was put down, which
    orders the movements; None: now. ``person``: hash of birth date and sex, so that their correction is noticed.
    ``repeated_hour``: see ``stream.moments.Moment``, of ``at``.
    """

    kind: str
    stay: str
    at: datetime
    intensive: bool | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    recorded_at: datetime | None = None
    person: str = ""
    repeated_hour: bool = False


@dataclass(frozen=True, kw_only=True)
class TellCourse:
    """What one FHIR Encounter tells of a stay, in place of all that its older versions told.

    ``told_by``: hash of the Encounter. ``moves``: all its movements; where there are none, ``why``: it is no stay in hospital.
    ``adds``: it does not say since when the patient was where, so what its older versions told stands beside it.
    ``version_at`` orders the versions where the sender dates them: an older one is not used.
    """

    stay: str
    told_by: str
    moves: tuple[Move, ...] = ()
    why: str = ""
    adds: bool = False
    version_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Two patient keys are one person (ADT^A40): ``other`` becomes an alias of the arrival's patient."""

    other: str


@dataclass(frozen=True, kw_only=True)
class KnowPatient:
    """Remember a patient for what refers to it by its server's id alone.

    ``bare_key``: hash of the server and that id. ``birth_date``: as FHIR writes it, or empty. ``facts_at``: age and sex at
    a moment, for stays that came before the patient. ``version_at``: an older version is not remembered.
    """

    bare_key: str
    birth_date: str
    sex: str
    facts_at: Callable[[datetime], Mapping[str, Any]]
    version_at: datetime | None = None


Ask = KnowPatient | JudgeNow | JoinSeries | WriteNote | CancelNote | AddResults | Move | TellCourse | Merge


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One input.

    ``identity``: what makes it the same input again, whatever feed it comes over. ``sender_id``: what its sender calls
    it (SOP Instance UID, MSH-10, resource id, file name). ``by_id_alone``: the patient is known by a server's id alone, so that
    another key need not be another person. ``not_used``: why nothing is asked, when ``asks`` is empty.
    """

    feed: str
    identity: str
    sender_id: str
    content: Content
    patient_key: str = ""
    by_id_alone: bool = False
    lane: Lane = Lane.ROUTINE
    asks: tuple[Ask, ...] = ()
    not_used: str = ""

    @property
    def refused(self) -> tuple[RefusedPoint, ...]:
        """The points of all its asks that are not taken."""
        return tuple(point for ask in self.asks if isinstance(ask, AddResults) for point in ask.refused)


class Whole(tuple[Arrival, ...]):
    """Arrivals that are committed together or not at all."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of an arrival: the answer that the sender may now be given.

    ``known``: this identity with this content was accepted before; ``conflict``: with other content, kept and flagged.
    ``refused``: its points that were not taken when it was accepted: one that is known is not laid anew, whatever its feed would
    make of it by now.
    """

    input_id: int
    disposition: str
    reason: str = ""
    known: bool = False
    conflict: bool = False
    refused: tuple[RefusedPoint, ...] = ()

    def told(self, arrival: Arrival) -> list[RefusedPoint]:
        """``refused``, each as in the arrival as it is read now, where that still has it: so with its place."""
        left, told = list(arrival.refused), []
        for point in self.refused:
            same = next((one for one in left if (one.code, one.reason) == (point.code, point.reason)), None)
            if same:
                left.remove(same)
            told.append(same or point)
        return told
