"""The textbook's encoder and decoder learn to write a few words of a note, the likeliest word at every step."""

import csv

import pytest
import torch
from model_samples import note

from models.catalogue import load
from models.embed import decode
from models.evaluate import evaluate
from models.seq2seq import END, SequenceConfig, SequenceNetwork
from models.train import train
from stream.errors import Refused

SMALL = {"config": {"most_tokens": 60, "embedding": 24, "hidden": 32, "most_written": 5}}
WRITTEN = {"heart": "heart trouble", "bone": "a broken bone found", "skin": "skin rash"}


@pytest.fixture(scope="module")
def summaries(tmp_path_factory):
    path = tmp_path_factory.mktemp("summaries") / "notes.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", "text", "summary"])
        for number in range(180):
            label = ("heart", "bone", "skin")[number % 3]
            writer.writerow([number, label, note(label, number), WRITTEN[label]])
    return path


@pytest.fixture(scope="module")
def card(summaries, tmp_path_factory):
    return train("note", summaries, tmp_path_factory.mktemp("card") / "writer", epochs=30, architecture="seq2seq", about=SMALL)


def test_it_writes_the_summary_of_notes_it_has_not_seen(card):
    assert card.quality["test"]["accuracy"] > 0.8
    assert card.quality["test"]["word_accuracy"] >= card.quality["test"]["accuracy"]
    load(card).warm_up()


def test_what_it_writes_is_decoded_into_a_file(card, summaries, tmp_path):
    assert decode(card, summaries, tmp_path / "told.csv")["n"] == 180
    with (tmp_path / "told.csv").open() as file:
        rows = list(csv.DictReader(file))
    right = sum(row["told"] == row["target"] for row in rows) / len(rows)
    assert right == pytest.approx(evaluate(card, summaries)["accuracy"])
    assert right > 0.8


def test_without_a_summary_the_label_is_written(notes, tmp_path):
    card = train("note", notes, tmp_path, epochs=1, architecture="seq2seq", about=SMALL)
    assert set(card.config["targets"]) == {"heart", "bone", "skin"}


def test_decoding_takes_the_likeliest_word_at_every_step_until_the_end():
    torch.manual_seed(1)
    network = SequenceNetwork(SequenceConfig(targets=("a", "b", "c"), embedding=8, hidden=8), 20)
    notes = [torch.arange(1, 9), torch.arange(3, 6)]
    told = network.greedy(notes, 6)
    logits = network(notes, told)
    for row, steps in zip(told.tolist(), logits.argmax(dim=2).tolist(), strict=True):
        until = row.index(END) + 1 if END in row else len(row)
        assert row[:until] == steps[:until]
        assert not any(row[until:])


def test_a_note_is_read_alike_whatever_else_is_in_the_batch():
    torch.manual_seed(2)
    network = SequenceNetwork(SequenceConfig(targets=("a",), embedding=8, hidden=8), 20)
    short, long = torch.arange(1, 4), torch.arange(1, 15)
    alone, beside = network.read([short])[0][:, 0], network.read([short, long])[0][:, 0]
    assert torch.allclose(alone, beside, atol=1e-6)


def test_summaries_are_enough_and_no_label_is_needed(summaries, tmp_path):
    with summaries.open() as file:
        rows = list(csv.DictReader(file))
    for name, columns in (("told", ["id", "text", "summary"]), ("none", ["id", "text"])):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    card = train("note", tmp_path / "told.csv", tmp_path / "card", architecture="seq2seq", epochs=1, about=SMALL)
    assert evaluate(card, tmp_path / "told.csv")["n"] == 180
    with pytest.raises(Refused, match="nothing to learn to write"):
        train("note", tmp_path / "none.csv", tmp_path / "empty", architecture="seq2seq", epochs=1, about=SMALL)
    with pytest.raises(Refused, match="no column label"):
        train("note", tmp_path / "told.csv", tmp_path / "judge", epochs=1)
