"""What the HL7 tests send: messages made of their parts, a door without an intake, and a sender with a plain socket."""

import socket
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from producers.door import Door
from producers.hl7.parse import parse_message
from producers.intake import Intake
from stream.arrival import Arrival
from stream.content import ContentStore
from stream.feeds import FeedsConfig
from stream.identity import Identities

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

#: Marked, so that a test can look for it where no patient's name or number may stand.
CANARY_NAME, CANARY_NUMBER, CANARY_BIRTH = "CANARYNAME", "CANARY4711", "19610203"

NOTE = "The patient was admitted with shortness of breath and improved under treatment."


def header(kind: str, control_id: str = "1", *, sender: str = "LAB|HOSP", version: str = "2.5.1", **fields: str) -> str:
    """MSH; ``fields`` by number: ``f11="T"``."""
    parts = ["MSH", "^~\\&", *sender.split("|"), "DX", "X", "20261120115500", "", kind, control_id, "P", version, *[""] * 8]
    for name, value in fields.items():
        parts[int(name[1:]) - 1] = value
    return "|".join(parts).rstrip("|")


def patient(number: str = f"{CANARY_NUMBER}^^^HOSP^MR", born: str = CANARY_BIRTH, sex: str = "F") -> str:
    return f"PID|1||{number}||{CANARY_NAME}^JANE||{born}|{sex}"


def order(number: str = "F1", at: str = "20261120110000", **fields: str) -> str:
    parts = ["OBR", "1", "P1", number, "24323-8^Panel^LN", "", "", at, *[""] * 22]
    for name, value in fields.items():
        parts[int(name[1:])] = value
    return "|".join(parts).rstrip("|")


def result(
    value: str = "140", unit: str = "mmol/L", code: str = "2951-2^Sodium^LN", kind: str = "NM", status: str = "F", **fields: str
) -> str:
    parts = ["OBX", "1", kind, code, "", value, unit, "", "", "", "", status, *[""] * 10]
    for name, sent in fields.items():
        parts[int(name[1:])] = sent
    return "|".join(parts).rstrip("|")


def message(*segments: str) -> bytes:
    return ("\r".join(segments) + "\r").encode()


def oru(*segments: str, control_id: str = "1") -> bytes:
    """An ORU^R01 with one OBR unless ``segments`` begin with one."""
    under = segments if segments and segments[0].startswith("OBR") else (order(), *segments)
    return message(header("ORU^R01", control_id), patient(), *under)


def adt(
    event: str, visit: str = "V1", place: str = "ICU^1^1", control_id: str = "1", at: str = "20261120100000", **fields: str
) -> bytes:
    pv1 = ["PV1", "1", "I", place, *[""] * 42]
    pv1[19] = visit
    for name, value in fields.items():
        pv1[int(name[1:])] = value
    return message(header(f"ADT^{event}", control_id), f"EVN|{event}|{at}", patient(), "|".join(pv1).rstrip("|"))


def mdm(event: str, text: str = NOTE, kind: str = "DS", number: str = "D1", control_id: str = "1", **fields: str) -> bytes:
    txa = ["TXA", "1", kind, "TX", "20261120093000", *[""] * 16]
    txa[12] = number
    for name, value in fields.items():
        txa[int(name[1:])] = value
    body = [f"OBX|{n}|TX|||{line}||||||F" for n, line in enumerate(text.split("\n"), start=1)] if text else []
    return message(header(f"MDM^{event}", control_id), f"EVN|{event}|20261120093000", patient(), "|".join(txa).rstrip("|"), *body)


def plain_door(folder: Path, **files: str) -> Door:
    """A door for reading alone; ``files``: the configuration, ``feeds_toml="[hl7]…"``."""
    config = folder / "config"
    config.mkdir(exist_ok=True)
    for name, text in files.items():
        (config / name.replace("_", ".")).write_text(text, encoding="utf-8")
    feeds = FeedsConfig(config)
    identities = Identities(b"a key for tests", feeds.authorities)
    return Door(intake=cast("Intake", None), store=ContentStore(folder / "content"), identities=identities, feeds=feeds)


def take(door: Door, frame: bytes, *, now: datetime = NOW) -> Arrival:
    return parse_message(frame, door=door, received_at=now)


def asked(door: Door, frame: bytes, *, now: datetime = NOW) -> Any:
    """The only ask of a message."""
    (ask,) = take(door, frame, now=now).asks
    return ask


class Sender(AbstractContextManager["Sender"]):
    """A connection to the port; everything is sent and read as bytes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def answer(self) -> str:
        """The next answer; empty when the connection was closed without one."""
        while b"\x1c\x0d" not in self._held:
            try:
                chunk = self.socket.recv(65536)
            except ConnectionError:
                return ""
            if not chunk:
                return ""
            self._held += chunk
        answer, _, self._held = self._held.partition(b"\x1c\x0d")
        assert answer.startswith(b"\x0b")
        return answer[1:].decode("latin-1")

    def ask(self, frame: bytes) -> str:
        self.send(framed(frame))
        return self.answer()


def framed(frame: bytes) -> bytes:
    return b"\x0b" + frame + b"\x1c\x0d"


def code(answer: str) -> str:
    """MSA-1."""
    return segment(answer, "MSA")[1]


def segment(answer: str, name: str) -> list[str]:
    return next(line.split(answer[3]) for line in answer.split("\r") if line.startswith(name))
