"""A port for a server of ours is one that no outgoing connection takes before the server has it."""

import socket

import pytest

from dxstream import free_port as module
from dxstream.free_port import LOWEST, OUTGOING, free_port


@pytest.mark.skipif(not OUTGOING.exists(), reason="this system does not say which ports outgoing connections are given")
def test_it_is_none_that_an_outgoing_connection_is_given():
    lowest = int(OUTGOING.read_text().split()[0])
    assert all(LOWEST <= free_port() < lowest for _ in range(200))


def test_a_port_that_is_taken_is_drawn_again(monkeypatch):
    free = free_port()
    monkeypatch.setattr(module, "_given", set())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        draws = iter([taken.getsockname()[1], free])
        monkeypatch.setattr(module.random, "randrange", lambda *_: next(draws))
        assert free_port() == free


def test_no_port_is_given_twice(monkeypatch):
    first, other, last = LOWEST, LOWEST + 1, LOWEST + 2
    monkeypatch.setattr(module, "_given", {first, other})
    draws = iter([first, other, last])
    monkeypatch.setattr(module.random, "randrange", lambda *_: next(draws))
    monkeypatch.setattr(module, "_bound", lambda port: port)
    assert free_port() == last


def test_where_all_ports_are_for_outgoing_connections_the_system_chooses(monkeypatch, tmp_path):
    everything = tmp_path / "range"
    everything.write_text("1024\t65535\n")
    monkeypatch.setattr(module, "OUTGOING", everything)
    assert 1024 <= free_port() <= 65535
