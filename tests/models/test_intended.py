"""What a card is meant for, on facts alone."""

from dataclasses import replace

import pytest
from model_samples import CHEST_FACTS

from models.card import Card, Window
from models.catalogue import SHIPPED, read_card
from models.intended import check_intended_use, match
from stream.errors import Rejected, Unmatched


def card(name, kind="scan", **intended):
    return Card(
        name=name, version="1", kind=kind, architecture="", task="", config={}, classes=(), labels=("a",), intended_use=intended
    )


@pytest.fixture(scope="module")
def chest():
    return read_card(SHIPPED / "scan-chest-pneumonia")


@pytest.fixture(scope="module")
def note():
    return read_card(SHIPPED / "note-specialty")


@pytest.mark.parametrize("age", [1.0, 3, 5, 5.99])
def test_from_the_first_birthday_to_the_day_before_the_sixth_is_meant(chest, age):
    check_intended_use(chest, {**CHEST_FACTS, "age_years": age})


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("age_years", 7),
        ("age_years", 6),
        ("age_years", 0.99),
        ("view", "LL"),
        ("modality", "CT"),
        ("body_part", "KNEE"),
        ("presentation_intent", "FOR PROCESSING"),
    ],
)
def test_a_known_fact_outside_is_unmatched_and_named(chest, fact, value):
    with pytest.raises(Unmatched, match=fact):
        check_intended_use(chest, {**CHEST_FACTS, fact: value})


@pytest.mark.parametrize("fact", ["age_years", "view", "modality", "body_part"])
def test_an_unknown_fact_that_is_needed_is_rejected(chest, fact):
    facts = {name: value for name, value in CHEST_FACTS.items() if name != fact}
    with pytest.raises(Rejected, match=fact):
        check_intended_use(chest, facts)


def test_a_fact_outside_is_told_before_one_that_is_missing(chest):
    with pytest.raises(Unmatched, match="age_years"):
        check_intended_use(chest, {"age_years": 40})


def test_an_unknown_presentation_intent_and_another_spelling_pass(chest):
    facts = {**CHEST_FACTS, "body_part": "thorax", "presentation_intent": None}
    check_intended_use(chest, facts)


def test_icu_mortality_is_for_sixteen_and_older_in_intensive_care():
    lab = read_card(SHIPPED / "lab-icu-mortality")
    check_intended_use(lab, {"age_years": 16, "setting": "icu"})
    with pytest.raises(Unmatched):
        check_intended_use(lab, {"age_years": 15, "setting": "icu"})
    with pytest.raises(Rejected):
        check_intended_use(lab, {"setting": "icu"})


def test_notes_are_allow_listed_by_document_type_and_language(note):
    check_intended_use(note, {"document_type": "11488-4", "language": "en-GB"})
    check_intended_use(note, {"document_type": "11488-4"})
    with pytest.raises(Unmatched):
        check_intended_use(note, {"document_type": "60591-5"})
    with pytest.raises(Unmatched, match="language"):
        check_intended_use(note, {"document_type": "11488-4", "language": "de"})


def test_the_first_card_that_is_meant_for_it_is_chosen():
    knee, chest = card("knee", body_part={"one_of": ["KNEE"]}), card("chest", body_part={"one_of": ["CHEST"]})
    assert match([knee, chest], "scan", {"body_part": "CHEST"}) is chest


def test_a_kind_without_a_card_is_unmatched():
    with pytest.raises(Unmatched, match="no active model takes a note"):
        match([card("knee")], "note", {})


def test_the_nearest_card_gives_the_reason():
    far = card("far", body_part={"one_of": ["KNEE"]}, view={"one_of": ["LL"]})
    near = card("near", body_part={"one_of": ["CHEST"]}, view={"one_of": ["LL"]})
    with pytest.raises(Unmatched, match="near is not meant for this view"):
        match([far, near], "scan", {"body_part": "CHEST", "view": "AP"})


def test_a_card_that_only_lacks_a_fact_comes_before_one_that_does_not_fit():
    knee, chest = card("knee", body_part={"one_of": ["KNEE"]}), card("chest", age_years={"at_least": 1})
    with pytest.raises(Rejected, match="age_years is unknown"):
        match([knee, chest], "scan", {"body_part": "CHEST"})


def stay_card(name, origin="icu_admission", hours=48):
    window = Window(origin=origin, length_hours=hours, speaks_at_hours=hours, grace_minutes=60)
    return replace(card(name, "lab"), window=window)


def test_a_lab_card_that_counts_its_window_from_another_moment_judges_no_stay():
    with pytest.raises(Unmatched, match="own counts its window from first_observation; stays are counted from icu_admission"):
        match([stay_card("own", "first_observation")], "lab", {"window_hours": 48})


def test_a_lab_card_judges_no_window_of_other_hours_than_its_own():
    short, long = stay_card("short"), stay_card("long", hours=72)
    assert match([short, long], "lab", {"window_hours": 72}) is long
    with pytest.raises(Unmatched, match="long judges windows of 72 hours, this one has 48"):
        match([long], "lab", {"window_hours": 48})


def test_windows_of_before_that_do_not_say_their_hours_are_judged():
    assert match([stay_card("short")], "lab", {}).name == "short"
