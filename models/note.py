"""Word embedding, a bidirectional LSTM and attention pooling over a whole clinical note, beside a vote of its words.

A note is read in segments of some dozen words that run through the LSTM side by side; attention then pools over every
word of the note, so that its length costs little and nothing is cut off below the card's limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.autoencoder import RowAutoencoder
from models.card import VOCABULARY_FILE, Card
from models.dropout import LastDropout
from models.interface import Prepared
from models.model import Model
from models.votes import WordVotes
from models.words import UNKNOWN, Vocabulary, bag, tokenize
from stream.errors import Rejected
from stream.judgement import Sample


@dataclass(frozen=True, kw_only=True)
class NoteConfig:
    """``most_tokens``: of a note that are seen, the rest is told of; ``bag``: width of the autoencoder's features.

    ``votes``: how much the linear half's margins count beside the recurrent half's logits; 0: there is no linear half.
    """

    most_tokens: int = 4000
    segment: int = 64
    embedding: int = 96
    hidden: int = 64
    dropout: float = 0.4
    word_dropout: float = 0.15
    bag: int = 512
    votes: float = 0.0


class NoteNetwork(nn.Module):
    """Attention over the LSTM's states and the mean of its words, a linear layer over both; then the words' votes.

    The votes are fitted before the first step and stay as they are; while the rest is trained they are left out, so that
    it learns what they do not know.
    """

    def __init__(self, config: NoteConfig, words: int, outputs: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(words, config.embedding)
        self.recurrent = nn.LSTM(config.embedding, config.hidden, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(2 * config.hidden, 1)
        self.dropout = nn.Dropout(config.dropout)
        self.last_dropout = LastDropout(config.dropout)
        self.head = nn.Linear(2 * config.hidden + config.embedding, outputs)
        self.votes = WordVotes(words, outputs) if config.votes else None

    def forward(self, segments: Tensor, size: Tensor, lengths: Sequence[int], *, alone: bool = False) -> Tensor:
        """The notes cut into segments, (segments, segment) numbers, with ``size`` (segments,) words in each.

        ``lengths``: words of each note, at least one; ``alone``: without the votes. Gives (B, outputs) logits.
        """
        there = torch.arange(self.config.segment, device=size.device) < size[:, None]  # (segments, segment)
        if self.training:
            segments = self._drop_words(segments)
        words = self.embedding(segments) * there.unsqueeze(2)  # (segments, segment, embedding)
        states, _ = self.recurrent(self.dropout(words))  # (segments, segment, 2 * hidden)
        # What is no padding, in order, is the notes' words one after the other: (all words, 2 * hidden or embedding).
        by_note = zip(torch.split(states[there], list(lengths)), torch.split(words[there], list(lengths)), strict=True)
        pooled = torch.stack([torch.cat([self._attend(seen), read.mean(dim=0)]) for seen, read in by_note])
        logits = torch.as_tensor(self.head(self.last_dropout(pooled)))
        if self.votes is None or self.training or alone:
            return logits
        votes: Tensor = self.votes(torch.split(segments[there], list(lengths)))
        return logits + self.config.votes * votes

    def _attend(self, states: Tensor) -> Tensor:
        """(words, 2 * hidden) → (2 * hidden,): the states by how much the network looks at them."""
        weight = self.attention(states).softmax(dim=0)  # (words, 1)
        return torch.as_tensor((weight * states).sum(dim=0))

    def _drop_words(self, segments: Tensor) -> Tensor:
        """Some words become unknown ones: the network may not hang on a single word."""
        dropped = torch.rand(segments.shape, device=segments.device) < self.config.word_dropout
        return segments.masked_fill(dropped, UNKNOWN)


def cut(notes: Sequence[NDArray[np.int64]], segment: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(segments, segment) numbers and (segments,) how many of them are words, note after note.

    Always padded to the full length, so that what the LSTM sees of a note does not depend on its batch-mates.
    """
    pieces = [note[start : start + segment] for note in notes for start in range(0, len(note), segment)]
    padded = np.full((len(pieces), segment), UNKNOWN, np.int64)
    for row, piece in zip(padded, pieces, strict=True):
        row[: len(piece)] = piece
    return padded, np.array([len(piece) for piece in pieces], np.int64)


class NoteModel(Model):
    """One text in, one event."""

    batch_size = 32

    def __init__(self, card: Card, device: str = "cpu") -> None:
        self.config = NoteConfig(**card.config)
        self.vocabulary = Vocabulary.read(card.folder / VOCABULARY_FILE)
        network = NoteNetwork(self.config, len(self.vocabulary), len(card.labels))
        super().__init__(card, network, RowAutoencoder(self.config.bag, 64, 32), device)

    def read(self, sample: Sample) -> Prepared:
        """``tokens``: (words,) numbers, at most ``most_tokens``, at least one; ``bag``: for the autoencoder."""
        try:
            text = b"\n".join(sample.contents).decode()
        except UnicodeDecodeError as error:
            raise Rejected("the text is not UTF-8") from error
        words = tokenize(text)
        numbers = self.vocabulary.numbers(words[: self.config.most_tokens])
        known = float(np.mean(numbers != UNKNOWN)) if len(numbers) else 0.0
        details = {"tokens_seen": len(numbers), "tokens_total": len(words), "known_words": round(known, 4)}
        tokens = numbers if len(numbers) else np.array([UNKNOWN], np.int64)
        return Prepared(arrays={"tokens": tokens, "bag": bag(tokens, self.config.bag)}, details=details)

    def refusal(self, prepared: Prepared) -> str:
        """Too short, or too few words that the model knows."""
        gates, details = self.card.gates, prepared.details
        least = gates.get("least_tokens", 0)
        if details["tokens_seen"] < least:
            return f"too short: {details['tokens_seen']} words, at least {least} are needed"
        if details["known_words"] < gates.get("least_known_words", 0.0):
            return f"not English clinical text: only {details['known_words']:.0%} of the words are known"
        return ""

    def logits(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, labels)."""
        return self._run(batch, alone=False)

    def learning(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, labels) without the votes: beside them an early epoch's small logits would look best."""
        return self._run(batch, alone=True)

    def _run(self, batch: Sequence[Prepared], *, alone: bool) -> Tensor:
        notes = [one.arrays["tokens"] for one in batch]
        segments, size = (torch.from_numpy(one).to(self.device) for one in cut(notes, self.config.segment))
        return torch.as_tensor(self.network(segments, size, [len(note) for note in notes], alone=alone))

    def features(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, bag)."""
        return torch.from_numpy(np.stack([one.arrays["bag"] for one in batch])).to(self.device)


def build(card: Card, device: str = "cpu") -> NoteModel:
    """The model of a card, weights not yet loaded."""
    return NoteModel(card, device)
