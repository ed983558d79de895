"""A training that was killed goes on, and ends where it would have ended."""

import pytest

from models.checkpoint import CHECKPOINT_FILE
from models.train import train

ABOUT = {"name": "one", "config": {"hidden": 8, "trees": 5}}


class Killed(Exception):
    pass


def kill_after(epoch):
    def tell(what, done, _most, _loss):
        if (what, done) == ("network", epoch):
            raise Killed

    return tell


def killed(stays, out, seed=0):
    with pytest.raises(Killed):
        train("lab", stays, out, epochs=4, about=ABOUT, seed=seed, tell=kill_after(2))


def test_a_killed_training_ends_with_the_same_weights(stays, tmp_path):
    whole = train("lab", stays, tmp_path / "whole", epochs=4, about=ABOUT)
    killed(stays, tmp_path / "killed")
    heard = []
    card = train("lab", stays, tmp_path / "killed", epochs=4, about=ABOUT, tell=lambda what, done, *_: heard.append((what, done)))
    assert heard[0] == ("network", 3)
    assert card.files == whole.files
    assert not (tmp_path / "killed" / CHECKPOINT_FILE).exists()


def test_another_seed_does_not_go_on_from_it(stays, tmp_path):
    killed(stays, tmp_path)
    heard = []
    train("lab", stays, tmp_path, epochs=4, about=ABOUT, seed=1, tell=lambda what, done, *_: heard.append((what, done)))
    assert heard[0] == ("network", 1)


def test_half_a_checkpoint_is_begun_again(stays, tmp_path):
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"\x08\x00\x00")
    assert train("lab", stays, tmp_path, epochs=1, about=ABOUT).training["epochs"] == 1
