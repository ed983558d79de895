"""Models without torch: they sleep as long as an inference would take, and do the worst where an input's bytes ask for it."""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from models.card import Card
from models.interface import Prepared, Scores
from stream.judgement import Finding, Judgement, Sample

#: Modality → milliseconds that one event takes on the "device".
MILLISECONDS = {"scan": 30.0, "lab": 1.0, "note": 1.0}

#: What stands in the bytes of a poisonous input, before the name of what it does.
POISON = b"CHAOS-POISON-"

#: How much an endless allocation gets before the out-of-memory killer comes, in MiB.
OOM_MEBIBYTES = 600


def crash() -> None:
    """As a segmentation fault in a library."""
    os.kill(os.getpid(), signal.SIGSEGV)


def hang() -> None:
    """For ever."""
    while True:
        time.sleep(3600)


def alloc() -> None:
    """Allocate without end. At its limit the process is killed without a word, as the kernel's out-of-memory killer does."""
    held = []
    while len(held) * 16 < OOM_MEBIBYTES:
        held.append(np.ones(16 * 2**20, np.uint8))
    os.kill(os.getpid(), signal.SIGKILL)


DEEDS: Mapping[bytes, Callable[[], None]] = {b"crash": crash, b"hang": hang, b"alloc": alloc}


class StubModel:
    """Says 0.9 of everything of its modality."""

    batch_size = 32

    def __init__(self, modality: str, milliseconds: float) -> None:
        self.seconds = milliseconds / 1000
        self.card = Card(
            name=f"stub-{modality}",
            version="1",
            kind=modality,
            architecture="none",
            task="",
            config={},
            classes=("sick",),
            labels=("sick",),
            digest=f"digest of stub-{modality}",
        )

    def prepare(self, sample: Sample) -> Prepared:
        deed = next((name for name in DEEDS for content in sample.contents if POISON + name in content), b"")
        return Prepared(arrays={"deed": np.frombuffer(deed, np.uint8)})

    def infer(self, batch: Sequence[Prepared]) -> list[Scores]:
        for one in batch:
            deed = one.arrays["deed"].tobytes()
            if deed:
                DEEDS[deed]()
            time.sleep(self.seconds)
        return [Scores(logits=np.zeros(1, np.float32), error=0.0) for _ in batch]

    def interpret(self, prepared: Prepared, scores: Scores) -> Judgement:
        del prepared, scores
        return Judgement(findings=(Finding(label="sick", probability=0.9, threshold=0.5, positive=True),))


def stub_models() -> dict[str, StubModel]:
    """One a modality, by digest."""
    found = [StubModel(modality, milliseconds) for modality, milliseconds in MILLISECONDS.items()]
    return {model.card.digest: model for model in found}
