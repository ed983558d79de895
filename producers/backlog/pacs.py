"""What is asked of a PACS: its studies of a day by C-FIND, and by C-MOVE to send one of them here."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import date

from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind as StudyRootFind,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelMove as StudyRootMove,
)

from producers.backlog.pull_intake import PullIntake
from producers.backlog.unit import Read, Unit
from stream.errors import DxstreamError, Temporary
from stream.feeds import Source
from stream.settings import BadSettingError

log = logging.getLogger(__name__)

#: A PACS that says nothing for so long is away, in seconds; some fetch a study from tape first.
SILENT_SECONDS = 600.0
CONNECT_SECONDS = 10.0
#: A C-MOVE that is broken off is asked for so many times.
TRIES = 3

_PENDING = (0xFF00, 0xFF01)
_SUCCESS, _SOME_FAILED, _DESTINATION_UNKNOWN = 0x0000, 0xB000, 0xA801
_SOURCE = re.compile(r"(?P<title>[^@]{1,16})@(?P<host>\[[^]]+\]|[^:]+):(?P<port>\d{1,5})")


class SourceAwayError(Temporary):
    """The PACS cannot be had; it is asked again."""

    waits_for = "source"


def read_source(text: str) -> Source:
    """``AE@host:port``; raises BadSettingError."""
    match = _SOURCE.fullmatch(text.strip())
    if not match or not 0 < int(match["port"]) < 65536:
        raise BadSettingError(f"a PACS is written as AE@host:port, not {text!r}")
    return Source(host=match["host"].strip("[]"), port=int(match["port"]), ae_title=match["title"])


@dataclass(kw_only=True)
class Pacs:
    """What is asked of a PACS; ``ae_title`` is ours, which it must know as the address where ``intake`` listens."""

    source: Source
    ae_title: str
    intake: PullIntake
    most: int = 1
    ahead: int = 1

    def find(self, day: date, modalities: Sequence[str]) -> list[str]:
        """The studies of one day, by StudyInstanceUID; raises SourceAwayError, DxstreamError for an answer that is none."""
        found: set[str] = set()
        with _Asking(self) as association:
            for modality in modalities or ("",):
                found.update(_find(association, day, modality))
        return sorted(found)

    def submit(self, units: Sequence[Unit]) -> "Future[list[Read]]":
        """Moves when the result is asked for, and not before."""
        return _Later(self, units)

    def read_singly(self, units: Sequence[Unit]) -> list[Read]:
        """Moves at once."""
        return [self.move(unit) for unit in units]

    def move(self, unit: Unit) -> Read:
        """One study, to its last instance."""
        self.intake.start_again()
        for _ in range(TRIES):
            with _Asking(self) as association:
                status = _move(association, unit.path.rpartition("/")[2], self.ae_title)
            if "Status" in status:
                break
        reason = _fault(status, self.intake.wait_for)
        unit = replace(unit, input_id=self.intake.first)
        return Read(unit=unit, inputs=self.intake.new, state="failed" if reason else "", reason=reason)


class _Later(Future[list[Read]]):
    def __init__(self, pacs: Pacs, units: Sequence[Unit]) -> None:
        super().__init__()
        self._pacs, self._units = pacs, units

    def result(self, timeout: float | None = None) -> list[Read]:
        del timeout
        return self._pacs.read_singly(self._units)


class _Asking:
    """An association for one question."""

    def __init__(self, pacs: Pacs) -> None:
        entity = AE(pacs.ae_title)
        entity.acse_timeout = entity.connection_timeout = CONNECT_SECONDS
        entity.dimse_timeout = entity.network_timeout = SILENT_SECONDS
        entity.add_requested_context(StudyRootFind)
        entity.add_requested_context(StudyRootMove)
        source = pacs.source
        self._association = entity.associate(source.host, source.port, ae_title=source.ae_title)

    def __enter__(self) -> Association:
        if not self._association.is_established:
            raise SourceAwayError("the PACS gives no association")
        return self._association

    def __exit__(self, *_: object) -> None:
        if self._association.is_established:
            self._association.release()


def _find(association: Association, day: date, modality: str) -> Iterator[str]:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyDate = day.strftime("%Y%m%d")
    query.StudyInstanceUID = ""
    query.ModalitiesInStudy = modality
    final = None
    for status, answer in association.send_c_find(query, StudyRootFind):
        final = status.get("Status")
        if final in _PENDING and answer is not None:
            yield str(answer.get("StudyInstanceUID", ""))
    if final is None:
        raise SourceAwayError("the PACS did not answer C-FIND")
    if final != _SUCCESS:
        raise DxstreamError(f"the PACS answered C-FIND with {final:04X}")


def _move(association: Association, study: str, destination: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study
    final = Dataset()
    for status, _ in association.send_c_move(query, destination, StudyRootMove):
        final = status
    if final.get("Status") == _DESTINATION_UNKNOWN:
        raise DxstreamError(f"the PACS does not know the AE title {destination}: name it there, with this host and --listen")
    return final


def _fault(status: Dataset, wait_for: Callable[[int], int]) -> str:
    """Why a study is not here, or not all of it; empty when it is."""
    if "Status" not in status:  # so does Orthanc where it does not know the destination
        return "the PACS broke off C-MOVE: does it know our AE title, this host and --listen?"
    failed = int(status.get("NumberOfFailedSuboperations", 0) or 0)
    if status.Status not in {_SUCCESS, _SOME_FAILED}:
        return f"C-MOVE was answered with {status.Status:04X}"
    if failed:
        return f"{failed} instances were not moved"
    stated = sum(int(status.get(f"NumberOf{kind}Suboperations", 0) or 0) for kind in ("Completed", "Warning"))
    came = wait_for(stated)
    return f"{stated} instances were moved and {came} came" if came < stated else ""
