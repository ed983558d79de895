"""A source that answers C-FIND: pynetdicom as the SCP, with a count that the test sets."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRootFind


@dataclass
class Archive:
    """``counts``: SeriesInstanceUID → how many instances it has. ``asked``: the questions so far."""

    port: int = 0
    counts: dict[str, int | None] = field(default_factory=dict)
    asked: list[Dataset] = field(default_factory=list)

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        self.asked.append(query)
        if query.SeriesInstanceUID in self.counts:
            answer = Dataset()
            answer.QueryRetrieveLevel = "SERIES"
            answer.StudyInstanceUID = query.StudyInstanceUID
            answer.SeriesInstanceUID = query.SeriesInstanceUID
            if (count := self.counts[query.SeriesInstanceUID]) is not None:
                answer.NumberOfSeriesRelatedInstances = count
            yield 0xFF00, answer
        yield 0x0000, None


@contextmanager
def running_archive() -> Iterator[Archive]:
    archive = Archive()
    entity = AE("PACS")
    entity.require_called_aet = True
    entity.add_supported_context(StudyRootFind)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, archive.find)])
    archive.port = server.server_address[1]
    try:
        yield archive
    finally:
        server.shutdown()
