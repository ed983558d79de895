"""Autoencoders: what they reconstruct badly is unlike anything seen in training. One for pictures, one for rows.

Both give one error an input: the mean squared difference between the features and their reconstruction.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class PictureAutoencoder(nn.Module):
    """A small convolutional one: the bottleneck has ``side`` / 8 squared places of ``channels[-1]`` numbers."""

    def __init__(self, channels: tuple[int, int, int] = (12, 24, 8)) -> None:
        super().__init__()
        first, second, third = channels
        self.encoder = nn.Sequential(
            nn.Conv2d(1, first, 3, stride=2, padding=1),  # (B, 12, 32, 32)
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),  # (B, 24, 16, 16)
            nn.ReLU(),
            nn.Conv2d(second, third, 3, stride=2, padding=1),  # (B, 8, 8, 8)
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(third, second, 4, stride=2, padding=1),  # (B, 24, 16, 16)
            nn.ReLU(),
            nn.ConvTranspose2d(second, first, 4, stride=2, padding=1),  # (B, 12, 32, 32)
            nn.ReLU(),
            nn.ConvTranspose2d(first, 1, 4, stride=2, padding=1),  # (B, 1, 64, 64)
        )

    def encode(self, picture: Tensor) -> Tensor:
        """(B, 1, 64, 64) → (B, 512) what the bottleneck holds."""
        return torch.as_tensor(self.encoder(picture)).flatten(1)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 1, 64, 64), each picture standardised → (B,) errors."""
        told: Tensor = self.decoder(self.encoder(picture))
        return functional.mse_loss(told, picture, reduction="none").mean(dim=(1, 2, 3))


class RowAutoencoder(nn.Module):
    """A dense one over rows of ``width`` features, through ``narrow`` numbers."""

    def __init__(self, width: int, hidden: int, narrow: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, narrow),
            nn.Linear(narrow, hidden),
            nn.ReLU(),
            nn.Linear(hidden, width),
        )

    def encode(self, rows: Tensor) -> Tensor:
        """(B, width) → (B, narrow)."""
        return torch.as_tensor(self.layers[:3](rows))

    def forward(self, rows: Tensor) -> Tensor:
        """(B, width) → (B,) errors."""
        told: Tensor = self.layers(rows)
        return torch.square(told - rows).mean(dim=1)
