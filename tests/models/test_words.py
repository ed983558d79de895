"""Text becomes words, words become numbers."""

import numpy as np
import pytest

from models.card import BadCard
from models.words import UNKNOWN, Vocabulary, bag, tokenize


def test_words_are_lower_case_and_numbers_are_one_word():
    assert tokenize("The patient's BP: 120/80, 3.5 mg.") == ["the", "patient's", "bp", "<number>", "<number>", "<number>", "mg"]


def test_only_words_of_several_notes_are_learnt():
    assert Vocabulary.learn(["a b", "a c", "a b"], least_notes=2).words == ("a", "b")


def test_the_most_widespread_words_are_kept():
    assert Vocabulary.learn(["a b", "a"], least_notes=1, most_words=1).words == ("a",)


def test_a_word_that_is_not_known_is_number_0(tmp_path):
    Vocabulary(["a", "b"]).write(tmp_path / "v.json")
    again = Vocabulary.read(tmp_path / "v.json")
    assert again.numbers(["b", "x", "a"]).tolist() == [2, UNKNOWN, 1]
    assert len(again) == 3


def test_a_file_that_is_no_vocabulary_is_refused(tmp_path):
    (tmp_path / "v.json").write_text("{")
    with pytest.raises(BadCard):
        Vocabulary.read(tmp_path / "v.json")


def test_a_bag_has_length_one_and_an_empty_one_none():
    assert np.linalg.norm(bag(np.array([1, 1, 2, 9]), 8)) == pytest.approx(1)
    assert bag(np.array([UNKNOWN]), 8).sum() == 0
