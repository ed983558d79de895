"""The conversation, byte by byte: what PS3.7 and PS3.8 ask of an acceptor."""

import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from dicom_samples import CT, DX, association, file_of, projection

from db.tables import inputs
from producers.dicom.feed import DicomFeed
from producers.door import Door

sys.path.insert(0, str(Path(__file__).parent))

from raw_sender import EXPLICIT, IMPLICIT, RELEASE, associate, data_pdu, fragment, kinds, statuses, store, store_command, talk

ACCEPT, REJECT, DATA, RELEASED, ABORT = 2, 3, 4, 6, 7
PLAIN = projection()
CLASS, INSTANCE = DX.encode(), PLAIN.SOPInstanceUID.encode()
DATASET = file_of(PLAIN)[file_of(PLAIN).index(b"\x08\x00\x08\x00") :]


@pytest.fixture
def feed(door: Door) -> Iterator[DicomFeed]:
    feed = DicomFeed(door, bind="127.0.0.1", port=0, ae_title="DXSTREAM")
    feed.start()
    yield feed
    feed.stop()


def count(door: Door) -> int:
    with door.intake.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(inputs)).scalar_one())


def said(feed: DicomFeed, *sent: bytes) -> tuple[list[int], list[int]]:
    """The PDUs that came back, and the statuses in them."""
    heard, _ = talk(feed.port, b"".join(sent))
    return kinds(heard), statuses(heard)


def test_an_instance_is_stored_and_the_association_released(feed: DicomFeed, door: Door) -> None:
    assert said(feed, associate(CLASS), store(CLASS, INSTANCE, DATASET), RELEASE) == ([ACCEPT, DATA, RELEASED], [0])
    assert count(door) == 1


@pytest.mark.parametrize("piece", [1, 7, 100, 10_000])
def test_a_dataset_may_come_in_pieces_of_any_size(feed: DicomFeed, door: Door, piece: int) -> None:
    assert said(feed, associate(CLASS), store(CLASS, INSTANCE, DATASET, piece=piece), RELEASE)[1] == [0]
    assert count(door) == 1


def test_a_command_may_come_in_pieces_and_with_its_dataset_in_one_pdu(feed: DicomFeed) -> None:
    command = store_command(CLASS, INSTANCE)
    pieces = [fragment(command[:9], command=True, last=False), fragment(command[9:], command=True)]
    assert said(feed, associate(CLASS), data_pdu(*pieces, fragment(DATASET)), RELEASE)[1] == [0]


def test_several_messages_are_answered_in_order(feed: DicomFeed, door: Door) -> None:
    both = store(CLASS, INSTANCE, DATASET) + store(CLASS, b"1.2.3", DATASET)
    assert said(feed, associate(CLASS), both, RELEASE)[1] == [0x0000, 0xA900]
    assert count(door) == 1


def test_an_operation_that_is_not_offered_is_said_so(feed: DicomFeed) -> None:
    find = data_pdu(fragment(store_command(CLASS, INSTANCE, field=0x0020, dataset=0x0101), command=True))
    assert said(feed, associate(CLASS), find, RELEASE) == ([ACCEPT, DATA, RELEASED], [0x0211])


def test_a_cancel_needs_no_answer(feed: DicomFeed) -> None:
    cancel = data_pdu(fragment(store_command(CLASS, INSTANCE, field=0x0FFF, dataset=0x0101), command=True))
    assert said(feed, associate(CLASS), cancel, RELEASE) == ([ACCEPT, RELEASED], [])


@pytest.mark.parametrize(
    "odd",
    [
        data_pdu(fragment(DATASET)),
        data_pdu(fragment(store_command(CLASS, INSTANCE), command=True, context=9), fragment(DATASET, context=9)),
        data_pdu(fragment(store_command(CLASS, INSTANCE), command=True), fragment(DATASET, context=3)),
        data_pdu(fragment(store_command(CLASS, INSTANCE), command=True) * 2),
        data_pdu(fragment(b"no command", command=True)),
        data_pdu(b"\xff\xff\xff\xff\x01\x03"),
        data_pdu(b"\x00"),
        struct.pack(">BBL", 4, 0, 2**21),
        struct.pack(">BBL", 9, 0, 4) + bytes(4),
        associate(CLASS),
    ],
)
def test_what_has_no_place_in_an_association_aborts_it(feed: DicomFeed, door: Door, odd: bytes) -> None:
    assert said(feed, associate(CLASS), odd)[0] == [ACCEPT, ABORT]
    assert count(door) == 0


def test_an_abort_ends_without_a_word(feed: DicomFeed) -> None:
    assert said(feed, associate(CLASS), struct.pack(">BBL", 7, 0, 4) + bytes(4))[0] == [ACCEPT]


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (associate(CLASS).replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9"), b"\x00\x01\x01\x02"),
        (associate(CLASS)[:6] + b"\x00\x02" + associate(CLASS)[8:], b"\x00\x01\x02\x02"),
    ],
)
def test_another_protocol_is_rejected_with_the_reason(feed: DicomFeed, request_: bytes, answer: bytes) -> None:
    heard, _ = talk(feed.port, request_)
    assert heard == struct.pack(">BBL", REJECT, 0, 4) + answer


def test_each_context_gets_its_own_answer(feed: DicomFeed) -> None:
    heard, _ = talk(feed.port, associate(CLASS, b"1.2.840.10008.1.20.1", CT.encode(), syntaxes=(IMPLICIT, EXPLICIT)) + RELEASE)
    results = [heard[at + 6] for at in range(len(heard) - 8) if heard[at] == 0x21 and heard[at + 8] == 0x40]
    assert results == [0, 3, 0]


def test_the_association_over_the_limit_is_rejected_for_now(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.dicom.feed.MAX_ASSOCIATIONS", 1)
    feed = DicomFeed(door, bind="127.0.0.1", port=0, ae_title="DXSTREAM")
    feed.start()
    with association(feed.port) as first:
        assert first.is_established
        heard, _ = talk(feed.port, associate(CLASS))
    assert heard == struct.pack(">BBL", REJECT, 0, 4) + b"\x00\x02\x03\x02"
    until = time.monotonic() + 5
    while not (free := said(feed, associate(CLASS), RELEASE)[0] == [ACCEPT, RELEASED]) and time.monotonic() < until:
        time.sleep(0.05)
    feed.stop()
    assert free


def test_connections_leave_no_threads_behind(feed: DicomFeed) -> None:
    for _ in range(20):
        talk(feed.port, associate(CLASS))
    until = time.monotonic() + 5
    while (left := [one for one in threading.enumerate() if one.name == "association"]) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left
