"""One connection each over C-STORE, MLLP and HTTP: sends one thing, gives the answer, connects again when it must."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from io import BytesIO
from typing import Any, Protocol

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import DigitalXRayImageStorageForPresentation  # type: ignore[attr-defined]  # made at import

from dxstream.hospital.cases import DICOM, FHIR, HL7, Sending

#: Seconds that an answer may take.
TIMEOUT = 30.0
#: HTTP states that say: later.
LATER = {429, 502, 503, 504, 507}
#: C-STORE states that say: taken (success and warnings), and later (out of resources, PS3.4 B.2.3).
TAKEN_STATES = {0x0000, 0xB000, 0xB006, 0xB007}
OUT_OF_RESOURCES = 0xA700
FRAME_START, FRAME_END = b"\x0b", b"\x1c\r"


class NotNow(Exception):
    """Not answered, or asked to come again: the same thing is to be sent once more."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the receiver listens. ``token``: for HTTP, empty for none."""

    host: str
    dicom: int
    ae_title: str
    mllp: int
    http: int
    token: str = ""

    def __repr__(self) -> str:
        """Without the token."""
        return f"Ports({self.host}, dicom={self.dicom}, mllp={self.mllp}, http={self.http})"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """``text``: in the protocol's own words; ``taken``: the receiver now has it."""

    text: str
    taken: bool


class Line(Protocol):
    """A way to the receiver, used by one thread."""

    def send(self, sending: Sending) -> Answer:
        """The receiver's final answer; raises NotNow when there was none."""

    def close(self) -> None:
        """Hangs up; the next ``send`` connects again."""


class DicomLine:
    """An association that stays open from one C-STORE to the next."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._application = AE(ae_title="SIMHOSP")
        self._application.add_requested_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
        self._application.connection_timeout = self._application.dimse_timeout = TIMEOUT
        self._association: Any = None

    def send(self, sending: Sending) -> Answer:
        """C-STORE; the status as four hexadecimal digits."""
        if self._association is None or not self._association.is_established:
            ports = self._ports
            self._association = self._application.associate(ports.host, ports.dicom, ae_title=ports.ae_title)
        if not self._association.is_established:
            raise NotNow("no association")
        try:
            state = self._association.send_c_store(dcmread(BytesIO(sending.content))).get("Status")
        except RuntimeError as error:  # the association ended in between
            raise NotNow("the association ended") from error
        if state is None or state == OUT_OF_RESOURCES:
            raise NotNow("no status" if state is None else "out of resources")
        return Answer(text=f"0x{state:04X}", taken=state in TAKEN_STATES)

    def close(self) -> None:
        """Releases the association."""
        if self._association is not None and self._association.is_established:
            self._association.release()
        self._association = None


class MllpLine:
    """A socket that stays open; each message waits for its acknowledgement."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._socket: socket.socket | None = None

    def send(self, sending: Sending) -> Answer:
        """One message; the answer is its MSA-1 (AA, AE, AR)."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection((self._ports.host, self._ports.mllp), timeout=TIMEOUT)
            self._socket.sendall(FRAME_START + sending.content + FRAME_END)
            frame = _read_frame(self._socket)
        except OSError as error:
            raise NotNow(str(error)) from error
        code, control_id = _acknowledgement(frame)
        if control_id != sending.sender_id:
            raise NotNow("an acknowledgement of something else")
        return Answer(text=code, taken=code in ("AA", "CA"))

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None


def _read_frame(connection: socket.socket) -> bytes:
    frame = b""
    while not frame.endswith(FRAME_END):
        part = connection.recv(65536)
        if not part:
            raise NotNow("closed without an acknowledgement")
        frame += part
    return frame.strip(FRAME_START + FRAME_END)


def _acknowledgement(frame: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-2."""
    for line in frame.decode("utf-8", "replace").split("\r"):
        fields = line.split("|")
        if fields[0] == "MSA" and len(fields) > 2:
            return fields[1], fields[2]
    raise NotNow("an answer without MSA")


def post(connection: HTTPConnection, path: str, content: bytes, headers: Mapping[str, str]) -> int:
    """The HTTP status; raises NotNow where none came, or one that says so."""
    try:
        connection.request("POST", path, content, headers)
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException) as error:
        raise NotNow(str(error)) from error
    if response.status in LATER:
        raise NotNow(f"HTTP {response.status}")
    return response.status


class HttpLine:
    """A kept-alive HTTP connection to the FHIR endpoint."""

    def __init__(self, ports: Ports) -> None:
        self._connection = HTTPConnection(ports.host, ports.http, timeout=TIMEOUT)
        self._headers = {"Content-Type": "application/fhir+json"}
        if ports.token:
            self._headers["Authorization"] = f"Bearer {ports.token}"

    def send(self, sending: Sending) -> Answer:
        """POST of one resource; the answer is the HTTP state."""
        kind = sending.sender_id.partition("/")[0]
        status = post(self._connection, f"/fhir/{kind}", sending.content, self._headers)
        return Answer(text=str(status), taken=status in (200, 201, 202))

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


#: Protocol → how to reach the receiver by it.
LINES: dict[str, Callable[[Ports], Line]] = {DICOM: DicomLine, HL7: MllpLine, FHIR: HttpLine}
