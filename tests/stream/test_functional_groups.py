"""Enhanced images: what the functional groups say of a frame stands where a plain image has it."""

from typing import Any

import pytest
from dicom_samples import groups
from pydicom import Dataset

from stream.functional_groups import apply_groups

RESCALE = {"RescaleSlope": 2, "RescaleIntercept": -100}
OTHER = {"RescaleSlope": 3, "RescaleIntercept": 0}
WINDOW = {"WindowCenter": 40, "WindowWidth": 400}
CT, WIDE = {"PixelValueTransformationSequence": RESCALE}, {"FrameVOILUTSequence": WINDOW}


def applied(frame: int, *, plain: dict[str, Any], **told: Any) -> dict[str, float]:
    """What stands in the dataset afterwards."""
    dataset = Dataset()
    dataset.update(groups(**told))
    for keyword, value in plain.items():
        setattr(dataset, keyword, value)
    apply_groups(dataset, frame)
    return {keyword: float(dataset[keyword].value) for keyword in (*RESCALE, *WINDOW) if keyword in dataset}


def test_shared_groups_hold_for_every_frame():
    assert [applied(frame, plain={}, shared={**CT, **WIDE}) for frame in (0, 1)] == [{**RESCALE, **WINDOW}] * 2


def test_a_frames_own_group_holds_before_the_shared_one():
    own = [{}, {"PixelValueTransformationSequence": OTHER}]
    assert [applied(frame, plain={}, shared=CT, own=own) for frame in (0, 1, 2)] == [RESCALE, OTHER, RESCALE]


def test_a_group_stands_in_place_of_what_the_image_says_as_a_whole():
    plain = {**OTHER, "WindowCenter": 1, "WindowWidth": 2, "VOILUTFunction": "SIGMOID"}
    dataset = Dataset()
    dataset.update(groups(shared=WIDE))
    for keyword, value in plain.items():
        setattr(dataset, keyword, value)
    apply_groups(dataset, 0)
    assert "VOILUTFunction" not in dataset
    assert applied(0, plain={**OTHER, "WindowCenter": 1, "WindowWidth": 2}, shared=WIDE) == {**OTHER, **WINDOW}


@pytest.mark.parametrize("told", [{}, {"shared": {}}, {"own": [{"FrameVOILUTSequence": {}}]}, {"own": []}])
def test_without_groups_that_say_anything_the_image_stays_as_it_is(told):
    assert applied(0, plain=RESCALE, **told) == RESCALE
