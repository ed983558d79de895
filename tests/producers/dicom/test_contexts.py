import pytest
from dicom_samples import file_of, projection, send_bytes
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts

from producers.dicom.contexts import (
    ACCEPTED,
    NO_ABSTRACT_SYNTAX,
    NO_TRANSFER_SYNTAX,
    TRANSFER_SYNTAXES,
    VERIFICATION,
    is_storage,
    negotiate,
)
from producers.dicom.feed import DicomFeed
from producers.dicom.pdu import Proposal
from producers.door import Door

RETIRED = "1.2.840.10008.5.1.4.1.1.6"  # Ultrasound Image Storage
PRIVATE = "1.2.840.113619.4.2"
COMMITMENT = "1.2.840.10008.1.20.1"


def agreed(abstract_syntax: str, *syntaxes: str) -> tuple[int, str]:
    proposal = Proposal(context_id=1, abstract_syntax=abstract_syntax, transfer_syntaxes=syntaxes)
    return negotiate([proposal])[1]


def test_every_storage_class_and_transfer_syntax_that_pynetdicom_knows_is_taken() -> None:
    assert set(TRANSFER_SYNTAXES) == set(ALL_TRANSFER_SYNTAXES)
    for context in AllStoragePresentationContexts:
        for syntax in TRANSFER_SYNTAXES:
            assert agreed(str(context.abstract_syntax), syntax) == (ACCEPTED, syntax)


@pytest.mark.parametrize(("uid", "taken"), [(RETIRED, True), (PRIVATE, True), (COMMITMENT, False), ("", False), ("junk", False)])
def test_retired_and_private_classes_are_storage_and_other_services_are_not(uid: str, taken: bool) -> None:
    assert is_storage(uid) is taken
    assert not is_storage(VERIFICATION)
    assert not is_storage("1.2.840.10008.5.1.4.1.2.2.1")  # Study Root Find


def test_what_is_not_offered_is_said() -> None:
    assert agreed(COMMITMENT, ImplicitVRLittleEndian)[0] == NO_ABSTRACT_SYNTAX
    assert agreed(RETIRED, PRIVATE)[0] == NO_TRANSFER_SYNTAX
    assert agreed(RETIRED)[0] == NO_TRANSFER_SYNTAX
    assert agreed(VERIFICATION, ImplicitVRLittleEndian)[0] == ACCEPTED


def test_of_several_transfer_syntaxes_the_plainest_is_chosen() -> None:
    assert agreed(RETIRED, JPEG2000Lossless, ImplicitVRLittleEndian, ExplicitVRLittleEndian)[1] == ExplicitVRLittleEndian


@pytest.mark.parametrize("sop_class", [RETIRED, PRIVATE])
def test_an_instance_of_a_retired_or_private_class_is_stored(door: Door, sop_class: str) -> None:
    feed = DicomFeed(door, bind="127.0.0.1", port=0, ae_title="DXSTREAM")
    feed.start()
    sent = projection(SOPClassUID=sop_class)
    content = file_of(sent)
    dataset = content[content.index(b"\x08\x00\x08\x00") :]
    answer = send_bytes(feed.port, dataset, sop_class=sop_class, sop_instance=sent.SOPInstanceUID)
    feed.stop()
    assert answer
    assert answer.Status == 0
