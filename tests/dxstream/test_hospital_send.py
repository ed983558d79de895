import socketserver
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import DigitalXRayImageStorageForPresentation

from dxstream.hospital.book import ACKNOWLEDGED, GIVEN_UP, REFUSED, Book
from dxstream.hospital.lines import Ports
from dxstream.hospital.planning import plan
from dxstream.hospital.send import send_all

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)


class Receiver:
    """Takes everything over all three protocols; the first ``busy`` things over each are put off."""

    def __init__(self, busy=0, msa="AA"):
        self.busy = dict.fromkeys(("dicom", "hl7", "fhir"), busy)
        self.msa = msa
        self.taken = []
        self.lock = threading.Lock()

    def take(self, protocol, sender_id):
        """False: come again."""
        with self.lock:
            self.busy[protocol] -= 1
            if self.busy[protocol] >= 0:
                return False
            self.taken.append(sender_id)
            return True


def scp(receiver):
    application = AE(ae_title="DXSTREAM")
    application.add_supported_context(DigitalXRayImageStorageForPresentation)
    store = lambda event: 0x0000 if receiver.take("dicom", event.dataset.SOPInstanceUID) else 0xA700  # noqa: E731
    return application.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])


def mllp(receiver):
    class Connection(socketserver.BaseRequestHandler):
        def handle(self):
            received = b""
            while part := self.request.recv(65536):
                received += part
                if received.endswith(b"\x1c\r"):
                    control_id = received.split(b"|")[9].decode()
                    received = b""
                    if not receiver.take("hl7", control_id):
                        return
                    self.request.sendall(f"\x0bMSH|^~\\&\rMSA|{receiver.msa}|{control_id}\r\x1c\r".encode())

    return socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)


def http(receiver):
    class Request(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known = self.headers["Authorization"] == "Bearer secret"
            self.send_response(401 if not known else 201 if receiver.take("fhir", body) else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Request)


@contextmanager
def listening(receiver):
    dicom, servers = scp(receiver), [mllp(receiver), http(receiver)]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    port, *others = (server.server_address[1] for server in (dicom, *servers))
    yield Ports(host="127.0.0.1", dicom=port, ae_title="DXSTREAM", mllp=others[0], http=others[1], token="secret")
    dicom.shutdown()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def book(tmp_path):
    return Book(tmp_path / "book.jsonl")


def test_every_thing_of_a_plan_is_sent_and_written_down(book):
    receiver, done, sent = Receiver(), [], plan(12, 4, NOW)
    with listening(receiver) as ports:
        send_all(sent, ports, book, done.append)
    assert len(done) == 12
    expected = [sending.sender_id for case in sent.cases() for sending in case.sendings]
    assert sorted(entry.sender_id for entry in book.entries()) == sorted(expected)
    assert {entry.outcome for entry in book.entries()} == {ACKNOWLEDGED}
    assert {entry.answer for entry in book.entries()} == {"0x0000", "AA", "201"}
    assert len(receiver.taken) == len(expected)


def test_the_messages_of_a_stay_arrive_in_order(book):
    receiver, sent = Receiver(), plan(12, 4, NOW)
    with listening(receiver) as ports:
        send_all(sent, ports, book, lambda _: None)
    for case in sent.stays():
        sender_ids = [sending.sender_id for sending in case.sendings]
        assert [one for one in receiver.taken if one in sender_ids] == sender_ids


def test_what_is_put_off_is_sent_again_until_it_is_taken(book):
    receiver, sent = Receiver(busy=4), plan(6, 4, NOW)
    with listening(receiver) as ports:
        send_all(sent, ports, book, lambda _: None)
    assert {entry.outcome for entry in book.entries()} == {ACKNOWLEDGED}
    assert len(book.entries()) == sum(len(case.sendings) for case in sent.cases())


def test_a_refusal_of_the_content_is_final(book):
    receiver = Receiver(msa="AE")
    with listening(receiver) as ports:
        send_all(plan(3, 4, NOW), ports, book, lambda _: None)
    assert {entry.outcome for entry in book.entries() if entry.kind == "stay"} == {REFUSED}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom forgets to close a socket
def test_a_receiver_that_is_never_there_is_given_up(book):
    receiver = Receiver()
    with listening(receiver) as ports:
        pass
    send_all(plan(3, 4, NOW), ports, book, lambda _: None, patience=0.5)
    assert {entry.outcome for entry in book.entries()} == {GIVEN_UP}


def test_it_stops_when_it_is_asked_to(book):
    stop = threading.Event()
    stop.set()
    with listening(Receiver()) as ports:
        send_all(plan(30, 4, NOW), ports, book, lambda _: None, stop=stop)
    assert book.entries() == []


def test_the_token_is_never_shown(book):
    assert "secret" not in repr(Ports(host="h", dicom=1, ae_title="A", mllp=2, http=3, token="secret"))
