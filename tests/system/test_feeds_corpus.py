"""289 real DICOM, HL7 and FHIR files, many odd or broken on purpose, through the real ports of a running installation.

Each ends in a refusal with a reason in the protocol's own words, or in as many inputs as it has messages or resources.
"""

import csv
import gzip
import json
import os
import re
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from dicom_samples import association
from pydicom import dcmread
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_STORE
from started import Up, peak_mebibytes, running_up, until

FEEDS = Path(os.environ.get("DXSTREAM_TEST_FEEDS", ""))

pytestmark = [
    pytest.mark.skipif(
        not (FEEDS / "INDEX.csv").exists() or not os.environ.get("DXSTREAM_TEST_FEEDS"),
        reason="no real file was sent: set DXSTREAM_TEST_FEEDS to a folder that holds INDEX.csv (kind,path,reason,licence_tier)",
    ),
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),  # pydicom and pynetdicom warn of the files, which are odd on purpose
]

MOST_MEBIBYTES = 2048
#: Series are complete soon, so that their events are seen to end.
CONFIG = """
[dicom.quiet_seconds]
CT = 1
MR = 1
PT = 1
NM = 1
US = 1
XA = 1
[folder.quiet_seconds]
CT = 1
MR = 1
"""


@dataclass
class Fate:
    """What became of one file. ``taken``: how many inputs its sender was told we have; ``names``: as it calls them."""

    kind: str
    path: str
    way: str
    taken: int = 0
    names: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    new: int = 0


def corpus() -> Iterator[tuple[str, str, bytes]]:
    """(kind, path, content)."""
    with (FEEDS / "INDEX.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            yield row["kind"], row["path"], (FEEDS / row["path"]).read_bytes()


class Sender:
    """Sends each file as a hospital would, and writes down what was answered."""

    def __init__(self, up: Up) -> None:
        self.up = up
        self.ports = up.ports
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.ports.http}", timeout=120, trust_env=False)
        self.number = 0

    def send(self, kind: str, path: str, content: bytes) -> Fate:
        before = self._inputs()
        way = {"dicom": self._dicom, "hl7": self._hl7, "fhir": self._fhir}[kind]
        fate = way(path, content)
        fate.new = self._inputs() - before
        return fate

    def _inputs(self) -> int:
        return self.up.ledger.rows("SELECT count(*) AS n FROM inputs")[0]["n"]

    def _dicom(self, path: str, content: bytes) -> Fate:
        try:
            names = dcmread(BytesIO(content), stop_before_pixels=True).file_meta
            start = 144 + int.from_bytes(content[140:144], "little")
            announced = UID(names.MediaStorageSOPClassUID), UID(names.MediaStorageSOPInstanceUID), UID(names.TransferSyntaxUID)
            assert content[132:136] == b"\x02\x00\x00\x00"
            assert all(one.is_valid for one in announced)
        except Exception:  # noqa: BLE001 - whatever pydicom cannot read at all
            return self._drop(path, content, ".dcm")
        return self._store(path, content[start:], *announced)

    def _store(self, path: str, dataset: bytes, sop_class: UID, sop_instance: UID, syntax: UID) -> Fate:
        """C-STORE of the bytes as they are."""
        fate = Fate("dicom", path, "C-STORE")
        request = C_STORE()
        request.MessageID, request.Priority = 1, 0
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sop_class, sop_instance
        request.DataSet = BytesIO(dataset)
        with association(self.ports.dicom, (sop_class, syntax)) as made:
            if not made.is_established:
                fate.refusals = ["no presentation context accepted"]
                return fate
            made._reactor_checkpoint.clear()  # else the reactor would take the answer for a request
            until(lambda: made._is_paused, "the association listens to us alone")
            made.dimse.send_msg(request, made.accepted_contexts[0].context_id)
            _, answer = made.dimse.get_msg(block=True)
            made._reactor_checkpoint.set()
        assert answer is not None, f"{path}: no answer"
        if answer.Status == 0x0000:
            fate.taken, fate.names = 1, [str(sop_instance)]
        else:
            fate.refusals = [f"{answer.Status:04X} {answer.ErrorComment or ''}".strip()]
        return fate

    def _hl7(self, path: str, content: bytes) -> Fate:
        if len(re.findall(rb"(?:\A|(?<=[\r\n\x0b]))MSH\|", content)) > 1 or content[:3] in (b"FHS", b"BHS"):
            return self._drop(path, content, ".hl7")
        fate = Fate("hl7", path, "MLLP")
        with socket.create_connection(("127.0.0.1", self.ports.mllp), timeout=60) as connection:
            connection.sendall(b"\x0b" + content + b"\x1c\r")
            answer = b""
            while not answer.endswith(b"\x1c\r"):
                part = connection.recv(65536)
                assert part, f"{path}: closed without an answer"
                answer += part
        text = answer.decode("utf-8", "replace").strip("\x0b\x1c\r")
        segments = {line[:3]: line.split(text[3]) for line in text.split("\r")}
        code, words = segments["MSA"][1], segments.get("ERR", segments["MSA"])
        if code in ("AA", "CA"):
            fate.taken, fate.names = 1, [segments["MSA"][2]]
        else:
            fate.refusals = [f"{code} {(words[8:9] or segments['MSA'][3:4] or [''])[0]}".strip()]
        return fate

    def _fhir(self, path: str, content: bytes) -> Fate:
        if path.endswith(".ndjson"):
            return self._drop(path, content, ".ndjson")
        content = gzip.decompress(content) if path.endswith(".gz") else content
        fate = Fate("fhir", path, "POST")
        media = "application/fhir+xml" if path.endswith(".xml") else "application/fhir+json"
        answer = self.http.post(f"/fhir/{_type_of(content)}".rstrip("/"), content=content, headers={"Content-Type": media})
        assert answer.status_code < 500, f"{path}: {answer.status_code} {answer.text[:300]}"
        said = answer.json()
        entries = (
            [entry["response"] for entry in said["entry"]]
            if said["resourceType"] == "Bundle"
            else [{"status": str(answer.status_code), "outcome": said}]
        )
        for entry in entries:
            if entry["status"].startswith("2"):
                fate.taken += 1
                fate.names.append(entry.get("location") or answer.headers["Location"].removeprefix("/fhir/"))
            else:
                fate.refusals.append(f"{entry['status'][:3]} {_diagnostics(entry['outcome'])}")
        return fate

    def _drop(self, path: str, content: bytes, suffix: str) -> Fate:
        """Into the inbox, and wait until it lies in one of its corners."""
        fate = Fate(path.split("/", maxsplit=1)[0], path, "inbox")
        self.number += 1
        inbox = self.up.home / "inbox"
        name = f"{self.number}{suffix}"
        (inbox / f".{name}").write_bytes(content)
        (inbox / f".{name}").rename(inbox / name)
        until(lambda: not (inbox / name).exists(), f"{path} leaves the inbox")
        if (inbox / "refused" / name).exists():
            fate.refusals = (inbox / "refused" / f"{name}.reason").read_text().splitlines()
        else:
            assert (inbox / "done" / name).exists()
            fate.taken = max(1, len(re.findall(rb"(?:\A|(?<=[\r\n\x0b]))MSH\|", content)) if suffix == ".hl7" else 1)
        return fate


def _type_of(content: bytes) -> str:
    try:
        kind = json.loads(content).get("resourceType", "")
    except (ValueError, AttributeError):
        return ""
    return "" if kind == "Bundle" else kind


def _diagnostics(outcome: dict) -> str:
    return "; ".join(issue.get("diagnostics", "") for issue in outcome["issue"])


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    home = tmp_path_factory.mktemp("up") / "home"
    (home / "config").mkdir(parents=True)
    (home / "config" / "feeds.toml").write_text(CONFIG)
    with running_up(home) as running:
        yield running


@dataclass
class Run:
    fates: list[Fate]
    before: dict[str, int]
    after: dict[str, int]
    peaks: dict[str, float]


@pytest.fixture(scope="module")
def sent(up):
    """Every file sent once, one after the other, and every event ended."""
    before = up.children()
    sender = Sender(up)
    fates = [sender.send(*one) for one in corpus()]
    sender.http.close()
    up.ledger.settle()
    after = up.children()
    peaks = {name: peak_mebibytes(pid) for name, pid in {**after, "up": up.process.pid}.items()}
    run = Run(fates, before, after, peaks)
    print(table(up, run))
    return run


def table(up: Up, run: Run) -> str:
    """What became of the files, for people."""
    ways = Counter((one.kind, one.way) for one in run.fates)
    refused = Counter((one.kind, re.sub(r"\d+ of \d+: ", "", reason)[:110]) for one in run.fates for reason in one.refusals)
    lines = [f"sent: {sum(ways.values())}", *(f"  {kind} by {way}: {number}" for (kind, way), number in sorted(ways.items()))]
    lines += ["refused:", *(f"  {kind}: {number} × {reason}" for (kind, reason), number in sorted(refused.items()))]
    inputs = up.ledger.count("feed", "disposition", "reason", table="inputs")
    lines += ["inputs:", *(f"  {feed} {what} {number} × {why}" for (feed, what, why), number in sorted(inputs.items()))]
    outcomes = up.ledger.count("modality", "state", "outcome", "reason", table="events")
    lines += ["events:", *(f"  {' '.join(key[:3])} {number} × {key[3]}" for key, number in sorted(outcomes.items()))]
    return "\n".join([*lines, "peak memory, MiB:", *(f"  {name} {peak:.0f}" for name, peak in run.peaks.items())])


def test_every_file_of_the_index_was_sent(sent):
    assert len(sent.fates) == sum(1 for _ in corpus()) > 200


def test_every_file_is_refused_with_a_reason_or_taken(sent):
    assert not [one for one in sent.fates if not one.taken and not one.refusals]
    assert not [one for one in sent.fates if any(not re.search(r"[a-z]{3}", reason) for reason in one.refusals)]


def test_nothing_adds_more_inputs_than_were_acknowledged(sent):
    """A thing that was sent before adds none."""
    assert not [one for one in sent.fates if one.new > one.taken]


def test_every_thing_that_was_acknowledged_is_an_input(sent, up):
    known = {row["sender_id"].partition("\n")[0] for row in up.ledger.inputs()}  # one header is broken over two lines
    assert not [(one.path, name) for one in sent.fates for name in one.names if name not in known]


def test_no_thing_is_two_inputs(sent, up):
    assert sent.fates
    assert not up.ledger.rows("SELECT identity, digest FROM inputs GROUP BY identity, digest HAVING count(*) > 1")


def test_nothing_that_was_refused_as_a_whole_left_an_input(sent):
    assert not [one for one in sent.fates if not one.taken and one.new]


def test_every_input_has_one_disposition(sent, up):
    assert sent.fates
    assert {what for (what,) in up.ledger.count("disposition", table="inputs")} <= {
        "collecting",
        "in_event",
        "timeline",
        "not_used",
    }
    assert not up.ledger.rows("SELECT id FROM inputs WHERE disposition = 'in_event' AND event_id IS NULL")
    assert not up.ledger.rows("SELECT id FROM inputs WHERE disposition = 'not_used' AND reason = ''")


def test_every_event_ends_done(sent, up):
    assert sent.fates
    assert not [(row["id"], row["state"], row["reason"]) for row in up.ledger.events() if row["state"] != "done"]


def test_every_event_that_is_not_predicted_says_why(sent, up):
    assert sent.fates
    assert not [row["id"] for row in up.ledger.events() if row["outcome"] != "predicted" and not row["reason"]]


def test_no_process_died(sent):
    assert sent.after == sent.before


def test_no_process_had_more_than_two_gibibytes(sent):
    assert not {name: peak for name, peak in sent.peaks.items() if peak > MOST_MEBIBYTES}


def test_all_ports_still_answer(sent, up):
    assert sent.fates
    assert up.all_ready()
