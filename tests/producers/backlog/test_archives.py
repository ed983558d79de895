"""ZIP and tar: what is in them, and what is not believed of them."""

import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from producers.backlog import archives
from producers.backlog.archives import ArchiveReader, BeyondBoundsError, list_members
from stream.errors import Refused


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


FILES = {"a/one.dcm": b"one", "a/two.hl7": b"two" * 1000, "b/three.txt": b""}


@pytest.mark.parametrize(("name", "mode"), [("x.tar", "w"), ("x.tgz", "w:gz"), ("x.tar.bz2", "w:bz2"), ("x.tar.xz", "w:xz")])
def test_a_tar_of_any_compression_is_read_member_by_member(tmp_path, name, mode):
    path = make_tar(tmp_path / name, FILES, mode)
    reader = ArchiveReader()
    assert [reader.read(str(path), member.name) for member in list_members(path)] == list(FILES.values())
    reader.close()


def test_a_zip_is_read_member_by_member(tmp_path):
    path = make_zip(tmp_path / "x.zip", FILES)
    reader = ArchiveReader()
    assert [reader.read(str(path), member.name) for member in list_members(path)] == list(FILES.values())
    reader.close()


def test_a_tar_is_read_from_its_start_again_for_an_earlier_member(tmp_path):
    path = make_tar(tmp_path / "x.tar.gz", FILES)
    reader = ArchiveReader()
    assert [reader.read(str(path), name) for name in ("2:a/two.hl7", "1:a/one.dcm")] == [b"two" * 1000, b"one"]
    reader.close()


def test_two_members_of_one_name_are_two_members(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for content in (b"old", b"new"):
            info = tarfile.TarInfo("same.txt")
            info.size = 3
            archive.addfile(info, io.BytesIO(content))
    reader = ArchiveReader()
    assert [reader.read(str(path), member.name) for member in list_members(path)] == [b"old", b"new"]
    reader.close()


def test_hidden_members_and_folders_are_passed_over(tmp_path):
    path = make_zip(tmp_path / "x.zip", {".DS_Store": b"", "__MACOSX/a.dcm": b"", "a/": b"", "a/b.dcm": b"x"})
    assert [member.name for member in list_members(path)] == ["4:a/b.dcm"]


def test_a_link_in_a_tar_is_refused_and_not_followed(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("passwords.txt")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    assert [member.reason for member in list_members(path)] == ["a link or a device in an archive is not followed"]


def test_a_zip_that_becomes_far_larger_than_it_is_is_beyond_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ALWAYS", 2**20)
    path = make_zip(tmp_path / "bomb.zip", {f"{number}.dcm": bytes(2**20) for number in range(8)})
    with pytest.raises(BeyondBoundsError, match="200 times"):
        list(list_members(path))


def test_a_tar_that_becomes_far_larger_than_it_is_is_beyond_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ALWAYS", 2**20)
    path = make_tar(tmp_path / "bomb.tar.gz", {f"{number}.dcm": bytes(2**20) for number in range(8)})
    with pytest.raises(BeyondBoundsError, match="200 times"):
        list(list_members(path))


def test_a_zip_that_lies_about_a_members_size_is_read_within_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST", 1000)
    path = make_zip(tmp_path / "x.zip", {"a.dcm": bytes(5000)})
    content = path.read_bytes()
    path.write_bytes(content.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    reader = ArchiveReader()
    with pytest.raises(Refused):
        reader.read(str(path), next(iter(list_members(path))).name)
    reader.close()


def test_a_header_of_a_tar_that_claims_gigabytes_is_not_read_into_memory(tmp_path):
    header = tarfile.TarInfo("PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 2**33
    path = tmp_path / "x.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(2**20))
    with pytest.raises(Refused, match="damaged"):
        list(list_members(path))


def test_more_members_than_are_held_in_memory_are_beyond_bounds_before_they_are_read(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "x.zip", {str(number): b"x" for number in range(4)})
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(BeyondBoundsError, match="more than 3 members"):
        list(list_members(path))


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_what_is_no_archive_is_damaged(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x1f\x8b" + b"no archive at all" * 100)
    with pytest.raises(Refused, match="damaged"):
        list(list_members(tmp_path / name))


def test_an_encrypted_member_is_refused(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a.dcm": b"secret"})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    path.write_bytes(bytes(content))
    assert [member.reason for member in list_members(path)] == ["the member is encrypted"]


def test_a_name_that_climbs_out_writes_nothing_anywhere(tmp_path):
    place = tmp_path / "inner"
    place.mkdir()
    path = make_tar(place / "x.tar", {"../../climbed.txt": b"x", "/tmp/climbed-absolute.txt": b"y"}, "w")
    reader = ArchiveReader()
    assert [reader.read(str(path), member.name) for member in list_members(path)] == [b"x", b"y"]
    reader.close()
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["inner", "x.tar"]


def test_a_device_in_a_tar_is_refused(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("zero.dcm")
        info.type, info.mode = tarfile.CHRTYPE, stat.S_IRUSR
        archive.addfile(info)
    assert [member.reason for member in list_members(path)] == ["a link or a device in an archive is not followed"]
