"""Labelled windows of results: the files of the PhysioNet / CinC Challenge 2012, or a long CSV with ``outcomes.csv``.

Challenge: ``set-*/ID.txt`` (``Time,Parameter,Value``) and ``Outcomes-*.txt``, in a folder or a tar. Only the in-hospital
death is read of the outcomes. ICUType and MechVent have no numeric LOINC result and are left out.
Long CSV: ``patient,time,code,value,unit`` with a LOINC code and, as time, ``HH:MM`` or minutes since the origin;
``outcomes.csv`` beside it: ``patient,label`` (or ``labels``, see ``models.labels``) and, where known, ``age_years``, ``sex``,
``care_unit``; a ``labs.csv`` adds analytes.
"""

import csv
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models.example import Example
from models.groups import CARE_UNIT
from models.labels import facts_of, label_columns, labels_of
from stream.errors import Refused
from stream.facts import AGE_YEARS, REFUSED_POINTS, SETTING, SEX
from stream.judgement import Sample
from stream.labs import Analytes
from stream.points import POINT, encode_points

OUTCOME = "In-hospital_death"
DEATH, SURVIVAL = "in-hospital death", "survival"
#: The challenge's ICUType, told as a group of patients and never an input.
CARE_UNITS = {1.0: "coronary", 2.0: "cardiac surgery", 3.0: "medical", 4.0: "surgical"}
NOT_ANALYTES = frozenset({"RecordID", "Age", "Gender", "ICUType", "MechVent", ""})

#: LOINC, minutes since the origin, value in the analyte's unit.
Row = tuple[str, float, float]


def read_stays(path: Path) -> list[Example]:
    """Every stay with an outcome; the group is the stay's or patient's identifier."""
    if path.is_dir() and not list(path.glob("Outcomes-*.txt")) and list(path.glob("*.tar*")):
        path = min(path.glob("*.tar*"))
    if path.suffix == ".csv" or (path.is_dir() and (path / "outcomes.csv").is_file()):
        return _long_csv(path)
    return _challenge(_tar_texts(path) if path.is_file() else _folder_texts(path))


def _folder_texts(path: Path) -> Iterator[tuple[str, str]]:
    """(name, text) of the challenge's files in a folder."""
    for file in sorted([*path.glob("set-*/*.txt"), *path.glob("Outcomes-*.txt")]):
        yield file.name, file.read_text(encoding="utf-8")


def _tar_texts(path: Path) -> Iterator[tuple[str, str]]:
    """(name, text) of the challenge's files in a tar, read in place."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name.endswith(".txt") else None
                if file:
                    yield Path(member.name).name, file.read().decode()
    except tarfile.TarError as error:
        raise Refused("neither a folder, a long CSV nor a tar", where=str(path)) from error


def _challenge(texts: Iterable[tuple[str, str]]) -> list[Example]:
    analytes, samples, died = Analytes.read(), dict[str, Sample](), dict[str, bool]()
    for name, text in texts:
        lines = [line.split(",") for line in text.splitlines()[1:]]
        if name.startswith("Outcomes"):
            place = text.splitlines()[0].split(",").index(OUTCOME)
            died.update((fields[0], fields[place] == "1") for fields in lines)
        else:
            samples[Path(name).stem] = challenge_sample(lines, analytes)
    return [_stay(one, DEATH if died[one] else SURVIVAL, sample) for one, sample in samples.items() if one in died]


def _stay(patient: str, label: str, sample: Sample) -> Example:
    return Example(id=patient, label=label, group=patient, open=lambda: sample)


def challenge_sample(lines: Iterable[Sequence[str]], analytes: Analytes) -> Sample:
    """The window of one stay's ``HH:MM``, parameter, value; -1 means missing among the general descriptors."""
    static: dict[str, float] = {}
    rows: list[Row] = []
    for time, name, written in lines:
        if name in NOT_ANALYTES:
            static[name] = float(written)
            continue
        analyte, value = analytes.by_name.get(name), float(written)
        if analyte and analyte.physical[0] <= value <= analyte.physical[1]:
            rows.append((analyte.codes[0], _minute(time), value))
    facts: dict[str, Any] = {SETTING: "icu"}
    if static.get("Age", -1) >= 0:
        facts[AGE_YEARS] = int(static["Age"])
    if static.get("Gender", -1) >= 0:
        facts[SEX] = "male" if static["Gender"] == 1 else "female"
    if static.get("ICUType") in CARE_UNITS:
        facts[CARE_UNIT] = CARE_UNITS[static["ICUType"]]
    return Sample(contents=(_points(rows),), facts=facts)


def _minute(written: str) -> float:
    """``HH:MM`` since the origin, or minutes since it."""
    hours, colon, minutes = written.partition(":")
    return float(hours) * 60.0 + float(minutes) if colon else float(hours)


def _points(rows: Sequence[Row]) -> bytes:
    points = np.zeros(len(rows), POINT)
    if rows:
        codes, minutes, values = zip(*rows, strict=True)
        points["code"], points["minute"], points["value"] = codes, minutes, values
    return encode_points(points)


def _long_csv(path: Path) -> list[Example]:
    folder = path if path.is_dir() else path.parent
    others = sorted(one for one in folder.glob("*.csv") if one.name not in ("outcomes.csv", "labs.csv"))
    file = path if path.is_file() else next(iter(others), None)
    if file is None or not (folder / "outcomes.csv").is_file():
        raise Refused("needs a long CSV and an outcomes.csv beside it", where=str(folder))
    rows, refused = _results(file, Analytes.read(folder / "labs.csv"))
    outcomes = list(_lines(folder / "outcomes.csv", ("patient",)))
    columns = label_columns(outcomes[0] if outcomes else (), str(folder / "outcomes.csv"))
    return [_outcome(line, columns, rows, refused) for line in outcomes]


def _results(file: Path, analytes: Analytes) -> tuple[dict[str, list[Row]], dict[str, list[Any]]]:
    """Patient → rows in the models' units; patient → those that could not be converted, each with the reason."""
    rows, refused = dict[str, list[Row]](), dict[str, list[Any]]()
    for line in _lines(file, ("patient", "time", "code", "value", "unit")):
        try:
            value = analytes.convert(line["code"], float(line["value"]), line["unit"])
        except (Refused, ValueError) as error:
            refused.setdefault(line["patient"], []).append({"code": line["code"], "reason": str(error)})
        else:
            row = (analytes.canonical(line["code"]), _minute(line["time"]), value)
            rows.setdefault(line["patient"], []).append(row)
    return rows, refused


def _outcome(
    line: Mapping[str, str], columns: Sequence[str], rows: Mapping[str, Sequence[Row]], refused: Mapping[str, list[Any]]
) -> Example:
    patient, where = line["patient"], "outcomes.csv"
    label, labels = labels_of(line, columns, where)
    facts = {REFUSED_POINTS: refused.get(patient, []), **facts_of(line, where)}
    sample = Sample(contents=(_points(rows.get(patient, [])),), facts=facts)
    return replace(_stay(patient, label, sample), labels=labels)


def _lines(path: Path, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = set(needed) - set(reader.fieldnames or ())
        if missing:
            raise Refused(f"no column {', '.join(sorted(missing))}", where=str(path))
        yield from reader
