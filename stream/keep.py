"""How long finished things are kept, by kind; nothing is pruned unless it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from stream.errors import DxstreamError

#: The kinds, each with its own DXSTREAM_KEEP_…_DAYS.
KINDS = ("content", "events", "predictions", "dead", "refusals")

#: Content that somebody touched within this time is never deleted, whatever is asked for.
UNTOUCHED = timedelta(days=1)


class BadKeepError(DxstreamError):
    """A DXSTREAM_KEEP_…_DAYS holds what cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Keep:
    """None: for ever. ``events`` are those that are done; dead ones go by ``dead`` alone."""

    content: timedelta | None = None
    events: timedelta | None = None
    predictions: timedelta | None = None
    dead: timedelta | None = None
    refusals: timedelta | None = None

    @property
    def anything(self) -> bool:
        """Whether anything is ever pruned."""
        return any(getattr(self, kind) is not None for kind in KINDS)


def read_keep(get: Callable[[str], str]) -> Keep:
    """From ``KEEP_CONTENT_DAYS`` and its like; content is kept no longer than the events that judged it. Raises BadKeepError."""
    found = {kind: _days(f"KEEP_{kind.upper()}_DAYS", get(f"KEEP_{kind.upper()}_DAYS")) for kind in KINDS}
    found["content"] = found["content"] or found["events"]
    if found["content"]:
        found["content"] = max(found["content"], UNTOUCHED)
    return Keep(**found)


def _days(name: str, text: str) -> timedelta | None:
    if not text:
        return None
    try:
        days = float(text)
        kept = timedelta(days=days)
    except (ValueError, OverflowError) as error:
        raise BadKeepError(f"DXSTREAM_{name} is no number of days: {text!r}") from error
    if not days > 0:
        raise BadKeepError(f"DXSTREAM_{name} is no number of days above 0: {text!r} (leave it out to keep for ever)")
    return kept
