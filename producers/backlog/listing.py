"""What lies where: folders, DICOMDIR, archives and lists of paths → rows of the manifest, one after the other."""

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.errors import InvalidDicomError

from producers.backlog.archives import BeyondBoundsError, is_archive, list_members
from stream.errors import Refused

#: A file that a transfer tool is still writing.
_UNFINISHED = (".part", ".partial", ".filepart", ".tmp")
#: A larger DICOMDIR is none, in bytes.
_LARGEST_DICOMDIR = 512 * 2**20
_DICOMDIR = "DICOMDIR"

#: ``path``, and where they are not the usual ones ``member``, ``part``, ``size``, ``state``, ``reason``; ``alone``: no member
#: of this path is to be taken.
Row = dict[str, Any]


def list_all(paths: Iterable[str]) -> Iterator[Row]:
    """Everything under paths that somebody has named."""
    for path in paths:
        yield from list_named(Path(path))


def list_named(path: Path) -> Iterator[Row]:
    """A DICOMDIR and a CSV are read only when they are named; within a folder the one says nothing new."""
    if path.name.upper() == _DICOMDIR and path.is_file():
        yield from _list_dicomdir(path)
    elif path.suffix.lower() == ".csv" and path.is_file():
        yield from _list_csv(path)
    else:
        yield from _list_path(path)


def _list_path(path: Path) -> Iterator[Row]:
    if path.is_dir():
        yield from _walk(path)
    elif is_archive(path.name):
        yield from _list_archive(path)
    else:
        yield _file_row(str(path), path.stat().st_size if path.is_file() else 0)


def _walk(folder: Path) -> Iterator[Row]:
    """Lazily, files before the folders beside them; links are not followed, and what starts with a dot is passed over."""
    left = [str(folder)]
    while left:
        place = left.pop()
        inner: list[str] = []
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        inner.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        yield from _list_entry(entry)
        except OSError as error:
            yield _row_of(place, state="failed", reason=f"the folder cannot be read ({error.strerror})")
        left += sorted(inner, reverse=True)


def _list_entry(entry: "os.DirEntry[str]") -> Iterator[Row]:
    name = entry.name.lower()
    if name.endswith(_UNFINISHED) or name == _DICOMDIR.lower():
        return
    if is_archive(name):
        yield from _list_archive(Path(entry.path))
    else:
        yield _file_row(entry.path, entry.stat(follow_symlinks=False).st_size)


def _file_row(path: str, size: int) -> Row:
    return _row_of(path, size=size)


def _row_of(path: str, **values: Any) -> Row:
    """A name that is no UTF-8 stands in no database as it is, so its file is not read."""
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        return {"path": shown, "state": "failed", "reason": "its name is not UTF-8: rename it"}
    return {"path": path, **values}


def _list_archive(path: Path) -> Iterator[Row]:
    """Its members; and a row for itself where it is damaged or goes beyond its bounds."""
    try:
        for member in list_members(path):
            name = member.name.encode("utf-8", "backslashreplace").decode().replace("\0", "")
            fault = {"state": "refused", "reason": member.reason} if member.reason else {}
            yield _row_of(str(path), member=name, size=member.size, **fault)
    except Refused as error:
        yield _row_of(str(path), state="refused", reason=error.reason, alone=isinstance(error, BeyondBoundsError))
    except OSError as error:
        yield _row_of(str(path), state="failed", reason=f"the file cannot be read ({error.strerror})")


def _list_csv(path: Path) -> Iterator[Row]:
    """The column ``path``, else the first of a file without a heading; ``member`` and ``part`` as our own reports have them."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        first = next(rows, [])
        heading = [cell.strip().lower() for cell in first]
        if "path" not in heading:
            heading = ["path"]
            yield from _list_line(path.parent, dict(zip(heading, first, strict=False)))
        for row in rows:
            yield from _list_line(path.parent, dict(zip(heading, row, strict=False)))


def _list_line(folder: Path, line: dict[str, str]) -> Iterator[Row]:
    named = line.get("path", "").strip()
    part = line.get("part", "").strip()
    if not named:
        return
    at = folder / named
    if line.get("member") or part not in {"", "0"}:
        size = at.stat().st_size if at.is_file() else 0
        yield _row_of(str(at), member=line.get("member", ""), part=int(part) if part.isdigit() else 0, size=size)
    else:
        yield from _list_path(at)


def _list_dicomdir(path: Path) -> Iterator[Row]:
    """The files that its records reference (PS3.3 F.3.2.2, ReferencedFileID), which lie beside and below it."""
    try:
        if path.stat().st_size > _LARGEST_DICOMDIR:
            raise Refused("the DICOMDIR is too large")
        with disable_value_validation():  # which would tell the values that it complains of
            records = dcmread(path).get("DirectoryRecordSequence", ())
            references = [record.get("ReferencedFileID") for record in records]
        for referenced in filter(None, references):
            yield _referenced(path.parent, [referenced] if isinstance(referenced, str) else list(referenced))
    except Refused as error:
        yield _row_of(str(path), state="refused", reason=error.reason)
    except (InvalidDicomError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield _row_of(str(path), state="refused", reason="the DICOMDIR cannot be read")


def _referenced(folder: Path, parts: list[str]) -> Row:
    """One referenced file; on many discs the names are written in small letters."""
    at = folder.joinpath(*parts)
    if not at.resolve().is_relative_to(folder.resolve()):
        return _row_of(str(at), state="refused", reason="the DICOMDIR points outside its folder")
    small = folder.joinpath(*[part.lower() for part in parts])
    found = small if not at.exists() and small.exists() else at
    return _row_of(str(found), size=found.stat().st_size if found.is_file() else 0)
