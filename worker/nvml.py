"""NVIDIA's devices through the driver's own library (NVML): how busy each is and how much of its memory is in use.

Five calls by ctypes need no package; without a driver there are no devices. The driver counts all devices of the machine, whatever
this process may use of them.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

_OK = 0


class _Utilization(ctypes.Structure):
    """nvmlUtilization_t: percent of the last sample period."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    """nvmlMemory_t, in bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


@dataclass(frozen=True, kw_only=True)
class GpuState:
    """``device``: as workers are told it (``cuda:0``). ``busy``: the share of time, 0 to 1; None where it cannot be told."""

    device: str
    busy: float | None
    memory_used: int
    memory_total: int


class Gpus:
    """Opened once; reading again takes about a millisecond a device."""

    def __init__(self, library: str = "libnvidia-ml.so.1") -> None:
        try:
            self._nvml: ctypes.CDLL | None = ctypes.CDLL(library)
        except OSError:
            self._nvml = None
        if self._nvml is not None and self._nvml.nvmlInit_v2() != _OK:
            self._nvml = None

    def read(self) -> Iterator[GpuState]:
        """One state a device; none without a driver. A device that does not answer is left out."""
        nvml = self._nvml
        if nvml is None:
            return
        count = ctypes.c_uint()
        if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != _OK:
            return
        for index in range(count.value):
            handle, used, memory = ctypes.c_void_p(), _Utilization(), _Memory()
            if nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) != _OK:
                continue
            if nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) != _OK:
                continue
            known = nvml.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(used)) == _OK  # a part of a device (MIG) tells none
            yield GpuState(
                device=f"cuda:{index}",
                busy=used.gpu / 100 if known else None,
                memory_used=int(memory.used),
                memory_total=int(memory.total),
            )
