"""Who may look and who may act: rules of the console, without any socket."""

from dataclasses import replace
from pathlib import Path

import pytest

from console import access as access_module
from console.access import COOKIE, MOST_FAILURES, Access, Visitor
from stream.settings import BadSettingError, Settings

HERE = {"host": "127.0.0.1:8080"}


def rules(tmp_path: Path, **given: str) -> Access:
    return Access(replace(Settings.from_environment({}, home=tmp_path), **given))


def test_on_loopback_without_a_token_everybody_looks_and_nobody_acts(tmp_path):
    visitor = rules(tmp_path).visitor(HERE, {}, "127.0.0.1")
    assert (visitor.may_look, visitor.may_act) == (True, False)


def test_off_loopback_it_does_not_start_and_says_what_to_set(tmp_path):
    with pytest.raises(BadSettingError, match="DXSTREAM_CONSOLE_TOKEN"):
        rules(tmp_path, bind="0.0.0.0")


@pytest.mark.parametrize("given", [{"console_token": "t"}, {"console_user_header": "X-User"}])
def test_off_loopback_a_token_or_a_proxy_lets_it_start_and_nobody_look_unnamed(tmp_path, given):
    visitor = rules(tmp_path, bind="0.0.0.0", **given).visitor(HERE, {}, "10.0.0.9")
    assert not visitor.may_look


@pytest.mark.parametrize("host", ["evil.example:8080", "127.0.0.1.evil.example", "", "localhost.evil.example:80"])
def test_a_page_of_another_name_that_points_here_sees_nothing(tmp_path, host):
    assert not rules(tmp_path).visitor({"host": host}, {}, "127.0.0.1").may_look


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1", "[::1]:8080", "[::1]"])
def test_this_machine_by_any_of_its_names_may_look(tmp_path, host):
    assert rules(tmp_path).visitor({"host": host}, {}, "127.0.0.1").may_look


def test_the_proxys_header_names_the_visitor_only_when_it_comes_from_a_trusted_proxy(tmp_path):
    access = rules(tmp_path, bind="0.0.0.0", console_user_header="X-Remote-User", console_proxies="10.1.0.0/16")
    headers = {**HERE, "x-remote-user": "grace"}
    assert access.visitor(headers, {}, "10.1.2.3").name == "grace"
    assert not access.visitor(headers, {}, "10.2.0.1").may_look
    assert not access.visitor(headers, {}, "127.0.0.1").may_look


def test_proxies_that_are_no_addresses_are_named(tmp_path):
    with pytest.raises(BadSettingError, match="DXSTREAM_CONSOLE_PROXIES"):
        rules(tmp_path, console_user_header="X-User", console_proxies="the proxy")


def test_a_token_gives_a_cookie_that_names_the_visitor(tmp_path):
    access = rules(tmp_path, console_token="t")
    cookie = access.sign_in("Ada", "t")
    assert access.visitor(HERE, {COOKIE: cookie}, "127.0.0.1").name == "Ada"


@pytest.mark.parametrize(
    "change", [lambda c: c[:-1] + ("0" if c[-1] != "0" else "1"), lambda c: "x" + c, lambda c: c.partition(".")[0]]
)
def test_a_cookie_that_was_changed_names_nobody(tmp_path, change):
    access = rules(tmp_path, console_token="t")
    assert not access.visitor(HERE, {COOKIE: change(access.sign_in("Ada", "t"))}, "127.0.0.1").may_look


def test_a_cookie_ends(tmp_path, monkeypatch):
    access = rules(tmp_path, console_token="t")
    monkeypatch.setattr(access_module, "SESSION_SECONDS", -1)
    assert not access.visitor(HERE, {COOKIE: access.sign_in("Ada", "t")}, "127.0.0.1").may_look


def test_another_installations_cookie_names_nobody(tmp_path):
    cookie = rules(tmp_path, console_token="other").sign_in("Ada", "other")
    assert not rules(tmp_path, console_token="t").visitor(HERE, {COOKIE: cookie}, "127.0.0.1").may_look


def test_after_many_wrong_tokens_even_the_right_one_waits(tmp_path):
    access = rules(tmp_path, console_token="t")
    assert [access.sign_in("Ada", "wrong") for _ in range(MOST_FAILURES)] == [None] * MOST_FAILURES
    assert access.sign_in("Ada", "t") is None


@pytest.mark.parametrize(
    ("given", "headers", "ours"),
    [
        ("{csrf}", {**HERE, "origin": "http://127.0.0.1:8080"}, True),
        ("{csrf}", HERE, True),
        ("{csrf}", {**HERE, "origin": "https://evil.example"}, False),
        ("{csrf}", {**HERE, "origin": "null"}, False),
        ("", HERE, False),
        ("0" * 64, HERE, False),
    ],
)
def test_a_form_is_taken_only_from_our_own_page_and_this_visitor(tmp_path, given, headers, ours):
    access = rules(tmp_path, console_token="t")
    visitor = access.visitor(HERE, {COOKIE: access.sign_in("Ada", "t")}, "127.0.0.1")
    assert access.form_is_ours(visitor, given.format(csrf=visitor.csrf), headers) is ours


def test_a_visitor_without_a_name_has_no_form_that_is_taken(tmp_path):
    assert not rules(tmp_path).form_is_ours(Visitor(may_look=True), "", HERE)


def test_the_token_is_not_shown(tmp_path):
    assert "sesame" not in repr(rules(tmp_path, console_token="sesame"))
