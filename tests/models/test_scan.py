"""One image in, one judgement out: over every format the same, and no batch-mate matters."""

import numpy as np
import pytest
from model_samples import dicom, jpeg, picture

from models.interface import Prepared
from models.pixels import read_picture
from models.recipe_scan import gates
from models.scan import likeness, thumbnail
from stream.errors import Rejected
from stream.judgement import Sample


def sample(*contents):
    return Sample(contents=contents)


def judged(model, content):
    prepared = model.prepare(sample(content))
    return model.interpret(prepared, model.infer([prepared])[0])


def test_an_online_dicom_equals_the_offline_jpeg(scan_model):
    encoded = jpeg(picture(1, 3))
    offline = judged(scan_model, encoded)
    online = judged(scan_model, dicom(read_picture(encoded)))
    assert online.findings == offline.findings


def test_a_finding_holds_probability_and_threshold_as_used(scan_model):
    (finding,) = judged(scan_model, jpeg(picture(1, 3))).findings
    assert finding.label == "ill"
    assert finding.threshold == scan_model.card.thresholds["ill"]
    assert finding.positive == (finding.probability >= finding.threshold)


def test_results_do_not_depend_on_the_batch(scan_model):
    batch = [scan_model.prepare(sample(jpeg(picture(number % 2, number)))) for number in range(9)]
    together = np.array([scores.logits for scores in scan_model.infer(batch)])
    alone = np.array([scan_model.infer([prepared])[0].logits for prepared in batch])
    assert np.abs(together - alone).max() < 1e-5


def test_an_odd_batch_mate_changes_no_other_result(scan_model):
    good = scan_model.read(sample(jpeg(picture(0, 1))))
    odd = scan_model.read(sample(jpeg(np.random.default_rng(0).integers(0, 256, (96, 96)).astype(np.uint8))))
    alone, beside = scan_model.infer([good])[0], scan_model.infer([odd, good])[1]
    assert np.abs(alone.logits - beside.logits).max() < 1e-5
    assert abs(alone.error - beside.error) < 1e-5


def test_nothing_in_gives_nothing_out(scan_model):
    assert scan_model.infer([]) == []


def test_a_series_is_refused_by_a_model_of_one_image(scan_model):
    with pytest.raises(Rejected, match="a series: 2 images"):
        scan_model.prepare(sample(b"", b""))


@pytest.mark.parametrize(
    ("grey", "reason"),
    [
        (np.full((128, 128), 90, np.uint8), "blank"),
        (picture(0)[:40, :40], "too small"),
        (255 - picture(0), "polarity"),
    ],
)
def test_the_gates_before_the_model_say_why(scan_model, grey, reason):
    with pytest.raises(Rejected, match=reason):
        scan_model.prepare(sample(jpeg(grey)))


def test_noise_is_unlike_anything_seen(scan_model):
    noise = scan_model.read(sample(jpeg(np.random.default_rng(0).integers(0, 256, (96, 96)).astype(np.uint8))))
    with pytest.raises(Rejected, match="unlike anything seen"):
        scan_model.interpret(noise, scan_model.infer([noise])[0])


def test_a_picture_is_like_itself_and_unlike_its_negative():
    grey = picture(0, side=128)
    assert likeness(grey, thumbnail(grey)) == pytest.approx(1, abs=1e-3)
    assert likeness(255 - grey, thumbnail(grey)) == pytest.approx(-1, abs=1e-3)


def test_the_golden_case_gives_the_probabilities_of_the_card(scan_model):
    scan_model.warm_up()


def test_pictures_smaller_than_the_usual_least_side_can_be_trained_on():
    small = [Prepared(arrays={"image": picture(0, seed, 28)}, details={"rows": 28, "columns": 30}) for seed in range(3)]
    assert gates(small)["least_side"] == 28
