"""Studies of a PACS as a backlog: listed day by day, moved here study by study.

The manifest's rows are studies. An instance is committed as it comes, so a study that is asked for twice is not taken twice.
"""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from producers.backlog.listing import Row
from producers.backlog.pacs import Pacs
from producers.backlog.runner import Runner
from stream.settings import BadSettingError

_DATES = re.compile(r"(\d{8})-(\d{8})")
_UID = re.compile(r"[0-9.]{1,64}")


def read_days(text: str) -> tuple[date, date]:
    """``20200101-20201231``: the first and the last day; raises BadSettingError."""
    match = _DATES.fullmatch(text.strip())
    try:
        first, last = (date.fromisoformat(part) for part in match.groups()) if match else (date.max, date.min)
    except ValueError:
        first, last = date.max, date.min
    if first > last:
        raise BadSettingError(f"dates are written as 20200101-20201231, not {text!r}")
    return first, last


class PullRunner(Runner):
    """Lists by days, of which each is in the manifest wholly or not at all."""

    def __init__(self, row: Mapping[str, Any], *arguments: Any, pacs: Pacs, **options: Any) -> None:
        super().__init__(row, *arguments, **options)
        self.pacs = pacs

    def list_files(self) -> None:
        """From the day after the last one that was asked for."""
        first, last = read_days(self.row["source"]["dates"])
        if self.row["listed_through"]:
            first = date.fromisoformat(self.row["listed_through"]) + timedelta(days=1)
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            studies = self.ask(lambda day=day: self.pacs.find(day, self.row["source"]["modalities"]))  # type: ignore[misc] # bound now
            self.add([self._row(day, study) for study in studies], listed_through=day.isoformat())

    def _row(self, day: date, study: str) -> Row:
        path = f"{self.row['source']['from']}/{day:%Y%m%d}/{study}"
        return (
            {"path": path} if _UID.fullmatch(study) else {"path": path, "state": "failed", "reason": "StudyInstanceUID is no UID"}
        )
