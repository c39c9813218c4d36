"""The limit on requests in flight by hand: what a server accepts and rejects, and when the rejected is tried again."""

from __future__ import annotations

import pytest

from generation.model.concurrency import FIRST_TRIAL_S, MAX_TRIAL_S, RECENT_S, ConcurrencyLimit

START_S = 1_000.0


def test_a_burst_leaves_what_was_accepted() -> None:
    """Of 100 sent at once 92 are rejected, one after another: the limit is 8, and 9 is the number not to try."""
    limit = ConcurrencyLimit(100, 100.0)
    for left in range(99, 7, -1):
        assert limit.explains_rejection(left, START_S)
        limit.learn_rejected(100, 0, left, START_S)

    assert (limit.limit, limit.rejected) == (8.0, 9.0)
    assert limit.is_full(8)
    assert not limit.is_full(7)


def limited_to(number: int) -> ConcurrencyLimit:
    limit = ConcurrencyLimit(100, 100.0)
    limit.learn_rejected(number + 1, 0, number, START_S)
    return limit


def grow(limit: ConcurrencyLimit, now_s: float) -> float:
    for _ in range(20):
        limit.increase(int(limit.limit), now_s)
        if limit.limit >= limit.rejected:
            break
    return limit.limit


def test_a_rejected_number_is_tried_again_at_growing_intervals() -> None:
    """At eight the ninth is tried after 1 s, and, while it is rejected, after 2, 4, 8, 16 and then every 30 s."""
    limit, now_s, intervals = limited_to(8), START_S, list[float]()
    for _ in range(7):
        interval_s = limit.try_again_s
        intervals.append(interval_s)
        assert grow(limit, now_s + interval_s - 0.01) < 9
        now_s += interval_s
        assert grow(limit, now_s) >= 9
        limit.learn_rejected(9, limit.epoch, 8, now_s)

    assert intervals == [FIRST_TRIAL_S, 2, 4, 8, 16, MAX_TRIAL_S, MAX_TRIAL_S]


def test_a_trial_that_is_accepted_frees_the_growth() -> None:
    """Once nine are accepted together, the limit grows by one a round as if nothing had been rejected."""
    limit = limited_to(8)
    grow(limit, START_S + 1)
    limit.learn_accepted(9, limit.epoch, 8, START_S + 2)
    assert limit.rejected == float("inf")

    before = limit.limit
    limit.increase(8, START_S + 2)
    assert limit.limit == pytest.approx(before + 1 / before)


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    """With three of eight in flight nothing is learned about nine."""
    limit = ConcurrencyLimit(100, 8.0)
    limit.increase(3, START_S)

    assert limit.limit == 8.0


@pytest.mark.parametrize(
    ("in_flight", "later_s", "explains"),
    [(0, 1.0, False), (6, 1.0, False), (7, 1.0, False), (8, 1.0, True), (1, RECENT_S, True), (0, RECENT_S, False)],
)
def test_what_the_number_in_flight_explains(in_flight: int, later_s: float, explains: bool) -> None:
    """Where eleven were accepted together, a rejection beside seven others has another cause, until that is long ago;
    and that of a lone request always has.
    """
    limit = ConcurrencyLimit(100, 100.0)
    limit.learn_accepted(11, 0, 10, START_S)

    assert limit.explains_rejection(in_flight, START_S + later_s) == explains


def test_a_burst_shows_no_more_than_what_was_sent_before() -> None:
    """A request that left as the 90th and is answered while 7 older ones are in flight shows that 8 are accepted."""
    limit = ConcurrencyLimit(100, 100.0)
    limit.learn_accepted(90, 0, 7, START_S)

    assert limit.accepted == 8


def test_rejections_with_another_cause_are_undone() -> None:
    """What was accepted before is the limit again, and no number is kept from being tried."""
    limit = ConcurrencyLimit(100, 100.0)
    limit.learn_accepted(60, 0, 59, START_S)
    limit.learn_rejected(60, 0, 50, START_S)
    limit.forget_rejections()

    assert (limit.limit, limit.rejected) == (60.0, float("inf"))


def test_a_clock_that_goes_back_lets_the_rejected_be_tried() -> None:
    """How long ago the rejection was is unknown then: one is tried, which costs a rejection at most."""
    assert grow(limited_to(8), START_S - 900) >= 9
