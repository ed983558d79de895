"""The networks that introductions teach, by name, to be compared with ours: pictures and windows of results.

Definitions: a convolution gives y(i, j) = Σp Σq x(i - p + 1, j - q + 1) · w(p, q) + b; max pooling the greatest of a window;
ReLU max(0, x). The loss joins softmax or sigmoid to cross-entropy, so the networks end in logits. Pictures have one channel.
Notes are read by ``models.embed_lstm`` and ``models.seq2seq``, anything by ``models.coder``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.autoencoder import PictureAutoencoder
from models.card import Card
from models.lab import STATICS, LabConfig, LabModel
from models.model import Model
from models.scan import ScanModel


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Of one convolutional network. ``side``: of its picture unless the config says otherwise; ``padded``: by half a kernel."""

    channels: Sequence[int]
    widths: Sequence[int]
    kernel: int
    side: int
    padded: bool = True


SCANS = {
    "cnn3": Layers(channels=(32, 64, 128), widths=(1024,), kernel=3, side=150),
    "cnn2": Layers(channels=(32, 64), widths=(), kernel=3, side=28),
    "lenet": Layers(channels=(6, 16), widths=(120, 84), kernel=5, side=32, padded=False),
}
LABS: dict[str, tuple[type[nn.LSTM | nn.RNN], int]] = {"lstm128": (nn.LSTM, 128), "rnn": (nn.RNN, 64)}


@dataclass(frozen=True, kw_only=True)
class TextbookScanConfig:
    """``side``: of the squared input, in pixels; ``widths``: of the dense layers (cnn3: 1,024, variants 512 and 128)."""

    side: int
    widths: tuple[int, ...]

    @classmethod
    def of(cls, name: str, config: dict[str, object]) -> "TextbookScanConfig":
        """The config of a network, what it leaves out as the book has it."""
        layers = SCANS[name]
        told = cls(**{"side": layers.side, "widths": layers.widths, **config})  # type: ignore[arg-type]
        return cls(side=told.side, widths=tuple(told.widths))


@dataclass(frozen=True, kw_only=True)
class TextbookLabConfig:
    """``hours``: of the window; the rest of LABS is as the book has it."""

    hours: int = 48


class Convolutions(nn.Module):
    """(B, 1, side, side) → (B, outputs): each convolution with ReLU and 2 by 2 max pooling, then the dense layers.

    ``lenet`` pools after both convolutions; some texts forget the first pooling, and their dense layer then does not fit.
    """

    def __init__(self, layers: Layers, config: TextbookScanConfig, outputs: int) -> None:
        super().__init__()
        body: list[nn.Module] = []
        side, edge = config.side, layers.kernel // 2
        for before, after in zip((1, *layers.channels[:-1]), layers.channels, strict=True):
            body += [nn.Conv2d(before, after, layers.kernel, padding=edge if layers.padded else 0), nn.ReLU(), nn.MaxPool2d(2)]
            side = (side if layers.padded else side - 2 * edge) // 2
        flat = layers.channels[-1] * side**2
        body.append(nn.Flatten())
        for before, after in zip((flat, *config.widths), config.widths, strict=False):
            body += [nn.Linear(before, after), nn.ReLU()]
        self.body = nn.Sequential(*body)
        self.head = nn.Linear(config.widths[-1] if config.widths else flat, outputs)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 1, side, side) standardised → (B, outputs) logits."""
        return torch.as_tensor(self.head(self.body(picture)))


class LastState(nn.Module):
    """The last state of a recurrent network over the hours, one linear layer: y = W h + b.

    The plain one steps by h_t = tanh(W_hh h_(t-1) + W_xh x_t + b).
    """

    def __init__(self, name: str, analytes: int, outputs: int) -> None:
        super().__init__()
        kind, hidden = LABS[name]
        self.recurrent = kind(3 * analytes + STATICS, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, steps: Tensor, statics: Tensor, _described: Tensor) -> Tensor:
        """(B, hours, 3 * analytes), (B, STATICS) at every hour → (B, outputs) logits."""
        every_hour = statics[:, None].expand(-1, steps.shape[1], -1)
        states, _ = self.recurrent(torch.cat([steps, every_hour], dim=2))
        return torch.as_tensor(self.head(states[:, -1]))


class TextbookScan(ScanModel):
    """A picture judged by one of SCANS; read and gated as ours are."""

    def __init__(self, card: Card, device: str = "cpu") -> None:
        config = TextbookScanConfig.of(card.architecture, dict(card.config))
        self.side = config.side
        network = Convolutions(SCANS[card.architecture], config, len(card.labels))
        Model.__init__(self, card, network, PictureAutoencoder(), device)


class TextbookLab(LabModel):
    """A window judged by one of LABS."""

    def make(self, card: Card, config: LabConfig) -> nn.Module:
        """The network, weights fresh."""
        del config
        return LastState(card.architecture, len(card.analytes), len(card.labels))


def build(card: Card, device: str = "cpu") -> ScanModel | LabModel:
    """The model of a card, weights not yet loaded."""
    return TextbookScan(card, device) if card.architecture in SCANS else TextbookLab(card, device)
