"""Devices and pinning."""

import os
import subprocess
import sys

import pytest

from stream.settings import BadSettingError
from worker.device import Device, count_gpus, parse_devices


def names(text: str) -> list[tuple[str, str]]:
    return [(device.name, device.kind) for device in parse_devices(text)]


def test_two_cpu_workers_have_names_of_their_own():
    assert names("cpu:2") == [("cpu-0", "cpu"), ("cpu-1", "cpu")]


def test_each_gpu_is_a_worker():
    assert names("cuda:0,cuda:1") == [("cuda-0", "cuda:0"), ("cuda-1", "cuda:1")]


@pytest.mark.skipif(count_gpus() > 0, reason="there is a GPU here")
def test_auto_without_a_gpu_is_the_cpu():
    assert {kind for _, kind in names("auto")} == {"cpu"}


@pytest.mark.parametrize("text", ["gpu", "cuda", "cuda:x", "cpu:two", "cpu,cpu"])
def test_what_is_no_device_is_named(text: str):
    with pytest.raises(BadSettingError, match="DXSTREAM_DEVICES"):
        parse_devices(text)


def test_a_pinned_process_sees_its_own_device_and_no_other():
    seen = [
        subprocess.run(
            [sys.executable, "-c", "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"],
            env={**os.environ, **Device(name="x", kind=kind).environment}, capture_output=True, text=True, check=True,
        ).stdout.strip()
        for kind in ("cuda:3", "cpu")
    ]  # fmt: skip
    assert seen == ["3", ""]


@pytest.mark.skipif(count_gpus() > 0, reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_named_and_nothing_falls_back_silently():
    code = (
        "from worker.device import Device, open_device\n"
        "from stream.errors import Fatal\n"
        "try:\n    open_device(Device(name='g', kind='cuda:0'), threads=1)\n"
        "except Fatal as error:\n    print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "cuda:0" in told
    assert "DXSTREAM_DEVICES=cpu" in told
