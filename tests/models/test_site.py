"""A site's prevalence and threshold change what is said, never which model said it."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from models.card import BadCard, read_card
from models.catalogue import card_faults, find_card, list_cards
from models.judge import judge
from models.site import BadSite, Site, read_sites


def finding(card, logit):
    return judge(card, np.array([logit]), 0.0, {}).findings[0]


def test_the_odds_move_by_the_ratio_of_the_prevalence_odds(lab_card):
    known = replace(lab_card, calibrated_for={"failure": 0.5})
    site = replace(known, site=Site(prevalence={"failure": 0.2}))
    before, after = finding(known, 0.3).probability, finding(site, 0.3).probability
    assert (after / (1 - after)) / (before / (1 - before)) == pytest.approx(0.25)


def test_another_prevalence_leaves_the_same_inputs_positive(lab_card):
    site = replace(lab_card, site=Site(prevalence={"failure": 0.05}))
    for logit in np.linspace(-4, 4, 41):
        assert finding(site, logit).positive == finding(lab_card, logit).positive


def test_the_threshold_as_used_stands_in_the_finding(lab_card):
    site = replace(lab_card, site=Site(threshold={"failure": 0.9}))
    assert finding(site, 0.0).threshold == 0.9
    assert finding(site, 40.0).positive


def test_the_judgement_says_what_the_site_set(lab_card):
    site = replace(lab_card, site=Site(prevalence={"failure": 0.05}))
    assert judge(site, np.array([0.1]), 0.0, {}).details["site"] == {"prevalence": {"failure": 0.05}}
    assert "site" not in judge(lab_card, np.array([0.1]), 0.0, {}).details


def test_classes_that_exclude_each_other_still_add_up(note_card):
    site = replace(note_card, site=Site(prevalence={"skin": 0.9}))
    logits = np.array([0.2, 0.1, 0.1])
    said, plain = (judge(card, logits, 0.0, {}).findings for card in (site, note_card))
    assert sum(one.probability for one in said) == pytest.approx(1)
    assert said[2].probability > plain[2].probability


def test_a_site_as_the_card_was_calibrated_changes_nothing(note_card):
    site = replace(note_card, site=Site(prevalence=dict(note_card.calibrated_for)))
    logits = np.array([0.2, 0.1, 0.1])
    told, before = (judge(card, logits, 0.0, {}).findings for card in (site, note_card))
    assert [one.probability for one in told] == pytest.approx([one.probability for one in before])


def test_where_nothing_is_seen_the_probabilities_are_the_prevalences_of_the_site(note_card):
    told = {"bone": 0.2, "heart": 0.2, "skin": 0.6}
    blind = replace(note_card, temperature=1.0, offset=tuple(np.log(list(told.values()))), calibrated_for=told)
    some, every = {"skin": 0.9}, {"bone": 0.7, "heart": 0.2, "skin": 0.1}
    for site, expected in ((some, [0.05, 0.05, 0.9]), (every, [0.7, 0.2, 0.1])):
        card = replace(blind, site=Site(prevalence=site))
        assert [one.probability for one in judge(card, np.zeros(3), 0.0, {}).findings] == pytest.approx(expected)


def test_a_shipped_card_of_before_says_at_which_prevalences_it_speaks():
    notes, scans = find_card("note-specialty"), find_card("scan-chest-pneumonia")
    assert notes.speaks_at("Nephrology") == notes.prevalence["Nephrology"]
    assert scans.speaks_at("pneumonia") == 0.5


def test_site_toml_is_read_and_the_digest_stays(tmp_path):
    before = find_card("lab-icu-mortality")
    (tmp_path / "site.toml").write_text('[lab-icu-mortality]\nprevalence = { "in-hospital death" = 0.08 }\n')
    after = find_card("lab-icu-mortality", tmp_path)
    assert after.site.prevalence == {"in-hospital death": 0.08}
    assert after.digest == before.digest


@pytest.mark.parametrize("text", ["[a]\nprevalence = { x = 1.0 }", "[a]\nother = 1", "not toml", "a = 1", "[a]\nthreshold = 0.2"])
def test_what_cannot_be_is_refused(tmp_path, text):
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(BadSite):
        read_sites(tmp_path)


@pytest.mark.parametrize(
    ("neurology", "urology", "words"), [(0.7, 0.4, "add up to 1.1, nothing is left"), (0.5, 0.5, "add up to 1, nothing is left")]
)
def test_prevalences_that_leave_nothing_for_the_other_classes_are_refused(tmp_path, neurology, urology, words):
    said = f'["note-specialty"]\nprevalence = {{ "Neurology" = {neurology}, "Urology" = {urology} }}\n'
    (tmp_path / "site.toml").write_text(said)
    with pytest.raises(BadSite, match=f"site.toml: note-specialty: the prevalences {words}"):
        list_cards(tmp_path)


@pytest.mark.parametrize(("first", "cannot_be"), [(0.01, True), (0.175, False), (0.18, False), (0.3, True)])
def test_prevalences_of_every_class_add_up_to_one_but_for_rounding(tmp_path, first, cannot_be):
    labels = find_card("note-specialty").labels
    told = ", ".join(f'"{label}" = {first if place == 0 else 0.075}' for place, label in enumerate(labels))
    (tmp_path / "site.toml").write_text(f'["note-specialty"]\nprevalence = {{ {told} }}\n')
    with pytest.raises(BadSite, match="not to 1") if cannot_be else nullcontext():
        list_cards(tmp_path)


def test_a_card_does_not_bring_a_site(tmp_path):
    (tmp_path / "card.json").write_text('{"site": {}}')
    with pytest.raises(BadCard):
        read_card(tmp_path)


def test_what_a_site_says_of_nothing_is_left_out_and_named(tmp_path):
    said = (
        '["lab-icu-mortality"]\nthreshold = { "death" = 0.2 }\n["lab-icu"]\nexplain = "on"\n'
        '["note-specialty"]\nthreshold = { "Neurology" = 0.9 }\n'
    )
    (tmp_path / "site.toml").write_text(said)
    assert all(not find_card(name, tmp_path).site.said for name in ("lab-icu-mortality", "note-specialty"))
    assert [fault.partition(": ")[2] for fault in card_faults(tmp_path)] == [
        "lab-icu-mortality has no finding 'death'",
        "no card is named lab-icu",
        "note-specialty tells the most likely of its findings, so the threshold of 'Neurology' changes nothing",
    ]
