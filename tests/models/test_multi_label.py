"""Several labels may be true of one input: training, thresholds, figures and report take each label by itself."""

import json

import numpy as np
import pytest
from model_samples import multi_note_csv, multi_scan_csv
from sklearn import metrics as theirs

from models import metrics as ours
from models.calibrate import OPERATING_POINT
from models.card import read_card
from models.evaluate import evaluate
from models.examples import read_examples
from models.fit import class_weights
from models.train import train
from stream.errors import Refused

NOTE = {"config": {"most_tokens": 100, "embedding": 16, "hidden": 8, "segment": 32, "bag": 64}, "split": {"validation": 0.3}}
SCAN = {"config": {"side": 32, "stem": 8, "channels": [8, 16], "blocks": 1}, "split": {"validation": 0.3, "test": 0.2}}


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    return multi_note_csv(tmp_path_factory.mktemp("several") / "notes.csv")


@pytest.fixture(scope="module")
def card(several, tmp_path_factory):
    return train("note", several, tmp_path_factory.mktemp("card") / "several", epochs=10, about=NOTE)


def test_every_label_of_a_note_is_found_by_itself(card):
    assert (card.multi_label, card.exclusive, card.labels) == (True, False, ("bone", "heart", "skin"))
    assert min(row["auroc"] for row in card.quality["test"]["per_class"].values()) > 0.9


def test_each_label_has_a_threshold_that_finds_95_of_100_on_validation(card):
    assert set(card.thresholds) == set(card.labels)
    assert min(row["sensitivity"] for row in card.quality["validation"]["per_class"].values()) >= 0.95


def test_the_card_is_read_back_as_it_was_written(card):
    assert read_card(card.folder) == card
    assert len(card.temperature) == len(card.offset) == 3


def test_columns_of_0_and_1_say_the_same_as_a_list(several, tmp_path):
    listed, columns = read_examples("note", several), read_examples("note", multi_note_csv(tmp_path / "n.csv", columns=True))
    assert [set(one.labels) for one in listed] == [set(one.labels) for one in columns]


def test_a_column_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "n.csv").write_text("id,text,a,b\n1,words,1,maybe\n")
    with pytest.raises(Refused, match="column b holds something other than 0 and 1"):
        read_examples("note", tmp_path / "n.csv")


def test_one_label_alone_is_refused(tmp_path):
    (tmp_path / "n.csv").write_text("id,labels,text\n" + "".join(f"{n},{'a' if n % 2 else ''},word{n} x\n" for n in range(60)))
    with pytest.raises(Refused, match="at least two"):
        train("note", tmp_path / "n.csv", tmp_path / "out", epochs=1)


def test_pictures_of_three_formats_with_several_labels_train(tmp_path):
    card = train("scan", multi_scan_csv(tmp_path / "scans"), tmp_path / "card", epochs=8, about=SCAN)
    told = evaluate(card, tmp_path / "scans" / "list.csv")
    assert told["n"] == 96
    assert min(row["auroc"] for row in told["per_class"].values()) > 0.9
    assert {"unit ward a", "unit ward b", "age 1 to 5"} <= set(told["groups"])


def test_the_report_tells_every_label_with_its_interval(card, several, tmp_path):
    told = evaluate(card, several, page=tmp_path / "r.html")
    low, high = told["intervals"]["per_class"]["skin"]["auroc"]
    assert low <= told["per_class"]["skin"]["auroc"] <= high
    assert told["groups"]["sex male"]["n"] == 90
    assert json.loads(json.dumps(told)) == told
    assert (tmp_path / "r.html").read_text().count("data:image/png") == 7


def test_every_label_has_its_predictive_values_and_operating_points(card, several):
    told = evaluate(card, several)
    for label, row in told["per_class"].items():
        assert row["ppv_at_0.05"] <= row["ppv_at_0.2"] <= row["ppv_at_0.5"]
        low, high = told["intervals"]["per_class"][label]["npv_at_0.2"]
        assert low <= row["npv_at_0.2"] <= high
    assert set(told["operating_points"]) == set(card.operating_points)
    point = f"skin: {OPERATING_POINT}"
    assert told["operating_points"][point]["sensitivity"] == told["per_class"]["skin"]["sensitivity"]
    assert "sensitivity" in told["intervals"]["operating_points"][point]


def test_macro_figures_are_those_of_scikit_learn():
    rng = np.random.default_rng(3)
    truth = (rng.random((300, 3)) < (0.2, 0.5, 0.7)).astype(int)
    chance = np.clip(rng.normal(0.3 + 0.3 * truth, 0.2), 0.01, 0.99)
    limits = [0.4, 0.5, 0.3]
    found, told = ours.many_labels(truth, chance, ("a", "b", "c"), limits), chance >= limits
    expected = {
        "f1_macro": theirs.f1_score(truth, told, average="macro"),
        "sensitivity": theirs.recall_score(truth, told, average="macro"),
        "auroc": theirs.roc_auc_score(truth, chance, average="macro"),
        "auprc": theirs.average_precision_score(truth, chance, average="macro"),
        "exact_match": theirs.accuracy_score(truth, told),
        "accuracy": 1 - theirs.hamming_loss(truth, told),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["confusion"] == theirs.multilabel_confusion_matrix(truth, told).tolist()


def test_a_rare_label_weighs_more_but_not_without_bound():
    truth = np.zeros((1000, 2), np.int64)
    truth[:1, 0], truth[:500, 1] = 1, 1
    assert class_weights(truth, 2).tolist() == [10.0, 1.0]
