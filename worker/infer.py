"""The device's part: one forward pass a model and batch; an error finds its culprit and spares the batch-mates."""

import logging
from collections.abc import Sequence
from time import perf_counter

from models.interface import Scores
from stream.errors import Fatal, NotJudged
from stream.event import Judged, NotPredicted, Predicted, Verdict
from worker.prepare import Ready, failure, model_name

log = logging.getLogger(__name__)

#: Words in an error of the device after which its context is lost and every further call fails.
_LOST = ("device-side assert", "unspecified launch failure", "illegal memory access", "cuda error", "ecc error")
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")


def judge_all(batch: Sequence[Ready]) -> list[Judged]:
    """Split by the model's digest, infer, interpret; raises Fatal when the device is lost."""
    groups: dict[str, list[Ready]] = {}
    for ready in batch:
        groups.setdefault(ready.model.card.digest, []).append(ready)
    judged: list[Judged] = []
    for group in groups.values():
        size = group[0].model.batch_size
        for start in range(0, len(group), size):
            judged += _judge(group[start : start + size])
    return judged


def _judge(group: Sequence[Ready]) -> list[Judged]:
    began = perf_counter()
    scores = infer_or_split(group)
    seconds = (perf_counter() - began) / len(group)
    return [_interpret(ready, score, seconds) for ready, score in zip(group, scores, strict=True)]


def infer_or_split(group: Sequence[Ready]) -> list[Scores | Exception]:
    """The scores of each, or the error of each: a failing batch is halved until the culprit stands alone."""
    try:
        return list(group[0].model.infer([ready.prepared for ready in group]))
    except (RuntimeError, ValueError, IndexError, TypeError, MemoryError) as error:
        words = str(error).lower()
        if any(sign in words for sign in _LOST) and not any(sign in words for sign in _OUT_OF_MEMORY):
            raise Fatal("the device is lost") from error
        if len(group) == 1:
            return [error]
        log.warning("a batch of %d is halved after %s", len(group), type(error).__name__)
        middle = len(group) // 2
        return infer_or_split(group[:middle]) + infer_or_split(group[middle:])


def _interpret(ready: Ready, scores: Scores | Exception, seconds: float) -> Judged:
    model = model_name(ready.model.card)
    verdict: Verdict
    if isinstance(scores, Exception):
        verdict = failure(ready.event, scores, "infer")
    else:
        try:
            verdict = Predicted(judgement=ready.model.interpret(ready.prepared, scores), model=model)
        except NotJudged as refusal:
            verdict = NotPredicted(outcome=refusal.outcome, reason=refusal.reason, model=model)
    return Judged(event=ready.event, verdict=verdict, seconds={**ready.seconds, "infer": seconds})
