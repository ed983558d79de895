"""What every model can do: prepare, infer, interpret. Only ``infer`` touches the device, so each can be timed alone."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.card import AUTOENCODER_FILE, UNCERTAINTY, WEIGHTS_FILE, BadCard, Card
from models.dropout import sampling
from models.golden import golden_sample
from models.interface import Prepared, Scores
from models.judge import judge, probabilities
from stream.errors import Fatal, Rejected, Temporary
from stream.judgement import Judgement, Sample

#: How far a probability of the golden case may be from the card's (another CPU, a GPU, another number of threads).
GOLDEN_TOLERANCE = 2e-3


class Model(ABC):
    """A card with its networks on a device. ``prepare`` and ``interpret`` may run on any thread, ``infer`` on one."""

    #: The most inputs that one ``infer`` should get.
    batch_size = 32

    def __init__(self, card: Card, network: nn.Module, autoencoder: nn.Module, device: str = "cpu") -> None:
        self.card = card
        self.device = torch.device(device)
        if self.device.type == "cuda":  # shortened products would let a result depend on the size of its batch
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self.network = network.to(self.device).eval()
        self.autoencoder = autoencoder.to(self.device).eval()

    @abstractmethod
    def read(self, sample: Sample) -> Prepared:
        """The arrays of a sample, no gate applied; raises Rejected only where there is nothing to compute with."""

    @abstractmethod
    def refusal(self, prepared: Prepared) -> str:
        """Why the gates before the model refuse the input; empty when they do not.

        The words before the first colon are the same for every input that a gate refuses, what follows is about this one.
        """

    def expand(self, batch: Sequence[Prepared]) -> Sequence[Prepared]:
        """The batch with the arrays that are cheaper made for all its inputs at once; those of one do not depend on the others.

        What ``logits``, ``learning`` and ``features`` are given is expanded, what ``infer`` is given need not be.
        """
        return batch

    @abstractmethod
    def logits(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, labels): one forward pass of the network."""

    def learning(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, labels): the logits by which the best epoch is chosen."""
        return self.logits(batch)

    @abstractmethod
    def features(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, …): what the autoencoder has to reconstruct."""

    def prepare(self, sample: Sample) -> Prepared:
        """The arrays of a sample; raises Rejected with the reason of a gate before the model. CPU only, thread-safe."""
        prepared = self.read(sample)
        reason = self.refusal(prepared)
        if reason:
            raise Rejected(reason)
        return prepared

    def infer(self, batch: Sequence[Prepared]) -> list[Scores]:
        """The scores of each input, by one forward pass; one input's scores do not depend on the others.

        Raises Temporary when the device has no memory left, Fatal when the device is lost.
        """
        if not batch:
            return []
        try:
            with torch.inference_mode():
                batch = self.expand(batch)
                logits, passes = self.judged(batch)
                errors = self.autoencoder(self.features(batch)).float().cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise Temporary(f"no memory on {self.device}") from error
        except torch.AcceleratorError as error:
            raise Fatal(f"{self.device} is lost") from error
        told = zip(logits, errors, passes, strict=True)
        return [Scores(logits=row, error=float(error), passes=drawn) for row, error, drawn in told]

    def judged(self, batch: Sequence[Prepared]) -> tuple[NDArray[np.float32], Sequence[NDArray[np.float32] | None]]:
        """(batch, labels) logits and, where the card asks for them, (batch, passes, labels) by dropout, else nothing for each.

        Raises BadCard where the network has no dropout that could stay on.
        """
        asked = self.card.gates.get(UNCERTAINTY)
        if asked is None:
            return self.logits(batch).float().cpu().numpy(), [None] * len(batch)
        with sampling(self.network, asked["passes"]):
            told = self.logits(batch).float().cpu().numpy()  # (1 + passes, batch, labels)
        return told[0], list(told[1:].swapaxes(0, 1))

    def interpret(self, prepared: Prepared, scores: Scores) -> Judgement:
        """What is said of the input; raises Rejected when the autoencoder finds it unlike anything seen in training."""
        reason = self.refusal_after(scores)
        if reason:
            raise Rejected(reason)
        return judge(self.card, scores.logits, scores.error, prepared.details, scores.passes)

    def refusal_after(self, scores: Scores) -> str:
        """Why the gate after the model refuses the input, in words; empty when it does not."""
        limit = float(self.card.gates.get("reconstruction_error", float("inf")))
        if scores.error <= limit:
            return ""
        return f"unlike anything seen in training: reconstruction error {scores.error:.3g}, the limit is {limit:.3g}"

    def load_weights(self) -> None:
        """Fills both networks from the card's folder; raises BadCard when the tensors do not fit."""
        self.fill(self.network, WEIGHTS_FILE)
        self.fill(self.autoencoder, AUTOENCODER_FILE)

    def fill(self, network: nn.Module, name: str) -> None:
        """Puts the tensors of one of the card's files into a network; raises BadCard when they do not fit."""
        try:
            network.load_state_dict(load_file(self.card.folder / name, device=str(self.device)))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise BadCard(f"{self.card.name}: {name} does not hold this architecture's weights") from error

    def golden(self) -> dict[str, Any]:
        """What the model says of the synthetic case of its kind: probabilities in label order, reconstruction error."""
        prepared = self.read(golden_sample(self.card))
        scores = self.infer([prepared])[0]
        return {"probabilities": probabilities(self.card, scores.logits).tolist(), "error": scores.error}

    def warm_up(self) -> None:
        """Judges the golden case; raises Fatal unless the card's own probabilities come out. Then the model is ready."""
        told = np.array(self.golden()["probabilities"])
        expected = np.array(self.card.golden.get("probabilities", told))
        if told.shape != expected.shape or np.abs(told - expected).max() > GOLDEN_TOLERANCE:
            raise Fatal(f"{self.card.name} does not give the golden case its probabilities on {self.device}")
