"""A network switch in user space: frames in, frames out to every other port, later or not at all. ``python switch.py PORT…``.

For machines whose kernel has no ``netem``. Standard input takes ``delay SECONDS`` (each way), ``cut PORT`` and ``join PORT``.
"""

import heapq
import selectors
import socket
import sys
import time
from itertools import count

ETH_P_ALL = 0x0003
OUTGOING = 4  # PACKET_OUTGOING of linux/if_packet.h
LONGEST_FRAME = 65_536


class Switch:
    """Ports are interfaces of this network namespace."""

    def __init__(self, names: list[str]) -> None:
        self.ports = {name: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) for name in names}
        for name, port in self.ports.items():
            port.bind((name, 0))
            port.setblocking(False)
        self.delay = 0.0
        self.cut: set[str] = set()
        self.waiting: list[tuple[float, int, str, bytes]] = []
        self.order = count()

    def obey(self, line: str) -> bool:
        """False at the end of the input."""
        match line.split():
            case ["delay", seconds]:
                self.delay = float(seconds)
            case ["cut", name]:
                self.cut.add(name)
            case ["join", name]:
                self.cut.discard(name)
            case []:
                return False
        return True

    def take(self, name: str) -> None:
        """All frames that have come in."""
        while True:
            try:
                frame, source = self.ports[name].recvfrom(LONGEST_FRAME)
            except BlockingIOError:
                return
            if source[2] != OUTGOING and name not in self.cut:
                due = time.monotonic() + self.delay
                for other in self.ports.keys() - {name} - self.cut:
                    heapq.heappush(self.waiting, (due, next(self.order), other, frame))

    def give(self) -> float | None:
        """Send what is due; seconds until the next is."""
        while self.waiting:
            due, _, name, frame = self.waiting[0]
            if due > time.monotonic():
                return due - time.monotonic()
            heapq.heappop(self.waiting)
            try:
                if name not in self.cut:
                    self.ports[name].send(frame)
            except OSError:  # its queue is full: the frame is lost, as frames are
                continue
        return None

    def run(self) -> None:
        """Until the input ends."""
        selector = selectors.DefaultSelector()
        selector.register(sys.stdin, selectors.EVENT_READ)
        for name, port in self.ports.items():
            selector.register(port, selectors.EVENT_READ, name)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select(self.give()):
                if key.data:
                    self.take(key.data)
                elif not self.obey(sys.stdin.readline()):
                    return


if __name__ == "__main__":
    Switch(sys.argv[1:]).run()
