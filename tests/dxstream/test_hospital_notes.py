import base64
import json
from datetime import UTC, datetime

import hl7
import pytest

from dxstream.hospital.notes import ODDITIES, note_case
from dxstream.hospital.wording import sentences, specialties
from stream.feeds import FeedsConfig

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def odd():
    return {oddity.name: note_case(3, 5 + 10 * place, NOW) for place, oddity in enumerate(ODDITIES)}


@pytest.fixture(scope="module")
def ordinary():
    return [note_case(3, index, NOW) for index in range(60) if index % 10 != 5]


def text_of(sending):
    if sending.protocol == "fhir":
        return base64.b64decode(json.loads(sending.content)["content"][0]["attachment"]["data"]).decode()
    message = hl7.parse(sending.content.decode())
    return "\n".join(message.unescape(str(row[5])) for row in message.segments("OBX"))


def type_of(sending):
    if sending.protocol == "fhir":
        return json.loads(sending.content)["type"]["coding"][0]["code"]
    return str(hl7.parse(sending.content.decode())["TXA.F2"])


def test_there_are_twelve_specialties_with_every_section():
    assert len(set(specialties())) == 12
    for one in sentences()["specialty"]:
        assert min(len(one[section]) for section in ("reason", "history", "exam", "assessment", "plan")) >= 3


def test_about_half_of_the_notes_go_by_fhir(ordinary):
    by_fhir = sum(case.sendings[0].protocol == "fhir" for case in ordinary)
    assert 0.4 < by_fhir / len(ordinary) < 0.6


def test_an_ordinary_note_has_120_to_500_words_and_no_slot_left_open(ordinary):
    for case in ordinary:
        text = text_of(case.sendings[0])
        assert 120 <= len(text.split()) <= 500
        assert "{" not in text


def test_no_two_notes_are_alike(ordinary):
    assert len({text_of(case.sendings[0]) for case in ordinary}) == len(ordinary)


def test_the_document_type_of_an_ordinary_note_is_on_the_list(ordinary, tmp_path):
    listed = FeedsConfig(tmp_path).documents
    assert all(type_of(case.sendings[0]) in listed for case in ordinary)


def test_a_message_is_known_by_its_control_id_and_a_resource_by_its_id(ordinary):
    for case in ordinary:
        sending = case.sendings[0]
        if sending.protocol == "fhir":
            assert sending.sender_id == "DocumentReference/" + json.loads(sending.content)["id"]
        else:
            assert sending.sender_id == str(hl7.parse(sending.content.decode())["MSH.F10"])


def test_an_hl7_document_is_available_and_has_a_number(ordinary):
    for case in ordinary:
        if case.sendings[0].protocol == "hl7":
            message = hl7.parse(case.sendings[0].content.decode())
            assert str(message["TXA.F17"]) == "AU"
            assert str(message["TXA.F12.R1.C1"])


def test_the_unlisted_type_is_not_on_the_list(odd, tmp_path):
    assert type_of(odd["unlisted"].sendings[0]) not in FeedsConfig(tmp_path).documents


def test_the_short_one_is_a_single_sentence(odd):
    assert len(text_of(odd["short"].sendings[0]).split()) < 10


def test_an_edit_carries_the_same_document_number_and_another_text(odd):
    first, second = (hl7.parse(sending.content.decode()) for sending in odd["edited"].sendings)
    assert [str(one["MSH.F9.R1.C2"]) for one in (first, second)] == ["T02", "T04"]
    assert str(first["TXA.F12"]) == str(second["TXA.F12"])
    assert text_of(odd["edited"].sendings[0]) != text_of(odd["edited"].sendings[1])


def test_the_resent_message_is_the_same_byte_by_byte(odd):
    first, second = odd["resent"].sendings
    assert first == second


def test_see_comment_is_sent_as_a_text_result(odd):
    assert text_of(odd["see comment"].sendings[0]) == "see comment"
