"""Is a role of this installation getting on? What a container's health check asks; health means progress."""

import socket
import urllib.error
import urllib.request
from datetime import timedelta

import sqlalchemy as sa

from db.engine import Database
from db.report import live_workers
from db.tables import slots
from stream.settings import Settings

#: A role that has written nothing into its slot for so long does not get on.
SILENT = timedelta(seconds=20)

_SLOTS = {"dicom": "serve-dicom", "hl7": "serve-hl7", "http": "serve-http", "folder": "serve-folder", "keeper": "keeper"}


def complaint(settings: Settings, role: str, name: str) -> str | None:
    """Why ``role`` is not healthy, or None. ``name``: which worker."""
    database = Database(settings.database_url)
    with database.read() as connection:
        now = database.now(connection)
        if role == "worker":
            alive = [worker for worker in live_workers(connection, now) if worker["alive"] and worker["name"] == name]
            return None if alive else f"no worker {name} holds a lease"
        written = connection.execute(sa.select(slots.c.written_at).where(slots.c.name == _SLOTS[role])).scalar()
    if written is None or now - written > SILENT:
        return f"{role} has not written its measures for {SILENT.seconds} s"
    return _port_complaint(settings, role)


def _port_complaint(settings: Settings, role: str) -> str | None:
    pages = {"http": settings.http_port, "keeper": settings.metrics_port}
    ports = {"dicom": settings.dicom_port, "hl7": settings.mllp_port}
    try:
        if role in pages:
            urllib.request.urlopen(f"http://127.0.0.1:{pages[role]}/readyz", timeout=5).close()
        elif role in ports:
            socket.create_connection(("127.0.0.1", ports[role]), timeout=5).close()
    except (urllib.error.URLError, OSError) as error:
        return f"{role} does not answer on its port ({type(error).__name__})"
    return None
