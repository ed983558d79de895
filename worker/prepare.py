"""Events with their bytes → what a model's ``infer`` takes, or the verdict that ends an event before the model."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass
from time import perf_counter

from db.claim import Found
from models.card import Card
from models.intended import match
from models.interface import Model, Prepared
from stream.errors import Broken, Fatal, NotJudged, Temporary
from stream.event import Event, GivenUp, Judged, Later, NotPredicted, Verdict
from stream.event import Model as ModelName
from stream.judgement import Sample
from worker.stages import Stages

log = logging.getLogger(__name__)

#: Temporary errors of one event before it is dead.
MAX_FAILURES = 5
#: The first delay after a temporary error, in seconds; it doubles each time.
FIRST_DELAY = 1.0


@dataclass(frozen=True, kw_only=True)
class Ready:
    """An event ready for the device."""

    event: Event
    model: Model
    prepared: Prepared
    seconds: Mapping[str, float]


def model_name(card: Card) -> ModelName:
    """How predictions name a card."""
    return ModelName(name=card.name, version=card.version, digest=card.digest)


def prepare_all(
    batch: Sequence[Event],
    found: Mapping[int, Found],
    models: Mapping[str, Model],
    pool: Executor | None,
    *,
    stages: Stages,
    fetch_seconds: float,
) -> list[Ready | Judged]:
    """Read and prepare, in parallel where there is a pool; one bad event never fails its batch-mates.

    Raises Temporary where the bytes cannot be had now, Fatal where this process must end.

    ``models``: digest → loaded model, in order.
    """
    every = map if pool is None else pool.map

    def prepare(event: Event) -> Ready | Judged:
        began = perf_counter()
        with stages.at("fetch") if found[event.id].on_disk else nullcontext():  # read here, so that the bytes are still near
            content = found[event.id].read()
        return prepare_one(event, content, models, fetch_seconds + perf_counter() - began)

    return list(every(prepare, batch))


def prepare_one(
    event: Event, content: tuple[bytes, ...] | Exception, models: Mapping[str, Model], fetch_seconds: float
) -> Ready | Judged:
    """One event's way to the model, or its verdict."""
    read_at, stage = perf_counter(), "fetch"
    card: Card | None = None
    verdict: Verdict

    def seconds() -> dict[str, float]:
        return {"fetch": fetch_seconds, "prepare": perf_counter() - read_at}

    try:
        card = match([model.card for model in models.values()], event.modality, event.facts)
        if isinstance(content, Exception):
            raise content
        stage = "prepare"
        model = models[card.digest]
        prepared = model.prepare(Sample(contents=content, facts=event.facts))
        return Ready(event=event, model=model, prepared=prepared, seconds=seconds())
    except NotJudged as refusal:
        verdict = NotPredicted(outcome=refusal.outcome, reason=refusal.reason, model=model_name(card) if card else None)
    except Fatal:
        raise
    except Exception as error:  # noqa: BLE001 - the outermost edge of one event's preparation
        verdict = failure(event, error, stage)
    return Judged(event=event, verdict=verdict, seconds=seconds())


def failure(event: Event, error: Exception, stage: str) -> Verdict:
    """What an error means for its event: try later, or give up. The error's text may hold values, so it is not kept."""
    if isinstance(error, Broken):
        return GivenUp(reason=str(error), stage=stage)
    words = str(error) if isinstance(error, Temporary) else f"{type(error).__name__} in {stage}"
    if event.failures + 1 >= MAX_FAILURES:
        return GivenUp(reason=f"{words}, {MAX_FAILURES} times", stage=stage)
    log.warning("event %d is tried again later: %s", event.id, words, extra={"event": event.id})
    return Later(reason=words, stage=stage, delay_seconds=FIRST_DELAY * 2**event.failures)
