"""The console on the feeds' port, over a real socket: what it answers, what it refuses, and what it writes down."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from consoles import TOKEN, Open
from ledger_samples import put_event

from console.app import LOOK
from db.engine import Database
from db.tables import actions, events
from dxstream import roles
from producers.door import Door
from stream.settings import Settings

Opener = Callable[..., Open]

#: Every page that needs no event, patient or picture to be there.
PLAIN = [path for path in LOOK if "{" not in path]


def put(one: Open, *many: dict) -> list[int]:
    with one.door.intake.database.write() as (connection, now):
        return [put_event(connection, now, number, **values) for number, values in enumerate(many)]


def dead(number: int, reason: str = "broken") -> list[dict]:
    return [{"state": "dead", "outcome": "", "reason": reason, "stage": "infer"}] * number


def rows(one: Open, query: sa.Select) -> list[tuple]:
    with one.door.intake.database.read() as connection:
        return [tuple(row) for row in connection.execute(query)]


def states(one: Open) -> list[str]:
    return [state for (state,) in rows(one, sa.select(events.c.state).order_by(events.c.id))]


def test_an_empty_ledger_has_every_page(console: Opener):
    client = console().client
    answers = {path: client.get(path) for path in PLAIN}
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(PLAIN, 200)


def test_no_answer_may_be_framed_load_from_elsewhere_or_run_what_stands_in_it(console: Opener):
    one = console()
    put(one, {})
    for path in [*PLAIN, "/events/1", "/events/2", "/sign-in", "/console/console.css", "/console/none"]:
        headers = one.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "same-origin")


def test_pages_carry_no_style_and_no_script_of_their_own(console: Opener):
    one = console()
    put(one, {}, *dead(2))
    for path in (*PLAIN, "/events/1", "/patients/key1"):
        assert not re.search(r"\sstyle=|\son\w+=|<script(?! src)|<style", one.client.get(path).text)


def test_what_a_sender_calls_its_reason_is_shown_as_text(console: Opener):
    one = console()
    put(one, {"outcome": "rejected", "reason": "<script>alert(1)</script>", "facts": {"body_part": "<img src=x>"}})
    for path in ("/events", "/events/1", "/dead"):
        assert "<script>alert" not in one.client.get(path).text
    assert "<img src=x>" not in one.client.get("/events/1").text


def test_what_is_not_there_is_404(console: Opener):
    one = console()
    put(one, {})
    for path in ("/events/999", "/patients/nobody", "/events/999/image.png", "/events/1/heat.png", "/console/secret"):
        assert one.client.get(path).status_code == 404


def test_the_feeds_go_on_beside_it(console: Opener):
    client = console().client
    assert client.get("/fhir/metadata").json()["resourceType"] == "CapabilityStatement"
    assert client.get("/healthz").text == "alive"


def test_with_a_token_pages_ask_to_sign_in_and_senders_still_use_theirs(console: Opener):
    one = console(console_token=TOKEN, http_token="the senders'")
    answer = one.client.get("/events?state=dead")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?to=%2Fevents%3Fstate%3Ddead")
    assert one.client.get("/fhir/metadata").status_code == 401
    assert one.client.get("/fhir/metadata", headers={"Authorization": "Bearer the senders'"}).status_code == 200
    assert one.client.get("/events", headers={"Authorization": "Bearer the senders'"}).status_code == 303


def test_signing_in_opens_the_pages_and_signing_out_closes_them(console: Opener):
    one = console(console_token=TOKEN)
    answer = one.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/dead")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    assert "Ada" in one.client.get("/dead").text
    one.client.post("/sign-out", data={"csrf": one.form()})
    assert one.client.get("/dead").status_code == 303


def test_a_wrong_token_or_no_name_is_403(console: Opener):
    one = console(console_token=TOKEN)
    for name, token in (("Ada", "wrong"), ("Ada", ""), ("", TOKEN)):
        assert one.sign_in(name, token).status_code == 403


def test_signing_in_never_leads_elsewhere(console: Opener):
    client = console(console_token=TOKEN).client
    for onward in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        answer = client.post("/sign-in", data={"name": "Ada", "token": TOKEN, "to": onward})
        assert answer.headers["location"] == "/"


def test_without_a_token_nothing_can_be_done(console: Opener):
    one = console()
    put(one, *dead(1))
    answer = one.client.post("/dead/act", data={"act": "retry", "event": "1", "csrf": ""})
    assert (answer.status_code, states(one)) == (403, ["dead"])
    assert "Read-only" in answer.text


@pytest.mark.parametrize("more", [{}, {"csrf": "0" * 64}])
def test_a_form_that_is_not_of_our_page_does_nothing(console: Opener, more: dict):
    one = console(console_token=TOKEN)
    put(one, *dead(1))
    one.sign_in()
    assert one.client.post("/dead/act", data={"act": "retry", "event": "1", **more}).status_code == 403
    assert states(one) == ["dead"]


def test_a_form_that_another_page_sends_does_nothing(console: Opener):
    one = console(console_token=TOKEN)
    put(one, *dead(1))
    one.sign_in()
    sent = {"act": "drop", "event": "1", "csrf": one.form()}
    assert one.client.post("/dead/act", data=sent, headers={"Origin": "https://evil.example"}).status_code == 403
    assert rows(one, sa.select(actions.c.id)) == []


def test_asking_for_confirmation_does_nothing_yet(console: Opener):
    one = console(console_token=TOKEN)
    put(one, *dead(3))
    one.sign_in()
    text = one.client.post("/dead/confirm", data={"act": "drop", "event": ["1", "2"], "csrf": one.form()}).text
    assert "Drop 2 events?" in text
    assert (states(one), rows(one, sa.select(actions.c.id))) == (["dead"] * 3, [])


def test_one_event_is_retried_and_the_other_stays_dead(console: Opener):
    one = console(console_token=TOKEN)
    put(one, *dead(2))
    one.sign_in()
    one.client.post("/dead/act", data={"act": "retry", "event": "1", "reason": "disk mended", "csrf": one.form()})
    assert states(one) == ["waiting", "dead"]
    written = rows(one, sa.select(actions.c.who, actions.c.act, actions.c.event_id, actions.c.reason, actions.c.before))
    assert written == [("Ada", "retry", 1, "disk mended", "broken")]


def test_a_whole_group_is_dropped_and_its_rows_stay(console: Opener):
    one = console(console_token=TOKEN)
    put(one, *dead(3), *dead(1, reason="another"))
    one.sign_in()
    group = '["scan", "infer", "broken"]'
    assert group.replace('"', "&#34;") in one.client.get("/dead").text
    one.client.post("/dead/act", data={"act": "drop", "group": group, "csrf": one.form()})
    assert states(one) == ["dead"] * 4
    reasons = rows(one, sa.select(events.c.reason).order_by(events.c.id))
    assert reasons == [("dropped: broken",)] * 3 + [("another",)]
    assert len(rows(one, sa.select(actions.c.id))) == 3


def test_what_is_not_dead_is_not_touched(console: Opener):
    one = console(console_token=TOKEN)
    put(one, {}, {"state": "leased", "outcome": "", "fence": 7})
    one.sign_in()
    one.client.post("/dead/act", data={"act": "retry", "event": ["1", "2", "77"], "csrf": one.form()})
    assert states(one) == ["done", "leased"]
    assert rows(one, sa.select(actions.c.id)) == []


def test_a_form_that_makes_no_sense_is_404_and_does_nothing(console: Opener):
    one = console(console_token=TOKEN)
    put(one, *dead(1))
    one.sign_in()
    csrf = one.form()
    for sent in ({"act": "delete", "event": "1"}, {"act": "retry", "group": "[]"}, {"act": "retry", "group": "{"}, {"event": "1"}):
        assert one.client.post("/dead/act", data={**sent, "csrf": csrf}).status_code == 404
    assert states(one) == ["dead"]


def test_a_body_that_is_longer_than_any_form_does_nothing(console: Opener):
    one = console(console_token=TOKEN)
    one.sign_in()
    assert one.client.post("/dead/act", data={"act": "retry", "csrf": one.form(), "event": "1" * 300_000}).status_code == 403


def test_a_query_that_makes_no_sense_is_a_page_all_the_same(console: Opener):
    one = console()
    put(one, {}, {})
    queries = (
        "since=yesterday",
        "before=-1",
        "after=x",
        "before=" + "9" * 30,
        "modality=%00",
        "n=é",
        "days=0",
        "until=9999-12-31T23:59",
    )
    for path in ("/events", "/events/1", "/dead"):
        assert [one.client.get(f"{path}?{query}").status_code for query in queries] == [200] * len(queries)


def test_a_database_that_is_away_is_said_and_the_next_look_finds_it_again(console: Opener):
    one = console()
    there, one.console.site.database = one.console.site.database, Database("postgresql://nobody@127.0.0.1:1/none")
    try:
        answer = one.client.get("/events")
    finally:
        one.console.site.database.close()
        one.console.site.database = there
    assert (answer.status_code, "he database cannot be used" in answer.text) == (503, True)
    assert one.client.get("/events").status_code == 200


def test_off_loopback_without_a_token_the_feeds_are_served_without_it_and_the_log_says_why(door: Door, tmp_path: Path, caplog):
    settings = Settings.from_environment({"DXSTREAM_BIND": "0.0.0.0"}, home=tmp_path)
    assert roles._console(settings, door) is None
    assert "DXSTREAM_CONSOLE_TOKEN" in caplog.text


def test_no_page_is_kept_by_a_cache_on_the_way(console: Opener):
    assert console().client.get("/events").headers["cache-control"] == "no-store"
