"""What a finding leaned on: one entry for every kind of model.

A weight says by how much the finding's log odds would fall if the thing were not there; what speaks against the finding is
negative. It describes the model, not the patient.
"""

from collections.abc import Callable, Sequence

from models.model import Model
from models.question import Question, nothing_more_urgent
from stream.explanation import Explanation
from stream.judgement import Sample


def explain(
    model: Model, sample: Sample, labels: Sequence[str], go_on: Callable[[], None] = nothing_more_urgent
) -> list[Explanation]:
    """One explanation a label; deterministic. The card's ``explanation`` may name another ``method`` for a scan."""
    from models.explain_lab import explain_lab  # noqa: PLC0415 - each kind's own, and Captum, only where one is asked for
    from models.explain_note import explain_note  # noqa: PLC0415
    from models.explain_scan import explain_scan  # noqa: PLC0415

    ways = {"scan": explain_scan, "lab": explain_lab, "note": explain_note}
    way = ways[model.card.kind]
    return [way(Question(model=model, sample=sample, label=label, go_on=go_on)) for label in labels]
