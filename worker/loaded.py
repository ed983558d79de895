"""The models that a worker has in memory, and their renewal between batches, without a restart.

They are renewed when other cards become active, and when what the site says of one (``site.toml``) changes.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from db.engine import Database
from db.tables import cards
from models.card import Card
from models.catalogue import list_cards
from models.interface import Model
from models.site import SITE_FILE
from stream.errors import DxstreamError, Temporary

log = logging.getLogger(__name__)

#: The ledger is asked so often at the most which cards are active, and ``site.toml`` is looked at, in seconds.
ASK_SECONDS = 1.0
#: A ``site.toml`` that changed less than so long ago may be half written, in seconds.
SETTLED_SECONDS = 1.0


@dataclass(kw_only=True)
class Loaded:
    """``models``: digest → model, those that answer. ``load``: a card's model, ready; where it fails, those go on answering."""

    database: Database
    folder: Path
    load: Callable[[Card], Model]
    models: Mapping[str, Model] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Whatever is loaded now is what was active when it was asked."""
        self._asked_at = time.monotonic()
        self._seen: frozenset[Any] = frozenset()
        self._site: tuple[int, ...] | None = None

    def start(self) -> None:
        """Load what is active; raises Fatal or BadCard when a card cannot be loaded."""
        self._seen, self._site = active_rows(self.database), self._look_at_site()
        self.models = self._loaded()

    def renew(self) -> Mapping[str, Model] | None:
        """The models once other cards, or the same ones anew, are active, or the site says other things, else None.

        Asks once in ASK_SECONDS.
        """
        if time.monotonic() - self._asked_at < ASK_SECONDS:
            return None
        self._asked_at = time.monotonic()
        try:
            now = active_rows(self.database), self._look_at_site()
            if now == (self._seen, self._site):
                return None
            self._seen, self._site = now
            self.models = self._loaded()
        except Temporary:
            return None  # the claim that follows waits for the database
        except DxstreamError as error:
            log.error("the active cards cannot be loaded, so those before them go on answering: %s", error)  # noqa: TRY400 - no trace
            return None
        log.info("now answering: %s", ", ".join(f"{model.card.name} {model.card.version}" for model in self.models.values()))
        return self.models

    def _loaded(self) -> Mapping[str, Model]:
        """Those active cards that lie on this machine, each loaded once for what the site says of it.

        One whose folder is gone meanwhile goes on answering.
        """
        digests = {digest for digest, _ in self._seen}
        kept = {digest: model for digest, model in self.models.items() if digest in digests}
        found = [card for card in list_cards(self.folder) if card.digest in digests]
        changed = [card for card in found if card.digest not in kept or kept[card.digest].card.site != card.site]
        return {**kept, **{card.digest: self.load(card) for card in changed}}

    def _look_at_site(self) -> tuple[int, ...] | None:
        """What changes whenever ``site.toml`` does; as before while that may be half written, None without one."""
        try:
            found = (self.folder / SITE_FILE).stat()
        except OSError:
            return None
        young = abs(time.time() - found.st_mtime) < SETTLED_SECONDS
        return self._site if young else (found.st_mtime_ns, found.st_size, found.st_ino)


def active_rows(database: Database) -> frozenset[tuple[str, datetime]]:
    """(digest, when it was activated) of each card that the ledger says is active."""
    with database.read() as connection:
        query = sa.select(cards.c.digest, cards.c.changed_at).where(cards.c.active)
        return frozenset((row.digest, row.changed_at) for row in connection.execute(query))
