"""The MLLP port with real sockets, a real ledger and a foreign client."""

import contextlib
import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hl7.client import MLLPClient
from hl7_sender import (
    CANARY_BIRTH,
    CANARY_NAME,
    CANARY_NUMBER,
    NOTE,
    Sender,
    adt,
    code,
    framed,
    header,
    mdm,
    message,
    order,
    oru,
    patient,
    result,
    segment,
)

from db import sqlite
from db.tables import aliases, cases, events, inputs, movements, points, refusals
from producers.door import Door
from producers.hl7.charset import split_batch
from producers.hl7.mllp import MllpFeed
from stream.points import FLAG_CORRECTED


@pytest.fixture
def port(door: Door) -> Iterator[int]:
    """A started feed's port."""
    feed = MllpFeed(door, bind="127.0.0.1", port=0, most_bytes=300_000, silence_seconds=1.0)
    feed.start()
    yield feed.port
    feed.stop()


@pytest.fixture
def sender(port: int) -> Iterator[Sender]:
    """One connection to it."""
    with Sender(port) as connection:
        yield connection


def rows(door: Door, table: sa.Table, **where: Any) -> list[dict[str, Any]]:
    query = sa.select(table).order_by(*table.primary_key)
    with door.intake.database.read() as connection:
        return [
            dict(row) for row in connection.execute(query).mappings() if all(row[name] == value for name, value in where.items())
        ]


# Framing over a real socket


def test_a_message_split_at_any_byte_is_answered_once(door: Door, sender: Sender) -> None:
    frame = oru(result())
    sent = framed(frame)
    for place in [*range(1, len(sent), 23), len(sent) - 2, len(sent) - 1]:
        sender.send(sent[:place])
        time.sleep(0.002)
        sender.send(sent[place:])
        assert code(sender.answer()) == "AA"
    assert len(rows(door, inputs)) == 1


def test_the_frames_end_may_come_in_a_packet_of_its_own(sender: Sender) -> None:
    sender.send(b"\x0b" + oru(result()))
    for end in (b"\x1c", b"\x0d"):
        time.sleep(0.05)
        sender.send(end)
    assert code(sender.answer()) == "AA"


def test_several_messages_in_one_packet_are_answered_in_order(sender: Sender) -> None:
    sent = [str(number) for number in range(50)]
    odd = {"7": oru(), "9": message(header("SIU^S12", "9"))}
    sender.send(b"".join(framed(odd.get(one, oru(result(), control_id=one))) for one in sent))
    answers = [segment(sender.answer(), "MSA") for _ in sent]
    assert [answer[2] for answer in answers if answer[2] != "1"] == [one for one in sent if one not in {"1", "7"}]
    assert answers[9][1] == "AR"


def test_many_connections_at_once_are_all_answered(door: Door, port: int) -> None:
    senders = [Sender(port) for _ in range(20)]
    for number, one in enumerate(senders):
        one.send(framed(oru(result(), control_id=f"c{number}")))
    assert [segment(one.answer(), "MSA")[1:3] for one in senders] == [["AA", f"c{number}"] for number in range(20)]
    for one in senders:
        one.socket.close()
    assert len(rows(door, inputs)) == 20


def test_a_foreign_client_is_understood(port: int) -> None:
    with MLLPClient("127.0.0.1", port) as client:
        assert b"MSA|AA|1" in client.send_message(oru(result()))
        assert b"MSA|AA|1" in client.send_message(mdm("T02").decode())


@pytest.mark.parametrize(
    "frame", [b"", b"hello", b"PID|1||4711", b"MSH", b"MSH|", b"\x00" * 50, b"\xff\xfe", b"FHS|^~\\&|x\rFTS|1"]
)
def test_every_frame_gets_an_answer_even_one_without_msh(sender: Sender, frame: bytes) -> None:
    answer = sender.ask(frame)
    assert code(answer) == "AE"
    assert segment(answer, "ERR")[3].startswith(("100^", "102^"))
    assert code(sender.ask(oru(result()))) == "AA"


def test_garbage_between_frames_does_no_harm(sender: Sender) -> None:
    sender.send(b"\r\nhello\n")
    assert code(sender.ask(oru(result()))) == "AA"


def test_a_frame_without_an_end_is_refused_and_the_connection_closed(sender: Sender) -> None:
    sender.send(b"\x0b" + oru(result(), control_id="77"))
    answer = sender.answer()
    assert segment(answer, "MSA")[1:] == ["AE", "77", "a frame without an end"]
    assert sender.answer() == ""


def test_a_frame_cut_off_by_the_sender_is_refused_and_not_taken(door: Door, sender: Sender) -> None:
    sender.send(b"\x0b" + oru(result()))
    sender.socket.shutdown(1)
    assert code(sender.answer()) == "AE"
    assert rows(door, inputs) == []


def test_bytes_without_any_frame_are_refused(sender: Sender) -> None:
    sender.send(oru(result()))
    assert code(sender.answer()) == "AE"


def test_a_frame_over_the_limit_is_refused_and_the_port_lives_on(port: int, sender: Sender) -> None:
    sender.send(b"\x0b" + message(header("ORU^R01", "78")) + b"x" * 3_000_000)
    assert segment(sender.answer(), "MSA")[1:] == ["AE", "78", "a frame longer than the limit"]
    with Sender(port) as other:
        assert code(other.ask(oru(result()))) == "AA"


def test_the_bytes_are_kept_exactly_as_received(door: Door, sender: Sender) -> None:
    small, large = oru(result()), mdm("T02", (NOTE + "\n") * 2000)
    assert [code(sender.ask(frame)) for frame in (small, large)] == ["AA", "AA"]
    assert [row["digest"] for row in rows(door, inputs)] == [hashlib.sha256(frame).hexdigest() for frame in (small, large)]
    assert door.store.get(hashlib.sha256(large).hexdigest()) == large


# Answers


def test_the_answer_turns_sender_and_receiver_round(sender: Sender) -> None:
    answer = sender.ask(oru(result(), control_id="A17"))
    msh = segment(answer, "MSH")
    assert (msh[2:6], msh[8], msh[11]) == (["DX", "X", "LAB", "HOSP"], "ACK^R01^ACK", "2.5.1")
    assert segment(answer, "MSA")[2] == "A17"


def test_the_answer_keeps_the_senders_separators(sender: Sender) -> None:
    frame = oru(result()).decode().replace("|", "!").replace("^", "$").encode()
    assert "MSA!AA!1" in sender.ask(frame)


def test_a_duplicate_gets_the_same_answer_again(door: Door, sender: Sender) -> None:
    for frame in (oru(result(), result(unit="furlong")), mdm("T02"), mdm("T02", kind="XX"), message(header("ORU^R01"))):
        first, again = (sender.ask(frame) for _ in range(2))
        assert first.split("\r")[1:] == again.split("\r")[1:]
        assert segment(first, "MSH")[9] == segment(again, "MSH")[9]
    assert len(rows(door, inputs)) == 3


def test_the_same_control_id_with_other_content_is_another_input(door: Door, sender: Sender) -> None:
    assert [code(sender.ask(oru(result(value)))) for value in ("140", "141")] == ["AA", "AA"]
    assert len(rows(door, inputs)) == 2


def test_content_is_ae_with_its_place_and_what_is_not_supported_is_ar(sender: Sender) -> None:
    content = sender.ask(message(header("ORU^R01"), patient(""), order(), result()))
    assert code(content) == "AE"
    assert segment(content, "ERR")[2:5] == ["PID^1^3", "101^Required field missing^HL70357", "E"]
    assert segment(content, "ERR")[8] == segment(content, "MSA")[3] == "no patient identifier"
    for msh, number in (
        (header("SIU^S12"), 200),
        (header("ORU^R09"), 201),
        (header("ORU^R01", f11="T"), 202),
        (header("ORU^R01", version="9"), 203),
    ):
        answer = sender.ask(message(msh, patient()))
        assert code(answer) == "AR"
        assert segment(answer, "ERR")[3].startswith(f"{number}^")


def test_refused_points_are_named_as_warnings_while_the_message_is_taken(sender: Sender) -> None:
    answer = sender.ask(oru(result(), result(unit="furlong")))
    assert code(answer) == "AA"
    assert segment(answer, "ERR")[2:] == ["OBX^2^6", "103^Table value not found^HL70357", "W", "", "", "", "unknown unit"]


@pytest.mark.parametrize(
    "make", [lambda frame: frame.replace(b"\r", b"\n"), lambda frame: frame.rstrip(b"\r"), lambda frame: b"\r\n" + frame]
)
def test_the_same_message_with_other_line_ends_is_one_input(door: Door, sender: Sender, make: Callable[[bytes], bytes]) -> None:
    frame = oru(result())
    assert [code(sender.ask(one)) for one in (frame, make(frame))] == ["AA", "AA"]
    assert [row["digest"] for row in rows(door, inputs)] == [hashlib.sha256(frame).hexdigest()]


def test_a_message_sent_again_after_the_tables_were_mended_still_hears_what_was_not_taken(door: Door, sender: Sender) -> None:
    frame = oru(result(), result(code="NA-X"), result(unit="furlong"))
    first = sender.ask(frame)
    assert door.feeds.local_codes == {}
    door.feeds.__dict__["local_codes"] = {"NA-X": "2951-2"}  # as after a restart with another codes.csv
    again = sender.ask(frame)
    assert segment(again, "MSA") == segment(first, "MSA")
    errors = [[line.split("|")[2], line.split("|")[8]] for line in again.split("\r") if line.startswith("ERR")]
    assert errors == [["OBX", "no analyte has this code"], ["OBX^3^6", "unknown unit"]]
    assert len(rows(door, points)) == 1


def test_a_message_of_which_nothing_follows_is_told_why_the_second_time_too(door: Door, sender: Sender) -> None:
    frame = mdm("T02", kind="UNLISTED")
    first = sender.ask(frame)
    door.feeds.documents["UNLISTED"] = "18842-5"
    again = sender.ask(frame)
    assert (segment(first, "MSA")[3], segment(again, "MSA")[3]) == ("document type is not on the list",) * 2


def test_an_old_sender_gets_no_err_segment(sender: Sender) -> None:
    answer = sender.ask(message(header("ORU^R01", version="2.3"), patient("")))
    assert "ERR" not in answer
    assert segment(answer, "MSA")[1:] == ["AE", "1", "no patient identifier"]


@pytest.mark.parametrize(
    ("accept", "application", "letter"),
    [("AL", "NE", "C"), ("AL", "AL", "C"), ("SU", "NE", "C"), ("ER", "", "C"), ("NE", "AL", "A"), ("", "AL", "A")],
)
def test_enhanced_mode_is_answered_ca_ce_cr(sender: Sender, accept: str, application: str, letter: str) -> None:
    def ask(kind: str, number: str, **more: str) -> str:
        return code(sender.ask(message(header(kind, f15=accept, f16=application, **more), patient(number), order(), result())))

    assert [ask("ORU^R01", "4711"), ask("ORU^R01", ""), ask("SIU^S12", "4711")] == [letter + end for end in "AER"]


@pytest.mark.parametrize(("declared", "codec"), [("8859/1", "latin-1"), ("GB 18030-2000", "gb18030"), ("UNICODE UTF-8", "utf-8")])
def test_a_note_in_any_declared_character_set_is_stored_as_text(door: Door, sender: Sender, declared: str, codec: str) -> None:
    text = (
        "患者因呼吸困难入院。经治疗后明显好转。今日出院回家休养。"
        if codec == "gb18030"
        else "Die Patientin wurde mit Ödemen und Übelkeit aufgenommen."
    )
    lines = [header("MDM^T02", f18=declared), patient(), "TXA|1|DS|TX|20261120093000||||||||D1", f"OBX|1|TX|||{text}||||||F"]
    assert code(sender.ask("\r".join(lines).encode(codec))) == "AA"
    (event,) = rows(door, events)
    assert event["digest"] == hashlib.sha256(text.encode()).hexdigest()


def test_undecodable_bytes_are_refused_with_the_reason(sender: Sender) -> None:
    answer = sender.ask(oru(result()).replace(b"JANE", b"J\xe4NE"))
    assert segment(answer, "MSA")[1:] == ["AE", "1", "its bytes do not fit its character set"]


# The commit


def test_without_a_commit_the_connection_closes_without_an_answer(
    door: Door, sqlite_url: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.intake.database.engine.dispose()
    monkeypatch.setattr(sqlite, "BUSY_MILLISECONDS", 200)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Sender(port) as one:
        began = time.monotonic()
        assert one.ask(oru(result())) == ""
        assert time.monotonic() - began < 15
    other.execute("ROLLBACK")
    other.close()
    with Sender(port) as one:
        assert code(one.ask(oru(result()))) == "AA"
    assert len(rows(door, inputs)) == 1


def test_a_full_disk_closes_the_connection_without_an_answer(door: Door, port: int) -> None:
    door.store.watermark = 1 << 60
    with Sender(port) as one:
        assert one.ask(mdm("T02", (NOTE + "\n") * 2000)) == ""
    assert rows(door, inputs) == []


def test_stop_answers_what_was_submitted(door: Door) -> None:
    feed = MllpFeed(door, bind="127.0.0.1", port=0)
    feed.start()
    with Sender(feed.port) as one:
        one.send(b"".join(framed(oru(result(), control_id=str(number))) for number in range(100)))
        assert code(one.answer()) == "AA"
        feed.stop()
        answered = 1
        while one.answer():
            answered += 1
    assert answered == len(rows(door, inputs))


def test_a_port_that_is_taken_is_an_error_at_the_start(door: Door, port: int) -> None:
    with pytest.raises(OSError, match="address"):
        MllpFeed(door, bind="127.0.0.1", port=port).start()


# What the ledger makes of it


def test_a_correction_replaces_and_an_older_version_never_does(door: Door, sender: Sender) -> None:
    sent = [("150", "F", "1130"), ("140", "C", "1140"), ("160", "F", "1120")]
    for number, (value, status, minute) in enumerate(sent):
        frame = oru(order(f22=f"20261120{minute}00"), result(value, status=status), control_id=str(number))
        assert code(sender.ask(frame)) == "AA"
    (point,) = rows(door, points)
    assert (point["value"], point["flags"]) == (140, FLAG_CORRECTED)


def test_a_deleted_result_leaves_the_timeline(door: Door, sender: Sender) -> None:
    for number, (value, status) in enumerate([("150", "F"), ("", "D")]):
        sender.ask(oru(order(f22=f"2026112011{number}000"), result(value, status=status), control_id=str(number)))
    (point,) = rows(door, points)
    assert point["value"] is None


def test_the_transfer_into_intensive_care_is_the_origin_of_the_stay(door: Door, sender: Sender) -> None:
    sender.ask(adt("A01", place="WARD^1", control_id="1", at="20261120080000"))
    assert rows(door, cases) == []
    sender.ask(adt("A02", place="ICU^1", control_id="2", at="20261120093000"))
    (case,) = rows(door, cases)
    assert case["origin_at"].hour == 9
    assert case["facts"] == {"age_years": 65.0, "sex": "female", "setting": "icu"}


@pytest.mark.parametrize(("event", "undone"), [("A01", "A11"), ("A02", "A12"), ("A03", "A13")])
def test_a_cancel_undoes_its_movement(door: Door, sender: Sender, event: str, undone: str) -> None:
    sender.ask(adt(event, control_id="1"))
    sender.ask(adt(undone, control_id="2", at="20261120100500"))
    assert len(rows(door, movements)) == 2
    assert all(case["origin_at"] is None for case in rows(door, cases))


@pytest.mark.parametrize(("event", "undone"), [("A01", "A11"), ("A02", "A12")])
def test_a_cancel_that_overtook_its_movement_undoes_it(door: Door, sender: Sender, event: str, undone: str) -> None:
    sender.ask(adt(undone, control_id="2", at="20261120100500"))
    sender.ask(adt(event, control_id="1"))
    assert rows(door, cases) == []


def test_an_update_corrects_the_admission_and_the_birth_date(door: Door, sender: Sender) -> None:
    sender.ask(adt("A01", control_id="1", f44="20261120083000"))
    later = adt("A08", control_id="2", at="20261120113000", place="WARD", f44="20261120073000").replace(b"19610203", b"20150203")
    assert code(sender.ask(later)) == "AA"
    (case,) = rows(door, cases)
    assert (case["origin_at"].hour, case["facts"]["age_years"]) == (7, 11.0)


def test_a_merge_over_the_port_joins_two_numbers_and_told_twice_is_one(door: Door, sender: Sender) -> None:
    def merge(number: str) -> bytes:
        evn = "EVN|A40|20261120100000"
        return message(header("ADT^A40", number), evn, patient(), "MRG|OLD^^^HOSP^MR")

    sender.ask(adt("A01", control_id="1"))
    strange = message(header("ORU^R01", "2"), patient("OLD^^^HOSP^MR"), order(), result())
    assert code(sender.ask(strange)) == "AA"
    assert [row["disposition"] for row in rows(door, inputs)] == ["collecting", "timeline"]
    assert [code(sender.ask(merge(number))) for number in ("3", "4", "4")] == ["AA"] * 3
    assert [row["disposition"] for row in rows(door, inputs)] == ["collecting", "collecting", "timeline", "not_used"]
    assert len(rows(door, aliases)) == 1


def test_an_edit_supersedes_and_a_cancel_retracts(door: Door, sender: Sender) -> None:
    for number, (event, text) in enumerate([("T02", NOTE), ("T04", NOTE + " Corrected."), ("T11", "")]):
        assert code(sender.ask(mdm(event, text, control_id=str(number)))) == "AA"
    assert [row["revision"] for row in rows(door, events)] == [1, 2]
    (case,) = rows(door, cases)
    assert case["retracted_revision"] == 2


def test_an_edit_that_names_the_replacement_finds_the_case(door: Door, sender: Sender) -> None:
    sent = [("T02", "D1", ""), ("T10", "D2", "D1"), ("T08", "D2", ""), ("T10", "D3", "D2"), ("T08", "D3", ""), ("T11", "D3", "")]
    for number, (event, own, parent) in enumerate(sent):
        text = "" if event == "T11" else f"{NOTE} Version {number}."
        assert code(sender.ask(mdm(event, text, number=own, control_id=str(number), f13=parent))) == "AA"
    (case,) = rows(door, cases)
    assert [row["revision"] for row in rows(door, events)] == [1, 2, 3, 4, 5]
    assert case["retracted_revision"] == 5


def test_an_edit_that_overtook_the_replacement_holds(door: Door, sender: Sender) -> None:
    sent = [("T02", "D1", ""), ("T08", "D2", ""), ("T10", "D2", "D1"), ("T08", "D1", "")]
    for number, (event, own, parent) in enumerate(sent):
        sender.ask(mdm(event, f"{NOTE} Version {number}.", number=own, control_id=str(number), f13=parent))
    first, second = rows(door, cases)
    assert (first["retracted_revision"], second["revision"], second["retracted_revision"]) == (1, 2, 0)
    assert [row["disposition"] for row in rows(door, inputs)] == ["in_event", "in_event", "not_used", "in_event"]


def test_a_later_stat_promotes_a_document_that_waits(door: Door, sender: Sender) -> None:
    sender.ask(mdm("T02", control_id="1"))
    assert [row["lane"] for row in rows(door, events)] == ["routine"]
    sender.ask(mdm("T02", control_id="2") + b"TQ1|1||||||||STAT\r")
    assert [row["lane"] for row in rows(door, events)] == ["stat"]


def test_an_unfinished_document_becomes_an_event_when_it_is_released(door: Door, sender: Sender) -> None:
    sender.ask(mdm("T02", control_id="1", f17="IP"))
    assert rows(door, events) == []
    sender.ask(mdm("T03", "", control_id="2", f17="LA"))
    assert len(rows(door, events)) == 1


def test_stat_goes_to_its_own_lane(door: Door, sender: Sender) -> None:
    frame = message(
        header("MDM^T02"), patient(), order(f5="S"), "TXA|1|DS|TX|20261120093000||||||||D1", f"OBX|1|TX|||{NOTE}||||||F"
    )
    sender.ask(frame)
    assert [row["lane"] for row in rows(door, events)] == ["stat"]


# Who may send, and what is kept of what was refused


def test_a_sender_that_is_not_on_the_list_is_turned_away_and_nothing_of_it_is_kept(door: Door) -> None:
    door.feeds.folder.mkdir(exist_ok=True)
    (door.feeds.folder / "feeds.toml").write_text('[hl7]\nallowed_senders = ["GATE", "HOSP"]\n', encoding="utf-8")
    feed = MllpFeed(door, bind="127.0.0.1", port=0)
    feed.start()
    with Sender(feed.port) as one:
        assert code(one.ask(oru(result()))) == "AA"
        answer = one.ask(oru(result(), control_id="2").replace(b"LAB|HOSP", b"LAB|OTHER"))
    feed.stop()
    door.intake.stop()
    assert segment(answer, "MSA")[1:] == ["AR", "2", "sender not allowed"]
    assert segment(answer, "ERR")[2:4] == ["MSH^1^3", "103^Table value not found^HL70357"]
    assert rows(door, refusals) == []
    assert len(rows(door, inputs)) == 1


def test_what_was_refused_is_kept_once_with_its_reason(door: Door, sender: Sender) -> None:
    undecodable, strange = oru(result()).replace(b"JANE", b"J\xe4NE"), message(header("SIU^S12"), patient())
    for frame in (undecodable, strange, undecodable):
        sender.ask(frame)
    door.intake.stop()
    first, second = rows(door, refusals)
    assert (first["content"], first["times"], first["place"]) == (undecodable, 2, "MSH^1^18")
    assert (second["content"], second["reason"], second["size"]) == (strange, "message type not supported", len(strange))
    assert first["digest"] == hashlib.sha256(undecodable).hexdigest()


def test_a_refusal_is_answered_although_it_cannot_be_kept(
    door: Door, sender: Sender, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.intake.database.engine.dispose()
    monkeypatch.setattr(sqlite, "BUSY_MILLISECONDS", 200)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    assert code(sender.ask(b"hello")) == "AE"
    assert time.monotonic() - began < 1
    other.execute("ROLLBACK")
    other.close()
    door.intake.stop()
    assert len(rows(door, refusals)) == 1


def test_connections_are_bounded(door: Door) -> None:
    feed = MllpFeed(door, bind="127.0.0.1", port=0, most_connections=2)
    feed.start()
    with Sender(feed.port) as one, Sender(feed.port) as two:
        assert [code(sender.ask(oru(result()))) for sender in (one, two)] == ["AA", "AA"]
        with Sender(feed.port) as three, contextlib.suppress(ConnectionError):
            assert three.ask(oru(result())) == ""
        assert code(one.ask(oru(result()))) == "AA"
    for _ in range(100):
        with Sender(feed.port) as four:
            if four.ask(oru(result())):
                break
        time.sleep(0.05)
    else:
        pytest.fail("a place that was given up is not given again")
    feed.stop()


# Privacy


def test_no_patient_identifier_is_in_any_log_or_answer(sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bad = [
        oru(result(), result("CANARYNAME", kind="NM")),
        oru(order(at=CANARY_BIRTH), result()),
        message(header("ORU^R01"), patient(f"{CANARY_NUMBER}~{CANARY_NUMBER}2"), patient("2")),
        oru(result()).replace(b"JANE", b"J\xe4NE"),
        message(header("SIU^S12"), patient()),
        adt("A02", at=CANARY_BIRTH),
        mdm("T02", CANARY_NAME),
        mdm("T02"),
    ]
    answers = "".join(sender.ask(frame) for frame in bad)
    for mark in (CANARY_NAME, CANARY_NUMBER, CANARY_BIRTH):
        assert mark not in answers
        assert mark not in caplog.text


def test_a_fault_of_our_own_is_answered_and_tells_nothing(
    sender: Sender, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError(CANARY_NAME)

    monkeypatch.setattr("producers.hl7.connection.parse_message", broken)
    answer = sender.ask(oru(result()))
    assert segment(answer, "MSA")[1:] == ["AE", "1", "it cannot be read"]
    assert CANARY_NAME not in caplog.text


# Real messages


@pytest.mark.skipif(
    "DXSTREAM_TEST_FEEDS" not in os.environ, reason="set DXSTREAM_TEST_FEEDS to a folder with hl7/ to send real messages"
)
def test_every_real_message_ends_in_an_input_or_a_refusal(door: Door) -> None:
    feed = MllpFeed(door, bind="127.0.0.1", port=0)
    feed.start()
    taken = sent = 0
    files = sorted(path for path in (Path(os.environ["DXSTREAM_TEST_FEEDS"]) / "hl7").rglob("*") if path.is_file())
    with Sender(feed.port) as one:
        for path in files:
            for frame in [path.read_bytes(), *split_batch(path.read_bytes())]:
                answer = one.ask(frame)
                sent += 1
                taken += code(answer)[1] == "A"
                assert code(answer)[1] in "AER", path
    feed.stop()
    assert sent > len(files) > 10
    assert 0 < len(rows(door, inputs)) <= taken
