"""Asks a source how many instances its series have: C-FIND, study root, SERIES level. One thread a source.

Only the ledger says what is open and since when, so that a restart in the middle of a series changes nothing. A source
that does not answer changes nothing either: its series then close after silence.
"""

import logging
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime

from pydicom import Dataset
from pydicom.errors import BytesLengthException
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRootFind  # type: ignore[attr-defined]

from db.engine import Database
from db.series import OpenSeries, open_series, set_expected
from stream.errors import Temporary
from stream.feeds import Source
from stream.rounds import one_round

log = logging.getLogger(__name__)

#: How often the ledger is looked at for series that went quiet, in seconds.
LOOK_SECONDS = 1.0
#: A source that needs longer for anything does not answer, in seconds.
ANSWER_SECONDS = 5.0
#: A series is asked for after so much of its quiet time without a further instance, and again before that time is over.
FIRST, AGAIN = 0.25, 0.75

_PENDING = (0xFF00, 0xFF01)


class Asker:
    """The thread that asks one source. ``sender``: the AE title that its instances come from; ``ae_title``: our own."""

    def __init__(self, database: Database, sender: str, source: Source, *, ae_title: str) -> None:
        self.database = database
        self.sender = sender
        self.source = source
        self.ae_title = ae_title
        self._asked: dict[int, tuple[datetime, int]] = {}  # case → its last instance, and the moments that had passed then
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ask {sender}", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join(timeout=2 * ANSWER_SECONDS)

    def look(self) -> None:
        """Ask for every series that is due; raises Temporary without a database."""
        with self.database.read() as connection:
            series = open_series(connection, self.database.now(connection), self.sender)
        steps = {one.case_id: (one.touched_at, step_of(one)) for one in series}
        due = [one for one in series if step_of(one) and self._asked.get(one.case_id) != steps[one.case_id]]
        self._asked = steps
        for one, count in ask_counts(self.source, due, ae_title=self.ae_title):
            with self.database.write() as (connection, now):
                complete = set_expected(connection, now, one.case_id, count)
            log.info("a source was asked: case=%d instances=%d complete=%s", one.case_id, count, complete)

    def _try(self) -> None:
        try:
            self.look()
        except Temporary as error:
            log.warning("no source is asked for now: %s", error)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            with one_round(f"asking the source of {self.sender}"):
                self._try()


def step_of(series: OpenSeries) -> int:
    """How many moments to ask have passed since its last instance: FIRST and AGAIN of its quiet time.

    While it waits for what is missing, one more with each further quiet time.
    """
    silent, quiet = series.silent_seconds, max(series.quiet_seconds, 0.001)
    if silent < AGAIN * quiet:
        return int(silent >= FIRST * quiet)
    return 2 + int(silent / quiet - AGAIN)


def ask_counts(source: Source, series: Iterable[OpenSeries], *, ae_title: str) -> Iterator[tuple[OpenSeries, int]]:
    """The counts that a source gives, over one association; a series that it does not know or does not count is left out."""
    waiting = list(series)
    if not waiting:
        return
    entity = AE(ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = ANSWER_SECONDS
    entity.add_requested_context(StudyRootFind)
    association = entity.associate(source.host, source.port, ae_title=source.ae_title)
    if not association.is_established:
        log.warning("a source does not answer: source=%s series=%d", source.ae_title, len(waiting))
        return
    try:
        for one in waiting:
            count = _ask(association, one) if association.is_established else None
            if count is not None:
                yield one, count
    finally:
        association.release()


def _ask(association: Association, one: OpenSeries) -> int | None:
    """NumberOfSeriesRelatedInstances (0020,1209), None when the source does not say."""
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID = one.study
    query.SeriesInstanceUID = one.series
    query.NumberOfSeriesRelatedInstances = ""
    found = None
    for status, answer in association.send_c_find(query, StudyRootFind):
        if status.get("Status") in _PENDING and answer is not None:
            found = _count(answer, one.series) if found is None else found
    return found


def _count(answer: Dataset, series: str) -> int | None:
    """The count of one answer; one that is not of this series, or no number above zero, says nothing."""
    try:
        count = int(str(answer.get("NumberOfSeriesRelatedInstances", "")) or 0)
        return count if count > 0 and answer.get("SeriesInstanceUID", series) == series else None
    except (ValueError, BytesLengthException):
        return None
