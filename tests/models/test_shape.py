"""What a person wrote becomes a dataclass, or is refused by name."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from models.shape import shaped
from stream.errors import Refused


@dataclass(frozen=True, kw_only=True)
class House:
    street: str
    floors: int = 1
    height: float = 3.0
    rooms: Sequence[int] = ()
    cellars: int = 0


def test_lists_become_tuples_and_a_whole_number_is_a_number_too():
    told = {"street": "High Street", "height": 5, "rooms": [1, 2]}
    assert shaped(House, told, "here") == House(street="High Street", height=5, rooms=(1, 2))


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"street": "a", "flors": 2}, "nothing is called flors here: street, floors, height, rooms, cellars"),
        ({"floors": 2}, "street is missing"),
        ({"street": 1}, "street is not a text"),
        ({"street": "a", "floors": 1.5}, "floors is not a whole number"),
        ({"street": "a", "floors": True}, "floors is not a whole number"),
        ({"street": "a", "height": "high"}, "height is not a number"),
        ({"street": "a", "rooms": 3}, "rooms is not a list as it should be"),
        ({"street": "a", "rooms": ["big"]}, "rooms is not a list as it should be"),
        ({"street": "a", "floors": 0}, "floors is below 1"),
        ({"street": "a", "rooms": [2, -1]}, "rooms is below 1"),
        ({"street": "a", "cellars": -1}, "cellars is below 0"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(told, reason):
    with pytest.raises(Refused, match=reason) as refused:
        shaped(House, told, "here")
    assert refused.value.where == "here"


def test_a_whole_number_whose_default_is_0_may_be_0_and_so_may_any_other_number():
    told = {"street": "High Street", "cellars": 0, "height": 0}
    assert shaped(House, told, "here") == House(street="High Street", cellars=0, height=0)
