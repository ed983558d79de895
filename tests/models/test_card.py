"""A card reads back as it was written, and pins its files."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import models
from models.card import CARD_FILE, AnalyteInput, BadCard, Card, Window, decode_card, encode_card, read_card
from models.catalogue import load


def copied(card, to):
    return shutil.copytree(card.folder, to / card.name)


def test_a_card_reads_back_as_it_was_written(tmp_path):
    analyte = AnalyteInput(
        name="K", codes=("2823-3",), unit="mmol/L", required=True, plausible=(1.8, 9.0), log=False, mean=4.1, std=0.5
    )
    window = Window(origin="icu_admission", length_hours=48, speaks_at_hours=48, grace_minutes=60)
    card = Card(
        name="a", version="1", kind="lab", architecture="gru-window", task="", config={"hours": 48}, classes=("no", "yes"),
        labels=("yes",), window=window, analytes=(analyte,), thresholds={"yes": 0.25}, folder=tmp_path,
    )  # fmt: skip
    again = decode_card(encode_card(card), tmp_path)
    assert (again.window, again.analytes, again.thresholds) == (window, (analyte,), {"yes": 0.25})
    assert len(again.digest) == 64


def test_the_digest_names_the_weights_too(scan_card, tmp_path):
    folder = copied(scan_card, tmp_path)
    content = json.loads((folder / CARD_FILE).read_text())
    content["files"]["model.safetensors"] = "0" * 64
    (folder / CARD_FILE).write_text(json.dumps(content))
    assert read_card(folder).digest != scan_card.digest


def test_a_corrupted_weight_file_is_refused(scan_card, tmp_path):
    folder = copied(scan_card, tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\1\2\3")
    with pytest.raises(BadCard, match="not the file that the card pins"):
        load(folder)


def test_a_missing_weight_file_is_refused(scan_card, tmp_path):
    folder = copied(scan_card, tmp_path)
    (folder / "autoencoder.safetensors").unlink()
    with pytest.raises(BadCard, match="missing"):
        load(folder)


def test_weights_of_another_shape_are_refused(scan_card, tmp_path):
    folder = copied(scan_card, tmp_path)
    content = json.loads((folder / CARD_FILE).read_text())
    content["config"]["channels"] = [8, 32]
    (folder / CARD_FILE).write_text(json.dumps(content))
    with pytest.raises(BadCard, match="does not hold this architecture's weights"):
        load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "a"}'])
def test_a_text_that_is_no_card_is_refused(text, tmp_path):
    (tmp_path / CARD_FILE).write_text(text)
    with pytest.raises(BadCard):
        read_card(tmp_path)


def test_cards_are_listed_without_torch_and_without_opencv():
    code = "import sys, models.card, models.intended, models.catalogue as c; c.list_cards(); "
    code += "sys.exit(bool({'torch', 'cv2'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_is_ever_unpickled():
    package = Path(models.__file__).parent
    for file in package.rglob("*.py"):
        code = file.read_text(encoding="utf-8")
        assert not re.search(r"pickle\.load|Unpickler|import pickle|joblib|allow_pickle|export\.load", code), file
        assert all("weights_only=True" in call for call in re.findall(r"torch\.load\(.*", code)), file
