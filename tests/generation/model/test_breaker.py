"""The circuit breaker by hand: when a server that is away is asked again."""

from __future__ import annotations

import pytest

from generation.model.breaker import FIRST_PROBE_S, MAX_PROBE_S, MAX_RETRY_AFTER_S, CircuitBreaker

START_S = 1_000.0


def opened() -> CircuitBreaker:
    breaker = CircuitBreaker()
    breaker.failed(breaker.reserve(), None, START_S)
    return breaker


def test_a_server_that_replies_is_not_held_back() -> None:
    """While the breaker is closed nothing waits, and no request is a probe."""
    breaker = CircuitBreaker()

    assert breaker.wait_s(START_S) == 0.0
    assert not breaker.reserve()
    assert not breaker.is_open


def test_one_probe_at_a_time() -> None:
    """An open breaker lets one request through after the first wait, and the next one when that has ended."""
    breaker = opened()
    assert breaker.wait_s(START_S) == FIRST_PROBE_S
    assert breaker.wait_s(START_S + FIRST_PROBE_S) == 0.0

    assert breaker.reserve()
    assert breaker.wait_s(START_S + 100) is None
    breaker.lost(is_probe=True)
    assert breaker.wait_s(START_S + 100) == 0.0


def test_probes_back_off_up_to_a_maximum() -> None:
    """The waits double from 0.25 s to 15 s: within two minutes a dead server is asked 13 times after the first."""
    breaker, now_s, waits_s = opened(), START_S, list[float]()
    while now_s < START_S + 120:
        wait_s = breaker.wait_s(now_s)
        assert wait_s is not None
        waits_s.append(wait_s)
        now_s += wait_s
        breaker.failed(breaker.reserve(), None, now_s)

    assert waits_s == [0.25, 0.5, 1, 2, 4, 8, *[MAX_PROBE_S] * 7]


@pytest.mark.parametrize(
    ("retry_after_s", "wait_s"), [(None, 0.5), (0.1, 0.5), (7.0, 7.0), (3_600.0, MAX_RETRY_AFTER_S)]
)
def test_the_servers_word_makes_a_wait_longer(retry_after_s: float | None, wait_s: float) -> None:
    """A `Retry-After` is waited for, half a minute at most: a server that restarts does not know how long it takes."""
    breaker = opened()
    breaker.failed(breaker.reserve(), retry_after_s, START_S)

    assert breaker.wait_s(START_S) == wait_s


def test_what_was_in_flight_when_it_opened_changes_nothing() -> None:
    """Ten connections that break together are one failure, and a late answer among them is no proof of life."""
    breaker = opened()
    for _ in range(9):
        breaker.failed(False, None, START_S + 0.1)
    breaker.replied(is_probe=False)

    assert breaker.is_open
    assert (breaker.failed_probes, breaker.wait_s(START_S)) == (0, FIRST_PROBE_S)


def test_a_reply_to_a_probe_closes_it_and_the_next_outage_starts_anew() -> None:
    """After a probe was answered nobody waits; the waits of the next outage begin with the first."""
    breaker = opened()
    for _ in range(5):
        breaker.failed(breaker.reserve(), None, START_S)
    breaker.replied(breaker.reserve())
    assert breaker.wait_s(START_S) == 0.0

    breaker.failed(breaker.reserve(), None, START_S + 60)
    assert (breaker.since_s, breaker.wait_s(START_S + 60)) == (START_S + 60, FIRST_PROBE_S)


def test_a_clock_that_goes_back_ends_the_wait() -> None:
    """The length of a wait is unknown when the clock has jumped back: the server is asked."""
    assert opened().wait_s(START_S - 500) == 0.0
