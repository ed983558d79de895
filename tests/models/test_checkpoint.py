"""A training that was killed goes on, and ends where it would have ended."""

import json
import signal
import subprocess
import sys
import time

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


SCRIPT = """
import sys, json, time, torch
from models.train import train
torch.set_num_threads(1)
def slowly(what, done, most, loss):
    time.sleep(0.3 if what == "network" else 0)
train("lab", sys.argv[1], sys.argv[2], epochs=4, about=json.loads(sys.argv[3]), tell=slowly)
"""


def test_a_process_killed_in_the_middle_goes_on_where_it_was(stays, tmp_path):
    whole = train("lab", stays, tmp_path / "whole", epochs=4, about=ABOUT)
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(stays), str(out), json.dumps(ABOUT)])
    while process.poll() is None and not (out / CHECKPOINT_FILE).is_file():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "card.json").exists()
    heard = []
    card = train("lab", stays, out, epochs=4, about=ABOUT, tell=lambda what, done, *_: heard.append((what, done)))
    assert heard[0][0] == "network"
    assert heard[0][1] > 1
    assert card.files == whole.files
