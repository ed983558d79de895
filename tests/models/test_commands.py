"""What the command line calls gives plain data."""

import json

from models.commands import evaluate_command, list_command, train_command


def test_the_list_is_plain_data_with_figures():
    rows = list_command()
    assert json.loads(json.dumps(rows)) == rows
    assert {row["name"] for row in rows} >= {"scan-chest-pneumonia"}
    assert all(len(row["model_digest"]) == 64 for row in rows)


def test_training_shows_its_progress_on_standard_error(stays, tmp_path, capfd):
    told = train_command("lab", stays, tmp_path / "mine", epochs=1)
    out, err = capfd.readouterr()
    assert told["name"] == "mine"
    assert not out
    assert "network" in err


def test_evaluation_is_plain_data(lab_card, stays):
    told = evaluate_command(lab_card, stays, part="test")
    assert json.loads(json.dumps(told)) == told
