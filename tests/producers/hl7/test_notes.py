"""MDM and the texts of ORU: which become notes, and what replaces what."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hl7_sender import NOTE, adt, asked, header, mdm, message, order, oru, patient, plain_door, result, take

from producers.door import Door
from producers.note_text import is_note
from stream.arrival import AddResults, CancelNote, WriteNote
from stream.errors import Refused


@pytest.fixture
def desk(tmp_path: Path) -> Door:
    return plain_door(tmp_path)


def text_of(door: Door, frame: bytes) -> str:
    ask = asked(door, frame)
    assert isinstance(ask, WriteNote)
    assert ask.text is not None
    assert ask.text.data is not None
    return ask.text.data.decode()


def test_a_new_document_is_a_note_with_its_type_age_and_sex(desk: Door) -> None:
    ask = asked(desk, mdm("T02"))
    assert ask.facts == {"document_type": "18842-5", "age_years": 65.0, "sex": "female"}
    assert ask.acquired_at == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    assert ask.available


def test_the_lines_of_several_obx_and_repetitions_are_joined(desk: Door) -> None:
    assert text_of(desk, mdm("T02", NOTE + r"~second\.br\third" + "\nfourth")) == NOTE + "\nsecond\nthird\nfourth"


def test_separators_that_a_sender_forgot_to_escape_stay_in_the_text(desk: Door) -> None:
    assert text_of(desk, mdm("T02", "Temperature 37^C & pulse regular.")) == "Temperature 37^C & pulse regular."


@pytest.mark.parametrize("event", ["T04", "T08"])
def test_an_edit_is_the_same_document(desk: Door, event: str) -> None:
    assert asked(desk, mdm(event)).case_key == asked(desk, mdm("T02")).case_key


def test_an_addendum_is_a_document_of_its_own(desk: Door) -> None:
    assert asked(desk, mdm("T06", number="D2", f13="D1")).case_key != asked(desk, mdm("T02")).case_key


def test_a_replacement_is_known_by_its_own_number_too(desk: Door) -> None:
    assert asked(desk, mdm("T10", number="D2", f13="D1")).known_as == asked(desk, mdm("T02", number="D2")).case_key
    assert asked(desk, mdm("T10", number="D2")).known_as == asked(desk, mdm("T08", number="D2", f13="D1")).known_as == ""


def test_a_replacement_goes_by_what_it_replaces(desk: Door) -> None:
    assert asked(desk, mdm("T10", number="D2", f13="D1")).case_key == asked(desk, mdm("T02")).case_key


def test_a_cancel_names_the_document(desk: Door) -> None:
    note = asked(desk, mdm("T02"))
    assert asked(desk, mdm("T11", "")) == CancelNote(case_key=note.case_key, version_at=note.version_at)
    assert isinstance(asked(desk, mdm("T03", "", f19="CA")), CancelNote)


@pytest.mark.parametrize("event", ["T01", "T03", "T05", "T07", "T09"])
def test_a_status_alone_carries_no_text(desk: Door, event: str) -> None:
    assert asked(desk, mdm(event)).text is None


@pytest.mark.parametrize(
    ("fields", "available"),
    [
        ({"f17": "DI"}, False),
        ({"f17": "IN"}, False),
        ({"f17": "IP"}, False),
        ({"f17": "AU"}, True),
        ({"f17": "LA"}, True),
        ({}, True),
        ({"f17": "LA", "f19": "UN"}, False),
        ({"f17": "LA", "f19": "AV"}, True),
    ],
)
def test_an_unfinished_document_waits_to_be_released(desk: Door, fields: dict[str, str], available: bool) -> None:
    assert asked(desk, mdm("T02", **fields)).available is available


def test_a_document_type_that_is_not_on_the_list_is_not_used(desk: Door) -> None:
    assert take(desk, mdm("T02", kind="XX")).not_used == "document type is not on the list"


def test_the_type_may_be_a_loinc_code_or_the_operators_own(tmp_path: Path) -> None:
    door = plain_door(tmp_path, documents_csv="sent,loinc\nBRIEF,18842-5\n")
    for kind in ("18842-5^Discharge summary^LN", "x^y^L^18842-5^Discharge^LN", "brief"):
        assert asked(door, mdm("T02", kind=kind)).facts["document_type"] == "18842-5"


@pytest.mark.parametrize("text", ["see comment", "See attached report.", "SEE NOTE", "short", "", "."])
def test_see_comment_is_no_note(desk: Door, text: str) -> None:
    assert not is_note(text)
    assert take(desk, mdm("T02", text)).not_used == "not a note"


@pytest.mark.parametrize(
    ("kind", "encoding"), [("TEXT^PLAIN", "Base64"), ("text/plain^", "base64"), ("TX^", "Hex"), ("TEXT^", "A")]
)
def test_an_embedded_text_is_read(desk: Door, kind: str, encoding: str) -> None:
    sent = {"HEX": NOTE.encode().hex(), "A": NOTE}.get(encoding.upper()) or base64.b64encode(NOTE.encode()).decode()
    frame = mdm("T02", "") + f"OBX|1|ED|||^{kind}^{encoding}^{sent}||||||F\r".encode()
    assert text_of(desk, frame) == NOTE


def test_an_embedded_pdf_is_no_note(desk: Door) -> None:
    frame = mdm("T02", "") + b"OBX|1|ED|||^application^pdf^Base64^JVBERi0xLjQKJeLjz9MKJVBERi0xLjQKJeLjz9MK||||||F\r"
    assert take(desk, frame).not_used == "an embedded document in PDF is not read"


@pytest.mark.parametrize(
    ("kind", "begins", "reason"),
    [
        ("TEXT^RTF", "", "an embedded document in RTF is not read"),
        ("TEXT^", r"{\rtf1\ansi ", "an embedded document in RTF is not read"),
        ("text/xml^", "", "an embedded document in XML is not read"),
        ("IM^JPEG", "", "an embedded document that is no text is not read"),
        ("application^octet-stream", "", "an embedded document that is no text is not read"),
    ],
)
def test_an_embedded_document_of_another_kind_is_not_used_and_named(desk: Door, kind: str, begins: str, reason: str) -> None:
    sent = base64.b64encode((begins + NOTE).encode()).decode()
    frame = mdm("T02", "") + f"OBX|1|ED|||^{kind}^Base64^{sent}||||||F\r".encode()
    assert take(desk, frame).not_used == reason


@pytest.mark.parametrize("kind", ["TEXT^HTML", "text/html^", "TEXT^"])
def test_of_embedded_html_the_words_are_read(desk: Door, kind: str) -> None:
    page = f"<!DOCTYPE html><html><head><title>x</title></head><body><p>{NOTE}</p><p>A &lt; B</p></body></html>"
    sent = base64.b64encode(page.encode()).decode()
    frame = mdm("T02", "") + f"OBX|1|ED|||^{kind}^Base64^{sent}||||||F\r".encode()
    assert text_of(desk, frame) == NOTE + "\nA < B"


def test_an_embedded_text_that_is_no_base64_is_refused(desk: Door) -> None:
    with pytest.raises(Refused, match="cannot be decoded"):
        take(desk, mdm("T02", "") + b"OBX|1|ED|||^TEXT^PLAIN^Base64^%%%||||||F\r")


def test_mdm_without_txa_is_refused(desk: Door) -> None:
    with pytest.raises(Refused, match="no TXA segment"):
        take(desk, message(header("MDM^T02"), patient()))


def test_a_text_result_of_a_listed_type_is_a_note(desk: Door) -> None:
    line = result("The lungs are clear.", "", "18748-4^Imaging report^LN", kind="TX")
    other = result("No effusion is seen on either side.", "", "18748-4^Imaging report^LN", kind="FT")
    assert text_of(desk, oru(line, other)) == "The lungs are clear.\nNo effusion is seen on either side."
    assert asked(desk, oru(line)).facts["document_type"] == "18748-4"


def test_a_text_result_is_a_note_by_its_service_section(desk: Door) -> None:
    frame = oru(order(f24="SP"), result(NOTE, "", "local^text^L", kind="TX"))
    assert asked(desk, frame).facts["document_type"] == "11526-1"


def test_a_text_of_another_type_is_not_used(desk: Door) -> None:
    assert take(desk, oru(result(NOTE, "", "x^y^L", kind="TX"))).not_used == "document type is not on the list"


def test_one_message_may_hold_numbers_and_a_text(desk: Door) -> None:
    arrival = take(desk, oru(result(), order("F2"), result(NOTE, "", "18748-4^Report^LN", kind="TX")))
    assert [type(ask) for ask in arrival.asks] == [AddResults, WriteNote]


def test_a_text_that_was_withdrawn_is_cancelled(desk: Door) -> None:
    kept = asked(desk, oru(result(NOTE, "", "18748-4^Report^LN", kind="TX")))
    gone = asked(desk, oru(result("", "", "18748-4^Report^LN", kind="TX", status="W")))
    assert gone == CancelNote(case_key=kept.case_key)


def test_versions_of_a_document_are_ordered_by_evn_else_msh(desk: Door) -> None:
    recorded, sent = datetime(2026, 11, 20, 9, 30, tzinfo=UTC), datetime(2026, 11, 20, 11, 55, tzinfo=UTC)
    assert asked(desk, mdm("T08")).version_at == recorded
    assert asked(desk, mdm("T08").replace(b"EVN|T08|20261120093000", b"EVN|T08")).version_at == sent


@pytest.mark.parametrize("status", ["F", "W"])
def test_versions_of_a_text_result_are_ordered_by_obr_22_alone(desk: Door, status: str) -> None:
    line = result(NOTE, "", "18748-4^Report^LN", kind="TX", status=status)
    assert asked(desk, oru(order(f22="20261120113000"), line)).version_at == datetime(2026, 11, 20, 11, 30, tzinfo=UTC)
    assert asked(desk, oru(order(), line)).version_at is None


def test_a_language_is_taken_from_msh_19_only(desk: Door) -> None:
    said = message(header("MDM^T02", f19="de"), patient(), "TXA|1|DS|TX|20261120093000||||||||D1", f"OBX|1|TX|||{NOTE}||||||F")
    assert asked(desk, said).facts["language"] == "de"
    assert "language" not in asked(desk, mdm("T02")).facts


def test_defaults_of_the_feed_fill_what_is_unknown_and_are_named(tmp_path: Path) -> None:
    door = plain_door(tmp_path, feeds_toml='[hl7.defaults]\nlanguage = "en"\nsex = "male"\n')
    facts = asked(door, mdm("T02")).facts
    assert (facts["language"], facts["sex"], facts["defaults"]) == ("en", "female", ["language"])
    assert asked(door, adt("A01")).facts["defaults"] == ["language"]
