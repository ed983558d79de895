"""Pictures: ``LABEL/*.{jpg,jpeg,png,dcm}``, the label is the folder's name, the group the patient; or a CSV.

CSV: ``path,label`` (or ``labels``, see ``models.labels``) and, where known, ``group`` or ``patient``, ``age_years``, ``sex``,
``care_unit``; paths are relative to the CSV. Of a DICOM file PatientID, PatientSex and PatientAge are read.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from models.example import Example, join_groups
from models.labels import SEXES, facts_of, group_of, label_columns, labels_of
from models.pixels import BROKEN
from stream.errors import Refused
from stream.facts import AGE_YEARS, SEX
from stream.judgement import Sample
from stream.table import Row, once, read_head, read_rows

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".dcm"})
#: The chest X-rays of Kermany et al. 2018: a person's numbering restarts for each type of pneumonia.
PERSON = re.compile(r"(person\d+)_(bacteria|virus)_")
NUMBERED = re.compile(r"(.+)-\d+$")
#: PatientAge (DICOM PS3.5, value representation AS) → years in one of its units.
AGE = re.compile(r"(\d{3})([DWMY])")
YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
#: The elements of a header that are read.
TAGS = ["PatientID", "PatientSex", "PatientAge"]


def read_scans(path: Path, *, labelled: bool = True) -> list[Example]:
    """Every picture in the folders under ``path``, or in the CSV ``path``; exact copies share a group.

    Not ``labelled``: those in the folder ``path`` itself too.
    """
    examples = _listed(path, labelled=labelled) if path.is_file() else _in_folders(path, labelled=labelled)
    folder = path.parent if path.is_file() else path

    @cache
    def digest(name: str) -> str:
        return hashlib.sha256((folder / name).read_bytes()).hexdigest()

    return join_groups(examples, lambda example: digest(example.id))


def _in_folders(path: Path, *, labelled: bool) -> list[Example]:
    folders = [folder for folder in sorted(path.iterdir()) if folder.is_dir()]
    found = [_example(file, folder.name) for folder in folders for file in _pictures(folder)]
    return found if labelled else [*(_example(file, "") for file in _pictures(path)), *found]


def _pictures(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]


def _listed(path: Path, *, labelled: bool) -> list[Example]:
    columns = label_columns(read_head(path, "path"), str(path), labelled=labelled)
    rows = list(once(read_rows(path, "path", *columns), "path"))
    absent = [(where, row["path"]) for where, row in rows if not (path.parent / row["path"]).is_file()]
    if absent:
        where, name = absent[0]
        raise Refused(f"{len(absent)} files are not there, the first is {name}", where=where)
    return [_row(row, columns, path, labelled=labelled) for row in rows]


def _row(told: Row, columns: Sequence[str], path: Path, *, labelled: bool) -> Example:
    where, row = told
    file = path.parent / row["path"]
    label, labels = labels_of(row, columns, where, labelled=labelled)
    group = group_of(row) or _group(file, label if labels is None else "")
    return Example(id=row["path"], label=label, labels=labels, group=group, open=_opener(file, facts_of(row, where)))


def _example(file: Path, label: str) -> Example:
    name = f"{label}/{file.name}" if label else file.name
    return Example(id=name, label=label, group=_group(file, label), open=_opener(file, {}))


def _opener(file: Path, told: Mapping[str, Any]) -> Callable[[], Sample]:
    return lambda: Sample(contents=(file.read_bytes(),), facts={**_facts(file), **told})


def _facts(file: Path) -> dict[str, Any]:
    """Sex and age of a DICOM file's patient, where it says them."""
    header = _header(file)
    age, sex = AGE.fullmatch(str(header.get("PatientAge", ""))), SEXES.get(str(header.get("PatientSex", "")).strip().casefold())
    return {**({SEX: sex} if sex else {}), **({AGE_YEARS: int(age[1]) * YEARS[age[2]]} if age else {})}


def _header(file: Path) -> Dataset:
    """What a DICOM file says of its patient; nothing where it is none that can be read, which the model's gate then tells."""
    if file.suffix.lower() != ".dcm":
        return Dataset()
    try:
        return dcmread(file, stop_before_pixels=True, specific_tags=TAGS)
    except BROKEN:
        return Dataset()


def _group(file: Path, label: str) -> str:
    """The PatientID of a DICOM file; of any other ``label`` and what its name says."""
    patient = str(_header(file).get("PatientID", "")).strip()
    if patient:
        return patient
    return f"{label}/{_by_name(file)}" if label else _by_name(file)


def _by_name(file: Path) -> str:
    """The person in a file's name, or the part before the last dash-number."""
    person = PERSON.match(file.stem)
    if person:
        return f"{person[1]}_{person[2]}"
    numbered = NUMBERED.match(file.stem)
    return numbered[1] if numbered else file.stem
