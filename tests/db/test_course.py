"""The course of a stay does not depend on the order in which its movements come in."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from db.course import Course, Movement, replay

START = datetime(2026, 3, 1, tzinfo=UTC)


def moved(kind: str, hour: float, *, intensive: bool | None = True, recorded: float | None = None, person: str = "") -> Movement:
    at, recorded_at = START + timedelta(hours=hour), START + timedelta(hours=hour if recorded is None else recorded)
    return Movement(kind=kind, at=at, recorded_at=recorded_at, intensive=intensive, person=person)


def hours(course: Course) -> tuple[float | None, float | None]:
    """Origin and leaving, in hours after START."""
    origin, left = ((at - START) / timedelta(hours=1) if at else None for at in (course.origin, course.left_at))
    return origin, left


@pytest.mark.parametrize(
    ("movements", "expected"),
    [
        ([moved("admit", 0)], (0, None)),
        ([moved("admit", 0, intensive=False), moved("transfer", 5)], (5, None)),
        ([moved("admit", 0), moved("transfer", 9, intensive=False)], (0, 9)),
        ([moved("admit", 0), moved("discharge", 7, intensive=None)], (0, 7)),
        ([moved("admit", 0), moved("discharge", 7), moved("cancel_discharge", 8)], (0, None)),
        ([moved("admit", 0), moved("cancel_admit", 1)], (None, None)),
        ([moved("admit", 0), moved("cancel_admit", 1), moved("admit", 0, recorded=2)], (0, None)),
        ([moved("admit", 0, intensive=False), moved("transfer", 2), moved("cancel_transfer", 3), moved("transfer", 4)], (4, None)),
        ([moved("transfer", 2), moved("transfer", 4, intensive=False), moved("cancel_transfer", 2, recorded=6)], (None, None)),
        ([moved("transfer", 2), moved("transfer", 4, intensive=False), moved("cancel_transfer", 5)], (2, None)),
        ([moved("admit", 3), moved("correct_admit", 1, recorded=9, intensive=None)], (1, None)),
        ([moved("admit", 3), moved("admit", 1, recorded=9)], (1, None)),
        ([moved("correct_admit", 1, intensive=None)], (None, None)),
        ([moved("admit", 3), moved("transfer", 1, recorded=4), moved("update", 5, intensive=None)], (1, None)),
        ([moved("admit", 0, intensive=None)], (None, None)),
        ([moved("admit", 0, intensive=False), moved("transfer", 5), moved("cancel_admit", 0, recorded=6)], (None, None)),
        ([moved("transfer", 5), moved("cancel_admit", 6), moved("admit", 7)], (7, None)),
        ([moved("admit", 0), moved("admit", 0, intensive=False, recorded=1)], (None, None)),
        ([moved("admit", 0, intensive=False), moved("admit", 0, recorded=1)], (0, None)),
        ([moved("admit", 0), moved("admit", 0, intensive=None, recorded=1)], (0, None)),
        ([moved("admit", 0), moved("admit", 4, intensive=False)], (0, None)),
    ],
)
def test_every_order_of_arrival_comes_to_the_same(movements: list[Movement], expected: tuple[float | None, float | None]):
    for order in permutations(movements):
        assert hours(replay(order)) == expected
        assert hours(replay([*order, order[0]])) == expected  # one is told again


def test_a_cancel_that_is_told_again_undoes_one_movement():
    movements = [moved("transfer", 2), moved("transfer", 4), moved("cancel_transfer", 5), moved("cancel_transfer", 5)]
    assert hours(replay(movements)) == (2, None)


def test_the_latest_word_on_the_person_holds():
    movements = [moved("admit", 0, person="a"), moved("update", 9, person="b"), moved("transfer", 3, person="a")]
    assert replay(movements).person == "b"


def test_a_cancel_of_the_same_moment_follows_what_it_cancels():
    assert hours(replay([moved("cancel_admit", 0), moved("admit", 0)])) == (None, None)
