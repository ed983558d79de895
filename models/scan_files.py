"""Labelled pictures: ``LABEL/*.{jpg,jpeg,png,dcm}``. The label is the folder's name, the group the patient."""

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pydicom import dcmread

from models.example import Example, join_groups
from stream.judgement import Sample

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".dcm"})
#: The chest X-rays of Kermany et al. 2018: a person's numbering restarts for each type of pneumonia.
PERSON = re.compile(r"(person\d+)_(bacteria|virus)_")
NUMBERED = re.compile(r"(.+)-\d+$")


def read_scans(path: Path) -> list[Example]:
    """Every picture in the folders under ``path``; exact copies share a group."""
    files = [file for folder in sorted(path.iterdir()) if folder.is_dir() for file in sorted(folder.iterdir())]
    examples = [_example(file) for file in files if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]

    @cache
    def digest(name: str) -> str:
        return hashlib.sha256((path / name).read_bytes()).hexdigest()

    return join_groups(examples, lambda example: digest(example.id))


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
