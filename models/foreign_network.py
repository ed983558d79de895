"""Opens the network that a card brings along, by the card's architecture: nothing in its files is ever unpickled or run as text."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.card import ONNX_FILE, PROGRAM_FILE, WEIGHTS_FILE, BadCard, Card
from models.foreign_archive import read_archive
from models.foreign_graph import GraphNetwork

#: The networks of MONAI that a card may name, each with the options that every one of them needs.
MONAI = {
    **dict.fromkeys(("DenseNet121", "DenseNet169", "DenseNet201", "DenseNet264"), ("in_channels", "out_channels")),
    **dict.fromkeys(("SEResNet50", "SEResNet101", "SEResNet152", "SEResNext50"), ("in_channels", "num_classes")),
    **{f"resnet{depth}": ("n_input_channels", "num_classes") for depth in (10, 18, 34, 50, 101)},
    "EfficientNetBN": ("in_channels", "num_classes"),
}


def open_network(card: Card, inputs: int, device: torch.device) -> nn.Module:
    """The card's network; raises BadCard when its file or its name is not what the card says."""
    return _OPENERS[card.architecture](card, inputs, device)


def _open_program(card: Card, inputs: int, _device: torch.device) -> nn.Module:
    try:
        network = GraphNetwork(read_archive(card.folder / PROGRAM_FILE), PROGRAM_FILE)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise BadCard(f"{card.name}: {PROGRAM_FILE} is no program that is understood: {type(error).__name__}") from error
    return _same_number(card, inputs, network, network.widths)


def _open_onnx(card: Card, inputs: int, _device: torch.device) -> nn.Module:
    network = OnnxNetwork((card.folder / ONNX_FILE).read_bytes(), card.name)
    return _same_number(card, inputs, network, network.widths)


def _same_number(card: Card, inputs: int, network: nn.Module, widths: list[int]) -> nn.Module:
    if len(widths) != inputs:
        raise BadCard(f"{card.name}: its network takes {len(widths)} inputs, the card names {inputs}")
    return FixedBatch(network, max(widths)) if any(widths) else network


def _open_monai(card: Card, _inputs: int, device: torch.device) -> nn.Module:
    """A network of MONAI by its class name, filled from safetensors; a bundle's configuration is never read."""
    name, options = str(card.config.get("network")), dict(card.config.get("options", {}))
    if name not in MONAI:
        raise BadCard(f"{card.name}: no network of MONAI is taken as {name[:60]}: {', '.join(MONAI)}")
    if "pretrained" in options:
        raise BadCard(f"{card.name}: weights come from the card's own file, so its options say nothing of pretrained")
    try:
        from monai.networks import nets  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BadCard(f"{card.name} needs MONAI: pip install 'dxstream[monai]'") from error
    coming_in, going_out = MONAI[name]
    always = {"spatial_dims": 2, coming_in: card.config.get("channels", 1), going_out: len(card.labels)}
    try:
        network: nn.Module = getattr(nets, name)(**{**always, **_pretrained_off(name), **options})
        network.load_state_dict(load_file(card.folder / WEIGHTS_FILE, device=str(device)))
    except (OSError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise BadCard(f"{card.name}: {WEIGHTS_FILE} does not hold the weights of this {name}") from error
    return network


def _pretrained_off(name: str) -> dict[str, Any]:
    return {"model_name": "efficientnet-b0", "pretrained": False} if name == "EfficientNetBN" else {}


class FixedBatch(nn.Module):
    """A network that was exported for ``width`` examples at a time: filled up with copies of the last."""

    def __init__(self, network: nn.Module, width: int) -> None:
        super().__init__()
        self.network, self.width = network, width

    def forward(self, *inputs: Tensor) -> Tensor:
        """(B, labels), whatever B is."""
        size = len(inputs[0])
        parts = [self._run([one[start : start + self.width] for one in inputs]) for start in range(0, size, self.width)]
        return torch.cat(parts)[:size]

    def _run(self, inputs: list[Tensor]) -> Tensor:
        missing = self.width - len(inputs[0])
        filled = [torch.cat([one, one[-1:].expand(missing, *one.shape[1:])]) if missing else one for one in inputs]
        return torch.as_tensor(self.network(*filled))


class OnnxNetwork(nn.Module):
    """An ONNX file as a network on the processor, by ONNX Runtime. ``widths``: of each input, its fixed batch; 0: any."""

    #: Nothing can be differentiated through it.
    differentiable = False

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__()
        try:
            import onnxruntime  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise BadCard(f"{name} needs ONNX Runtime: pip install 'dxstream[onnx]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = torch.get_num_threads(), 1, 4
        try:
            # From bytes, so that a model cannot name files beside it; operators of its own would have to be registered.
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no common root
            raise BadCard(f"{name}: ONNX Runtime does not take this file: {type(error).__name__}") from error
        self.taken = self.session.get_inputs()
        self.widths = [one.shape[0] if isinstance(one.shape[0], int) else 0 for one in self.taken]

    def forward(self, *inputs: Tensor) -> Tensor:
        """(B, labels) of the file's first output."""
        given = zip(self.taken, inputs, strict=True)
        feed = {about.name: np.ascontiguousarray(one.detach().cpu().numpy()) for about, one in given}
        try:
            told = self.session.run([self.session.get_outputs()[0].name], feed)[0]
        except Exception as error:  # ONNX Runtime's errors have no common root
            raise RuntimeError("ONNX Runtime fails on this input") from error
        return torch.from_numpy(np.asarray(told)).to(inputs[0].device)


_OPENERS: Mapping[str, Callable[[Card, int, torch.device], nn.Module]] = {
    "torch-export": _open_program,
    "onnx": _open_onnx,
    "monai": _open_monai,
}
