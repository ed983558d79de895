"""Senders of the MLLP benchmark, in a process of their own: connections that each wait for one ACK before the next message.

``python mllp_sender.py PORT CONNECTIONS SECONDS SEED`` prints one JSON line: messages, seconds, cpu_seconds, milliseconds.
"""

import json
import resource
import selectors
import socket
import statistics
import sys
import time
from collections.abc import Iterator

ANALYTES = (("2951-2", "Sodium", "140", "mmol/L"), ("2160-0", "Creatinine", "1.1", "mg/dL"))
ANALYTES += (("6298-4", "Potassium", "4.2", "mmol/L"), ("2345-7", "Glucose", "104", "mg/dL"))

_END = b"\x1c\x0d"


def oru(control_id: str, patient: int) -> bytes:
    """An ORU^R01 of four results, about 600 bytes, of its own order."""
    lines = [
        f"MSH|^~\\&|LAB|HOSP|DX|X|20261120115500||ORU^R01^ORU_R01|{control_id}|P|2.5.1",
        f"PID|1||{patient}^^^HOSP^MR||BENCH^PATIENT||19610203|F",
        f"OBR|1|P{control_id}|{control_id}^LAB|24323-8^Panel^LN|||20261120110000|||||||||||||||20261120113000|||F",
    ]
    lines += [
        f"OBX|{n}|NM|{code}^{name}^LN||{value}|{unit}|||||F|||20261120110000"
        for n, (code, name, value, unit) in enumerate(ANALYTES, start=1)
    ]
    return b"\x0b" + "\r".join(lines).encode() + b"\r" + _END


def messages(seed: str, connection: int) -> Iterator[bytes]:
    """As many as are asked for; each is new."""
    number = 0
    while True:
        number += 1
        yield oru(f"{seed}-{connection}-{number}", (connection * 7919 + number) % 997)


class Line:
    """One connection: what it waits for, and when it began to."""

    def __init__(self, port: int, frames: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._frames, self._held, self._began = frames, b"", 0.0

    def send(self) -> None:
        """The next message."""
        frame = next(self._frames)
        self._began = time.perf_counter()
        self.socket.sendall(frame)

    def answered(self) -> float | None:
        """Seconds that the answer took; None while it has not all come. Anything but AA ends the run."""
        self._held += self.socket.recv(65536)
        if not self._held.endswith(_END):
            return None
        if b"MSA|AA|" not in self._held:
            raise SystemExit(f"not taken: {self._held!r}")
        self._held = b""
        return time.perf_counter() - self._began


def main() -> None:
    """Send for so many seconds; what is under way at the end is waited for."""
    port, connections, seconds, seed = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    selector = selectors.DefaultSelector()
    lines = [Line(port, messages(seed, number)) for number in range(connections)]
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for line in lines:
        selector.register(line.socket, selectors.EVENT_READ, line)
        line.send()
    waits: list[float] = []
    while selector.get_map():
        for key, _ in selector.select():
            took = key.data.answered()
            if took is not None:
                waits.append(took)
                if time.perf_counter() - began < seconds:
                    key.data.send()
                else:
                    selector.unregister(key.fileobj)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = {"messages": len(waits), "seconds": took, "cpu_seconds": cpu, "milliseconds": statistics.median(waits) * 1000}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
