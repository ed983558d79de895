"""The learning curve is a picture."""

from models.fit import Epoch
from models.report import draw_learning_curve


def test_a_png_is_drawn(tmp_path):
    draw_learning_curve([Epoch(training=1.0, validation=0.9), Epoch(training=0.5, validation=0.6)], tmp_path / "c.png", "a")
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"
