"""A port for a server that is started in a moment, by another process."""

import random
import socket
from pathlib import Path

#: Linux's range of ports for outgoing connections: "32768 60999" unless an operator has set another.
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
#: Where the choice begins: above the ports that well-known servers listen on, ours among them (11112 is DICOM's).
LOWEST = 12000
#: How often a port that is taken may be drawn before the system chooses.
DRAWS = 100

#: What this process was given before: of four ports drawn in a row none is another's.
_given: set[int] = set()


def free_port() -> int:
    """A loopback port that nobody listens on and that no outgoing connection is given, so that it stays free until it is bound.

    Where the system keeps no such ports it chooses one itself.
    """
    lowest_outgoing = int(OUTGOING.read_text().split()[0]) if OUTGOING.exists() else 0
    for _ in range(DRAWS if lowest_outgoing > LOWEST else 0):
        drawn = random.randrange(LOWEST, lowest_outgoing)  # noqa: S311 - spread, no secret
        if drawn not in _given and _bound(drawn):
            _given.add(drawn)
            return drawn
    return _bound(0)


def _bound(port: int) -> int:
    """The port once it could be bound on loopback (0: any), 0 where it is taken."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
        return int(probe.getsockname()[1])
