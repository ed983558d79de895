"""A difference between online and offline is seen, whatever it is."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from agreement import unaccounted
from agreement_compare import Pair, Said, disagreements, ledger_said
from agreement_inputs import Held, check_unseen

from dxstream.hospital.book import ACKNOWLEDGED, Book
from dxstream.hospital.cases import HL7, STAY, Case, Sending
from models.card import Card
from models.example import Example
from models.score import Scored
from stream.errors import Refused
from stream.judgement import Sample

CARD = Card(
    name="c", version="1", kind="lab", architecture="", task="", config={}, classes=("no", "yes"), labels=("yes",), digest="d"
)
CASE = Case(kind=STAY, sendings=tuple(Sending(protocol=HL7, sender_id=name, content=b"") for name in ("a", "b")))


def pair(online: Said, offline: Said) -> Pair:
    return Pair(
        scored=Scored(id="one", label="yes", truth=1, chance=np.array([0.5]), error=0.0, refusal=""), offline=offline, online=online
    )


def said(chance: float = 0.5, outcome: str = "predicted", reason: str = "") -> Said:
    return Said(outcome=outcome, reason=reason, chances={"yes": chance})


def rows(**event: object) -> dict[str, list[dict[str, object]]]:
    return {
        "inputs": [{"sender_id": "a", "event_id": 1}, {"sender_id": "b", "event_id": 2}],
        "events": [{"id": number, "state": "done", "outcome": "predicted", "reason": "", **event} for number in (1, 2)],
        "predictions": [
            {"event_id": number, "status": status, "model": "c", "version": "1", "model_digest": "d", "findings": findings}
            for number, status, findings in (
                (1, "superseded", [{"label": "yes", "probability": 0.1}]),
                (2, "current", [{"label": "yes", "probability": 0.9}]),
            )
        ],
    }


@pytest.mark.parametrize(
    ("online", "offline", "words"),
    [
        (said(0.502), said(0.5), "differs by 0.002"),
        (Said(outcome="predicted", chances={"other": 0.5}), said(0.5), "differs by inf"),
        (said(outcome="rejected", reason="blank: so"), said(), "online rejected (blank: so), offline predicted"),
        (
            said(outcome="rejected", reason="blank: so"),
            said(outcome="rejected", reason="polarity: so"),
            "offline rejected (polarity",
        ),
        (Said(outcome="no event"), said(), "online no event"),
    ],
)
def test_what_differs_is_told(online: Said, offline: Said, words: str) -> None:
    (line,) = disagreements([pair(online, offline)])
    assert words in line


@pytest.mark.parametrize(
    ("online", "offline"),
    [
        (said(0.5005), said(0.5)),
        (said(outcome="rejected", reason="unlike: 0.4"), said(0.2, outcome="rejected", reason="unlike: 0.3")),
    ],
)
def test_what_is_alike_is_not(online: Said, offline: Said) -> None:
    assert disagreements([pair(online, offline)]) == []


def test_the_newest_event_of_a_case_counts() -> None:
    assert ledger_said(CARD, [CASE], rows()) == [Said(outcome="predicted", chances={"yes": 0.9})]


def test_an_event_that_gave_up_is_no_prediction() -> None:
    assert ledger_said(CARD, [CASE], rows(state="dead", reason="crashed")) == [Said(outcome="dead", reason="crashed")]


def test_a_case_without_an_event_is_told() -> None:
    assert ledger_said(CARD, [CASE], {"inputs": [], "events": [], "predictions": []}) == [Said(outcome="no event")]


@pytest.mark.parametrize(("group", "content"), [("other", b"same"), ("same", b"other")])
def test_an_input_that_was_seen_in_training_is_refused(group: str, content: bytes) -> None:
    def example(name: str, group: str, content: bytes) -> Example:
        return Example(id=name, label="yes", group=group, open=lambda: Sample(contents=(content,)))

    with pytest.raises(Refused, match="seen in training"):
        check_unseen([example("held", "same", b"same")], [example("train", group, content)])


def test_what_was_never_sent_or_has_no_input_is_not_accounted_for(tmp_path: Path) -> None:
    book, kinds = Book(tmp_path / "book.jsonl"), {"lab": Held(card=CARD, examples=[], cases=[CASE])}
    book.write(CASE, CASE.sendings[0], "AA", ACKNOWLEDGED)
    unsent, lost = unaccounted(kinds, book, {"inputs": []})
    assert unsent == "hl7 b: never sent"
    assert lost.endswith("acknowledged, but 0 inputs")
    assert unaccounted(kinds, book, {"inputs": [{"sender_id": "a"}]}) == [unsent]
