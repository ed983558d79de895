"""A heat map over a picture: integrated gradients, Grad-CAM, or occlusion where nothing can be differentiated (all by Captum)."""

from typing import Any

import cv2
import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.card import Card
from models.question import Question
from stream.explanation import PNG, Explanation

#: Steps of the integral between the blurred picture and the picture.
STEPS = 16
#: Sides of the blur and of the smoothing, as shares of the picture's side.
BLURRED = 0.25
SMOOTHED = 0.13
#: Levels of heat in the PNG, so that it stays small.
LEVELS = 32


def explain_scan(question: Question) -> Explanation:
    """The places that speak for the label, as an RGBA picture of the model's input's size."""
    method, places = heat(question)
    body = draw(places)
    return Explanation(kind="heat_map", label=question.label, method=method, media_type=PNG, body=body)


def heat(question: Question) -> tuple[str, NDArray[np.float32]]:
    """(method, (side, side) weights), of the input as the model sees it."""
    model: Any = question.model
    pictures: Tensor = model.pictures([model.read(question.sample)]).detach()
    network = Asked(model.network, model.card, question)
    method = model.card.explanation.get("method", "integrated-gradients")
    if not differentiable(model.network) or (method == "grad-cam" and not _convolutions(model.network)):
        method = "occlusion"
    found = WAYS[method](network, pictures)
    return method, np.asarray(found.detach().float().sum(dim=1)[0].cpu().numpy(), np.float32)


class Asked(nn.Module):
    """The network's answer for one label, which may stop when something more urgent has come."""

    def __init__(self, network: nn.Module, card: Card, question: Question) -> None:
        super().__init__()
        self.network, self.card, self.question = network, card, question

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, channels, side, side) → (B,) log odds."""
        self.question.go_on()
        model: Any = self.question.model
        told = torch.as_tensor(self.network(pictures))
        told = model.as_logits(told) if hasattr(model, "as_logits") else told
        place = self.question.place
        if not self.card.exclusive:
            return told[:, place]
        others = torch.cat([told[:, :place], told[:, place + 1 :]], dim=1)
        return told[:, place] - others.logsumexp(dim=1)


def differentiable(network: nn.Module) -> bool:
    """Whether gradients flow through every part."""
    return all(getattr(part, "differentiable", True) for part in network.modules())


def integrated_gradients(network: Asked, pictures: Tensor) -> Tensor:
    """Sundararajan, Taly and Yan 2017, from the blurred picture, so that it marks what is seen and not what is bright."""
    blurred = _smooth(pictures, BLURRED)
    found = IntegratedGradients(network).attribute(pictures, baselines=blurred, n_steps=STEPS, internal_batch_size=STEPS)
    return _smooth(torch.as_tensor(found), SMOOTHED)


def grad_cam(network: Asked, pictures: Tensor) -> Tensor:
    """Selvaraju et al. 2017, at the last convolution."""
    found = torch.as_tensor(LayerGradCam(network, _convolutions(network.network)[-1]).attribute(pictures))
    return functional.interpolate(found, size=pictures.shape[-2:], mode="bilinear", align_corners=False)


def _convolutions(network: nn.Module) -> list[nn.Conv2d]:
    """None in a graph that was exported: its parts are no modules."""
    return [part for part in network.modules() if isinstance(part, nn.Conv2d)]


def occlusion(network: Asked, pictures: Tensor) -> Tensor:
    """What the score loses when a square takes the colour of its surroundings (Zeiler and Fergus 2014)."""
    _, channels, side, _ = pictures.shape
    square = max(side // 6, 1)
    with torch.no_grad():
        found = Occlusion(network).attribute(
            pictures,
            sliding_window_shapes=(channels, square, square),
            strides=(channels, max(square // 2, 1), max(square // 2, 1)),
            baselines=_smooth(pictures, BLURRED),
            perturbations_per_eval=16,
        )
    return torch.as_tensor(found)


def _smooth(pictures: Tensor, share: float) -> Tensor:
    half = max(int(pictures.shape[-1] * share / 2), 1)
    return functional.avg_pool2d(pictures.contiguous(), 2 * half + 1, 1, half, count_include_pad=False)


WAYS = {"integrated-gradients": integrated_gradients, "grad-cam": grad_cam, "occlusion": occlusion}


def draw(places: NDArray[np.float32]) -> bytes:
    """A PNG, RGBA: transparent where nothing speaks for the finding, yellow to red where much does."""
    warm = np.clip(places, 0.0, None)
    top = float(np.quantile(warm, 0.995))
    level = np.round(np.clip(warm / top, 0.0, 1.0) * (LEVELS - 1)) / (LEVELS - 1) if top > 0 else np.zeros_like(warm)
    picture = np.zeros((*warm.shape, 4), np.uint8)  # blue, green, red, alpha
    picture[..., 1] = np.where(level > 0, 255 * (1 - level), 0)
    picture[..., 2] = np.where(level > 0, 255, 0)
    picture[..., 3] = 180 * level
    done, encoded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert done, "OpenCV writes PNG"
    return encoded.tobytes()
