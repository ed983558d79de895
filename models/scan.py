"""A convolutional network with residual blocks over one greyscale image; reads DICOM, JPEG and PNG bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.autoencoder import PictureAutoencoder
from models.card import Card
from models.dropout import LastDropout
from models.interface import Prepared
from models.model import Model
from models.pixels import Grey, read_picture, squash
from stream.errors import Rejected
from stream.judgement import Sample

AUTOENCODER_SIDE = 64
#: Side of the thumbnail that is compared with the mean training picture to find swapped polarity.
THUMBNAIL = 8


@dataclass(frozen=True, kw_only=True)
class ScanConfig:
    """``side``: of the squared input, in pixels; ``channels``: of each stage, every stage halves the side."""

    side: int = 128
    stem: int = 16
    channels: tuple[int, ...] = (32, 64, 128)
    blocks: int = 2
    dropout: float = 0.3


class ResidualBlock(nn.Module):
    """Two 3 by 3 convolutions beside a shortcut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, wide_in: int, wide_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(wide_in, wide_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(wide_out)
        self.second = nn.Conv2d(wide_out, wide_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(wide_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or wide_in != wide_out:
            self.shortcut = nn.Sequential(nn.Conv2d(wide_in, wide_out, 1, stride, bias=False), nn.BatchNorm2d(wide_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, wide_in, H, W) → (B, wide_out, H / stride, W / stride)."""
        y = functional.relu(self.first_norm(self.first(x)), inplace=True)
        return functional.relu(self.second_norm(self.second(y)) + self.shortcut(x), inplace=True)


class ScanNetwork(nn.Module):
    """Stem, residual stages, mean and greatest over places, one linear layer."""

    def __init__(self, config: ScanConfig, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, config.stem, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(config.stem),
            nn.ReLU(inplace=True),
        )
        blocks: list[nn.Module] = []
        wide = config.stem
        for channels in config.channels:
            blocks.append(ResidualBlock(wide, channels, stride=2))
            blocks.extend(ResidualBlock(channels, channels, stride=1) for _ in range(config.blocks - 1))
            wide = channels
        self.stages = nn.Sequential(*blocks)
        self.dropout = LastDropout(config.dropout)
        self.head = nn.Linear(2 * wide, outputs)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 1, side, side) standardised → (B, outputs) logits."""
        x = self.stages(self.stem(picture))  # (B, 128, side / 16, side / 16)
        x = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)  # (B, 256)
        return torch.as_tensor(self.head(self.dropout(x)))


def standardise(grey: Tensor) -> Tensor:
    """(B, 1, H, W) greys → each picture with mean 0 and standard deviation 1, whatever its exposure."""
    grey = grey.float()
    mean = grey.mean(dim=(1, 2, 3), keepdim=True)
    spread = grey.std(dim=(1, 2, 3), keepdim=True, correction=0)
    return (grey - mean) / (spread + 1.0)


class ScanModel(Model):
    """One image in, one event: a series or several frames are refused."""

    batch_size = 32

    def __init__(self, card: Card, device: str = "cpu") -> None:
        self.side = scan_config(card).side
        super().__init__(card, self.make(card), PictureAutoencoder(), device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs

    def make(self, card: Card) -> nn.Module:
        """The network, weights fresh."""
        return ScanNetwork(scan_config(card), len(card.labels))

    def read(self, sample: Sample) -> Prepared:
        """``image``: (side, side) greys. Raises Rejected for several contents and for bytes that hold no picture."""
        if len(sample.contents) != 1:
            raise Rejected(f"a series: {len(sample.contents)} images, this model judges one")
        picture = read_picture(sample.contents[0])
        rows, columns = picture.shape
        details = {"rows": rows, "columns": columns}
        return Prepared(arrays={"image": squash(picture, self.side)}, details=details)

    def refusal(self, prepared: Prepared) -> str:
        """Too small, blank, or with swapped polarity."""
        gates, image = self.card.gates, prepared.arrays["image"]
        least = gates.get("least_side", 0)
        rows, columns = prepared.details["rows"], prepared.details["columns"]
        if min(rows, columns) < least:
            return f"too small: {rows} by {columns} pixels, at least {least} are needed"
        if contrast(image) < gates.get("least_contrast", 0.0):
            return "blank: hardly any difference between the pixels"
        if "mean_picture" in gates and likeness(image, gates["mean_picture"]) < gates["least_likeness"]:
            return "polarity: dark and bright look swapped"
        return ""

    def logits(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, labels)."""
        return torch.as_tensor(self.network(self.pictures(batch).contiguous(memory_format=torch.channels_last)))

    def features(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, 1, 64, 64): the standardised pictures, smaller."""
        return functional.adaptive_avg_pool2d(self.pictures(batch), AUTOENCODER_SIDE)

    def pictures(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, 1, side, side) standardised, on the device."""
        greys = np.stack([prepared.arrays["image"] for prepared in batch])
        return standardise(torch.from_numpy(greys).to(self.device).unsqueeze(1))


def scan_config(card: Card) -> ScanConfig:
    """The network's shape as the card has it."""
    return ScanConfig(**{**card.config, "channels": tuple(card.config["channels"])})


def contrast(image: Grey) -> float:
    """The standard deviation of the greys. By OpenCV, which takes a tenth of NumPy's time."""
    return float(cv2.meanStdDev(image)[1].item())


def thumbnail(image: Grey) -> list[float]:
    """(THUMBNAIL²,) greys, standardised, row by row."""
    small = squash(image, THUMBNAIL).astype(np.float64).ravel()
    return list((small - small.mean()) / (small.std() + 1e-6))


def likeness(image: Grey, mean_picture: Sequence[float]) -> float:
    """Correlation of the image's thumbnail with the mean training picture's, -1 to 1; clearly negative: a negative."""
    return float(np.mean(np.array(thumbnail(image)) * np.asarray(mean_picture)))


def build(card: Card, device: str = "cpu") -> ScanModel:
    """The model of a card, weights not yet loaded."""
    return ScanModel(card, device)
