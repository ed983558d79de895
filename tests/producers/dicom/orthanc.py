"""Orthanc, a PACS that nobody here wrote: started in a temporary folder on free ports, ended by its process id."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from servers import end_with_parent

from dxstream.free_port import free_port

BINARY = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
MISSING = "Orthanc is not installed, so nothing was forwarded by a real PACS: apt-get install orthanc orthanc-dicomweb"


class Orthanc:
    """A running one; ``ae_title`` ORTHANC."""

    def __init__(self, http_port: int, dicom_port: int) -> None:
        self.dicom_port = dicom_port
        self.web = httpx.Client(base_url=f"http://127.0.0.1:{http_port}", timeout=30)

    def upload(self, content: bytes) -> str:
        """Orthanc's own name of the instance."""
        return str(self.post("/instances", content)["ID"])

    def store(self, names: list[str]) -> Any:
        """Forward by C-STORE."""
        return self.post("/modalities/ours/store", json.dumps({"Resources": names, "Synchronous": True}).encode())

    def stow(self, names: list[str]) -> Any:
        """Forward by DICOMweb."""
        return self.post("/dicom-web/servers/ours/stow", json.dumps({"Resources": names, "Synchronous": True}).encode())

    def post(self, path: str, body: bytes) -> Any:
        answer = self.web.post(path, content=body)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def running_orthanc(place: Path, *, dicom: int = 9, web: int = 9, http_port: int = 0, dicom_port: int = 0) -> Iterator[Orthanc]:
    """``dicom`` and ``web``: the ports to which it forwards."""
    http_port, dicom_port = http_port or free_port(), dicom_port or free_port()
    (place / "orthanc.json").write_text(json.dumps(configuration(place, dicom, web, http_port, dicom_port)))
    with (place / "orthanc.log").open("w") as log:
        process = subprocess.Popen([str(BINARY), str(place / "orthanc.json")], stdout=log, stderr=log, preexec_fn=end_with_parent)
    orthanc = Orthanc(http_port, dicom_port)
    try:
        wait_for(orthanc)
        yield orthanc
    finally:
        orthanc.web.close()
        process.terminate()
        process.wait(timeout=20)


def configuration(place: Path, dicom: int, web: int, http_port: int, dicom_port: int) -> dict[str, Any]:
    return {
        "StorageDirectory": str(place / "store"),
        "IndexDirectory": str(place / "store"),
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowFind": True,
        "Plugins": [str(DICOMWEB)] if DICOMWEB.exists() else [],
        "DicomModalities": {"ours": ["DXSTREAM", "127.0.0.1", dicom]},
        "DicomWeb": {"Servers": {"ours": [f"http://127.0.0.1:{web}/dicom-web/"]}},
    }


def wait_for(orthanc: Orthanc) -> None:
    for _ in range(200):
        try:
            orthanc.web.get("/system").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("Orthanc did not start")
