"""A canary corpus: marked names, numbers and birth dates, good and broken, over each feed: found nowhere but in the ledger."""

import json
import re
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field

import httpx
import pytest
import redis
from dicom_samples import association, file_of, projection, send_bytes
from fhir_samples import attachment, bundle, document, encounter, loinc, observation
from hl7_sender import header, message, order, result
from started import running_up, until

#: Whatever a patient could be known by. Each is matched in any case.
NAME, NUMBER, BIRTH, BIRTH_ISO, WORD = "ZZCANARYNAME", "ZZCANARY4711", "19430817", "1943-08-17", "ZZCANARYWORD"
CHILD = "20190817"  # a radiograph's patient, whose age the model takes
MARKS = re.compile("zzcanary|19430817|1943-08-17|17.08.1943|20190817", re.IGNORECASE)

TEXT = f"The patient {NAME}, number {NUMBER}, born 17.08.1943, was admitted with {WORD} and shortness of breath and improved."


def text(words=TEXT, kind="TX"):
    return f"OBX|1|{kind}|||{words}||||||F"


def document_header(number, kind="DS"):
    return f"TXA|1|{kind}|TX|20261120093000||||||||{number}"


def pid(number=f"{NUMBER}^^^{NAME}^MR", born=BIRTH):
    return f"PID|1||{number}||{NAME}^{WORD}||{born}|F|||{WORD} Street 1^^{WORD}"


HL7 = {
    "a result": message(header("ORU^R01", "c1"), pid(), order(), result()),
    "a result without a unit": message(header("ORU^R01", "c2"), pid(), order(), result(unit="")),
    "a result in an unknown unit": message(header("ORU^R01", "c3"), pid(), order(), result(unit=NUMBER)),
    "a value that is no number": message(header("ORU^R01", "c4"), pid(), order(), result(value=NAME)),
    "a code that nobody knows": message(header("ORU^R01", "c5"), pid(), order(), result(code=f"LOCAL1^{NAME}^L")),
    "a birth date that is none": message(header("ORU^R01", "c6"), pid(born=f"{NAME}"), order(), result()),
    "no patient number": message(header("ORU^R01", "c7"), pid(number=""), order(), result()),
    "a time that is none": message(header("ORU^R01", "c8"), pid(), order(at=NAME), result()),
    "an admission": message(header("ADT^A01", "c9"), f"EVN|A01|{NAME}", pid(), f"PV1|1|I|ICU^{NAME}|||||||||||||||||V{NUMBER}"),
    "a note": message(header("MDM^T02", "c10"), pid(), document_header(NUMBER), text()),
    "a note of an unknown type": message(header("MDM^T02", "c11"), pid(), document_header("D2", NAME), text()),
    "a message type that is not taken": message(header(f"{NAME}^A99", "c12"), pid()),
    "a version that is none": message(header("ORU^R01", "c13", version=NAME), pid(), order(), result()),
    "a character set that nobody knows": message(header("ORU^R01", "c14", f18=NAME), pid(), order(), result()),
    "bytes that are no characters": message(header("ORU^R01", "c15"), pid(), result()).replace(b"CANARYWORD", b"CANARY\xff\xfe"),
    "no header": f"{pid()}\r".encode(),
    "half a message": message(header("ORU^R01", "c16"), pid(), order(), result())[:90],
    "data that are none": message(header("MDM^T02", "c17"), pid(), document_header("D3"), text(f"^TEXT^^Base64^{NAME}!", "ED")),
    "a merge": message(header("ADT^A40", "c18"), "EVN|A40|20261120093000", pid(), f"MRG|{NAME}"),
}  # fmt: skip

SUBJECT = {"identifier": {"system": f"urn:{NAME}", "value": NUMBER}, "display": NAME}
PATIENT = {
    "resourceType": "Patient",
    "id": NUMBER.lower(),
    "identifier": [{"system": "urn:oid:1.2.3", "value": NUMBER}],
    "name": [{"family": NAME, "given": [WORD]}],
    "birthDate": BIRTH_ISO,
    "gender": "female",
}

PLAIN = {"contentType": "text/plain"}
HERS = {"reference": f"Patient/{NUMBER.lower()}"}

FHIR = {
    "a result": observation(subject=SUBJECT),
    "a result of nobody": observation(subject={"display": NAME}),
    "a result whose status is none": observation(subject=SUBJECT, status=NAME),
    "a result at a time that is none": observation(subject=SUBJECT, effectiveDateTime=NAME),
    "a result of the wrong kind": observation(subject=SUBJECT, valueQuantity=NAME),
    "a result of an unknown code": observation(subject=SUBJECT, code=loinc(NAME)),
    "a result in an unknown unit": observation(subject=SUBJECT, valueQuantity={"value": 1, "unit": NAME, "code": NAME}),
    "a note": document(subject=SUBJECT, content=[{"attachment": attachment(TEXT)}]),
    "a note that is no Base64": document(subject=SUBJECT, content=[{"attachment": PLAIN | {"data": f"{NAME}!"}}]),
    "a note of an unknown type": document(subject=SUBJECT, type=loinc(NAME)),
    "a note elsewhere": document(subject=SUBJECT, content=[{"attachment": PLAIN | {"url": f"http://x/{NAME}"}}]),
    "a stay": encounter(subject=SUBJECT),
    "a patient": PATIENT,
    "a type that is not taken": {"resourceType": NAME, "id": "1"},
    "all of them": bundle("batch", PATIENT, observation(subject=HERS), {"resourceType": NAME}, document(subject=SUBJECT)),
    "a transaction with a fault": bundle("transaction", PATIENT, observation(subject=SUBJECT, status=NAME)),
}  # fmt: skip

WHO = {"PatientID": NUMBER, "PatientName": f"{NAME}^{WORD}", "PatientBirthDate": CHILD}
SCANS = {
    "a radiograph": {},
    "of nobody": {"PatientID": None},
    "born on no day": {"PatientBirthDate": NAME},
    "of an age that is none": {"PatientBirthDate": None, "PatientAge": NAME},
    "taken on no day": {"StudyDate": NAME},
    "of no known body part": {"BodyPartExamined": NAME},
    "of no known view": {"ViewPosition": NAME},
    "of an unknown modality": {"Modality": NAME},
    "without rows": {"Rows": None},
    "too few pixels": {"PixelData": b"ZZCANARY"},
    "a constant": {"PixelData": bytes(256)},
}


@dataclass
class Seen:
    """All that left the ledger's side: answers to senders, and what Redis was told."""

    answers: list[str] = field(default_factory=list)
    told_redis: list[str] = field(default_factory=list)


def send_hl7(port, answers):
    for content in HL7.values():
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(b"\x0b" + content + b"\x1c\r")
            answer = b""
            while not answer.endswith(b"\x1c\r") and (part := connection.recv(65536)):
                answer += part
        answers.append(words_of(answer))
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"\x0b" + HL7["a note"])  # a frame without an end
        connection.shutdown(socket.SHUT_WR)
        answers.append(words_of(connection.recv(65536)))


def words_of(answer):
    """All but the header, which repeats the sender's own."""
    return answer.decode("latin-1").partition("\r")[2]


def send_fhir(port, answers):
    media = {"Content-Type": "application/fhir+json"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
        for resource in FHIR.values():
            kind = resource["resourceType"]
            answer = client.post("/fhir" if kind == "Bundle" else f"/fhir/{kind}", json=resource, headers=media)
            answers.append(json.dumps(without_own_words(answer.json(), resource)))
        for body in (f"{{{NAME}", f'"{NAME}"', f"<{NAME}/>", json.dumps(FHIR["a note"])[:200]):
            answers.append(client.post("/fhir", content=body.encode(), headers=media).text)
        answers.append(
            client.post(
                "/dicom-web/studies",
                content=f"--{NAME}".encode(),
                headers={"Content-Type": f'multipart/related; boundary="{NAME}"'},
            ).text
        )
        answers.append(client.get(f"/{NAME}").text)
        answers.append(client.post("/fhir/Observation", content=NAME.encode(), headers={"Content-Type": f"text/{NAME}"}).text)


def without_own_words(answer, sent):
    """A Bundle's answer names what it was sent by type and id, as FHIR asks; an id is the server's, not the patient's."""
    del sent
    for entry in answer.get("entry", ()):
        entry["response"].pop("location", None)
    return answer


def send_dicom(port, answers):
    for changed in SCANS.values():
        dataset = projection(**(WHO | changed))
        content = file_of(dataset)
        start = 144 + int.from_bytes(content[140:144], "little")
        answer = send_bytes(port, content[start:], sop_class=dataset.SOPClassUID, sop_instance=dataset.SOPInstanceUID)
        answers.append(f"{answer.Status:04X} {answer.ErrorComment or ''}")
    content = file_of(projection(**WHO))
    for broken in (content[400:600], content[400:], f"{NAME}{NUMBER}".encode()):
        answer = send_bytes(port, broken, sop_class="1.2.840.10008.5.1.4.1.1.1.1", sop_instance="1.2.3")
        answers.append(f"{answer.Status:04X} {answer.ErrorComment or ''}")
    with association(port, title="ZZCANARY") as made:
        assert made.is_established


def drop_into_inbox(inbox, answers):
    files = {
        f"{NAME}.dcm": file_of(projection(**WHO)),
        f"{NUMBER}.dcm": file_of(projection(**WHO))[:500],
        f"{NAME}.hl7": HL7["a result in an unknown unit"].replace(b"c3", b"f1"),
        f"{NUMBER}.hl7": HL7["no header"],
        f"{NAME}.json": json.dumps(FHIR["a result whose status is none"]).encode(),
        f"{NUMBER}.json": f'{{"{NAME}'.encode(),
        f"{NAME}.txt": TEXT.encode(),
        f"{NUMBER}.txt": b"\xff\xfe" + NAME.encode(),
        f"{NAME}.zzcanary": b"ZZCANARY",
    }
    for name, content in files.items():
        (inbox / name).write_bytes(content)
    until(lambda: not [path for path in inbox.iterdir() if path.is_file()], "the inbox is empty")
    answers.extend(path.read_text() for path in (inbox / "refused").rglob("*.reason"))


def listen(url, told, ready, stop):
    """Write down every command that Redis is given."""
    with redis.Redis.from_url(url, decode_responses=False) as client, client.monitor() as monitor:
        ready.set()
        for command in monitor.listen():
            told.append(str(command["command"]))
            if stop.is_set():
                return


@pytest.fixture(scope="module", params=["console", "json"])
def seen(request, tmp_path_factory):
    """(up, Seen) after the whole corpus, with every event ended; the log is in the format of ``request.param``."""
    home = tmp_path_factory.mktemp("up") / "home"
    with running_up(home, DXSTREAM_LOG_FORMAT=request.param) as up:
        found, ready, stop = Seen(), threading.Event(), threading.Event()
        url = up.addresses["redis_url"]
        listener = threading.Thread(target=listen, args=(url, found.told_redis, ready, stop))
        listener.start()
        ready.wait(10)
        send_hl7(up.ports.mllp, found.answers)
        send_fhir(up.ports.http, found.answers)
        send_dicom(up.ports.dicom, found.answers)
        drop_into_inbox(home / "inbox", found.answers)
        up.ledger.settle()
        until(lambda: 'dxstream_refused_total{feed="folder"' in up.metrics(), "the refusals are written")
        stop.set()
        with redis.Redis.from_url(url) as client:
            client.ping()  # the listener's last command
            listener.join()
        yield up, found


def test_the_corpus_met_every_feed_and_was_in_part_taken(seen):
    up, _ = seen
    assert {feed for (feed,) in up.ledger.count("feed", table="inputs")} == {"dicom", "hl7", "fhir", "folder"}
    assert up.ledger.events()


def test_no_mark_is_in_the_log(seen):
    up, _ = seen
    assert len(up.log_text()) > 1000
    assert not MARKS.search(up.log_text())


def test_no_mark_is_in_the_log_of_redis(seen):
    up, _ = seen
    assert not [
        path for path in (up.home / "redis").rglob("*") if path.is_file() and MARKS.search(path.read_text(errors="replace"))
    ]


def test_no_mark_is_in_the_metrics(seen):
    up, _ = seen
    assert not MARKS.search(up.metrics())


def test_no_mark_was_ever_told_to_redis(seen):
    _, found = seen
    assert [command for command in found.told_redis if "dxstream.ring" in command], "the rings were listened to"
    assert not [command for command in found.told_redis if MARKS.search(command)]


def test_a_ring_carries_nothing_but_numbers(seen):
    """The body of each Celery message, of which kombu writes Base64."""
    import base64

    _, found = seen
    bodies = [
        base64.b64decode(body)
        for command in found.told_redis
        for body in re.findall(r'"body"\s*:\s*"([^"]+)"', command.replace("\\", ""))
    ]
    assert bodies
    assert all(all(isinstance(hint, int) for hint in json.loads(body)[0][0]) for body in bodies)


def test_no_mark_is_left_in_redis(seen):
    up, _ = seen
    with redis.Redis.from_url(up.addresses["redis_url"]) as client:
        for key in client.scan_iter():
            kept = client.dump(key)
            assert not MARKS.search(f"{key}{kept}")


def test_no_mark_is_in_an_answer_to_a_sender(seen):
    _, found = seen
    assert not [answer for answer in found.answers if MARKS.search(answer)]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("inputs", "reason"),
        ("events", "reason"),
        ("predictions", "details"),
        ("refused_points", "reason"),
        ("tallies", "labels"),
        ("workers", "stage"),
    ],
)
def test_no_mark_is_in_what_operators_read(seen, table, column):
    up, _ = seen
    assert not [row for row in up.ledger.rows(f"SELECT {column} AS words FROM {table}") if MARKS.search(str(row["words"]))]


def test_no_mark_is_in_a_patient_key_or_the_key_of_a_case(seen):
    up, _ = seen
    keys = [row["patient_key"] + row["case_key"] for row in up.ledger.rows("SELECT patient_key, case_key FROM events")]
    assert keys
    assert not [key for key in keys if MARKS.search(key)]


ON_A_THREAD = "import threading; one = threading.Thread(target=int, args=(WORD,)); one.start(); one.join()"


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("fails", ["int(WORD)", ON_A_THREAD], ids=["the main thread", "a thread"])
def test_an_error_that_nobody_expected_is_shown_without_its_words(form, fails):
    """Its text may quote what was sent: ``invalid literal for int()``."""
    code = f"from dxstream.logs import set_up_logging; set_up_logging({form!r}); WORD = {WORD!r}; {fails}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ValueError" in done.stderr
    assert not MARKS.search(done.stderr)
