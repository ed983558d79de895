"""The linear half of the note model: rare words decide, function words are silent."""

import numpy as np
import torch

from models.votes import WordVotes, fit_votes, rarity_of
from models.words import Vocabulary

WORDS = Vocabulary(["the", "heart", "knee", "pain"])
NOTES = [np.array(note) for note in ([1, 2, 4], [1, 2, 2], [1, 3, 4], [3, 3, 1])]


def fitted():
    votes = WordVotes(len(WORDS), 2)
    votes.rarity.copy_(torch.from_numpy(rarity_of(NOTES, WORDS)))
    fit_votes(votes, votes.weigh([torch.from_numpy(note) for note in NOTES]), torch.tensor([0, 0, 1, 1]))
    return votes


def test_the_word_of_a_class_votes_for_it():
    margins = fitted()([torch.tensor([2]), torch.tensor([3])])
    assert margins.argmax(dim=1).tolist() == [0, 1]


def test_function_words_and_unknown_ones_do_not_vote():
    assert fitted().weigh([torch.tensor([0, 1, 1])]).sum() == 0


def test_a_note_said_twice_weighs_as_much():
    once, twice = fitted().weigh([torch.tensor([2, 3]), torch.tensor([2, 3, 2, 3])])
    assert torch.allclose(once, twice)


def test_two_classes_have_one_vote_and_weigh_alike_however_rare_one_is():
    votes = WordVotes(len(WORDS), 1)
    votes.rarity.copy_(torch.from_numpy(rarity_of(NOTES, WORDS)))
    notes = [torch.tensor([2]), *[torch.tensor([3])] * 9]
    fit_votes(votes, votes.weigh(notes), torch.tensor([1, *[0] * 9]))
    (heart,), (knee,) = votes([torch.tensor([2]), torch.tensor([3])]).tolist()
    assert heart > 0 > knee
    assert abs(heart + knee) < 0.01
