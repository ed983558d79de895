"""Queue, claim and commit: processor time an event on lab windows, less that of the same windows judged without them.

One worker's life in this process, with a model that answers at once, so that nothing else is in the figure; and the door.
"""

import time
from typing import Any

from inputs import FACTS, make_inputs
from instant import one_worker
from processes import cpu_seconds, database_processes

from db.accept import accept
from db.engine import Database
from stream.arrival import Arrival, JudgeNow
from stream.content import Content
from stream.window import Window

#: Arrivals of one commit at the door.
GROUP = 256


def measure(place: Any, number: int) -> dict[str, Any]:
    """Milliseconds an event: at the door (intake's commit), and from the ring to the saved prediction."""
    diagnosis = one_worker(place, "cost")
    database, store = diagnosis.database, diagnosis.store
    contents = [store.begin(content) for content in make_inputs("lab", number)]
    _accept(database, contents[:GROUP], "first")
    diagnosis.run()  # statements are compiled once a process: that is not what an event costs
    began = spent(database)
    for start in range(0, number, GROUP):
        _accept(database, contents[start : start + GROUP], str(start))
    accepted = spent(database)
    saved = diagnosis.run()
    ended = spent(database)
    diagnosis.close()
    database.close()
    return {
        "n": saved,
        "door_cpu_ms_per_event": round(1000 * (accepted - began) / number, 4),
        "claim_to_save_cpu_ms_per_event": round(1000 * (ended - accepted) / number, 4),
    }


def _accept(database: Database, contents: list[Content], name: str) -> None:
    """One commit at the door."""
    arrivals = [
        Arrival(
            feed="bench", identity=f"{name}:{number}", sender_id="", content=content,
            asks=(JudgeNow(case_key=f"image:{name}-{number}", modality="lab", facts=FACTS["lab"]),),
        )
        for number, content in enumerate(contents)
    ]  # fmt: skip
    with database.write() as (connection, now):
        accept(connection, now, arrivals, slot="cost", window=Window())


def spent(database: Database) -> float:
    """Processor seconds so far, of this process and of the database's server."""
    return time.process_time() + cpu_seconds(database_processes(database.url.render_as_string(hide_password=False)))
