from datetime import UTC, datetime
from io import BytesIO

import cv2
import numpy as np
import pytest
from pydicom import dcmread

from dxstream.hospital.radiograph import draw_chest
from dxstream.hospital.scans import ODDITIES, scan_case

NOW = datetime(2026, 3, 4, 0, 30, tzinfo=UTC)


def read(case):
    return dcmread(BytesIO(case.sendings[0].content))


@pytest.fixture(scope="module")
def odd():
    return {oddity.name: scan_case(3, 5 + 10 * place, NOW) for place, oddity in enumerate(ODDITIES)}


@pytest.fixture(scope="module")
def ordinary():
    return [scan_case(3, index, NOW) for index in (0, 1, 2, 3, 4, 6, 7, 8, 9)]


def age(dataset):
    """Completed years at StudyDate."""
    born, taken = (datetime.strptime(text, "%Y%m%d") for text in (dataset.PatientBirthDate, dataset.StudyDate))  # noqa: DTZ007
    return taken.year - born.year - ((taken.month, taken.day) < (born.month, born.day))


def test_an_ordinary_scan_is_a_frontal_chest_of_a_small_child_for_presentation(ordinary):
    for dataset in map(read, ordinary):
        assert 1 <= age(dataset) <= 5
        assert (dataset.Modality, dataset.BodyPartExamined, dataset.PresentationIntentType) == ("DX", "CHEST", "FOR PRESENTATION")
        assert dataset.ViewPosition in ("AP", "PA")
        assert dataset.IssuerOfPatientID
        assert dataset.TimezoneOffsetFromUTC == "+0000"
        assert dataset.pixel_array.shape == (dataset.Rows, dataset.Columns)


def test_the_book_knows_a_scan_by_its_sop_instance_uid(ordinary):
    for case in ordinary:
        dataset = read(case)
        assert case.sendings[0].sender_id == dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
        assert dataset.SOPInstanceUID.is_valid


def test_no_scan_was_taken_in_the_future(ordinary):
    assert all(dataset.StudyDate + dataset.StudyTime <= f"{NOW:%Y%m%d%H%M%S}" for dataset in map(read, ordinary))


def test_the_odd_ones_are_odd_in_the_way_that_they_say(odd):
    scans = {name: read(case) for name, case in odd.items()}
    assert age(scans["adult"]) == 40
    assert not scans["ageless"].PatientBirthDate
    assert "PatientAge" not in scans["ageless"]
    assert scans["lateral"].ViewPosition == "LL"
    assert scans["knee"].BodyPartExamined == "KNEE"
    assert not scans["black"].pixel_array.any()
    assert scans["inverse"].PhotometricInterpretation == "MONOCHROME1"
    assert scans["deep"].BitsStored == 12
    assert scans["deep"].pixel_array.max() > 255
    assert len(odd["twice"].sendings) == 2
    assert odd["twice"].sendings[0] == odd["twice"].sendings[1]


def test_every_way_of_storing_shows_dark_lungs_and_a_bright_middle(odd, ordinary):
    scans = [read(odd["inverse"]), read(odd["deep"]), *map(read, ordinary)]
    for dataset in scans:
        picture = dataset.pixel_array.astype(float)
        picture = picture.max() - picture if dataset.PhotometricInterpretation == "MONOCHROME1" else picture
        small = cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA)
        assert small[5:9, 4].mean() < small[5:9, 8].mean()
        assert small[:, 0].mean() < small[13:, 5:11].mean()


def test_opacities_make_the_lungs_brighter_on_average():
    def lungs(opacity):
        pictures = [draw_chest(np.random.default_rng(seed), opacity=opacity) for seed in range(6)]
        return np.mean([picture[180:340, 110:190] for picture in pictures])

    assert lungs(opacity=True) > lungs(opacity=False) + 10
