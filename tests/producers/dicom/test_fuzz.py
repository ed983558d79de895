"""Mutated bytes at the receivers' own entry points: always an answer or a closed connection, soon, in flat memory.

The short form is part of every run; ``DXSTREAM_FUZZ=100000`` is the long one. The seed makes it repeatable.
"""

import logging
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicom_samples import DX, association, ct_slice, file_of, projection
from pydicom.uid import ExplicitVRLittleEndian

from producers.dicom.feed import DicomFeed
from producers.dicom.stow import parse_multipart, store_instances
from producers.door import Door
from stream.errors import Refused

sys.path.insert(0, str(Path(__file__).parent))

from raw_sender import RELEASE, associate, kinds, statuses, store, talk

ROUNDS = int(os.environ.get("DXSTREAM_FUZZ", "2000"))
SEED = 20261120
#: No answer takes longer, in seconds.
LONGEST = 5.0
MEBIBYTES = 64

BITS = (
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
    b"\xfe\xff\xdd\xe0",
    b"\x7f\xff\xff\xff",
    b"SQ",
)

pytestmark = pytest.mark.timeout(60 + ROUNDS // 10)


@pytest.fixture
def feed(door: Door) -> Iterator[DicomFeed]:
    feed = DicomFeed(door, bind="127.0.0.1", port=0, ae_title="DXSTREAM")
    feed.start()
    yield feed
    feed.stop()


@pytest.fixture(autouse=True)
def _keep_no_log() -> Iterator[None]:
    """Pytest keeps every line of a log, which would look like memory that grows."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def mutated(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) or 1)
        match chance.randrange(5):
            case 0:
                changed[at : at + 1] = bytes((chance.randrange(256),))
            case 1:
                del changed[at : at + chance.randint(1, 64)]
            case 2:
                changed[at:at] = changed[at : at + chance.randint(1, 64)]
            case 3:
                bit = chance.choice(BITS)
                changed[at : at + len(bit)] = bit
            case _:
                changed = changed[: max(at, 1)] if chance.random() < 0.2 else changed
    return bytes(changed)


def samples() -> list[tuple[bytes, bytes, bytes]]:
    """SOP class, SOP instance and dataset."""
    found = []
    for one in (projection(), ct_slice("1.2.3", 1), projection(ViewCodeSequence=[projection(PixelData=None)])):
        content = file_of(one, ExplicitVRLittleEndian)
        dataset = content[content.index(b"\x08\x00\x08\x00") :]
        found.append((one.SOPClassUID.encode(), one.SOPInstanceUID.encode(), dataset))
    return found


def peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_a_mutated_dataset_gets_a_status(feed: DicomFeed) -> None:
    chance, said, slowest, before = random.Random(SEED), Counter[int](), 0.0, 0.0
    for number in range(ROUNDS // 2):
        sop_class, sop_instance, dataset = chance.choice(samples_once)
        sent = associate(sop_class) + store(sop_class, sop_instance, mutated(dataset, chance)) + RELEASE
        heard, seconds = talk(feed.port, sent)
        (status,) = statuses(heard)
        assert kinds(heard) == [2, 4, 6], number
        said[status] += 1
        slowest = max(slowest, seconds)
        before = peak_mebibytes() if number == ROUNDS // 10 else before
    print(f"fuzz seed {SEED}: {dict(said)}; slowest {slowest:.2f} s; grown {peak_mebibytes() - before:.0f} MiB")
    assert set(said) <= {0x0000, 0xA900, 0xC000}
    assert slowest < LONGEST
    assert peak_mebibytes() - before < MEBIBYTES


def test_mutated_bytes_on_the_wire_end_their_own_connection_only(feed: DicomFeed) -> None:
    chance, ended, slowest, before = random.Random(SEED + 1), Counter[int](), 0.0, 0.0
    for number in range(ROUNDS // 2):
        sop_class, sop_instance, dataset = chance.choice(samples_once)
        whole = associate(sop_class) + store(sop_class, sop_instance, dataset, piece=200) + RELEASE
        heard, seconds = talk(feed.port, mutated(whole, chance))
        ended[(kinds(heard) or [0])[-1]] += 1
        slowest = max(slowest, seconds)
        before = peak_mebibytes() if number == ROUNDS // 10 else before
    print(f"fuzz seed {SEED + 1}: last PDU {dict(ended)}; slowest {slowest:.2f} s; grown {peak_mebibytes() - before:.0f} MiB")
    assert slowest < LONGEST
    assert peak_mebibytes() - before < MEBIBYTES
    with association(feed.port) as made:
        assert made.send_c_echo().Status == 0


def test_a_mutated_body_over_stow_gets_an_answer(door: Door) -> None:
    chance, said = random.Random(SEED + 2), Counter[int]()
    whole = b"".join(b"--edge\r\n\r\n" + file_of(projection()) + b"\r\n" for _ in range(2)) + b"--edge--"
    for _ in range(ROUNDS // 10):
        began = time.monotonic()
        try:
            said[store_instances(door, parse_multipart(mutated(whole, chance), "multipart/related; boundary=edge"))[0]] += 1
        except Refused:
            said[400] += 1
        assert time.monotonic() - began < LONGEST
    assert set(said) <= {200, 202, 400, 409}


samples_once = samples()
assert samples_once[0][0].decode() == DX
