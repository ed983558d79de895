"""Makes a model's network faster on the processor, if what it says stays the same: folded norms, bfloat16, other engines.

The card's ``speed`` may say ``runtime`` (torch, openvino, onnx), ``bfloat16`` and ``fused`` (true unless it says false); the
installation and its site.toml may name another runtime. Whatever is chosen is tried on the spot with the card's check samples,
alone and together: where a probability differs by more than TOLERANCE, the card goes on without it, and the log says so.
bfloat16 rounds more than that, so a card may instead hold the check that it was measured by (``models.hasten``).
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.fused import fuse, has_norms
from models.golden import check_samples
from models.interface import Prepared
from models.model import Model
from models.runtimes import Bfloat16Network, OpenVinoNetwork, has_bfloat16, to_onnx
from stream.errors import DxstreamError

log = logging.getLogger(__name__)

#: How far a probability may be from that of plain torch in single precision.
TOLERANCE = 1e-3
#: The same for bfloat16, where the card's own check says that no AUROC is lost, and how much of it may be.
ROUNDED, LOSS = 3e-2, 1e-3
#: How steeply a probability follows its logits at the most, by whether labels exclude each other: so that check samples which
#: the model is sure of hide nothing.
STEEPEST = {False: 0.25, True: 0.5}


def speed_up(model: Model, runtime: str = "") -> str:
    """Puts the fastest network that is asked for and agrees in place of the model's; its name, empty when nothing changed.

    ``runtime``: what the installation says; the site goes before it, the card comes after it.
    """
    if model.device.type != "cpu":
        return ""
    card = model.card
    engine = card.site.runtime or runtime or card.speed.get("runtime", "torch")
    rounded = [True] if card.speed.get("bfloat16") and has_bfloat16() else []
    tried = [(engine, one) for one in (*rounded, False)]
    if engine != "torch":
        tried.append(("torch", False))
    prepared = [model.read(sample) for sample in check_samples(card)]
    for name, bfloat16 in tried:
        said = _try(model, prepared, name, bfloat16=bfloat16)
        if said:
            return said
    return ""


def _try(model: Model, prepared: Sequence[Prepared], engine: str, *, bfloat16: bool) -> str:
    """The engine's name when the model now runs by it, else empty."""
    if engine == "torch" and not bfloat16 and not has_norms(model.network):
        return ""
    name = f"{engine} in bfloat16" if bfloat16 else engine
    plain, before = model.network, _odds(model, prepared)
    try:
        inputs = inputs_of(model, prepared)
        made = ENGINES[engine](model, inputs, bfloat16)
        if made is None:
            return ""
        model.network = made
        difference = float(np.abs(_odds(model, prepared) - before).max()) * STEEPEST[model.card.exclusive]
    except (DxstreamError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        model.network = plain
        words = str(error) if isinstance(error, DxstreamError) else type(error).__name__
        log.warning("%s does not run on %s (%s): torch in single precision answers", model.card.name, name, words.splitlines()[0])
        return ""
    if difference > allowed(model, bfloat16=bfloat16):
        model.network = plain
        log.warning("%s: %s is refused, a probability may differ by %.2g from plain torch's", model.card.name, name, difference)
        return ""
    log.info("%s runs on %s: probabilities differ by %.1g at most", model.card.name, name, difference)
    return name


def allowed(model: Model, *, bfloat16: bool) -> float:
    """How far a probability may be off: more in bfloat16, where the card's stored check shows that no AUROC is lost."""
    check = model.card.speed.get("check", {})
    measured = bfloat16 and "auroc" in check and check["auroc"] - check["auroc_bfloat16"] <= LOSS
    return ROUNDED if measured else TOLERANCE


def inputs_of(model: Model, prepared: Sequence[Prepared]) -> tuple[Tensor, ...]:
    """What the network is called with for a batch; raises TypeError when that is more than tensors, one example a row."""
    seen: list[tuple[Any, ...]] = []

    def before(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append((*given, *named.values()))

    hook = model.network.register_forward_pre_hook(before, with_kwargs=True)
    try:
        with torch.no_grad():
            model.logits(model.expand(prepared))
    finally:
        hook.remove()
    ((*inputs,),) = seen
    if not all(isinstance(one, Tensor) and len(one) == len(prepared) for one in inputs):
        raise TypeError("the network takes more than tensors of one example a row")
    return tuple(inputs)


def _odds(model: Model, prepared: Sequence[Prepared]) -> NDArray[np.float64]:
    """(2 * prepared, labels) calibrated logits: all in one batch, then each alone."""
    told = [*model.infer(prepared), *[model.infer([one])[0] for one in prepared]]
    return np.asarray(np.stack([one.logits for one in told]) / np.asarray(model.card.temperature))


def _torch(model: Model, inputs: tuple[Tensor, ...], bfloat16: bool) -> nn.Module | None:
    fused = fuse(model.network, inputs) if model.card.speed.get("fused", True) else None
    if fused is not None:
        fused.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs
    return Bfloat16Network(fused or model.network) if bfloat16 else fused


def _openvino(model: Model, inputs: tuple[Tensor, ...], bfloat16: bool) -> nn.Module | None:
    return OpenVinoNetwork(model.network, inputs, bfloat16=bfloat16)


def _onnx(model: Model, inputs: tuple[Tensor, ...], bfloat16: bool) -> nn.Module | None:
    if bfloat16:
        raise TypeError("ONNX Runtime works in single precision here")
    return to_onnx(model.network, inputs)


Engine = Callable[[Model, tuple[Tensor, ...], bool], nn.Module | None]
ENGINES: dict[str, Engine] = {"torch": _torch, "openvino": _openvino, "onnx": _onnx}
