"""The page of one process: of itself alone, on the port that it was given."""

import socket
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dxstream.free_port import free_port
from dxstream.metrics_server import serve_process
from stream.settings import BadSettingError, Settings
from worker.exposition_machine import Devices


def test_a_process_tells_of_itself_and_never_of_the_ledger(tmp_path: Path):
    port = free_port()
    server = serve_process(Settings(home=tmp_path, process_metrics_port=port), Devices())
    assert server
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            names = {family.name for family in text_string_to_metric_families(answer.read().decode())}
    finally:
        server.stop()
    assert "process_resident_memory_bytes" in names
    assert {name for name in names if name.startswith("dxstream_")} <= {
        "dxstream_device_busy_ratio",
        "dxstream_device_memory_bytes",
        "dxstream_device_memory_total_bytes",
    }


def test_without_a_port_there_is_no_page(tmp_path: Path):
    assert serve_process(Settings(home=tmp_path)) is None


def test_a_port_that_is_taken_is_named_by_its_variable(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadSettingError, match="DXSTREAM_PROCESS_METRICS_PORT"):
            serve_process(Settings(home=tmp_path, process_metrics_port=port))


def test_who_connects_and_says_nothing_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dxstream.metrics_server.SILENT_SECONDS", 0.1)
    port = free_port()
    server = serve_process(Settings(home=tmp_path, process_metrics_port=port))
    assert server
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as silent:
            assert silent.recv(1) == b""
    finally:
        server.stop()
