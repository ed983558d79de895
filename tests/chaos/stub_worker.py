"""A worker's process with stub models: all of ``worker/`` as it is, but no torch. ``python stub_worker.py NAME``."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from stub_model import stub_models

from db.engine import FOR_WORKERS, Database
from dxstream.logs import set_up_logging
from stream.settings import Settings
from worker import stages
from worker.device import Device
from worker.process import WorkerOptions, work

#: Set for faults that hang: the real deadline of a stage is minutes, and no batch here takes longer than two seconds.
DEADLINE = "CHAOS_DEADLINE_SECONDS"


def main(name: str) -> None:
    """Until SIGTERM. What it records says ``name`` for a device, so that it can be seen who recorded it."""
    settings = Settings.from_environment()
    set_up_logging(settings.log_format)
    stages.DEADLINES["infer"] = float(os.environ.get(DEADLINE, stages.DEADLINES["infer"]))
    options = WorkerOptions(
        name=name,
        device=Device(name=name, kind="cpu"),
        redis_url=settings.redis_url,
        content=settings.home / "content",
        models=settings.models,
    )
    if "torch" in sys.modules:
        sys.exit("a chaos worker has imported torch")
    database = Database(settings.database_url, FOR_WORKERS)
    work(database, options, stub_models(), name)


if __name__ == "__main__":
    main(sys.argv[1])
