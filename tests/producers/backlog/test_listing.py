"""What lies where: folders, DICOMDIR, archives, lists of paths."""

import os
import zipfile
from pathlib import Path

import pytest
from dicom_samples import file_of
from pydicom import Dataset
from pydicom.config import disable_value_validation

from producers.backlog import archives
from producers.backlog.listing import list_all


def names(*paths: Path) -> list[str]:
    return sorted(Path(row["path"]).name + (f" {row['member']}" if row.get("member") else "") for row in rows(*paths))


def rows(*paths: Path) -> list[dict]:
    return list(list_all(map(str, paths)))


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")


def test_a_folder_is_listed_with_all_that_lies_below_it(archive):
    put(archive, "a.dcm", "deep/er/b.hl7", "deep/c.txt")
    assert names(archive) == ["a.dcm", "b.hl7", "c.txt"]


def test_hidden_and_unfinished_files_are_passed_over(archive):
    put(archive, ".hidden.dcm", ".git/x.dcm", "a.dcm.part", "b.tmp", "c.dcm")
    assert names(archive) == ["c.dcm"]


def test_links_are_not_followed(archive, tmp_path):
    put(tmp_path, "outside/secret.dcm")
    (archive / "loop").symlink_to(archive)
    (archive / "link.dcm").symlink_to(tmp_path / "outside/secret.dcm")
    assert names(archive) == []


def test_a_pipe_is_not_waited_for(archive):
    os.mkfifo(archive / "pipe.dcm")
    assert names(archive) == []


def test_a_name_that_is_no_utf8_is_failed_and_named_as_well_as_can_be(archive):
    (Path(os.fsdecode(os.fsencode(archive) + b"/m\xfcller.dcm"))).write_bytes(b"x")
    (row,) = rows(archive)
    assert (row["state"], row["reason"], Path(row["path"]).name) == ("failed", "its name is not UTF-8: rename it", "m\\xfcller.dcm")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_failed(archive):
    (archive / "closed").mkdir(mode=0)
    (row,) = rows(archive)
    assert row["reason"] == "the folder cannot be read (Permission denied)"


def test_a_folder_that_vanishes_is_failed(archive):
    listed = list_all([str(archive)])
    put(archive, "a.dcm", "gone/b.dcm")
    next(listed)
    (archive / "gone/b.dcm").unlink()
    (archive / "gone").rmdir()
    assert [row["reason"] for row in listed] == ["the folder cannot be read (No such file or directory)"]


def test_an_archive_in_a_folder_is_listed_by_its_members(archive):
    with zipfile.ZipFile(archive / "x.zip", "w") as packed:
        packed.writestr("deep/a.dcm", b"x")
    assert names(archive) == ["x.zip 1:deep/a.dcm"]


def test_an_archive_beyond_its_bounds_is_refused_alone(archive, monkeypatch):
    monkeypatch.setattr(archives, "ALWAYS", 2**20)
    with zipfile.ZipFile(archive / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(8):
            packed.writestr(f"{number}.dcm", bytes(2**20))
    last = rows(archive)[-1]
    assert (last["state"], last["alone"]) == ("refused", True)


@pytest.fixture
def disc(archive):
    """A disc with two images and a DICOMDIR."""
    put(archive, "IMAGES/I0000", "IMAGES/I0001")
    write_dicomdir(archive, ["IMAGES", "I0000"], ["IMAGES", "I0001"])
    return archive


def write_dicomdir(folder: Path, *references: list[str]) -> None:
    records = [Dataset() for _ in references]
    with disable_value_validation():
        for record, reference in zip(records, references, strict=True):
            record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", reference
    patient = Dataset()
    patient.DirectoryRecordType = "PATIENT"
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.1.3.10", "1.2.3"
    dataset.DirectoryRecordSequence = [patient, *records]
    (folder / "DICOMDIR").write_bytes(file_of(dataset))


def test_a_dicomdir_that_is_named_lists_the_files_that_it_references(disc):
    (disc / "extra.dcm").write_bytes(b"x")
    found = rows(disc / "DICOMDIR")
    assert [Path(row["path"]).is_file() for row in found] == [True, True]


def test_a_dicomdir_within_a_folder_is_no_file_of_its_own(disc):
    assert "DICOMDIR" not in names(disc)


def test_a_file_that_a_dicomdir_references_and_that_is_not_there_is_listed_all_the_same(disc):
    found = rows(disc / "DICOMDIR")
    Path(found[0]["path"]).unlink()
    assert rows(disc / "DICOMDIR")[0]["size"] == 0


def test_small_letters_on_a_disc_are_found(disc):
    for folder in sorted(disc.rglob("*"), key=lambda path: -len(path.parts)):
        folder.rename(folder.with_name(folder.name.lower()))
    (disc / "dicomdir").rename(disc / "DICOMDIR")
    assert [Path(row["path"]).is_file() for row in rows(disc / "DICOMDIR")] == [True, True]


def test_a_dicomdir_that_points_outside_its_folder_is_refused(disc):
    write_dicomdir(disc, ["..", "..", "ETC"])
    assert rows(disc / "DICOMDIR")[0]["reason"] == "the DICOMDIR points outside its folder"


def test_what_is_no_dicomdir_is_refused(archive):
    put(archive, "DICOMDIR")
    assert [row["reason"] for row in rows(archive / "DICOMDIR")] == ["the DICOMDIR cannot be read"]


def test_a_csv_without_a_heading_is_a_list_of_paths_relative_to_it(archive):
    put(archive, "a.dcm", "deep/b.dcm", "c.dcm")
    (archive / "list.csv").write_text("a.dcm\ndeep\n\n")
    assert names(archive / "list.csv") == ["a.dcm", "b.dcm"]


def test_a_csv_with_a_heading_may_name_members_and_parts(archive):
    (archive / "list.csv").write_text("reason,path,member,part\nx,a.zip,1:b.dcm,\ny,c.hl7,,3\n")
    assert [(row["member"], row["part"]) for row in rows(archive / "list.csv")] == [("1:b.dcm", 0), ("", 3)]


def test_a_csv_may_be_written_by_a_spreadsheet(archive):
    put(archive, "a.dcm")
    (archive / "list.csv").write_bytes('\ufeffpath\r\n"a.dcm"\r\n'.encode())
    assert names(archive / "list.csv") == ["a.dcm"]
