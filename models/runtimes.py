"""Other engines for a network on the processor: OpenVINO, ONNX Runtime, and torch in bfloat16. Each is an extra or built in."""

import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn

from models.card import BadCard
from models.foreign_network import OnnxNetwork


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; elsewhere it is slower than single precision."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001 - no public way


class Bfloat16Network(nn.Module):
    """The same network, products in bfloat16, the answer in single precision."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the network's."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return torch.as_tensor(self.network(*inputs)).float()


class OpenVinoNetwork(nn.Module):
    """A traced network compiled by OpenVINO, any number of examples at a time."""

    #: Nothing can be differentiated through it.
    differentiable = False

    def __init__(self, network: nn.Module, inputs: Sequence[Tensor], *, bfloat16: bool) -> None:
        super().__init__()
        try:
            import openvino  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - an extra
            from openvino.frontend import FrontEndManager  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
            from openvino.frontend.pytorch.ts_decoder import (  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
                TorchScriptPythonDecoder,
            )
        except ImportError as error:
            raise BadCard("OpenVINO is not installed: pip install 'dxstream[openvino]'") from error
        front = FrontEndManager().load_by_framework("pytorch")  # not convert_model, which sends telemetry
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # tracing warns of what the comparison afterwards finds
                decoded = TorchScriptPythonDecoder(network, example_input=tuple(inputs))
            converted = front.convert(front.load(decoded))
        except Exception as error:  # OpenVINO's errors have no common root
            raise BadCard("OpenVINO does not take this network") from error
        converted.reshape({place: openvino.PartialShape([-1, *one.shape[1:]]) for place, one in enumerate(inputs)})
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.compiled = openvino.Core().compile_model(converted, "CPU", settings)

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the network's."""
        return torch.from_numpy(self.compiled([one.detach().contiguous().numpy() for one in inputs])[0].copy())


def to_onnx(network: nn.Module, inputs: Sequence[Tensor]) -> OnnxNetwork:
    """The network exported to ONNX, in memory, any number of examples at a time; raises BadCard without the extra."""
    try:
        import onnxscript  # type: ignore[import-not-found,unused-ignore]  # noqa: F401, PLC0415 - what torch's exporter needs
    except ImportError as error:
        raise BadCard("ONNX Runtime is not installed: pip install 'dxstream[onnx]'") from error
    any_number: Any = torch.export.Dim("examples", min=1, max=4096)
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    shapes = tuple({0: any_number} for _ in inputs)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(network, tuple(inputs), dynamo=True, dynamic_shapes=shapes, verbose=False)
    except Exception as error:  # nor have the exporter's
        raise BadCard("torch does not export this network to ONNX for any number of examples") from error
    return OnnxNetwork(program.model_proto.SerializeToString(), "the exported network")
