"""A window of results in, one judgement out."""

from dataclasses import replace

import numpy as np
import pytest
from model_samples import points

from models.lab import LabModel, statics
from stream.errors import Broken, Rejected
from stream.judgement import Sample

CREATININE, POTASSIUM = "2160-0", "2823-3"


def rows(level, hours=range(0, 48, 6)):
    potassium = [(POTASSIUM, hour * 60 + 5, 4.1 + 0.2 * np.cos(hour)) for hour in hours]
    return [(CREATININE, hour * 60 + 10, level + 0.08 * np.sin(hour)) for hour in hours] + potassium


def sample(*found, **facts):
    return Sample(contents=(points(found),), facts={"age_years": 50, "sex": "female", **facts})


def test_a_window_is_judged_and_says_what_it_was_judged_by(lab_model):
    refused = [{"code": "1-1", "reason": "no unit"}]
    prepared = lab_model.prepare(sample(*rows(0.9), refused_points=refused))
    judgement = lab_model.interpret(prepared, lab_model.infer([prepared])[0])
    assert judgement.findings[0].label == "failure"
    assert not judgement.findings[0].positive
    assert judgement.details["refused_points"] == refused
    assert judgement.details["points"] == 16


def test_the_analytes_are_those_of_the_training_set(lab_card):
    assert [analyte.name for analyte in lab_card.analytes] == ["K", "Creatinine"]
    assert all(analyte.required for analyte in lab_card.analytes)


def test_no_points_are_refused(lab_model):
    with pytest.raises(Rejected, match="no points"):
        lab_model.prepare(sample())


def test_a_required_analyte_that_was_not_measured_is_named(lab_model):
    with pytest.raises(Rejected, match="K: not measured"):
        lab_model.prepare(sample(*rows(0.9)[:8]))


def test_a_required_analyte_of_a_lost_feed_is_not_connected(lab_model):
    with pytest.raises(Rejected, match="K: not connected"):
        lab_model.prepare(sample(*rows(0.9)[:8], not_connected=[POTASSIUM]))


def test_too_few_hours_are_refused(lab_model):
    with pytest.raises(Rejected, match="too little"):
        lab_model.prepare(sample(*rows(0.9, [3])))


def test_bytes_that_are_no_points_are_broken(lab_model):
    with pytest.raises(Broken):
        lab_model.prepare(Sample(contents=(b"123",)))


def test_results_do_not_depend_on_the_batch(lab_model):
    batch = [lab_model.read(sample(*rows(level))) for level in (0.6, 1.2, 40.0)]
    together = np.array([scores.logits for scores in lab_model.infer(batch)])
    alone = np.array([lab_model.infer([prepared])[0].logits for prepared in batch])
    assert np.abs(together - alone).max() < 1e-5


def test_what_is_read_off_a_window_does_not_depend_on_the_batch(lab_model):
    few = sample((CREATININE, 5, 1.0))
    batch = [lab_model.read(one) for one in (few, sample(*rows(1.2)), sample(), sample(*rows(40.0, range(3, 48, 5))))]
    for together, one in zip(lab_model.expand(batch), batch, strict=True):
        (alone,) = lab_model.expand([one])
        assert {*alone.arrays} == {"cell", "value", "statics", "series", "described", "summary"}
        for name, array in alone.arrays.items():
            assert np.array_equal(together.arrays[name], array, equal_nan=True)


def test_age_counts_in_whole_years_and_unknown_is_said():
    assert statics({"age_years": 60.9, "sex": "male"}).tolist() == [0, 1, 1, 1]
    assert statics({}).tolist() == [0, 0, 0, 0]
    assert statics({"sex": "other"}).tolist() == [0, 0, 0, 0]


def test_a_card_without_analytes_is_no_lab_card(lab_card):
    with pytest.raises(Exception, match="names no analytes"):
        LabModel(replace(lab_card, analytes=()))


def test_the_golden_case_gives_the_probabilities_of_the_card(lab_model):
    lab_model.warm_up()
