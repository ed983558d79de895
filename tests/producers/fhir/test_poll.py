"""A foreign FHIR server is polled: pages, equal times, late updates, restarts, faults, kills; nothing is lost or doubled."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fhir_samples import (
    NOTE,
    ForeignServer,
    ago,
    configure,
    document,
    encounter,
    foreign_server,
    observation,
    patient,
    quantity,
    rows,
    running_http,
)

from db.cursors import read_cursor
from db.tables import cases, inputs, points
from producers.door import Door
from producers.fhir import failing, page, poll
from producers.fhir.client import AwayError, get
from producers.fhir.fetch import Fetcher
from producers.fhir.gzipped import TooLargeError
from producers.fhir.origins import Origins
from producers.fhir.poll import OVERLAP, Poller
from producers.fhir.resource import READERS
from producers.fhir.servers import Server
from stream.errors import Refused, Temporary


@pytest.fixture
def foreign() -> Iterator[ForeignServer]:
    with foreign_server() as server:
        yield server


def a_poller(door: Door, foreign: ForeignServer, *types: str, every: float = 30.0) -> Poller:
    server = Server(name="ehr", url=foreign.url, token="shown", types=types or ("Observation",), every_seconds=every)
    return Poller(Origins(door, {"ehr": server}, lambda *_: None), server)


def a_poller_of_attachments(door: Door, foreign: ForeignServer, *types: str) -> Poller:
    servers = {"ehr": Server(name="ehr", url=foreign.url, types=types, attachments=True)}
    return Poller(Origins(door, servers, Fetcher(servers).fetch), servers["ehr"])


def letter(name: str, url: str) -> dict[str, object]:
    return document(id=name, content=[{"attachment": {"contentType": "text/plain", "url": url}}])


@pytest.fixture
def one_broken(foreign: ForeignServer) -> ForeignServer:
    """Three documents and an Encounter; what is behind ``Binary/bad`` is answered 500."""
    answer = foreign.answer

    def answer_all_but_one(request) -> None:
        if request.path.endswith("Binary/bad"):
            foreign.asked.append(request.path)
            request.send_error(500)
        else:
            answer(request)

    foreign.answer = answer_all_but_one  # type: ignore[method-assign]
    foreign.files["Binary/good"] = ("text/plain", NOTE.encode())
    foreign.hold(letter("d1", "Binary/good"), letter("d2", "Binary/bad"), letter("d3", "Binary/good"), at=ago(minutes=9))
    foreign.hold(encounter(), at=ago(minutes=9))
    return foreign


def results(count: int, first: int = 0) -> list[dict[str, object]]:
    return [
        observation(id=f"o{place}", valueQuantity=quantity(100 + place % 60, "mmol/L")) for place in range(first, first + count)
    ]


def sent(door: Door) -> set[str]:
    return {row["sender_id"] for row in rows(door, inputs)}


def cursor(door: Door, kind: str = "Observation") -> datetime | None:
    with door.intake.database.read() as connection:
        return read_cursor(connection, f"fhir:ehr:{kind}")


def until(what: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_all_pages_are_read_once_and_the_cursor_moves(door, foreign):
    foreign.most = 7
    for place, one in enumerate(results(50)):
        foreign.hold(one, at=ago(minutes=60 - place))
    poller = a_poller(door, foreign)
    assert (poller.poll(), poller.poll(), len(rows(door, inputs))) == (50, 0, 50)
    assert abs(cursor(door) - ago(minutes=11)) < timedelta(seconds=10)
    assert set(foreign.tokens) == {"Bearer shown"}


def test_equal_time_stamps_over_several_pages_are_not_lost(door, foreign):
    foreign.most = 3
    foreign.hold(*results(20), at=ago(minutes=5))
    poller = a_poller(door, foreign)
    poller.poll()
    foreign.hold(*results(4, first=20), at=ago(minutes=5))  # of the same moment, committed there only now
    poller.poll()
    assert len(sent(door)) == 24


def test_what_the_server_shows_later_than_it_dated_it_is_read_within_the_overlap(door, foreign):
    foreign.hold(*results(1), at=ago(seconds=2))
    poller = a_poller(door, foreign)
    poller.poll()
    foreign.hold(*results(1, first=1), at=ago(seconds=OVERLAP.total_seconds() - 10))
    poller.poll()
    assert sent(door) == {"Observation/o0", "Observation/o1"}


def test_a_late_update_is_a_new_version_of_the_same_result(door, foreign):
    poller = a_poller(door, foreign)
    foreign.hold(observation(), at=ago(minutes=3))
    poller.poll()
    foreign.hold(observation(status="corrected", valueQuantity=quantity(150, "mmol/L")), at=ago(minutes=1))
    poller.poll()
    assert [point["value"] for point in rows(door, points)] == [150]


def test_after_a_kill_it_goes_on_from_the_last_page_that_was_committed(door, foreign):
    foreign.most = 5
    for place, one in enumerate(results(30)):
        foreign.hold(one, at=ago(minutes=90 - 2 * place))
    poller = a_poller(door, foreign)
    read_page, reads = poller._read_page, []

    def dies_at_the_fourth(address: str) -> list:
        reads.append(address)
        if len(reads) == 4:
            raise Temporary("killed")
        return read_page(address)

    poller._read_page = dies_at_the_fourth
    with pytest.raises(Temporary):
        poller.poll()
    assert len(sent(door)) == 15
    begin = cursor(door)
    assert begin
    assert a_poller(door, foreign).poll() == 16  # the last of the third page lies within the overlap
    assert len(rows(door, inputs)) == 30


def test_the_cursor_does_not_move_before_the_commit(door, foreign, monkeypatch):
    foreign.hold(*results(3), at=ago(minutes=3))
    poller = a_poller(door, foreign)
    monkeypatch.setattr(poll, "COMMIT_SECONDS", 0.05)
    with door.intake.database.write() as _, pytest.raises(Temporary):
        poller.poll()
    assert cursor(door) is None
    until(lambda: len(rows(door, inputs)) == 3)
    poller.poll()
    assert (len(rows(door, inputs)), cursor(door) is None) == (3, False)


def test_a_server_that_does_not_sort_moves_the_cursor_only_at_the_end(door, foreign, monkeypatch):
    foreign.most, foreign.sorts = 5, False
    for place, one in enumerate(results(12)):
        foreign.hold(one, at=ago(minutes=60 - place))
    poller = a_poller(door, foreign)
    moved: list[int] = []
    monkeypatch.setattr(poller, "_move", lambda *_: moved.append(len(rows(door, inputs))))
    poller.poll()
    assert moved == [12]


@pytest.mark.parametrize("status", [500, 503, 429, 401, 404, 302])
def test_an_error_loses_nothing(door, foreign, status):
    foreign.hold(*results(3), at=ago(minutes=3))
    foreign.answers = [status]
    poller = a_poller(door, foreign)
    with pytest.raises(Temporary):
        poller.poll()
    assert cursor(door) is None
    assert poller.poll() == 3


def test_a_type_that_the_server_does_not_have_stops_no_other(door, foreign):
    foreign.hold(*results(2), at=ago(minutes=3))
    foreign.answers = [404]
    assert (a_poller(door, foreign, "Patient", "Observation").poll(), len(sent(door))) == (2, 2)


def test_an_attachment_that_cannot_be_had_stops_neither_its_page_nor_the_types_after_it(door, one_broken):
    poller = a_poller_of_attachments(door, one_broken, "DocumentReference", "Encounter")
    assert poller.poll() == 3
    assert sent(door) == {"DocumentReference/d1", "DocumentReference/d3", "Encounter/e1"}
    assert (cursor(door, "DocumentReference"), cursor(door, "Encounter") is None) == (None, False)


def test_an_attachment_that_comes_late_is_read_by_a_later_poll(door, one_broken):
    poller = a_poller_of_attachments(door, one_broken, "DocumentReference")
    poller.poll()
    del one_broken.answer
    one_broken.files["Binary/bad"] = ("text/plain", NOTE.encode())
    assert (poller.poll(), sent(door)) == (1, {"DocumentReference/d1", "DocumentReference/d2", "DocumentReference/d3"})
    assert cursor(door, "DocumentReference")


def test_an_attachment_that_never_comes_is_given_up_with_the_reason(door, one_broken, monkeypatch):
    monkeypatch.setattr(failing, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(failing, "MOST_PAUSE", 0.0)
    poller = a_poller_of_attachments(door, one_broken, "DocumentReference")
    until(lambda: poller.poll() == 0 and cursor(door, "DocumentReference") is not None)
    (given_up,) = [row for row in rows(door, inputs) if row["sender_id"] == "DocumentReference/d2"]
    assert (given_up["disposition"], given_up["reason"]) == (
        "not_used",
        "attachment cannot be fetched: the server answers 500",
    )


def test_attachments_that_take_too_long_wait_for_the_next_poll_and_the_other_documents_do_not(door, foreign, monkeypatch):
    monkeypatch.setattr(page, "ATTACHMENTS_SECONDS", 0.0)
    foreign.files["Binary/good"] = ("text/plain", NOTE.encode())
    foreign.hold(letter("d1", "Binary/good"), document(id="d2"), at=ago(minutes=9))
    poller = a_poller_of_attachments(door, foreign, "DocumentReference")
    assert (poller.poll(), sent(door)) == (1, {"DocumentReference/d2"})
    monkeypatch.setattr(page, "ATTACHMENTS_SECONDS", 60.0)
    assert (poller.poll(), len(sent(door))) == (1, 2)


def test_a_server_that_was_started_again_between_two_pages_is_read_from_the_last_one(door, foreign, monkeypatch):
    foreign.most = 5
    for place, one in enumerate(results(10)):
        foreign.hold(one, at=ago(minutes=60 - 3 * place))
    poller = a_poller(door, foreign)
    move = poller._move

    def restarts_the_server(kind: str, position: datetime) -> None:
        move(kind, position)
        if len(foreign.asked) == 1:
            foreign.stop()
            foreign.start()

    monkeypatch.setattr(poller, "_move", restarts_the_server)
    with pytest.raises(Temporary, match="410"):
        poller.poll()
    poller.poll()
    assert len(sent(door)) == 10


def test_a_server_that_is_away_is_left_alone_longer_each_time_and_then_found_again(door, foreign):
    foreign.stop()
    poller = a_poller(door, foreign, every=1.0)
    pauses = [poller._try() for _ in range(12)]
    assert pauses[:4] == [1, 2, 4, 8]
    assert max(pauses) == poll.MOST_PAUSE
    foreign.start()
    foreign.hold(*results(1), at=ago(minutes=1))
    assert (poller._try(), len(sent(door))) == (1.0, 1)


def test_it_waits_as_long_as_the_server_asks(door, foreign):
    poller = a_poller(door, foreign, every=1.0)
    assert poller._after(AwayError("the server answers 503", after=120.0)) == 120


def test_pages_that_are_too_large_are_asked_for_in_smaller_pieces(door, foreign, monkeypatch):
    monkeypatch.setattr(poll, "PAGE_BYTES", 3000)
    foreign.hold(*results(40), at=ago(minutes=3))
    poller = a_poller(door, foreign)
    for _ in range(5):
        poller._try()
    assert len(sent(door)) == 40


def test_the_next_page_is_followed_on_the_same_server_only(door, foreign):
    foreign.most, foreign.elsewhere = 2, True
    foreign.hold(*results(3), at=ago(minutes=3))
    with pytest.raises(Refused, match="not on this server"):
        a_poller(door, foreign).poll()


def test_a_page_that_is_its_own_next_page_ends(door, foreign, monkeypatch):
    foreign.hold(*results(1), at=ago(minutes=3))
    poller = a_poller(door, foreign)
    read_page = poller._read_page

    def again(address: str) -> list:
        found = read_page(address)
        poller._next = address
        return found

    poller._read_page = again
    with pytest.raises(Temporary, match="do not end"):
        poller.poll()


def test_what_cannot_be_read_is_kept_with_the_reason_and_the_rest_is_taken(door, foreign):
    foreign.hold(observation(id="broken", status=None), *results(2), at=ago(minutes=3))
    poller = a_poller(door, foreign)
    poller.poll()
    poller.poll()
    reasons = [row["reason"] for row in rows(door, inputs) if row["reason"]]
    assert reasons == ["refused: status is missing or no string (Observation.status)"]
    assert len(rows(door, inputs)) == 3


def test_a_resource_whose_reading_ends_in_an_error_that_nobody_expected_stops_no_poll(door, foreign, monkeypatch, caplog):
    read = READERS["Observation"]

    def sometimes(resource, *more):
        if resource["id"] == "odd":
            raise KeyError("CANARY")
        return read(resource, *more)

    monkeypatch.setitem(READERS, "Observation", sometimes)
    foreign.hold(observation(id="odd"), *results(2), encounter(), at=ago(minutes=3))
    a_poller(door, foreign, "Observation", "Encounter").poll()
    assert [row["reason"] for row in rows(door, inputs)].count("refused: it cannot be read") == 1
    assert len(rows(door, inputs)) == 4
    assert "CANARY" not in caplog.text
    assert "error=KeyError at=test_poll.py:" in caplog.text


def test_resources_with_anything_in_any_place_never_stop_a_poll(door, foreign):
    odd = (
        None,
        True,
        10**400,
        "",
        "\x00",
        "\ud800",
        "1" * 400,
        [],
        {},
        [[]],
        [{}],
        {"reference": "#"},
        "2026-02-30",
        "entered-in-error",
    )
    base = observation(component=[{"code": {"coding": [{"code": "8480-6"}]}}], contained=[patient()], identifier=[{"value": "1"}])
    for number, (name, value) in enumerate((name, value) for name in base for value in odd):
        one = base | {"id": f"o{number}", name: value, "resourceType": "Observation"}
        foreign.held.append(one | {"meta": {"lastUpdated": ago(minutes=10).isoformat()}})
    poller = a_poller(door, foreign)
    assert poller.poll() > 100
    assert (poller.poll(), len(rows(door, inputs)) > 100) == (0, True)


def test_a_date_in_the_future_hides_nothing(door, foreign):
    foreign.hold(*results(1), at=datetime.now(UTC) + timedelta(days=400))
    poller = a_poller(door, foreign)
    poller.poll()
    foreign.hold(*results(1, first=1))
    poller.poll()
    assert len(sent(door)) == 2


def test_patients_are_read_first_so_that_a_stay_knows_age_and_sex(door, foreign):
    foreign.hold(encounter(location=[encounter()["location"][0]]), patient(), at=ago(minutes=3))
    configure(door, f'[fhir.servers.ehr]\nurl = "{foreign.url}"\ntypes = ["Encounter", "Patient"]\nevery_seconds = 1\n')
    with running_http(door):
        until(lambda: len(rows(door, cases)) == 1)
    assert rows(door, cases)[0]["facts"] == {"age_years": 75, "sex": "female", "setting": "icu"}


def test_an_empty_notification_has_the_server_polled_at_once(door, foreign):
    configure(door, f'[fhir.servers.ehr]\nurl = "{foreign.url}"\ntypes = ["Observation"]\nevery_seconds = 3600\n')
    with running_http(door) as client:
        until(lambda: bool(foreign.asked))
        foreign.hold(*results(1))
        answer = client.post("/fhir/subscription-hook/ehr")
        assert (answer.status_code, answer.json()["resourceType"]) == (200, "OperationOutcome")
        until(lambda: len(rows(door, inputs)) == 1)


def test_a_slow_server_delays_no_answer_and_no_other_server(door, foreign):
    foreign.slow = 3.0
    with foreign_server() as quick:
        quick.hold(*results(1), at=ago(minutes=1))
        configure(
            door,
            f'[fhir.servers.slow]\nurl = "{foreign.url}"\ntypes = ["Observation"]\n'
            f'[fhir.servers.quick]\nurl = "{quick.url}"\ntypes = ["Observation"]\n',
        )
        with running_http(door) as client:
            began = time.monotonic()
            assert client.post("/fhir/Observation", json=observation()).status_code == 201
            until(lambda: len(rows(door, inputs)) == 2)
            assert time.monotonic() - began < 2.5


def test_a_server_that_drips_is_ended_by_the_clock(foreign):
    dripping = threading.Event()

    def drip(request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        while not dripping.wait(0.05):
            try:
                request.wfile.write(b" ")
                request.wfile.flush()
            except OSError:
                return

    foreign.answer = drip
    began = time.monotonic()
    with pytest.raises(AwayError):
        get(Server(name="ehr", url=foreign.url), f"{foreign.url}/x", accept="*/*", limit=10**6, seconds=0.5)
    dripping.set()
    assert time.monotonic() - began < 3


def test_an_answer_that_was_cut_off_is_no_answer(foreign):
    def cut_off(request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"{}")

    foreign.answer = cut_off
    with pytest.raises(AwayError, match="cut off"):
        get(Server(name="ehr", url=foreign.url), f"{foreign.url}/x", accept="*/*", limit=10**6, seconds=5)


def test_an_answer_over_the_limit_is_refused_without_being_read(foreign):
    foreign.files["large"] = ("text/plain", b"x" * 2_000_000)
    with pytest.raises(TooLargeError):
        get(Server(name="ehr", url=foreign.url), f"{foreign.url}/large", accept="*/*", limit=1000, seconds=5)


def test_an_error_that_nobody_foresaw_ends_no_polling(door, foreign, monkeypatch):
    poller = a_poller(door, foreign, every=0.01)
    read_page, tries = poller._read_page, []

    def fail_first(address: str) -> list[dict[str, object]]:
        tries.append(address)
        if len(tries) == 1:
            raise KeyError("a bug of ours")
        return read_page(address)

    monkeypatch.setattr(poller, "_read_page", fail_first)
    monkeypatch.setattr(poll, "LEAST_PAUSE", 0.01)
    foreign.hold(*results(1), at=ago(minutes=1))
    poller.start()
    until(lambda: len(sent(door)) == 1)
    poller.stop()
