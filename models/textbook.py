"""The networks that introductions teach, by name, to be compared with ours: same training, same card, same measures.

Definitions: a convolution gives y(i, j) = Σp Σq x(i - p + 1, j - q + 1) · w(p, q) + b; max pooling the greatest of a window;
ReLU max(0, x). The loss joins softmax or sigmoid to cross-entropy, so the networks end in logits. Pictures have one channel
and the kind's own side, the optimiser is the kind's own, so that only the network differs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.card import Card
from models.lab import STATICS, LabConfig, LabModel
from models.scan import ScanConfig, ScanModel, scan_config

#: Channels of the convolutions, width of the dense layers, side of a kernel.
SCANS: dict[str, tuple[Sequence[int], Sequence[int], int]] = {
    "cnn3": ((32, 64, 128), (1024,), 3),
    "cnn2": ((32, 64), (), 3),
    "lenet": ((6, 16), (120, 84), 5),
}
LABS: dict[str, tuple[type[nn.LSTM | nn.RNN], int]] = {"lstm128": (nn.LSTM, 128), "rnn": (nn.RNN, 64)}


def convolutions(name: str, config: ScanConfig, outputs: int) -> nn.Sequential:
    """(B, 1, side, side) → (B, outputs): each convolution with ReLU and 2 by 2 max pooling, then the dense layers.

    ``lenet`` pools after both convolutions; some texts forget the first pooling, and their dense layer then does not fit.
    """
    channels, widths, kernel = SCANS[name]
    layers: list[nn.Module] = []
    for before, after in zip((1, *channels[:-1]), channels, strict=True):
        layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2), nn.ReLU(), nn.MaxPool2d(2)]
    flat = channels[-1] * (config.side // 2 ** len(channels)) ** 2
    layers.append(nn.Flatten())
    for before, after in zip((flat, *widths), widths, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1] if widths else flat, outputs))


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
    """A picture judged by one of SCANS."""

    def make(self, card: Card) -> nn.Module:
        """The network, weights fresh."""
        return convolutions(card.architecture, scan_config(card), len(card.labels))


class TextbookLab(LabModel):
    """A window judged by one of LABS."""

    def make(self, card: Card, config: LabConfig) -> nn.Module:
        """The network, weights fresh."""
        del config
        return LastState(card.architecture, len(card.analytes), len(card.labels))


def build(card: Card, device: str = "cpu") -> ScanModel | LabModel:
    """The model of a card, weights not yet loaded."""
    return TextbookScan(card, device) if card.architecture in SCANS else TextbookLab(card, device)
