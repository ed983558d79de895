"""Labelled pictures: ``LABEL/*.{jpg,jpeg,png,dcm}``, the label is the folder's name, the group the patient; or a CSV.

CSV: ``path,label`` and, where known, ``group`` (a patient); paths are relative to the CSV.
"""

import csv
import hashlib
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from pydicom import dcmread

from models.example import Example, join_groups
from stream.errors import Refused
from stream.judgement import Sample

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".dcm"})
#: The chest X-rays of Kermany et al. 2018: a person's numbering restarts for each type of pneumonia.
PERSON = re.compile(r"(person\d+)_(bacteria|virus)_")
NUMBERED = re.compile(r"(.+)-\d+$")


def read_scans(path: Path) -> list[Example]:
    """Every picture in the folders under ``path``, or in the CSV ``path``; exact copies share a group."""
    examples = _listed(path) if path.is_file() else _in_folders(path)
    folder = path.parent if path.is_file() else path

    @cache
    def digest(name: str) -> str:
        return hashlib.sha256((folder / name).read_bytes()).hexdigest()

    return join_groups(examples, lambda example: digest(example.id))


def _in_folders(path: Path) -> list[Example]:
    files = [file for folder in sorted(path.iterdir()) if folder.is_dir() for file in sorted(folder.iterdir())]
    return [_example(file) for file in files if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]


def _listed(path: Path) -> list[Example]:
    with path.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        missing = {"path", "label"} - set(reader.fieldnames or ())
        if missing:
            raise Refused(f"no column {', '.join(sorted(missing))}", where=str(path))
        rows = list(reader)
    absent = [row["path"] for row in rows if not (path.parent / row["path"]).is_file()]
    if absent:
        raise Refused(f"{len(absent)} files are not there, the first is {absent[0]}", where=str(path))
    return [_row(row, path.parent / row["path"]) for row in rows]


def _row(row: Mapping[str, str], file: Path) -> Example:
    group = row.get("group") or f"{row['label']}/{_patient(file)}"
    return Example(id=row["path"], label=row["label"], group=group, open=_opener(file))


def _example(file: Path) -> Example:
    label = file.parent.name
    return Example(id=f"{label}/{file.name}", label=label, group=f"{label}/{_patient(file)}", open=_opener(file))


def _opener(file: Path) -> Callable[[], Sample]:
    return lambda: Sample(contents=(file.read_bytes(),))


def _patient(file: Path) -> str:
    """The PatientID of a DICOM file; of another the person in its name, or the part before the last dash-number."""
    if file.suffix.lower() == ".dcm":
        return str(dcmread(file, stop_before_pixels=True, specific_tags=["PatientID"]).get("PatientID", file.stem))
    person = PERSON.match(file.stem)
    if person:
        return f"{person[1]}_{person[2]}"
    numbered = NUMBERED.match(file.stem)
    return numbered[1] if numbered else file.stem
