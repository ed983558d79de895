"""The textbook's network for a note: word vectors, an LSTM over the first words, one dense layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from models.autoencoder import RowAutoencoder
from models.card import VOCABULARY_FILE, Card
from models.interface import Prepared
from models.model import Model
from models.note import NoteConfig, NoteModel
from models.words import Vocabulary


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """``most_tokens``: the length that notes are cut to; ``hidden``: units of the LSTM, 64 or 128."""

    most_tokens: int = 200
    embedding: int = 64
    hidden: int = 64
    dense: int = 64
    bag: int = 512


class EmbedNetwork(nn.Module):
    """Embedding (0 is any word outside the vocabulary), LSTM, dense layer with ReLU, logits."""

    def __init__(self, config: EmbedConfig, words: int, outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, config.embedding)
        self.recurrent = nn.LSTM(config.embedding, config.hidden, batch_first=True)
        self.dense = nn.Sequential(nn.Linear(config.hidden, config.dense), nn.ReLU())
        self.head = nn.Linear(config.dense, outputs)

    def forward(self, notes: Sequence[Tensor]) -> Tensor:
        """Word numbers of each note → (B, outputs) logits from the state after its last word, however long the others are."""
        padded = self.embedding(pad_sequence(list(notes), batch_first=True))  # (B, longest, embedding)
        lengths = torch.tensor([len(note) for note in notes])
        packed = pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)
        _, (last, _) = self.recurrent(packed)  # (1, B, hidden)
        return torch.as_tensor(self.head(self.dense(last[0])))


class EmbedModel(NoteModel):
    """A note read and gated as ours is, judged by the textbook's network."""

    def __init__(self, card: Card, device: str = "cpu") -> None:
        own = EmbedConfig(**card.config)
        self.config = NoteConfig(most_tokens=own.most_tokens, bag=own.bag)
        self.vocabulary = Vocabulary.read(card.folder / VOCABULARY_FILE)
        network = EmbedNetwork(own, len(self.vocabulary), len(card.labels))
        Model.__init__(self, card, network, RowAutoencoder(own.bag, 64, 32), device)

    def logits(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, labels)."""
        notes = [torch.from_numpy(one.arrays["tokens"]).to(self.device) for one in batch]
        return torch.as_tensor(self.network(notes))

    def learning(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, labels): the same."""
        return self.logits(batch)


def build(card: Card, device: str = "cpu") -> EmbedModel:
    """The model of a card, weights not yet loaded."""
    return EmbedModel(card, device)
