"""The receiver that most would write: pynetdicom, a handler that writes the file and fsyncs it. ``cstore_bare.py PORT FOLDER``."""

import os
import sys
from pathlib import Path

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.events import Event


def main() -> None:
    """Serve until killed."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    entity = AE("BARE")
    entity.maximum_pdu_size = 131_072
    entity.maximum_associations = 100
    entity.supported_contexts = AllStoragePresentationContexts
    entity.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, store, [folder])])


def store(event: Event, folder: Path) -> int:
    """Write, fsync, answer success."""
    with (folder / str(event.request.AffectedSOPInstanceUID)).open("wb") as file:
        file.write(event.encoded_dataset())
        file.flush()
        os.fsync(file.fileno())
    return 0x0000


if __name__ == "__main__":
    main()
