"""Whose it is."""

import threading
from pathlib import Path

from stream.identity import Identities, read_hash_key


def key_of(authority: str, number: str, feed: str = "hl7", **more: str) -> str:
    return Identities(b"secret", {"city hospital": "city"}).patient_key(authority=authority, number=number, feed=feed, **more)


def test_one_number_of_two_authorities_is_two_patients():
    assert key_of("NORTH", "123") != key_of("SOUTH", "123")


def test_one_number_of_one_authority_over_two_feeds_is_one_patient():
    assert key_of("NORTH", "123", "hl7") == key_of("north", "123", "dicom")


def test_bare_numbers_of_two_feeds_never_join():
    assert key_of("", "123", "hl7") != key_of("", "123", "dicom")


def test_an_authority_that_feeds_write_differently_is_one_by_the_operators_table():
    assert key_of("City Hospital", "123") == key_of("CITY", "123")


def test_two_types_of_identifier_are_two_patients():
    assert key_of("NORTH", "123", kind="MR") != key_of("NORTH", "123", kind="SS")


def test_another_installations_key_gives_another_patient_key():
    other = Identities(b"other").patient_key(authority="NORTH", number="123", feed="hl7")
    assert other != key_of("NORTH", "123")


def test_no_digit_of_the_number_is_in_the_key_by_design():
    assert len(key_of("NORTH", "123")) == 32
    assert set(key_of("NORTH", "123")) <= set("0123456789abcdef")


def test_many_processes_that_start_at_once_get_one_secret(tmp_path: Path):
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(read_hash_key(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["hash.key"]
    assert (tmp_path / "hash.key").stat().st_mode & 0o077 == 0
