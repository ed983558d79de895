"""The messages that the documentation shows are taken as they stand there."""

import re
from pathlib import Path

from hl7_sender import Sender, code
from stay_samples import rows

from db.tables import events, inputs
from producers.door import Door
from producers.hl7.mllp import MllpFeed

PAGE = Path(__file__).parents[3] / "docs" / "connect-an-interface-engine.md"


def test_the_pages_messages_are_taken_without_a_warning(door: Door) -> None:
    shown = re.findall(r"^```hl7\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    feed = MllpFeed(door, bind="127.0.0.1", port=0)
    feed.start()
    with Sender(feed.port) as sender:
        answers = [sender.ask(one.replace("\n", "\r").encode()) for one in shown]
    feed.stop()
    assert [code(answer) for answer in answers] == ["AA"] * 3
    assert not [answer for answer in answers if "ERR" in answer]
    assert [row["disposition"] for row in rows(door.intake.database, inputs)] == ["collecting", "collecting", "in_event"]
    assert [row["modality"] for row in rows(door.intake.database, events)] == ["note"]
