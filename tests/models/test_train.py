"""Training on small made-up sets: it learns, it stops, it writes all that it should, and does so again."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from model_samples import dicom, picture, scan_folder

from models.card import read_card
from models.evaluate import evaluate
from models.fit import class_weights
from models.recipe import recipe_of
from models.train import train
from stream import labs
from stream.errors import Refused


def test_every_kind_beats_chance_by_far(scan_card, lab_card, note_card):
    assert scan_card.quality["test"]["auroc"] > 0.9
    assert lab_card.quality["test"]["auroc"] > 0.9
    assert note_card.quality["test"]["accuracy"] > 0.8


def test_notes_of_two_classes_train_too(notes, tmp_path):
    rows = [row for row in notes.read_text().splitlines() if ",skin," not in row]
    (tmp_path / "two.csv").write_text("\n".join(rows) + "\n")
    about = {"positive": "heart", "config": {"most_tokens": 100, "embedding": 16, "hidden": 8, "segment": 32, "bag": 64}}
    card = train("note", tmp_path / "two.csv", tmp_path / "two", epochs=3, about=about)
    assert (card.labels, card.config["votes"]) == (("heart",), 40.0)
    assert card.quality["test"]["auroc"] > 0.9


def test_the_card_says_how_it_was_made_and_is_on_disk(lab_card):
    assert lab_card == read_card(lab_card.folder)
    assert lab_card.training["n"]["train"] > 100
    assert set(lab_card.quality["predictive_values"]) == {"0.05", "0.2", "0.5"}
    assert "test_laboratory_only" in lab_card.quality
    assert sum(lab_card.prevalence.values()) == pytest.approx(0.5, abs=0.1)
    assert (lab_card.window.origin, lab_card.window.length_hours) == ("icu_admission", 48)


def test_refitting_trains_on_the_validation_part_too_and_leaves_what_it_fixed(note_card, notes, tmp_path):
    about = {"config": {"most_tokens": 100, "embedding": 24, "hidden": 16, "segment": 32, "bag": 64, "votes": 4.0}}
    again = train("note", notes, tmp_path / "tiny-note", epochs=8, about=about, refit=True)
    parts = again.training["n"]
    assert again.training["refit_on"] == parts["train"] + parts["validation"]
    assert (again.temperature, again.gates) == (note_card.temperature, note_card.gates)
    assert again.quality["validation"] == note_card.quality["validation"]
    assert (again.folder / "model.safetensors").read_bytes() != (note_card.folder / "model.safetensors").read_bytes()


def test_the_card_judges_by_the_operating_point_that_was_asked_for(stays, tmp_path):
    about = {"operating_point": "balanced", "config": {"hidden": 16, "trees": 30}}
    card = train("lab", stays, tmp_path / "tiny-lab", epochs=2, about=about)
    assert card.operating_point == "greatest min(sensitivity, precision) on validation"
    assert set(card.thresholds.values()) == {card.operating_points[card.operating_point]}


def refused(kind, data, out, words, **wishes):
    """Before the first step, so that nobody waits for it."""
    with pytest.raises(Refused, match=words):
        train(kind, data, out, tell=lambda *_: pytest.fail("it was trained"), **wishes)


def test_a_card_marks_what_is_uncertain_by_dropout_where_that_was_asked_for(scans, tmp_path):
    small = {"config": {"side": 32, "stem": 8, "channels": [8, 16], "blocks": 1}}
    card = train(
        "scan", scans, tmp_path / "tiny-scan", epochs=4, about={**small, "uncertainty": {"passes": 8, "false_alarms": 0.2}}
    )
    gate = card.gates["predictive_uncertainty"]
    assert (gate["passes"], gate["false_alarms"], set(gate)) == (8, 0.2, {"passes", "limit", "false_alarms"})
    marked = card.quality["validation"]["accepted"]["marked_by"]["predictive uncertainty"]
    assert marked["held_back_of_correct"] == pytest.approx(0.2, abs=0.1)
    assert "predictive uncertainty" in evaluate(card, scans)["intervals"]["marked_by"]


@pytest.mark.parametrize(
    ("architecture", "wish", "words"),
    [
        ("lenet", {}, "no dropout"),
        (None, {"passes": 0}, "passes is below 1"),
        (None, {"false_alarms": 1}, "not between 0 and 1"),
        (None, {"share": 0.1}, "nothing is called share"),
    ],
)
def test_uncertainty_that_cannot_be_had_is_refused_before_the_first_step(architecture, wish, words, scans, tmp_path):
    refused("scan", scans, tmp_path, words, architecture=architecture, about={"uncertainty": wish})


@pytest.mark.parametrize(("name", "value"), [("use_prevalence", 0.5), ("operating_point", "balanced")])
def test_what_is_of_one_finding_is_refused_for_several_before_the_first_step(notes, tmp_path, name, value):
    refused("note", notes, tmp_path, name, about={name: value})


def test_an_operating_point_that_there_is_not_is_refused_before_the_first_step(stays, tmp_path):
    refused("lab", stays, tmp_path, "no operating point is called best: sensitive, balanced", about={"operating_point": "best"})


def test_what_is_written_while_it_trains_is_of_the_next_training(stays, tmp_path):
    (tmp_path / "about.json").write_text(json.dumps({"config": {"hidden": 4, "trees": 5}}))
    train("lab", stays, tmp_path, epochs=1, tell=lambda *_: (tmp_path / "about.json").write_text("no JSON"))
    assert read_card(tmp_path).operating_point.startswith("sensitivity")


def test_a_window_of_other_hours_than_the_network_reads_is_refused_before_the_first_step(stays, tmp_path):
    window = {"origin": "admission", "length_hours": 72, "speaks_at_hours": 72, "grace_minutes": 5}
    refused("lab", stays, tmp_path, "window has 72 hours, config 48: say both alike", about={"window": window})


def test_a_window_that_begins_nowhere_is_refused_before_the_first_step(stays, tmp_path):
    window = {"origin": "birthday", "length_hours": 48, "speaks_at_hours": 48, "grace_minutes": 5}
    refused("lab", stays, tmp_path, "no origin is called birthday: icu_admission, admission", about={"window": window})


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"hours": 0}, "hours is below 1"),
        ({"trees": -1}, "trees is below 0"),
        ({"curves": ["MAP - K"]}, "curves: MAP is no analyte"),
    ],
)
def test_a_config_that_nothing_can_be_read_by_is_refused_before_the_first_step(stays, tmp_path, config, words):
    refused("lab", stays, tmp_path, words, about={"config": config})


def test_a_validation_part_that_the_gates_refuse_is_told_before_the_first_step(tmp_path):
    rows = "".join(f"{number},{'yes' if number % 2 else 'no'},much too short {number}\n" for number in range(80))
    (tmp_path / "short.csv").write_text("id,label,text\n" + rows)
    refused("note", tmp_path / "short.csv", tmp_path / "out", "the gates refuse the whole validation part")


@pytest.mark.parametrize("device", ["cuda:99", "meta", "abacus"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_read(tmp_path, device):
    refused("note", tmp_path / "nothing", tmp_path / "out", f"{device} cannot be used here: ", device=device)


def test_the_operating_point_finds_95_of_100_on_validation(scan_card, lab_card):
    assert scan_card.quality["validation"]["sensitivity"] >= 0.95
    assert lab_card.quality["validation"]["sensitivity"] >= 0.95


def test_few_inputs_of_the_same_kind_are_refused(scan_card, lab_card, note_card):
    for card in (scan_card, lab_card, note_card):
        assert card.quality["validation"]["coverage"] >= 0.9


def test_a_learning_curve_is_drawn(scan_card):
    assert (scan_card.folder / "learning-curve.png").read_bytes()[:4] == b"\x89PNG"


def test_of_two_labels_the_one_that_is_no_word_for_nothing_is_found(scan_card, lab_card):
    assert (scan_card.classes, scan_card.labels) == (("NORMAL", "ILL"), ("ill",))
    assert (lab_card.classes, lab_card.labels) == (("none", "failure"), ("failure",))


def test_the_same_seed_gives_the_same_weights(stays, tmp_path):
    about = {"config": {"hidden": 8, "trees": 5}}
    one, two = (train("lab", stays, tmp_path / name, epochs=1, about=about, seed=3) for name in "ab")
    other = train("lab", stays, tmp_path / "c", epochs=1, about=about, seed=4)
    assert one.files == two.files
    assert one.files != other.files


def test_about_json_in_the_folder_is_kept(notes, tmp_path):
    about = {"name": "mine", "intended_use": {"language": {"one_of": ["en"]}}, "config": {"hidden": 4, "embedding": 4}}
    (tmp_path / "about.json").write_text(json.dumps(about))
    card = train("note", notes, tmp_path, epochs=1)
    assert (card.name, card.intended_use) == ("mine", about["intended_use"])


def test_any_number_of_classes_trains(notes, tmp_path, note_card):
    assert note_card.labels == ("bone", "heart", "skin")
    assert evaluate(note_card.folder, notes)["n"] == 180


def test_progress_is_told_for_both_networks(stays, tmp_path):
    heard = []
    train("lab", stays, tmp_path, epochs=2, tell=lambda what, done, most, loss: heard.append((what, done, most)))
    assert heard[:2] == [("network", 1, 2), ("network", 2, 2)]
    assert heard[-1][0] == "autoencoder"


def test_too_little_to_split_is_refused(tmp_path):
    with pytest.raises(Refused, match="too few groups"):
        train("scan", scan_folder(tmp_path / "few", 2), tmp_path / "out")


def test_analytes_and_a_window_of_ones_own_train_without_touching_code(stays, tmp_path):
    source = shutil.copytree(stays, tmp_path / "stays")
    header = (Path(labs.__file__).parent / "labs.csv").read_text().splitlines()[0]
    (source / "labs.csv").write_text(header + "\nCRP,C-reactive protein,1988-5,,,mg/L,,,,0,500,0,1000\n")
    with (source / "results.csv").open("a") as file:
        file.writelines(f"p{number},3,1988-5,{number},mg/L\n" for number in range(240))
    about = {
        "config": {"hours": 24, "hidden": 8, "trees": 5},
        "window": {"origin": "admission", "length_hours": 24, "speaks_at_hours": 24, "grace_minutes": 5},
    }
    card = train("lab", source, tmp_path / "out", epochs=1, about=about)
    assert [analyte.name for analyte in card.analytes] == ["K", "Creatinine", "CRP"]
    assert (card.window.origin, card.config["hours"]) == ("admission", 24)


def test_mixed_precision_trains_as_well(scans, tmp_path):
    about = {"config": {"side": 32, "stem": 8, "channels": [8, 16], "blocks": 1}}
    card = train("scan", scans, tmp_path, epochs=6, about=about, precision="bf16")
    assert card.training["precision"] == "bf16"
    assert card.quality["test"]["auroc"] > 0.9


def test_a_precision_that_there_is_not_is_refused(scans, tmp_path):
    with pytest.raises(Refused, match="fp32, bf16"):
        train("scan", scans, tmp_path, precision="fp4")


def test_training_stops_when_validation_gets_no_better(stays, tmp_path):
    source = shutil.copytree(stays, tmp_path / "stays")
    rows = [f"p{number},{'failure' if number % 5 in (1, 2) else 'none'}" for number in range(240)]  # nothing to be learnt
    (source / "outcomes.csv").write_text("\n".join(["patient,label", *rows]) + "\n")
    card = train("lab", source, tmp_path / "out", epochs=60, about={"config": {"hidden": 16, "trees": 5}})
    assert card.training["kept_epoch"] + 6 == card.training["epochs"] < 60


def test_rare_classes_weigh_more():
    truth = np.array([0] * 90 + [1] * 10)
    assert class_weights(truth, 2).tolist() == pytest.approx([100 / 180, 5.0])


@pytest.mark.parametrize("suffix", ["dcm", "png", "jpg"])
def test_a_folder_of_each_format_trains(suffix, tmp_path):
    for number in range(60):
        folder = tmp_path / "data" / ("ILL" if number % 2 else "NORMAL")
        folder.mkdir(parents=True, exist_ok=True)
        grey = picture(number % 2, number)
        content = dicom(grey, PatientID=f"p{number}") if suffix == "dcm" else cv2.imencode(f".{suffix}", grey)[1].tobytes()
        (folder / f"{number}.{suffix}").write_bytes(content)
    about = {"config": {"side": 32, "stem": 8, "channels": [8, 16], "blocks": 1}, "split": {"validation": 0.3, "test": 0.2}}
    card = train("scan", tmp_path / "data", tmp_path / "out", epochs=1, about=about)
    assert sum(card.training["n"].values()) == 60
    assert card.quality["test"]["unreadable"] == 0


def test_pictures_that_cannot_be_read_are_named(scans, tmp_path):
    source = shutil.copytree(scans, tmp_path / "scans")
    for name in ("broken.png", "empty.dcm"):
        (source / "ILL" / name).write_bytes(b"\x89PNG")
    about = {"config": {"side": 32, "stem": 8, "channels": [8, 16], "blocks": 1}, "split": {"validation": 0.05, "test": 0.01}}
    with pytest.raises(Refused, match=r"2 of \d+ inputs cannot be read: ILL/broken.png \(.*\), ILL/empty.dcm \("):
        train("scan", source, tmp_path / "out", epochs=1, about=about)


def test_few_examples_make_small_batches():
    recipe = recipe_of("lab")
    assert [recipe.for_so_many(n).batch for n in (20, 300, 6000)] == [8, 30, recipe.batch]
