"""Windows of results: the files of the PhysioNet / CinC Challenge 2012, or a long CSV with ``outcomes.csv``.

Challenge: ``set-*/ID.txt`` (``Time,Parameter,Value``) and ``Outcomes-*.txt``, in a folder or a tar. Only the in-hospital
death is read of the outcomes. ICUType and MechVent have no numeric LOINC result and are left out.
Long CSV: ``patient,time,code,value,unit`` with a LOINC code and, as time, ``HH:MM`` or minutes since the origin;
``outcomes.csv`` beside it: ``patient,label`` (or ``labels``, see ``models.labels``) and, where known, ``group``, ``age_years``,
``sex``, ``care_unit``; a ``labs.csv`` adds analytes.
"""

import math
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models.example import Example
from models.groups import CARE_UNIT
from models.labels import facts_of, group_of, label_columns, labels_of
from stream.errors import Refused
from stream.facts import AGE_YEARS, REFUSED_POINTS, SETTING, SEX
from stream.judgement import Sample
from stream.labs import Analytes
from stream.points import POINT, encode_points
from stream.table import Row as Line
from stream.table import once, read_head, read_rows

OUTCOME, OUTCOMES = "In-hospital_death", "outcomes.csv"
DEATH, SURVIVAL = "in-hospital death", "survival"
#: The challenge's ICUType, told as a group of patients and never an input.
CARE_UNITS = {1.0: "coronary", 2.0: "cardiac surgery", 3.0: "medical", 4.0: "surgical"}
NOT_ANALYTES = frozenset({"RecordID", "Age", "Gender", "ICUType", "MechVent", ""})

#: LOINC, minutes since the origin, value in the analyte's unit.
Row = tuple[str, float, float]


def read_stays(path: Path, *, labelled: bool = True) -> list[Example]:
    """Every stay with an outcome (not ``labelled``: every stay); the group is the stay's or patient's identifier."""
    if path.is_dir() and not list(path.glob("Outcomes-*.txt")) and list(path.glob("*.tar*")):
        path = _only(path.glob("*.tar*"), "tars", path)
    if path.suffix == ".csv" or (path / OUTCOMES).is_file() or (list(path.glob("*.csv")) and not list(path.glob("set-*"))):
        return _long_csv(path, labelled=labelled)
    return _challenge(_tar_texts(path) if path.is_file() else _folder_texts(path), labelled=labelled)


def _only(found: Iterable[Path], what: str, folder: Path) -> Path:
    files = sorted(found)
    if len(files) != 1:
        raise Refused(f"{len(files) or 'no'} {what}: one is needed", where=str(folder))
    return files[0]


def _folder_texts(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, text) of the challenge's files in a folder."""
    for file in sorted([*path.glob("set-*/*.txt"), *path.glob("Outcomes-*.txt")]):
        yield file.name, file.read_bytes()


def _tar_texts(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, text) of the challenge's files in a tar, read in place."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name.endswith(".txt") else None
                if file:
                    yield Path(member.name).name, file.read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise Refused("neither a folder, a long CSV nor a tar", where=str(path)) from error


def _challenge(texts: Iterable[tuple[str, bytes]], *, labelled: bool) -> list[Example]:
    analytes, samples, died = Analytes.read(), dict[str, Sample](), dict[str, bool]()
    for name, text in texts:
        try:
            head, *lines = [line.split(",") for line in text.decode().splitlines()]
            if name.startswith("Outcomes"):
                died.update((fields[0], fields[head.index(OUTCOME)] == "1") for fields in lines)
            else:
                samples[Path(name).stem] = challenge_sample(lines, analytes)
        except (ValueError, IndexError) as error:
            raise Refused(f"not as the challenge of 2012 writes it: {error}", where=name) from error
    labels = {stay: DEATH if dead else SURVIVAL for stay, dead in died.items()}
    return [_stay(one, labels.get(one, ""), sample) for one, sample in samples.items() if one in died or not labelled]


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


def _long_csv(path: Path, *, labelled: bool) -> list[Example]:
    folder = path if path.is_dir() else path.parent
    others = [one for one in folder.glob("*.csv") if one.name not in (OUTCOMES, "labs.csv")]
    file = path if path.is_file() else _only(others, "long CSVs", folder)
    told = (folder / OUTCOMES).is_file()
    if labelled and not told:
        raise Refused(f"needs an {OUTCOMES} beside the long CSV", where=str(folder))
    rows, refused = _results(file, Analytes.read(folder / "labs.csv"))
    if told:
        return _outcomes(folder / OUTCOMES, rows, refused, labelled=labelled)
    known = dict.fromkeys([*rows, *refused])
    return [_stay(patient, "", _sample(rows.get(patient, ()), refused.get(patient, ()), {})) for patient in known]


def _results(file: Path, analytes: Analytes) -> tuple[Mapping[str, list[Row]], Mapping[str, list[Any]]]:
    """Patient → rows in the models' units; patient → those that could not be converted, each with the reason."""
    rows, refused = defaultdict[str, list[Row]](list), defaultdict[str, list[Any]](list)
    for where, line in read_rows(file, "patient", "time", "code", "value", "unit"):
        try:
            value = analytes.convert(line["code"], _number(line["value"]), line["unit"])
        except Refused as error:
            refused[line["patient"]].append({"code": line["code"], "reason": error.reason})
        else:
            minute = _checked_minute(line["time"], where)
            rows[line["patient"]].append((analytes.canonical(line["code"]), minute, value))
    return rows, refused


def _number(written: str) -> float:
    try:
        return float(written)
    except ValueError as error:
        raise Refused("not a number") from error


def _checked_minute(written: str, where: str) -> float:
    try:
        minute = _minute(written)
    except ValueError:
        minute = math.nan
    if not math.isfinite(minute):
        raise Refused("time is neither HH:MM nor minutes since the origin", where=where)
    return minute


def _outcomes(
    file: Path, rows: Mapping[str, Sequence[Row]], refused: Mapping[str, Sequence[Any]], *, labelled: bool
) -> list[Example]:
    """A stay for each row of ``outcomes.csv``."""
    columns = label_columns(read_head(file, "patient"), str(file), labelled=labelled)

    def outcome(told: Line) -> Example:
        where, line = told
        patient = line["patient"]
        label, labels = labels_of(line, columns, where, labelled=labelled)
        sample = _sample(rows.get(patient, ()), refused.get(patient, ()), facts_of(line, where))
        return replace(_stay(patient, label, sample), labels=labels, group=group_of(line))

    return [outcome(line) for line in once(read_rows(file, "patient", *columns), "patient")]


def _sample(rows: Sequence[Row], refused: Sequence[Any], facts: Mapping[str, Any]) -> Sample:
    return Sample(contents=(_points(rows),), facts={REFUSED_POINTS: list(refused), **facts})
