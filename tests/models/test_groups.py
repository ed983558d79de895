"""Groups of patients, in words."""

import pytest

from models.groups import age_band, groups_of


@pytest.mark.parametrize(
    ("years", "band"),
    [(0.5, "age 0 to 0"), (5, "age 1 to 5"), (16, "age 16 to 44"), (79.9, "age 65 to 79"), (95, "age 80 and over")],
)
def test_an_age_falls_into_one_band(years, band):
    assert age_band(years) == band


def test_only_what_is_known_makes_a_group():
    assert groups_of({"sex": "female", "age_years": 70}) == ("sex female", "age 65 to 79")
    assert groups_of({"setting": "icu"}) == ()
