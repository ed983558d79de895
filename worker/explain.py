"""Explains what was said, one prediction after the other, while nothing waits to be judged; gives way as soon as something does."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from db.claim import fetch
from db.engine import Database
from db.explanations import Said, anything_wanted, explain, more_urgent, next_wanted, put_back
from models.card import Card
from stream.content import ContentStore
from stream.errors import DxstreamError, Fatal, Temporary
from stream.explanation import Explanation
from stream.judgement import Sample
from stream.queues import ALL_QUEUES
from worker.stages import Stages

log = logging.getLogger(__name__)


class MoreUrgentError(Exception):
    """An event waits: the explanation under way is begun anew later."""


@dataclass(kw_only=True)
class Explainer:
    """``load``: the model of a card, plain and in single precision; kept once it was needed. ``cards``: those that answer now."""

    database: Database
    store: ContentStore
    cards: Callable[[], Sequence[Card]]
    load: Callable[[Card], Any]
    stopping: Callable[[], bool]
    queues: Sequence[str] = ALL_QUEUES
    stages: Stages = field(default_factory=Stages)

    def __post_init__(self) -> None:
        """No model is in memory yet."""
        self._models: dict[str, Any] = {}

    def run(self) -> bool:
        """Explain until nothing is left to; False when it gave way to something more urgent. Raises Fatal."""
        try:
            while not self.stopping() and (said := self._next()):
                with self.stages.at("explain"):
                    self._explain(said)
        except MoreUrgentError:
            return False
        except Temporary as error:
            log.warning("explanations wait: %s", error)
        return True

    def _next(self) -> Said | None:
        """Reads before it locks: it is asked after every turn of an idle worker, and mostly nothing is wanted."""
        with self.database.read() as connection:
            if not anything_wanted(connection):
                return None
        modalities = sorted({name.split(".")[0] for name in self.queues})
        with self.database.write() as (connection, _):
            return next_wanted(connection, modalities)

    def _explain(self, said: Said) -> None:
        try:
            found = explained(self.database, self.store, said, self._model(said), self._go_on)
        except MoreUrgentError:
            with self.database.write() as (connection, _):
                put_back(connection, said)
            raise
        except (Temporary, Fatal):
            raise
        except Exception as error:  # noqa: BLE001 - the outermost edge of one explanation; its text may hold values
            log.warning("prediction %d is not explained: %s", said.prediction_id, type(error).__name__)
            found = []
        with self.database.write() as (connection, now):
            explain(connection, now, said.prediction_id, found)

    def _model(self, said: Said) -> Any:
        cards = {card.digest: card for card in self.cards()}
        self._models = {digest: model for digest, model in self._models.items() if digest in cards}
        if said.model_digest not in self._models:
            if said.model_digest not in cards:
                raise ModelGoneError("the model that said it no longer answers here")
            self._models[said.model_digest] = self.load(cards[said.model_digest])
        return self._models[said.model_digest]

    def _go_on(self) -> None:
        """Before each forward pass: raises MoreUrgentError when an event waits or this worker is asked to stop."""
        if self.stopping():
            raise MoreUrgentError
        with self.database.read() as connection:
            if more_urgent(connection, self.database.now(connection), self.queues):
                raise MoreUrgentError


class ModelGoneError(DxstreamError):
    """The model that made a prediction is not loaded any more."""


def explained(database: Database, store: ContentStore, said: Said, model: Any, go_on: Callable[[], None]) -> list[Explanation]:
    """What explains each of the labels; raises Broken when the content is gone."""
    from models.explain import explain as explain_labels  # noqa: PLC0415 - loads torch

    content: Mapping[int, Any] = fetch(database, store, [said.event])
    found = content[said.event.id]
    if isinstance(found, Exception):
        raise found
    return explain_labels(model, Sample(contents=found, facts=said.event.facts), said.labels, go_on)


def is_explained(card: Card, setting: str) -> bool:
    """Whether every prediction of a card is explained: as the site says of it, else the setting, else the card itself."""
    said = card.site.explain or setting or ("on" if card.explanation.get("on") else "off")
    return said == "on"
