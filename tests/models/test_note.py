"""A note in, one judgement out: the whole note is seen, or it is said how much was."""

import numpy as np
import pytest
from model_samples import note

from stream.errors import Rejected
from stream.judgement import Sample


def sample(text):
    return Sample(contents=(text.encode(),))


def test_exactly_one_specialty_is_positive_and_the_chances_add_up(note_model):
    prepared = note_model.prepare(sample(note("bone", 5)))
    judgement = note_model.interpret(prepared, note_model.infer([prepared])[0])
    assert [finding.label for finding in judgement.findings if finding.positive] == ["bone"]
    assert sum(finding.probability for finding in judgement.findings) == pytest.approx(1)


def test_a_note_longer_than_the_limit_says_how_much_was_seen(note_model):
    details = note_model.prepare(sample(note("skin", 1, words=250))).details
    assert (details["tokens_seen"], details["tokens_total"]) == (100, 250)


def test_a_note_within_the_limit_is_seen_whole(note_model):
    details = note_model.prepare(sample(note("skin", 1))).details
    assert details["tokens_seen"] == details["tokens_total"] == 60


def test_the_end_of_a_note_counts(note_model):
    text = note("skin", 1, words=90)
    changed = " ".join([*text.split()[:80], *["fracture"] * 10])
    first, second = note_model.infer([note_model.read(sample(one)) for one in (text, changed)])
    assert np.abs(first.logits - second.logits).max() > 1e-3


def test_a_short_text_is_refused(note_model):
    with pytest.raises(Rejected, match="too short"):
        note_model.prepare(sample("see comment"))


def test_another_language_is_refused(note_model):
    german = "Der Patient wurde wegen akuter Schmerzen im rechten Unterbauch aufgenommen und noch am selben Tag operiert " * 3
    with pytest.raises(Rejected, match="not English"):
        note_model.prepare(sample(german))


def test_what_is_no_utf8_is_refused(note_model):
    with pytest.raises(Rejected, match="UTF-8"):
        note_model.prepare(Sample(contents=(b"\xff\xfe" * 40,)))


def test_results_do_not_depend_on_the_length_of_batch_mates(note_model):
    batch = [note_model.read(sample(note("heart", length, words=length))) for length in (5, 33, 64, 100)]
    together = np.array([scores.logits for scores in note_model.infer(batch)])
    alone = np.array([note_model.infer([prepared])[0].logits for prepared in batch])
    assert np.abs(together - alone).max() < 1e-5


def test_an_empty_note_can_still_be_scored_for_evaluation(note_model):
    assert np.isfinite(note_model.infer([note_model.read(sample(""))])[0].logits).all()


def test_the_golden_case_gives_the_probabilities_of_the_card(note_model):
    note_model.warm_up()
