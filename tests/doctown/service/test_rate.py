"""The rate limit of a caller: a burst, then so many a minute, and nobody else's business."""

from __future__ import annotations

from doctown.service.rate import MAX_CALLERS, RateLimit


def test_a_caller_has_a_burst_and_then_the_rate() -> None:
    """Half a minute's requests pass at once; a refused one is told when to come again, and is then admitted."""
    now = [0.0]
    limit = RateLimit(60, lambda: now[0])
    assert [limit.wait_s("a") for _ in range(30)] == [0.0] * 30
    assert 0 < limit.wait_s("a") <= 1.0
    assert limit.wait_s("b") == 0.0
    now[0] += limit.wait_s("a")
    assert limit.wait_s("a") == 0.0
    assert limit.wait_s("a") > 0.0


def test_callers_are_forgotten_before_they_fill_the_memory() -> None:
    limit = RateLimit(60, lambda: 0.0)
    for number in range(MAX_CALLERS + 10):
        limit.wait_s(str(number))
    assert len(limit._buckets) == MAX_CALLERS
