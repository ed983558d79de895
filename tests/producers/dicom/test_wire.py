"""PDUs from a socket: whole ones, however the system calls come back."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from producers.dicom import wire
from producers.dicom.pdu import DATA, HEADER
from producers.dicom.wire import Gone, Silent, Wire

BODY = bytes(range(256)) * 40
PDU = HEADER.pack(DATA, 0, len(BODY)) + BODY


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end and the peer's."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as theirs:
        ours, _ = server.accept()
        with ours:
            yield ours, theirs


@pytest.fixture
def signalled() -> Iterator[None]:
    """SIGUSR1 does nothing but end the system call that it meets."""
    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
    yield
    signal.signal(signal.SIGUSR1, before)


def read_apart(wire: Wire) -> tuple[threading.Thread, Future[tuple[int, bytes]]]:
    """The next PDU, read by a thread of its own."""
    heard: Future[tuple[int, bytes]] = Future()
    thread = threading.Thread(target=lambda: heard.set_result(wire.read_pdu()))
    thread.start()
    return thread, heard


@pytest.mark.usefixtures("signalled")
@pytest.mark.parametrize("at", [1, 3, 6, 7, 5000])
def test_a_pdu_is_whole_though_signals_cut_its_read_short(ends: tuple[socket.socket, socket.socket], at: int) -> None:
    ours, theirs = ends
    theirs.sendall(PDU[:at])
    thread, heard = read_apart(Wire(ours, seconds=10))
    for _ in range(5):
        time.sleep(0.02)
        signal.pthread_kill(thread.ident or 0, signal.SIGUSR1)
    theirs.sendall(PDU[at:])
    assert heard.result(10) == (DATA, BODY)
    thread.join()


def test_half_a_pdu_and_no_more_is_silence(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(PDU[:100])
    with pytest.raises(Silent):
        Wire(ours, seconds=0.2).read_pdu()


def test_a_peer_that_sends_byte_by_byte_is_not_heard_for_ever(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    enough = threading.Event()

    def trickle() -> None:
        for number in range(len(PDU)):
            if enough.wait(0.05):
                return
            theirs.sendall(PDU[number : number + 1])

    with ThreadPoolExecutor(1) as pool:
        pool.submit(trickle)
        try:
            with pytest.raises(Silent):
                Wire(ours, seconds=0.3).read_pdu()
        finally:
            enough.set()


def test_a_peer_that_closed_is_gone(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(Gone):
        Wire(ours, seconds=10).read_pdu()


def test_after_the_last_word_the_peer_closes_first(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LINGER_SECONDS", 30)
    ours, theirs = ends
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(Wire(ours, seconds=10).end, b"last")
        assert theirs.recv(100) == b"last"
        theirs.settimeout(0.3)
        with pytest.raises(TimeoutError):
            theirs.recv(1)  # neither an end nor a reset
        theirs.sendall(b"what is said now is not heard")
        theirs.shutdown(socket.SHUT_WR)
        ended.result(20)
    assert theirs.recv(1) == b""


def test_a_peer_that_never_closes_is_not_waited_for_for_ever(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LINGER_SECONDS", 0.2)
    ours, theirs = ends
    theirs.settimeout(20)
    Wire(ours, seconds=10).end(b"last")
    assert theirs.recv(100) + theirs.recv(1) == b"last"
