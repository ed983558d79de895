"""One file of the manifest → arrivals on the backlog lane, in steps where it holds many. Knows no ledger and no manifest."""

import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import IO

from db.places import Place
from producers.backlog.archives import LARGEST, ArchiveReader
from producers.backlog.unit import Piece, Read, Unit
from producers.dicom.file import read_file
from producers.dicom.instance import prepare
from producers.door import Door
from producers.fhir.elements import read_json
from producers.fhir.file import parse_file
from producers.fhir.origins import around_of_feed
from producers.fhir.resource import check_object, parse_resource
from producers.folder.note import note_arrival
from producers.hl7.charset import split_batch
from producers.hl7.frames import MOST_BYTES
from producers.hl7.parse import parse_message
from stream.arrival import Arrival, Whole
from stream.content import Content
from stream.errors import Refused, Temporary
from stream.queues import Lane

FEED = "backlog"

#: Messages or lines that one step takes of a file.
MOST_PARTS = 256
#: A longer message or line is refused, in bytes.
LONGEST_PART = MOST_BYTES
_BLOCK = 2**18

_MESSAGE = re.compile(rb"(?:\A|(?<=[\r\n\x0b]))[ \t]*MSH(?=[^A-Za-z0-9\r\n])")
_HL7 = re.compile(rb"(?:\xef\xbb\xbf)?[\s\x0b]*(?:MSH|FHS|BHS)[^A-Za-z0-9\s]")
_LINES = (".ndjson", ".ndjson.gz")
_JSON = (".json", ".fhir", ".json.gz", ".fhir.gz")
_MESSAGES = (".hl7", ".hl7.gz")

#: (bytes of one part) → its arrival; raises Refused, Temporary.
_Parse = Callable[[bytes], Arrival]


def is_fhir(name: str) -> bool:
    """By the file's name."""
    return name.lower().endswith((*_LINES, *_JSON))


class FileReader:
    """Reads units. ``in_place``: DICOM files are not copied, the ledger remembers where they lie."""

    def __init__(self, door: Door, *, in_place: bool) -> None:
        self.door = door
        self.in_place = in_place
        self._archives = ArchiveReader()

    def read(self, unit: Unit) -> Read:
        """The next step of a unit; raises Temporary when nothing can be kept now."""
        try:
            return self._read(unit)
        except Temporary:
            raise
        except Refused as error:
            return Read(unit=unit, state="refused", reason=words(error))
        except (gzip.BadGzipFile, zlib.error, EOFError):
            return Read(unit=unit, state="refused", reason="the compressed file is damaged")
        except FileNotFoundError:
            return Read(unit=unit, state="failed", reason="the file is gone")
        except OSError as error:
            return Read(unit=unit, state="failed", reason=f"the file cannot be read ({error.strerror})")
        except Exception as error:  # noqa: BLE001 - the outer edge: no file may end the backlog
            return Read(unit=unit, state="failed", reason=f"{type(error).__name__} while it was read")

    def close(self) -> None:
        """Give back what is open."""
        self._archives.close()

    def _read(self, unit: Unit) -> Read:
        name = (unit.member or unit.path).lower()
        if name.endswith(_LINES):
            return self._step(unit, _lines, self._parse_line())
        if name.endswith(_MESSAGES):
            return self._step(unit, _messages, self._parse_message)
        if name.endswith((".dcm", *_JSON)):
            return self._whole(unit, self._parse_dicom if name.endswith(".dcm") else self._parse_json)
        with self._open(unit) as file:
            start = file.read(132)
        if start[128:132] == b"DICM":
            return self._whole(unit, self._parse_dicom)
        if _HL7.match(start):
            return self._step(unit, _messages, self._parse_message)
        if name.endswith(".txt"):
            return self._whole(unit, self._parse_note)
        raise Refused("neither the file's suffix nor its content is known here")

    def _open(self, unit: Unit) -> IO[bytes]:
        if unit.member:
            return io.BytesIO(self._archives.read(unit.path, unit.member))
        return Path(unit.path).open("rb")

    def _whole(self, unit: Unit, parse: Callable[[Unit, bytes], list[Piece]]) -> Read:
        with self._open(unit) as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise Refused("the file is too large")
        self.door.store.check_space(len(content))
        pieces = parse(unit, content)
        if not pieces:
            raise Refused("there is nothing in this file")
        return Read(unit=unit, pieces=pieces)

    def _parse_dicom(self, unit: Unit, content: bytes) -> list[Piece]:
        instance = read_file(content)
        arrival, file = prepare(self.door, instance, feed=FEED)
        place = None
        if self.in_place and not unit.member:
            start = len(instance.dataset)
            head = file[: len(file) - start]
            place = Place(digest=arrival.content.digest, path=unit.path, start=len(content) - start, head=head)
        else:
            self.door.store.save(arrival.content, file)
            arrival.content.wait()
        kept = Content(digest=arrival.content.digest, size=arrival.content.size, data=None if place else arrival.content.data)
        return [Piece(number=1, end=len(content), arrival=_on_our_lane(replace(arrival, content=kept)), place=place)]

    def _parse_note(self, unit: Unit, content: bytes) -> list[Piece]:
        name = f"{unit.path}!{unit.member}" if unit.member else unit.path
        return [Piece(number=1, end=len(content), arrival=_on_our_lane(note_arrival(self.door, content, name)))]

    def _parse_json(self, unit: Unit, content: bytes) -> list[Piece]:
        name = unit.member or unit.path
        found = parse_file(content, name, door=self.door, received_at=datetime.now(UTC), feed="fhir")
        whole = isinstance(found, Whole)
        return [
            Piece(number=number, end=len(content), arrival=_on_our_lane(one), whole=whole) for number, one in enumerate(found, 1)
        ]

    def _parse_message(self, part: bytes) -> Arrival:
        (message,) = split_batch(part)
        return parse_message(message, door=self.door, feed="hl7", received_at=datetime.now(UTC))

    def _parse_line(self) -> _Parse:
        around = around_of_feed(self.door, "fhir", datetime.now(UTC))
        return lambda line: parse_resource(check_object(read_json(line)), around)

    def _step(self, unit: Unit, split: "Callable[[IO[bytes], Unit], Iterator[tuple[int, int, bytes]]]", parse: _Parse) -> Read:
        """At most MOST_PARTS of a file from where the last step ended, or the one part that is asked for."""
        self.door.store.check_space(LONGEST_PART)
        pieces: list[Piece] = []
        with self._open_from(unit) as file:
            for number, end, part in split(file, unit):
                if unit.part and number != unit.part:
                    continue
                pieces.append(_piece(number, end, part, parse))
                if unit.part:
                    break
                if len(pieces) >= MOST_PARTS:
                    return Read(unit=unit, pieces=pieces, ended=False, several=True)
        if not pieces and not unit.parts:
            raise Refused("there is nothing in this file")
        return Read(unit=unit, pieces=pieces, several=True)

    def _open_from(self, unit: Unit) -> IO[bytes]:
        """At the byte where the last step ended; a compressed file is unpacked anew up to there."""
        file = self._open(unit)
        if (unit.member or unit.path).lower().endswith(".gz"):
            file = _Unpacked(file)  # type: ignore[assignment] # a file of bytes too
        file.seek(0 if unit.part else unit.position)
        return file


class _Unpacked(gzip.GzipFile):
    """Closes the file that it unpacks."""

    def __init__(self, packed: IO[bytes]) -> None:
        super().__init__(fileobj=packed)
        self._packed = packed

    def close(self) -> None:
        super().close()
        self._packed.close()


def words(error: Refused) -> str:
    """The reason, and its place in the protocol's own words."""
    return f"{error.reason} ({error.where})" if error.where else error.reason


def _on_our_lane(arrival: Arrival) -> Arrival:
    return replace(arrival, feed=FEED, lane=Lane.BACKLOG)


def _piece(number: int, end: int, part: bytes, parse: _Parse) -> Piece:
    try:
        if len(part) > LONGEST_PART:
            raise Refused("it is too long")
        return Piece(number=number, end=end, arrival=_on_our_lane(parse(part)))
    except Refused as error:
        return Piece(number=number, end=end, reason=words(error))


def _lines(file: IO[bytes], unit: Unit) -> Iterator[tuple[int, int, bytes]]:
    """(number of the line, byte after it, its bytes), blank ones left out."""
    number, end = (0, 0) if unit.part else (unit.parts, unit.position)
    while line := file.readline(LONGEST_PART + 1):
        number += 1
        end += len(line)
        while not line.endswith(b"\n") and (more := file.readline(_BLOCK)):  # of one that is too long only the beginning is kept
            end += len(more)
            if more.endswith(b"\n"):
                break
        if line.strip():
            yield number, end, line


def _messages(file: IO[bytes], unit: Unit) -> Iterator[tuple[int, int, bytes]]:
    """(number of the message, byte after it, its bytes); raises Refused when it begins with no MSH, or one is too long."""
    number, at = (0, 0) if unit.part else (unit.parts, unit.position)
    buffer, more = b"", True
    while more:
        block = file.read(_BLOCK)
        more = bool(block)
        buffer += block
        starts = [match.start() for match in _MESSAGE.finditer(buffer)]
        if not starts and not more and buffer.strip() and not number:
            raise Refused("no MSH segment", where="MSH")
        if len(buffer) > LONGEST_PART + _BLOCK and len(starts) < 2:
            raise Refused("a message is too long")
        ends = [*starts, len(buffer)] if not more and starts else starts
        for begin, end in pairwise(ends):
            number += 1
            yield number, at + end, buffer[begin:end]
        if len(ends) > 1:
            at += ends[-1]
            buffer = buffer[ends[-1] :]
