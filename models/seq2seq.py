"""The textbook's encoder and decoder: a note read by one LSTM, a short text written word by word by another.

P(y | x) = ∏ P(y_t | y_<t, x), each a softmax over W h_t + b; written greedily, the likeliest word at every step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from models.autoencoder import RowAutoencoder
from models.card import VOCABULARY_FILE, Card
from models.example import Example
from models.interface import Prepared
from models.metrics import f1_of_texts
from models.silent import Silent
from models.words import UNKNOWN, Vocabulary, bag, tokenize
from stream.judgement import Sample

#: Numbers of the target: the end (and what follows it), a word that is not known; real words from FIRST_WORD on.
END, OTHER, FIRST_WORD = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class SequenceConfig:
    """``targets``: the words that it can write; ``most_written``: words of a target, longer ones are cut."""

    most_tokens: int = 200
    embedding: int = 64
    hidden: int = 128
    most_written: int = 12
    targets: tuple[str, ...] = field(default=())
    bag: int = 512


class SequenceNetwork(nn.Module):
    """The decoder begins with the encoder's last state; its first word is the end of nothing."""

    def __init__(self, config: SequenceConfig, words: int) -> None:
        super().__init__()
        written = len(config.targets) + FIRST_WORD
        self.embedding = nn.Embedding(words, config.embedding)
        self.encoder = nn.LSTM(config.embedding, config.hidden, batch_first=True)
        self.written = nn.Embedding(written, config.embedding)
        self.decoder = nn.LSTM(config.embedding, config.hidden, batch_first=True)
        self.head = nn.Linear(config.hidden, written)

    def read(self, notes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Word numbers of each note → the encoder's state after its last word, twice (1, B, hidden)."""
        padded = self.embedding(pad_sequence(list(notes), batch_first=True))
        lengths = torch.tensor([len(note) for note in notes])
        packed = pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)
        return cast("tuple[Tensor, Tensor]", self.encoder(packed)[1])

    def step(self, before: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, t) words written before each step → (B, t, written) logits of the next, and the state after them."""
        states, state = self.decoder(self.written(before), state)
        return torch.as_tensor(self.head(states)), state

    def forward(self, notes: Sequence[Tensor], target: Tensor) -> Tensor:
        """The logits of every step of (B, t) ``target`` when all before it was right."""
        shifted = functional.pad(target[:, :-1], (1, 0), value=END)
        return self.step(shifted, self.read(notes))[0]

    def greedy(self, notes: Sequence[Tensor], most: int) -> Tensor:
        """(B, most) the likeliest word at every step, END after the end."""
        state = self.read(notes)
        before = torch.full((len(notes), 1), END, device=self.head.weight.device)
        written = []
        for _ in range(most):
            logits, state = self.step(before, state)
            before = logits.argmax(dim=2)
            written.append(before)
        told = torch.cat(written, dim=1)
        return told * (told != END).long().cumprod(dim=1)


class SequenceModel(Silent):
    """A note in, a few words out."""

    batch_size = 32

    def __init__(self, card: Card, device: str = "cpu") -> None:
        self.config = sequence_config(card.config)
        self.vocabulary = Vocabulary.read(card.folder / VOCABULARY_FILE)
        self.writer = SequenceNetwork(self.config, len(self.vocabulary))
        super().__init__(card, self.writer, RowAutoencoder(self.config.bag, 64, 32), device)
        self._number = {word: number for number, word in enumerate(self.config.targets, start=FIRST_WORD)}

    def read(self, sample: Sample) -> Prepared:
        """``tokens``: (words,) numbers, at least one; ``bag``: for the autoencoder."""
        words = tokenize(b"\n".join(sample.contents).decode(errors="replace"))
        numbers = self.vocabulary.numbers(words[: self.config.most_tokens])
        tokens = numbers if len(numbers) else np.array([UNKNOWN], np.int64)
        return Prepared(arrays={"tokens": tokens, "bag": bag(tokens, self.config.bag)})

    def refusal(self, prepared: Prepared) -> str:
        """Nothing is refused before the network."""
        del prepared
        return ""

    def features(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, bag)."""
        return torch.from_numpy(np.stack([one.arrays["bag"] for one in batch])).to(self.device)

    def truth(self, examples: Sequence[Example]) -> NDArray[np.int64]:
        """(n, most_written) numbers of the words to be written, END behind them."""
        out = np.full((len(examples), self.config.most_written), END, np.int64)
        for row, example in zip(out, examples, strict=True):
            words = [self._number.get(word, OTHER) for word in tokenize(example.target)[: self.config.most_written]]
            row[: len(words)] = words
        return out

    def loss(self, batch: Sequence[Prepared], truth: Tensor) -> Tensor:
        """Cross-entropy of each word and the first end, a mean over them."""
        logits = self.writer(self._notes(batch), truth)  # (B, t, written)
        counted = functional.pad((truth != END)[:, :-1], (1, 0), value=True)
        return functional.cross_entropy(logits[counted].float(), truth[counted])

    def _notes(self, batch: Sequence[Prepared]) -> list[Tensor]:
        return [torch.from_numpy(one.arrays["tokens"]).to(self.device) for one in batch]

    def tell(self, batch: Sequence[Prepared]) -> list[str]:
        """The words written of each note."""
        words = ("", "<other>", *self.config.targets)
        told = self.writer.greedy(self._notes(batch), self.config.most_written)
        return [" ".join(words[number] for number in row if number != END) for row in told.tolist()]

    def measures(self, batch: Sequence[Prepared], examples: Sequence[Example]) -> Mapping[str, NDArray[np.float64]]:
        """``accuracy``: the whole text is right; ``word_accuracy``: the share of its words that stand in their place."""
        told = self.writer.greedy(self._notes(batch), self.config.most_written).cpu().numpy()
        truth = self.truth(examples)
        right, words = (told == truth), np.maximum(truth != END, told != END)
        return {
            "accuracy": right.all(axis=1).astype(np.float64),
            "word_accuracy": (right & words).sum(axis=1) / np.maximum(words.sum(axis=1), 1),
        }

    def summary(self, told: Sequence[str], truth: Sequence[str]) -> dict[str, Any]:
        """Macro F1 with each different text as a class."""
        return {"f1_macro": f1_of_texts(told, [" ".join(tokenize(one)) for one in truth])}


def sequence_config(config: Mapping[str, Any]) -> SequenceConfig:
    """The config as a card has it."""
    return SequenceConfig(**{**config, "targets": tuple(config.get("targets", ()))})


def build(card: Card, device: str = "cpu") -> SequenceModel:
    """The model of a card, weights not yet loaded."""
    return SequenceModel(card, device)
