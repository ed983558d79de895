"""Clients that nobody here wrote: python-hl7's, as a library and as its command, against the real port."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hl7.client import MLLPClient
from hl7_sender import adt, mdm, oru, result
from stay_samples import rows

from db.tables import inputs
from producers.door import Door
from producers.hl7.charset import split_batch
from producers.hl7.mllp import MllpFeed

NO_FEEDS = "DXSTREAM_TEST_FEEDS names no folder with hl7/, so no real message was sent or split"

has_feeds = pytest.mark.skipif("DXSTREAM_TEST_FEEDS" not in os.environ, reason=NO_FEEDS)


@pytest.fixture
def port(door: Door) -> Iterator[int]:
    feed = MllpFeed(door, bind="127.0.0.1", port=0)
    feed.start()
    yield feed.port
    feed.stop()


def real_files() -> list[Path]:
    return sorted(path for path in (Path(os.environ["DXSTREAM_TEST_FEEDS"]) / "hl7").rglob("*.hl7") if path.is_file())


def test_python_hl7_sends_every_kind_over_one_connection(door: Door, port: int) -> None:
    with MLLPClient("127.0.0.1", port) as client:
        for number, frame in enumerate([adt("A01", control_id="1"), oru(result(), control_id="2"), mdm("T02", control_id="3")], 1):
            assert f"MSA|AA|{number}".encode() in client.send_message(frame)
    assert len(rows(door.intake.database, inputs)) == 3


def test_ten_foreign_clients_at_once_lose_nothing(door: Door, port: int) -> None:
    def send(client_number: int) -> int:
        with MLLPClient("127.0.0.1", port) as client:
            return sum(b"MSA|AA" in client.send_message(oru(result(), control_id=f"{client_number}-{n}")) for n in range(10))

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(send, range(10))) == 100
    assert len(rows(door.intake.database, inputs)) == 100


@has_feeds
def test_python_hl7_gets_an_answer_to_every_real_message(port: int) -> None:
    with MLLPClient("127.0.0.1", port) as client:
        for path in real_files():
            for frame in split_batch(path.read_bytes()):
                if b"\x0b" not in frame and b"\x1c" not in frame:
                    assert b"MSA" in client.send_message(frame), path


def test_the_command_mllp_send_sends_a_file_of_messages(door: Door, port: int, tmp_path: Path) -> None:
    file = tmp_path / "three.hl7"
    file.write_bytes(b"".join(oru(result(), control_id=str(number)) for number in range(3)))
    command = [str(Path(sys.executable).with_name("mllp_send")), "--port", str(port), "--loose", "--file", str(file), "127.0.0.1"]
    said = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    assert [f"MSA|AA|{number}".encode() in said for number in range(3)] == [True] * 3
    assert len(rows(door.intake.database, inputs)) == 3


@has_feeds
def test_a_real_file_may_come_byte_by_byte_over_the_port(port: int) -> None:
    path = min(real_files(), key=lambda one: one.stat().st_size)
    content = path.read_bytes().replace(b"\x0b", b"").replace(b"\x1c", b"")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sender:
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"\x0b" + content + b"\x1c\x0d":
            sender.sendall(bytes([byte]))
        assert b"MSA" in sender.recv(65536)


def test_no_thread_is_left_when_the_port_has_closed(door: Door) -> None:
    feed = MllpFeed(door, bind="127.0.0.1", port=0)
    feed.start()
    with MLLPClient("127.0.0.1", feed.port) as client:
        client.send_message(oru(result()))
    feed.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "mllp"]
