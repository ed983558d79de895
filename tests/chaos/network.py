"""Hosts on one machine: a network namespace each, all joined by a switch of our own. Needs root and iproute2."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers import end_with_parent

#: Leaves checksums and the cutting of segments to nobody below us: frames are carried as they are. The ``ethtool`` call of
#: Linux (linux/ethtool.h: set TX checksum, TSO, GSO, GRO to 0), since the program of that name is seldom there.
PLAIN = """
import fcntl, socket, struct, sys, array
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    for command in (0x17, 0x1f, 0x24, 0x2c):
        value = array.array("B", struct.pack("II", command, 0))
        request = struct.pack("16sP", sys.argv[1].encode(), value.buffer_info()[0]).ljust(40, bytes(1))
        try:
            fcntl.ioctl(any_socket, 0x8946, request)
        except OSError:
            pass
"""


@dataclass
class Network:
    """``address``: of this machine, the store's host. ``hosts``: the names of the others."""

    hosts: Sequence[str]
    switch: subprocess.Popen[str]
    number: int

    @property
    def address(self) -> str:
        return f"10.77.{self.number}.1"

    def space(self, host: str) -> list[str]:
        """The words before a command that is to run there."""
        return ["ip", "netns", "exec", _name(self.number, host)]

    def cut(self, host: str) -> None:
        self._tell(f"cut {_port(self.number, host)}")

    def join(self, host: str) -> None:
        self._tell(f"join {_port(self.number, host)}")

    def slow(self, seconds: float) -> None:
        """``seconds`` for the way there and back."""
        self._tell(f"delay {seconds / 2}")

    def _tell(self, words: str) -> None:
        assert self.switch.stdin
        self.switch.stdin.write(words + "\n")
        self.switch.stdin.flush()


def _name(number: int, host: str) -> str:
    return f"dxc{number}{host}"


def _port(number: int, host: str) -> str:
    return f"dxs{number}{host}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def why_not() -> str:
    """The command that refuses, in its own words; empty where hosts can be had."""
    name = _name(os.getpid() % 250, "try")
    try:
        _ip("netns", "add", name)
        _ip("netns", "del", name)
    except FileNotFoundError:
        return "iproute2 is not installed"
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd)}: {error.stderr.decode().strip()}"
    return ""


@contextmanager
def network(*hosts: str) -> Iterator[Network]:
    """This machine (address .1) and ``hosts`` (.2, .3, …), joined by the switch."""
    number = os.getpid() % 250
    middle = _name(number, "m")
    spaces = [middle, *(_name(number, host) for host in hosts)]
    switch = None
    try:
        for space in spaces:
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
        for place, host in enumerate(("store", *hosts), start=1):
            _plug(number, host, place, middle)
        ports = [_port(number, host) for host in ("store", *hosts)]
        switch = subprocess.Popen(
            ["ip", "netns", "exec", middle, sys.executable, str(Path(__file__).parent / "switch.py"), *ports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=end_with_parent,
        )
        assert switch.stdout
        assert switch.stdout.readline() == "ready\n"
        yield Network(hosts, switch, number)
    finally:
        if switch:
            switch.communicate("\n")
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", f"dxh{number}store"], check=False, capture_output=True)


def _plug(number: int, host: str, place: int, middle: str) -> None:
    """A cable from a host to the switch."""
    end, port, space = f"dxh{number}{host}", _port(number, host), _name(number, host)
    _ip("link", "add", end, "type", "veth", "peer", "name", port, "netns", middle)
    inside: list[str] = [] if host == "store" else ["-n", space]
    if inside:
        _ip("link", "set", end, "netns", space)
    _ip(*inside, "addr", "add", f"10.77.{number}.{place}/24", "dev", end)
    _ip(*inside, "link", "set", end, "up")
    _ip("-n", middle, "link", "set", port, "up")
    for words, device in ((["ip", "netns", "exec", space] if inside else [], end), (["ip", "netns", "exec", middle], port)):
        subprocess.run([*words, sys.executable, "-c", PLAIN, device], check=True)
