"""Results of a labelled set that could not be converted, so that no model sees them: how many, why, of which codes."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from stream.facts import REFUSED_POINTS
from stream.judgement import Sample

#: Codes that are named for each reason, the most frequent first.
MOST_CODES = 5


def left_out(samples: Iterable[Sample]) -> dict[str, dict[str, Any]]:
    """Reason → ``n`` results and their ``codes``, the most frequent reason first."""
    found = defaultdict[str, Counter[str]](Counter)
    for sample in samples:
        for one in sample.facts.get(REFUSED_POINTS, ()):
            found[one["reason"]][one["code"]] += 1
    by_number = sorted(found.items(), key=lambda told: -told[1].total())
    return {reason: {"n": codes.total(), "codes": [one for one, _ in codes.most_common(MOST_CODES)]} for reason, codes in by_number}
