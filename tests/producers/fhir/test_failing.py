"""When an attachment that cannot be had is asked for again, and when it is given up."""

from producers.fhir.failing import MOST_PAUSE, PATIENCE_SECONDS, Failing


def test_an_address_that_never_failed_and_one_that_failed_once_are_asked_at_once():
    failing = Failing()
    assert failing.is_due("a", 0)
    failing.failed("a", 0)
    assert failing.is_due("a", 0)


def test_an_address_is_left_alone_for_as_long_as_it_has_been_failing():
    failing = Failing()
    failing.failed("a", 0)
    failing.failed("a", 30)
    assert [failing.is_due("a", now) for now in (31, 59, 60)] == [False, False, True]
    assert failing.is_due("b", 31)


def test_it_is_never_left_alone_for_longer_than_the_longest_pause():
    failing = Failing()
    failing.failed("a", 0)
    failing.failed("a", 9000)
    assert failing.is_due("a", 9000 + MOST_PAUSE)


def test_it_is_given_up_once_it_has_failed_for_as_long_as_patience_lasts():
    failing = Failing()
    gap = PATIENCE_SECONDS / 4
    assert [failing.failed("a", number * gap) for number in range(6)] == [False, False, False, False, True, False]


def test_after_a_success_it_begins_anew():
    failing = Failing()
    failing.failed("a", 0)
    failing.fetched("a")
    assert not failing.failed("a", PATIENCE_SECONDS)


def test_a_failure_of_long_ago_that_nobody_followed_does_not_count():
    failing = Failing()
    failing.failed("a", 0)
    assert not failing.failed("a", 3 * PATIENCE_SECONDS)
