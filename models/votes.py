"""The linear half of the note model: every word of a note votes by its tf-idf weight; function words do not vote."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.words import NUMBER, UNKNOWN, Vocabulary

_FUNCTION_WORDS = """
a about after again all also am an and any are as at be because been before being below between both but by can
could did do does doing down during each few for from further had has have having he her here hers him his how i if in
into is it its just me more most my no nor not now of off on once only or other our out over own same she should so
some such than that the their them then there these they this those through to too under until up very was we were
what when where which while who whom why will with would you your
"""
#: Words that stand in any note, whatever it is about; numbers too.
SILENT = frozenset(_FUNCTION_WORDS.split()) | {NUMBER}


class WordVotes(nn.Module):
    """tf-idf with sublinear counts, each note of length 1 (Salton and Buckley 1988), then one linear layer."""

    rarity: Tensor

    def __init__(self, words: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("rarity", torch.ones(words))
        self.linear = nn.Linear(words, outputs)

    def weigh(self, notes: Sequence[Tensor]) -> Tensor:
        """Word numbers of each note → (B, words) weights."""
        counts = torch.stack([torch.bincount(note, minlength=len(self.rarity)) for note in notes]).float()
        weight = torch.where(counts > 0, 1.0 + torch.log(counts.clamp(min=1.0)), 0.0) * self.rarity
        return nn.functional.normalize(weight, dim=1)

    def forward(self, notes: Sequence[Tensor]) -> Tensor:
        """Word numbers of each note → (B, outputs) margins."""
        return torch.as_tensor(self.linear(self.weigh(notes)))


def rarity_of(notes: Sequence[NDArray[np.int64]], vocabulary: Vocabulary) -> NDArray[np.float32]:
    """(words,): ln((1 + n) / (1 + notes with the word)) + 1; 0 for words that do not vote."""
    found = np.zeros(len(vocabulary))
    for note in notes:
        found[np.unique(note)] += 1
    rarity = np.log((1.0 + len(notes)) / (1.0 + found)) + 1.0
    mute = [number for number, word in enumerate(vocabulary.words, start=1) if word in SILENT]
    rarity[[UNKNOWN, *mute]] = 0.0
    return rarity.astype(np.float32)


def _found(truth: Tensor, outputs: int) -> Tensor:
    """(n, outputs) of 0 and 1: what each output has to find."""
    if truth.ndim == 2:
        return truth.float()
    return truth[:, None].float() if outputs == 1 else nn.functional.one_hot(truth, outputs).float()


def _weight(sign: Tensor) -> Tensor:
    """(n, outputs): a rare class weighs as much as a common one; of two classes with one output the other one too."""
    share = sign.gt(0).float().mean(dim=0).clamp(min=1e-6, max=1 - 1e-6)
    if sign.shape[1] == 1:
        return torch.where(sign > 0, 0.5 / share, 0.5 / (1.0 - share))
    return torch.where(sign > 0, 1.0 / (sign.shape[1] * share), 1.0)


def fit_votes(votes: WordVotes, weights: Tensor, truth: Tensor, cost: float = 1.0) -> None:
    """Fits the linear layer in place, one class against the others: a support vector machine with squared hinge loss.

    ``weights``: (n, words); ``truth``: (n,) class numbers, of two classes with one output 0 and 1, or (n, outputs) of 0
    and 1; ``cost``: of the loss beside half the squared weights (Fan et al. 2008, LIBLINEAR, which solves the same).
    """
    sign = 2.0 * _found(truth, votes.linear.out_features) - 1.0  # (n, outputs)
    each = _weight(sign)
    nn.init.zeros_(votes.linear.weight)
    nn.init.zeros_(votes.linear.bias)
    solver = torch.optim.LBFGS(votes.linear.parameters(), max_iter=300, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> float:
        solver.zero_grad()
        slack = (1.0 - sign * votes.linear(weights)).clamp(min=0.0)
        size = votes.linear.weight.square().sum() + votes.linear.bias.square().sum()
        total = 0.5 * size + cost * (each * slack.square()).sum()
        total.backward()
        return float(total.item())

    solver.step(loss)  # type: ignore[no-untyped-call]  # not typed in torch
