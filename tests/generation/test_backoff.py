"""The one back-off: it doubles up to its cap, never overflows, and is left to chance below that."""

from __future__ import annotations

import random

import pytest

from generation.backoff import backoff_s, max_backoff_s
from tests.support.contexts import SEED


@pytest.mark.parametrize(
    ("failures", "longest_s"), [(0, 0.5), (1, 1.0), (5, 16.0), (6, 20.0), (1_023, 20.0), (1_024, 20.0), (100_000, 20.0)]
)
def test_the_longest_wait_is_capped_after_any_number_of_failures(failures: int, longest_s: float) -> None:
    """An outage of hours, with thousands of failures in a row, waits for the cap and raises nothing."""
    assert max_backoff_s(failures, 0.5, 20.0) == longest_s


def test_waits_are_spread_over_the_whole_range() -> None:
    """A thousand waits after three failures lie between 0 and four seconds, in each quarter of that."""
    random.seed(SEED)
    waits_s = [backoff_s(3, 0.5, 20.0) for _ in range(1_000)]

    assert 0 <= min(waits_s) <= max(waits_s) <= 4.0
    assert {int(wait_s) for wait_s in waits_s} == {0, 1, 2, 3}
