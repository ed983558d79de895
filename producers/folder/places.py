"""The inbox and its two corners: which files are whole, and where they go when they are dealt with."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

#: A file that a transfer tool is still writing; it takes its own name when it is whole.
_UNFINISHED = frozenset({".part", ".partial", ".filepart", ".tmp"})

Look = tuple[int, int]  # size in bytes, time of the last change in nanoseconds


class Inbox:
    """Files under ``folder`` but for ``done/`` and ``refused/``; what starts with a dot is ignored, links are not followed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done = folder / "done"
        self.refused = folder / "refused"
        self._seen: dict[Path, Look] = {}

    def make(self) -> None:
        """Make the folders; raises OSError."""
        for folder in (self.done, self.refused):
            folder.mkdir(parents=True, exist_ok=True)

    def settled(self) -> list[Path]:
        """The files that did not change since the last look, the oldest first."""
        before, self._seen = self._seen, dict(self._looks())
        whole = [path for path, look in self._seen.items() if before.get(path) == look]
        return sorted(whole, key=lambda path: (self._seen[path][1], path))

    def name(self, path: Path) -> str:
        """What the sender calls a file: its path inside the inbox."""
        return path.relative_to(self.folder).as_posix()

    def put_away(self, path: Path, reason: str = "") -> None:
        """Move to ``done/``, or with a reason beside it to ``refused/``; raises OSError.

        A file that was written again since it was looked at stays: it will be looked at as a new one.
        """
        if dict(_look(path)).get(path) != self._seen.get(path):
            return
        target = self._free(self.refused if reason else self.done, path)
        if reason:  # it is there first, so that no refused file is ever without
            target.with_name(f"{target.name}.reason").write_text(f"{reason}\n", encoding="utf-8")
        path.rename(target)

    def _looks(self) -> Iterator[tuple[Path, Look]]:
        for place, folders, files in os.walk(self.folder):
            at = Path(place)
            folders[:] = [name for name in folders if not name.startswith(".") and at / name not in (self.done, self.refused)]
            for name in files:
                path = at / name
                if not name.startswith(".") and path.suffix.lower() not in _UNFINISHED and not path.is_symlink():
                    yield from _look(path)

    def _free(self, corner: Path, path: Path) -> Path:
        """A name in a corner that nothing has: nothing is overwritten."""
        target = corner / path.relative_to(self.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        first, number = target, 1
        while target.exists():
            number += 1
            target = first.with_name(f"{first.stem}~{number}{first.suffix}")
        return target


def _look(path: Path) -> Iterator[tuple[Path, Look]]:
    try:
        there = path.stat()
    except FileNotFoundError:  # taken away since the folder was listed
        return
    if stat.S_ISREG(there.st_mode):  # nobody knows when a pipe would end
        yield path, (there.st_size, there.st_mtime_ns)
