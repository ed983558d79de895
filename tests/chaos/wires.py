"""The simulated hospital's lines, and two more: C-STORE of CT slices, and STOW-RS; and the few words for why none was answered."""

from http.client import HTTPConnection
from typing import Any

from dicom_samples import CT, DX
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE

from dxstream.hospital.cases import DICOM, FHIR, HL7, Sending
from dxstream.hospital.lines import Answer, DicomLine, HttpLine, Line, MllpLine, NotNow, Ports, post

STOW = "stow"
BOUNDARY = "chaos"
#: Seconds that an answer may take: more than any refusal of the receiver takes.
SECONDS = 45.0


class ImageLine(DicomLine):
    """Sends radiographs and slices."""

    def __init__(self, ports: Ports) -> None:
        super().__init__(ports)
        self._application = AE(ae_title="SIMHOSP")
        for sop_class in (DX, CT):
            self._application.add_requested_context(sop_class, ExplicitVRLittleEndian)
        self._application.connection_timeout = self._application.dimse_timeout = SECONDS
        self._application.acse_timeout = 5


class StowLine:
    """POST of one instance."""

    def __init__(self, ports: Ports) -> None:
        self._connection = HTTPConnection(ports.host, ports.http, timeout=SECONDS)
        self._headers = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'}

    def send(self, sending: Sending) -> Answer:
        """The answer is the HTTP state."""
        head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body = head + sending.content + f"\r\n--{BOUNDARY}--\r\n".encode()
        status = post(self._connection, "/dicom-web/studies", body, self._headers)
        return Answer(text=str(status), taken=status == 200)

    def close(self) -> None:
        self._connection.close()


LINES: dict[str, Any] = {DICOM: ImageLine, HL7: MllpLine, FHIR: HttpLine, STOW: StowLine}

#: The only refusals that a temporary fault may be told by (CLINICAL.md); anything else that was not taken is a false answer.
TEMPORARY = {"out of resources", "closed without an acknowledgement", "HTTP 503", "HTTP 507"}


def why(refusal: NotNow) -> str:
    """One of TEMPORARY, or ``no answer``: the receiver's process or its machine was gone."""
    words = str(refusal)
    return words if words in TEMPORARY else "no answer"


def line_to(protocol: str, ports: Ports) -> Line:
    return LINES[protocol](ports)
