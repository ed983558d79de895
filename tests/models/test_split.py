"""A split that never changes and never leaks."""

from models.example import Example
from models.split import Split
from stream.judgement import Sample


def example(number, group):
    return Example(id=str(number), label="a", group=group, open=lambda: Sample(contents=()))


def test_a_group_is_always_on_one_side():
    parts = Split().parts([example(number, f"patient{number // 5}") for number in range(500)])
    groups = [{one.group for one in part} for part in parts.values()]
    assert sum(len(part) for part in parts.values()) == 500
    assert sum(len(found) for found in groups) == 100


def test_the_shares_are_about_what_was_asked_for():
    parts = [Split(validation=0.2, test=0.1).part(f"g{number}") for number in range(5000)]
    assert abs(parts.count("validation") / 5000 - 0.2) < 0.02
    assert abs(parts.count("test") / 5000 - 0.1) < 0.02


def test_the_part_of_a_group_is_pinned():
    assert [Split().part(f"g{number}") for number in range(8)] == [
        Split.from_recipe(Split().recipe()).part(f"g{number}") for number in range(8)
    ]
    assert Split().part("patient-1") == "validation"


def test_another_salt_draws_another_split():
    groups = [f"g{number}" for number in range(100)]
    assert [Split().part(one) for one in groups] != [Split(salt="x").part(one) for one in groups]
