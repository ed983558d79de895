"""Labelled pictures: ``LABEL/*.{jpg,jpeg,png,dcm}``, the label is the folder's name, the group the patient; or a CSV.

CSV: ``path,label`` (or ``labels``, see ``models.labels``) and, where known, ``group`` (a patient), ``age_years``, ``sex``,
``care_unit``; paths are relative to the CSV. Of a DICOM file PatientSex and PatientAge are read.
"""

import csv
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydicom import dcmread

from models.example import Example, join_groups
from models.labels import facts_of, label_columns, labels_of
from stream.errors import Refused
from stream.facts import AGE_YEARS, SEX
from stream.judgement import Sample

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".dcm"})
#: The chest X-rays of Kermany et al. 2018: a person's numbering restarts for each type of pneumonia.
PERSON = re.compile(r"(person\d+)_(bacteria|virus)_")
NUMBERED = re.compile(r"(.+)-\d+$")
#: PatientAge (DICOM PS3.5, value representation AS) → years in one of its units.
AGE = re.compile(r"(\d{3})([DWMY])")
YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
SEXES = {"F": "female", "M": "male", "O": "other"}


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
        if "path" not in (reader.fieldnames or ()):
            raise Refused("no column path", where=str(path))
        columns = label_columns(reader.fieldnames or (), str(path))
        rows = list(reader)
    absent = [row["path"] for row in rows if not (path.parent / row["path"]).is_file()]
    if absent:
        raise Refused(f"{len(absent)} files are not there, the first is {absent[0]}", where=str(path))
    return [_row(row, columns, path) for row in rows]


def _row(row: Mapping[str, str], columns: Sequence[str], path: Path) -> Example:
    file = path.parent / row["path"]
    label, labels = labels_of(row, columns, str(path))
    by_name = _patient(file) if labels is not None else f"{label}/{_patient(file)}"
    open_it = _opener(file, facts_of(row, str(path)))
    return Example(id=row["path"], label=label, labels=labels, group=row.get("group") or by_name, open=open_it)


def _example(file: Path) -> Example:
    label = file.parent.name
    return Example(id=f"{label}/{file.name}", label=label, group=f"{label}/{_patient(file)}", open=_opener(file, {}))


def _opener(file: Path, told: Mapping[str, Any]) -> Callable[[], Sample]:
    return lambda: Sample(contents=(file.read_bytes(),), facts={**_facts(file), **told})


def _facts(file: Path) -> dict[str, Any]:
    """Sex and age of a DICOM file's patient, where it says them."""
    if file.suffix.lower() != ".dcm":
        return {}
    header = dcmread(file, stop_before_pixels=True, specific_tags=["PatientSex", "PatientAge"])
    age, sex = AGE.fullmatch(str(header.get("PatientAge", ""))), SEXES.get(str(header.get("PatientSex", "")))
    return {**({SEX: sex} if sex else {}), **({AGE_YEARS: int(age[1]) * YEARS[age[2]]} if age else {})}


def _patient(file: Path) -> str:
    """The PatientID of a DICOM file; of another the person in its name, or the part before the last dash-number."""
    if file.suffix.lower() == ".dcm":
        return str(dcmread(file, stop_before_pixels=True, specific_tags=["PatientID"]).get("PatientID", file.stem))
    person = PERSON.match(file.stem)
    if person:
        return f"{person[1]}_{person[2]}"
    numbered = NUMBERED.match(file.stem)
    return numbered[1] if numbered else file.stem
