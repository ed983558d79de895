"""A CSV with a head, as people and spreadsheets write it: what is wrong with it is Refused with its file and line."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stream.errors import Refused

#: Characters that one cell may have.
MOST_CHARACTERS = 4 * 2**20
#: UTF-8, with the mark before it that Excel writes ("CSV UTF-8") or without.
ENCODING = "utf-8-sig"

#: Where a row stands (file and line), and its cells by column.
Row = tuple[str, dict[str, str]]


def read_head(path: Path, *needed: str) -> tuple[str, ...]:
    """The columns' names; raises Refused when one of ``needed`` is not among them."""
    with _reader(path, needed) as reader:
        return tuple(reader.fieldnames or ())


def read_rows(path: Path, *needed: str) -> Iterator[Row]:
    """Every row below the head, one in memory at a time; a cell that is left out at a row's end is empty.

    Raises Refused when the file is no UTF-8 or no CSV, or a row breaks off before a column of ``needed`` or is too long.
    """
    with _reader(path, needed) as reader:
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if any(row.pop(None, ())):
                raise Refused("the row has more cells than the head: a cell with a comma in it needs quotation marks", where=where)
            for name in needed:
                if row[name] is None:
                    raise Refused(f"the row breaks off before column {name}", where=where)
            yield where, {name: cell or "" for name, cell in row.items()}


def once(rows: Iterable[Row], key: str) -> Iterator[Row]:
    """The rows as they come; raises Refused for one whose column ``key`` is empty or as in an earlier row."""
    seen: dict[str, str] = {}
    for where, row in rows:
        if not row[key].strip():
            raise Refused(f"column {key} is empty", where=where)
        if row[key] in seen:
            raise Refused(f"the same {key} as in {seen[row[key]]}", where=where)
        seen[row[key]] = where
        yield where, row


@contextmanager
def _reader(path: Path, needed: Iterable[str]) -> Iterator["csv.DictReader[str]"]:
    csv.field_size_limit(MOST_CHARACTERS)
    with path.open(newline="", encoding=ENCODING) as file:
        reader = csv.DictReader(file)
        try:
            names = [name.strip() for name in reader.fieldnames or ()]
            missing = set(needed) - set(names)
            if missing:
                raise Refused(f"no column {', '.join(sorted(missing))}", where=str(path))
            reader.fieldnames = names
            yield reader
        except UnicodeDecodeError as error:
            raise Refused("not UTF-8: save it as CSV UTF-8", where=f"{path}, line {_first_odd_line(path)}") from error
        except csv.Error as error:
            raise Refused(f"no CSV: {error}", where=f"{path}, line {reader.line_num + 1}") from error


def _first_odd_line(path: Path) -> int:
    """The number of the first line that is not UTF-8."""
    with path.open("rb") as file:
        return next(number for number, line in enumerate(file, 1) if not _is_utf8(line))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
