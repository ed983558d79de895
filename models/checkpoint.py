"""Where a training stands after an epoch, in one safetensors file, so that a killed one goes on as if nothing had been."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

CHECKPOINT_FILE = "checkpoint.safetensors"


@dataclass(kw_only=True)
class Course:
    """All that changes while a network is trained.

    ``losses``: (training, validation) of each epoch done; ``best``: the weights of the one with the least validation loss.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: np.random.Generator
    losses: list[tuple[float, float]] = field(default_factory=list)
    best: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def waited(self) -> int:
        """Epochs since the least validation loss."""
        validation = [loss for _, loss in self.losses]
        return len(validation) - 1 - int(np.argmin(validation)) if validation else 0


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The file of one training. ``signature``: names data and settings; what another training left is not gone on with."""

    path: Path
    signature: str

    def keep(self, course: Course) -> None:
        """Writes where ``course`` stands; the file is whole at any moment."""
        state = course.optimizer.state_dict()
        moments = {f"{one}.{name}": value for one, all_of in state["state"].items() for name, value in all_of.items()}
        parts = {"network": course.network.state_dict(), "best": course.best, "optimizer": moments}
        tensors = {f"{part}/{name}": value.clone().contiguous() for part, all_of in parts.items() for name, value in all_of.items()}
        tensors["random"] = torch.get_rng_state()
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            tensors["random-cuda"] = torch.cuda.get_rng_state()
        told = {
            "signature": self.signature,
            "losses": course.losses,
            "groups": state["param_groups"],
            "schedule": course.schedule.state_dict(),
            "rng": course.rng.bit_generator.state,
        }
        fresh = self.path.with_suffix(".new")
        save_file(tensors, fresh, metadata={"course": json.dumps(told)})
        fresh.replace(self.path)

    def resume(self, course: Course) -> None:
        """Puts ``course`` where the file says; leaves it alone when there is none of this training."""
        told, tensors = self._read()
        if told.get("signature") != self.signature:
            return
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimizer": {}}
        torch.set_rng_state(tensors.pop("random"))
        if "random-cuda" in tensors:
            torch.cuda.set_rng_state(tensors.pop("random-cuda"))
        for name, tensor in tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = tensor
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            one, _, rest = name.partition(".")
            moments.setdefault(int(one), {})[rest] = tensor
        course.network.load_state_dict(parts["network"])
        course.optimizer.load_state_dict({"state": moments, "param_groups": told["groups"]})
        course.schedule.load_state_dict(told["schedule"])
        course.rng.bit_generator.state = told["rng"]
        course.losses, course.best = [(one, other) for one, other in told["losses"]], parts["best"]

    def _read(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        if not self.path.is_file():
            return {}, {}
        try:
            with safe_open(self.path, framework="pt") as file:
                told = json.loads((file.metadata() or {}).get("course", "{}"))
                return told, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        except SafetensorError:
            return {}, {}
