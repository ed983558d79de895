from collections import Counter
from datetime import UTC, datetime

import pytest

from dxstream.hospital.planning import plan

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)


def test_equal_plans_hold_equal_cases_byte_by_byte():
    assert list(plan(9, 5, NOW).cases()) == list(plan(9, 5, NOW).cases())


def test_another_seed_gives_other_cases():
    first, second = (next(plan(3, seed, NOW).scans()) for seed in (1, 2))
    assert first.sendings[0].sender_id != second.sendings[0].sender_id


def test_cases_are_shared_among_scans_stays_and_notes():
    assert Counter(case.kind for case in plan(11, 1, NOW).cases()) == {"scan": 4, "stay": 4, "note": 3}
    assert plan(300, 1, NOW).n == 300


@pytest.mark.parametrize("kind", ["scans", "stays", "notes"])
def test_one_case_in_ten_is_odd_and_says_what_is_expected_of_it(kind):
    cases = list(getattr(plan(90, 1, NOW), kind)())
    odd = [case for case in cases if case.note]
    assert len(odd) == len(cases) // 10
    assert all(case.expected == "predicted" for case in cases if not case.note)


def test_no_sender_id_is_used_for_two_things():
    sendings = {sending for case in plan(120, 1, NOW).cases() for sending in case.sendings}
    assert len({sending.sender_id for sending in sendings}) == len(sendings)


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        plan(3, 1, datetime(2026, 3, 4))  # noqa: DTZ001 - the very thing that is refused
