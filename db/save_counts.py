"""What a save counts: what became of each event, and why its batch took no more."""

from collections import Counter
from collections.abc import Sequence

from db.claim import is_full
from db.tally import Counts
from stream.event import Event, GivenUp, Judged, Later, NotPredicted, Predicted
from stream.queues import LANE_RANK, Lane

#: A rejection's reason as a label ends at its first colon, so that there are few of them.
_LABEL_LENGTH = 60


def counts_of(batch: Sequence[Judged], held: Sequence[Judged]) -> Counts:
    """``held``: those of the batch that still belonged to this worker, and were recorded."""
    counts = _closed(batch) if held else Counter()
    for judged in held:
        event = judged.event
        match judged.verdict:
            case Predicted(model=model):
                counts["events_done", (event.modality, event.lane, "predicted")] += 1
                counts["predictions", (model.name,)] += 1
            case NotPredicted(outcome=outcome, reason=reason, model=model):
                counts["events_done", (event.modality, event.lane, outcome)] += 1
                if outcome == "rejected":
                    counts["gate_rejections", (model.name if model else "", reason.split(":")[0][:_LABEL_LENGTH])] += 1
            case Later(stage=stage):
                counts["retries", (event.modality, stage)] += 1
                counts["retries_by_lane", (event.modality, event.lane)] += 1
            case GivenUp(stage=stage):
                counts["dead", (event.modality, stage)] += 1
                counts["dead_by_lane", (event.modality, event.lane)] += 1
    return counts


def _closed(batch: Sequence[Judged]) -> Counts:
    """One a modality, by why it took no more events (``stream.metrics.BATCH_REASONS``)."""
    asked = {(one.event.modality, one.verdict.model.digest) for one in batch if isinstance(one.verdict, Predicted)}
    models = Counter(modality for modality, _ in asked)
    modalities = {one.event.modality for one in batch}
    claimed = [one.event for one in batch]
    if len(modalities) > 1:
        claimed.sort(key=_claimed)  # what came first says how many there may be
    why = _why(claimed)
    return Counter(("batches", (modality, "split" if models[modality] > 1 else why)) for modality in modalities)


def _claimed(event: Event) -> tuple[int, int]:
    """The order in which events are claimed."""
    return LANE_RANK[Lane(event.lane)], event.id


def _why(claimed: Sequence[Event]) -> str:
    if claimed[0].suspect:
        return "alone" if claimed[0].alone else "suspect"
    return "full" if is_full(claimed) else "drained"
