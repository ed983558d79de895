"""Devices: which workers this machine runs, and the pinning of one process to one device. Never imports torch itself."""

import os
import shutil
import subprocess
from dataclasses import dataclass

from stream.errors import Fatal
from stream.settings import BadSettingError

#: ``auto`` without a GPU starts this many CPU workers at the most; each loads every model.
MAX_AUTO_CPU_WORKERS = 2


@dataclass(frozen=True, kw_only=True)
class Device:
    """One worker's device. ``name`` is unique on the machine (``cpu-0``); ``kind``: ``cpu`` or ``cuda:N``."""

    name: str
    kind: str

    @property
    def environment(self) -> dict[str, str]:
        """What the worker's process must find, so that it sees this device and no other."""
        return {"CUDA_VISIBLE_DEVICES": self.kind.removeprefix("cuda:") if self.kind.startswith("cuda:") else ""}


def parse_devices(text: str) -> list[Device]:
    """``auto``, ``cpu``, ``cpu:2``, ``cuda:0,cuda:1`` → the devices; raises BadSettingError."""
    if text == "auto":
        gpus = count_gpus()
        text = ",".join(f"cuda:{index}" for index in range(gpus)) or f"cpu:{min(MAX_AUTO_CPU_WORKERS, os.cpu_count() or 1)}"
    devices: list[Device] = []
    for part in text.split(","):
        kind, _, number = part.strip().partition(":")
        if kind == "cpu" and (not number or number.isdigit()):
            devices += [Device(name=f"cpu-{index}", kind="cpu") for index in range(int(number or 1))]
        elif kind == "cuda" and number.isdigit():
            devices.append(Device(name=f"cuda-{number}", kind=f"cuda:{number}"))
        else:
            raise BadSettingError(f"DXSTREAM_DEVICES names no device: {part.strip()!r} (cpu, cpu:2, cuda:0, auto)")
    if len({device.name for device in devices}) != len(devices):
        raise BadSettingError("DXSTREAM_DEVICES names a device twice")
    return devices


def count_gpus() -> int:
    """How many NVIDIA devices the driver lists; 0 where there is no driver."""
    if not shutil.which("nvidia-smi"):
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S607 - the driver's own
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def open_device(device: Device, *, threads: int) -> tuple[str, str]:
    """(what torch calls the device in this pinned process, what predictions say of it).

    ``threads``: cores that this process may use for one forward pass. Raises Fatal naming what is missing.
    """
    import cv2  # noqa: PLC0415 - only here, in the worker's own process, after pinning
    import torch  # noqa: PLC0415

    cv2.setNumThreads(threads)
    torch.set_num_threads(threads)
    if device.kind == "cpu":
        return "cpu", "cpu"
    if not torch.cuda.is_available():
        built = "has no CUDA support" if torch.version.cuda is None else "finds no such device or driver"
        raise Fatal(f"{device.kind} was asked for, but this PyTorch {built}; set DXSTREAM_DEVICES=cpu to work on the processor")
    return "cuda:0", f"{device.kind} {torch.cuda.get_device_name(0)}"
