"""Pace: the arithmetic by hand on an invented clock, and the gate that many wait at.

The last part runs the gate against a server of its own arithmetic, hours of it in milliseconds.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.errors import AccountError
from generation.model.limiter import JobQueue, Limiter, Permit
from generation.model.pacing import (
    CANARY_WAIT_S,
    MAX_HOLD_S,
    MAX_TIMEOUT_S,
    NO_LIMITS,
    Bucket,
    Limits,
    Pace,
    RateLimit,
    Reservation,
    parse_limits,
)
from tests.conftest import invented_time_loop, run_on_invented_time

START_S = 1_000.0


def headers(kind: str, limit: object, remaining: object, reset: object = "0s") -> dict[str, str]:
    named = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{part}-{kind}": str(value) for part, value in named.items()}


# --- Headers


def test_the_limits_of_a_reply() -> None:
    """Limit and remaining of requests and of tokens are read, white space around them left out."""
    reply = {**headers("requests", 500, 499, "120ms"), **headers("tokens", " 200000", "199000.5 ", "6m0s")}

    assert parse_limits(reply) == (Limits(RateLimit(500, 499), RateLimit(200_000, 199_000.5)), [])


def test_other_headers_say_nothing() -> None:
    """A reply without limits has none, and nothing about it is strange."""
    assert parse_limits({"content-type": "application/json"}) == (NO_LIMITS, [])


@pytest.mark.parametrize("missing", ["limit", "remaining"])
def test_half_a_limit_is_none(missing: str) -> None:
    """Without the limit or what remains of it there is nothing to reckon with; the other kind is not touched."""
    reply = {**headers("requests", 500, 499), **headers("tokens", 200, 100)}
    del reply[f"x-ratelimit-{missing}-tokens"]

    assert parse_limits(reply) == (Limits(requests=RateLimit(500, 499)), [])


def test_a_limit_without_a_reset_is_one_all_the_same() -> None:
    """The time of the reset is not needed."""
    reply = headers("requests", 500, 499)
    del reply["x-ratelimit-reset-requests"]

    assert parse_limits(reply)[0].requests == RateLimit(500, 499)


ABSURD = ["", "nan", "inf", "-1", "1e13", "many", "0x10", "5,000", "1 000"]


@pytest.mark.parametrize("text", ABSURD)
@pytest.mark.parametrize("part", ["limit", "remaining"])
def test_an_absurd_number_is_named_and_left_out(part: str, text: str) -> None:
    """A number that makes no sense is reported by the name of its header, and its limit does not count."""
    reply = {**headers("requests", 500, 499), f"x-ratelimit-{part}-requests": text}

    assert parse_limits(reply) == (NO_LIMITS, [f"x-ratelimit-{part}-requests"])


def test_an_absurd_reset_changes_nothing() -> None:
    """The time of a reset is not read: one that makes no sense takes nothing from limit and remaining."""
    limits, senseless = parse_limits(headers("tokens", 500, 499, "next Tuesday"))

    assert limits.tokens == RateLimit(500, 499)
    assert senseless == []


@pytest.mark.parametrize(("limit", "remaining"), [(0, 0), (100, 101), ("0", "5")])
def test_figures_that_contradict_each_other_do_not_count(limit: object, remaining: object) -> None:
    """No limit of nothing, and no more left than there is in all."""
    assert parse_limits(headers("requests", limit, remaining))[0] == NO_LIMITS


@given(st.dictionaries(st.sampled_from(sorted({**headers("requests", 1, 1), **headers("tokens", 1, 1)})), st.text()))
def test_no_header_breaks_the_reading(reply: dict[str, str]) -> None:
    """Whatever stands in the headers, what is read of them can be reckoned with."""
    limits, senseless = parse_limits(reply)

    assert set(senseless) <= reply.keys()
    for one in (limits.requests, limits.tokens):
        assert one is None or 0 <= one.remaining <= one.limit < math.inf


# --- Buckets: 600 a minute are 10 a second


def full(limit: float = 600.0) -> Bucket:
    return Bucket(limit=limit, local_balance=limit, at_s=START_S)


def test_a_bucket_without_a_known_limit_never_waits() -> None:
    """Until a limit is known there is always enough."""
    bucket = Bucket()

    assert bucket.balance(START_S) == math.inf
    assert bucket.wait_s(1e9, START_S) == 0.0


def test_a_bucket_refills_by_the_clock_up_to_its_limit() -> None:
    """100 of 600 taken are back after 10 s; after an hour there are 600 and not more."""
    bucket = full()
    bucket.take(100, START_S)

    assert [bucket.balance(START_S + later_s) for later_s in (0, 4, 10, 3_600)] == [500, 540, 600, 600]


def test_the_wait_for_an_amount() -> None:
    """An empty bucket of 10 a second has 50 in 5 s, and is left 0.05 s more; what is there need not be waited for."""
    bucket = full()
    bucket.take(600, START_S)

    assert bucket.wait_s(50, START_S) == pytest.approx(5.05)
    assert bucket.wait_s(50, START_S + 3) == pytest.approx(2.05)
    assert bucket.wait_s(50, START_S + 5.05) == 0.0


def test_a_request_larger_than_the_bucket_leaves_when_it_is_full() -> None:
    """1,000 from a bucket of 600 wait for the whole 600 and no longer; what they owe is paid by those who follow."""
    bucket = full()
    bucket.take(300, START_S)

    assert bucket.wait_s(1_000, START_S) == pytest.approx(30.0)
    assert bucket.wait_s(1_000, START_S + 30) == 0.0
    bucket.take(1_000, START_S + 30)
    assert bucket.wait_s(1, START_S + 30) == pytest.approx(40.15)


def test_what_only_rounding_withholds_is_not_waited_for() -> None:
    """A bucket that is full but for the last bits of a float lets a request through that is larger than itself."""
    bucket = Bucket(limit=600.0, local_balance=600 - 1e-9, at_s=START_S)

    assert bucket.wait_s(1_000, START_S) == 0.0


def test_a_clock_that_goes_back_refills_nothing_and_starts_anew() -> None:
    """After a jump back of 500 s the balance is what it was, and 10 s later it has grown by 100."""
    bucket = full()
    bucket.take(400, START_S)

    assert bucket.balance(START_S - 500) == 200
    assert bucket.balance(START_S - 490) == 300


def test_a_clock_that_jumps_ahead_fills_the_bucket_once() -> None:
    """After a jump ahead of a year the bucket is full, and no fuller."""
    bucket = full()
    bucket.take(600, START_S)

    assert bucket.balance(START_S + 3e7) == 600


def test_the_first_reply_tells_what_is_left() -> None:
    """A first reply of 599 left of 600 gives a balance of 599, which then refills to 600."""
    bucket = Bucket()
    local_balance = bucket.take(1, START_S)
    bucket.update_from_headers(RateLimit(600, 599), local_balance, START_S, START_S + 1)

    assert bucket.balance(START_S + 1) == pytest.approx(599)
    assert bucket.balance(START_S + 1.05) == pytest.approx(599.5)
    assert bucket.balance(START_S + 9) == pytest.approx(600)


def test_one_correction_is_not_repeated_for_each_request_in_flight() -> None:
    """Ten requests leave at once and the server has 300 less than we think: ten replies correct by 300, not 3,000."""
    bucket = Bucket()
    books = [bucket.take(1, START_S) for _ in range(10)]
    for place, local_balance in enumerate(books):
        bucket.update_from_headers(RateLimit(600, 299 - place), local_balance, START_S, START_S)

    assert books == [-1, -2, -3, -4, -5, -6, -7, -8, -9, -10]
    assert bucket.balance(START_S) == pytest.approx(290)


def test_what_others_take_is_learned_little_by_little() -> None:
    """Where the server says 100 less than the book, each reply moves the balance by 15 % of what is still missing."""
    bucket = full()
    seen = []
    for _ in range(3):
        bucket.update_from_headers(RateLimit(600, 500), 600, START_S, START_S)
        seen.append(bucket.balance(START_S))

    assert seen == [pytest.approx(585), pytest.approx(572.25), pytest.approx(561.4125)]


def test_a_refusal_is_believed_at_once() -> None:
    """A refusal that says 3 are left makes it 3; one that says more than we thought changes nothing."""
    bucket = full()
    bucket.refused(RateLimit(600, 3), START_S)
    assert bucket.balance(START_S) == pytest.approx(3)

    bucket.refused(RateLimit(600, 400), START_S)
    assert bucket.balance(START_S) == pytest.approx(3)


def test_a_reply_to_what_left_before_a_refusal_is_older_news() -> None:
    """After a refusal with 3 left, a reply of 500 to an earlier request changes nothing; to a later one it does."""
    bucket = full()
    bucket.refused(RateLimit(600, 3), START_S + 1)

    bucket.update_from_headers(RateLimit(600, 500), 600, START_S, START_S + 1)
    assert bucket.balance(START_S + 1) == pytest.approx(3)
    bucket.update_from_headers(RateLimit(600, 500), 600, START_S + 2, START_S + 1)
    assert bucket.balance(START_S + 1) == pytest.approx(3 + 0.15 * (500 - 3))


def test_a_refusal_before_any_reply_tells_the_limit() -> None:
    """Where the first thing heard is a refusal, limit and balance are those that it states."""
    bucket = Bucket()
    bucket.take(1, START_S)
    bucket.refused(RateLimit(600, 0), START_S)

    assert bucket.balance(START_S) == pytest.approx(0)
    assert bucket.wait_s(10, START_S) == pytest.approx(1.05)


# --- Pace


def proven(max_concurrency: int = 10, request_timeout_s: float = 60.0) -> Pace:
    """A pace whose account has answered once."""
    pace = Pace(max_concurrency, request_timeout_s)
    pace.answered(pace.reserve(1, START_S - 2), NO_LIMITS, START_S - 1)
    return pace


def departures(pace: Pace, count: int, now_s: float = START_S) -> list[Reservation]:
    return [pace.reserve(100, now_s) for _ in range(count)]


def test_the_first_request_goes_ahead_alone() -> None:
    """Until an account has answered, the second request waits half a second for the first; the third does not again."""
    pace = Pace(10, 60.0)
    assert pace.wait_s(1, START_S) == 0.0
    pace.reserve(1, START_S)

    assert pace.wait_s(1, START_S) == CANARY_WAIT_S == 0.5
    assert pace.wait_s(1, START_S + 0.2) == pytest.approx(0.3)
    assert pace.wait_s(1, START_S + 0.5) == 0.0


def test_an_answer_lets_the_others_through_at_once() -> None:
    """As soon as the account has answered, nobody is held back by the head start."""
    pace = Pace(10, 60.0)
    pace.answered(pace.reserve(1, START_S), NO_LIMITS, START_S + 0.1)
    pace.reserve(1, START_S + 0.1)

    assert pace.wait_s(1, START_S + 0.1) == 0.0


@pytest.mark.parametrize(("later_s", "wait_s"), [(59.0, 0.0), (61.0, 0.5)])
def test_an_account_that_has_been_silent_is_asked_by_one_again(later_s: float, wait_s: float) -> None:
    """An answer vouches for the account for a minute; after that the first request goes ahead alone once more."""
    pace = Pace(10, 60.0)
    pace.answered(pace.reserve(1, START_S - 1), NO_LIMITS, START_S)
    pace.reserve(1, START_S + later_s)

    assert pace.wait_s(1, START_S + later_s) == pytest.approx(wait_s)


def test_after_a_fault_of_the_account_one_goes_ahead_again() -> None:
    """A refused key makes the next request a scout, so that a job after it costs one request too."""
    pace = proven()
    pace.account_fault(pace.reserve(1, START_S))

    assert pace.wait_s(1, START_S) == 0.0
    pace.reserve(1, START_S + 1)
    assert pace.wait_s(1, START_S + 1) == pytest.approx(0.5)


def test_no_more_are_in_flight_than_the_width() -> None:
    """With as many in flight as the width allows, the next one waits for an answer and not for a time."""
    pace = proven(max_concurrency=3)
    first, *_ = departures(pace, 3)

    assert pace.wait_s(1, START_S) is None
    pace.lost(first)
    assert pace.wait_s(1, START_S) == 0.0


def test_a_retry_after_holds_everyone() -> None:
    """After a refusal with 2 s nobody leaves for 2 s, and what the refused request had reserved is given back."""
    pace = proven()
    pace.tokens = full(60_000)
    pace.requests = full()
    pace.refused(pace.reserve(100, START_S), NO_LIMITS, 2.0, START_S)

    assert pace.in_flight == 0
    assert pace.tokens.balance(START_S) == 60_000
    assert pace.requests.balance(START_S) == 600
    assert [pace.wait_s(1, START_S + later_s) for later_s in (0, 0.5, 2)] == pytest.approx([2.0, 1.5, 0.0])


def test_a_refusal_that_says_nothing_holds_for_a_second() -> None:
    """Without a retry-after the hold is one second."""
    pace = proven()
    pace.refused(pace.reserve(1, START_S), NO_LIMITS, None, START_S)

    assert pace.wait_s(1, START_S) == pytest.approx(1.0)


def test_the_longest_hold_counts_and_none_is_longer_than_two_minutes() -> None:
    """A shorter hold does not end a longer one, and a server that asks for a day gets two minutes."""
    pace = proven()
    one, two, three = departures(pace, 3)
    stated = Limits(RateLimit(600, 600))
    pace.refused(one, stated, 10.0, START_S)
    pace.refused(two, stated, 1.0, START_S + 1)
    assert pace.wait_s(1, START_S + 1) == pytest.approx(9.0)

    pace.refused(three, stated, 86_400.0, START_S + 1)
    assert pace.wait_s(1, START_S + 1) == MAX_HOLD_S == 120.0


def test_a_burst_of_complaints_is_one_complaint() -> None:
    """Ten requests of one width are all told that the server is busy: the width goes from 10 to 5, not to 1."""
    pace = proven()
    burst = departures(pace, 10)
    for reservation in burst:
        pace.overloaded(reservation, None, START_S + 1)

    assert pace.concurrency.limit == 5.0


def test_a_complaint_about_the_new_width_counts() -> None:
    """A request that left at the present width and finds the server busy halves it again; it never falls below one."""
    pace = proven()
    widths = []
    now_s = START_S
    for _ in range(6):
        now_s += 10
        group = departures(pace, int(pace.concurrency.limit), now_s)
        for reservation in group:
            pace.overloaded(reservation, None, now_s)
        widths.append(pace.concurrency.limit)

    assert widths == [5.0, 2.5, 1.0, 1.0, 1.0, 1.0]
    assert pace.wait_s(1, now_s + 10) == 0.0


def test_the_width_grows_where_it_is_used() -> None:
    """An answer widens by one part of the width where at least 80 % of it were in flight, and up to the limit only."""
    pace = proven()
    for reservation in departures(pace, 10):
        pace.overloaded(reservation, None, START_S)
    group = departures(pace, 5, START_S + 10)

    pace.answered(group[0], NO_LIMITS, START_S + 11)
    assert pace.concurrency.limit == pytest.approx(5.2)
    pace.answered(group[1], NO_LIMITS, START_S + 11)
    grown = 5.2 + 1 / 5.2
    assert pace.concurrency.limit == pytest.approx(grown), "4 of 5 are 80 %"
    pace.answered(group[2], NO_LIMITS, START_S + 11)
    assert pace.concurrency.limit == pytest.approx(grown), "3 of 5 are not"

    for turn in range(40):
        used = departures(pace, int(pace.concurrency.limit), START_S + 20 + turn)
        for reservation in used:
            pace.answered(reservation, NO_LIMITS, START_S + 21 + turn)
    assert pace.concurrency.limit == 10.0


def test_a_refusal_with_known_limits_leaves_the_width_alone() -> None:
    """Where the limits are stated, the rate was at fault and not how many were in flight."""
    pace = proven()
    pace.refused(departures(pace, 10)[0], Limits(requests=RateLimit(600, 0)), 0.1, START_S)

    assert pace.concurrency.limit == 10.0
    assert pace.wait_s(1, START_S) == pytest.approx(0.15)


@pytest.mark.parametrize("retry_after_s", [None, 1.0])
def test_a_refusal_without_any_limit_narrows_to_what_was_accepted(retry_after_s: float | None) -> None:
    """Refused beside nine others by a server that states no limit, nine is the width, and nobody waits for a time."""
    pace = proven()
    first, second, *_ = departures(pace, 10)
    pace.refused(first, NO_LIMITS, retry_after_s, START_S)

    assert pace.concurrency.limit == 9.0
    assert pace.wait_s(1, START_S) is None
    pace.answered(second, NO_LIMITS, START_S)
    assert pace.wait_s(1, START_S) == 0.0


def test_a_refusal_that_the_width_does_not_explain_pauses_and_leaves_the_width() -> None:
    """Ten were accepted together: a refusal beside five others is about a rate, and holds everyone."""
    pace = proven()
    for reservation in reversed(departures(pace, 10)):
        pace.answered(reservation, NO_LIMITS, START_S + 1)
    first, *_ = departures(pace, 6, START_S + 2)
    pace.refused(first, NO_LIMITS, 3.0, START_S + 2)

    assert pace.concurrency.limit == 10.0
    assert pace.wait_s(1, START_S + 2) == pytest.approx(3.0)


def test_a_server_that_states_no_limit_is_paced_by_its_retry_after() -> None:
    """Of a lone request one refusal spaces nothing. A second soon after it, with a bare retry-after of 0.1 s, spaces
    the requests by 0.1 s, a longer one by 0.25 s, and successes wear that off.
    """
    pace = proven()
    pace.refused(pace.reserve(1, START_S), NO_LIMITS, 0.1, START_S)
    first = pace.reserve(1, START_S + 3)
    assert pace.wait_s(1, START_S + 3) == 0.0

    pace.refused(first, NO_LIMITS, 0.1, START_S + 3)
    second = pace.reserve(1, START_S + 6)
    assert pace.wait_s(1, START_S + 6) == pytest.approx(0.1)

    pace.refused(second, NO_LIMITS, 30.0, START_S + 6)
    third = pace.reserve(1, START_S + 50)
    assert pace.wait_s(1, START_S + 50) == pytest.approx(0.25)

    pace.answered(third, NO_LIMITS, START_S + 50.01)
    pace.reserve(1, START_S + 60)
    assert pace.wait_s(1, START_S + 60) == pytest.approx(0.25 * 0.98)


def test_a_refusal_in_spite_of_plenty_makes_the_pace_even() -> None:
    """Refused with 90 % left, the limit holds by the second: 100 of 6,000 tokens a minute then take 1 / 0.985 s."""
    pace = proven()
    pace.requests, pace.tokens = full(600), full(6_000)
    stated = Limits(RateLimit(600, 540), RateLimit(6_000, 5_400))
    pace.refused(pace.reserve(100, START_S), stated, 0.0, START_S)

    pace.reserve(100, START_S + 1)
    assert pace.wait_s(100, START_S + 1) == pytest.approx(1 / 0.985)
    assert pace.wait_s(10, START_S + 1) == pytest.approx(0.1 / 0.985), "a small request is held by the 600 requests"


def test_a_refusal_in_spite_of_plenty_that_we_did_not_know_of_does_not() -> None:
    """Where our own book had little left, plenty at the server's is news about the book and not about the second."""
    pace = proven()
    pace.requests, pace.tokens = full(600), full(6_000)
    pace.tokens.take(5_800, START_S)
    pace.refused(pace.reserve(100, START_S), Limits(tokens=RateLimit(6_000, 5_400)), 0.0, START_S)

    pace.reserve(0, START_S + 10)
    assert pace.wait_s(100, START_S + 10) == 0.0


def test_a_refusal_at_the_end_of_the_bucket_does_not() -> None:
    """Refused with nothing left, it is the minute that counts: the next request leaves as soon as there is enough."""
    pace = proven()
    pace.requests, pace.tokens = full(600), full(6_000)
    pace.refused(pace.reserve(100, START_S), Limits(tokens=RateLimit(6_000, 0)), 0.0, START_S)

    pace.reserve(0, START_S + 10)
    assert pace.wait_s(100, START_S + 10) == 0.0


def test_a_wider_job_widens_the_pace() -> None:
    """A job that may have more in flight than any before it adds the difference; a narrower one takes nothing away."""
    pace = proven(max_concurrency=4)
    pace.concurrency.raise_cap(10)
    pace.concurrency.raise_cap(2)
    departures(pace, 9)

    assert pace.wait_s(1, START_S) == 0.0
    departures(pace, 1)
    assert pace.wait_s(1, START_S) is None


def answer_each(pace: Pace, latencies_s: list[float], start_s: float = START_S) -> None:
    for place, latency_s in enumerate(latencies_s):
        reservation = pace.reserve(1, start_s + place * 100)
        pace.answered(reservation, NO_LIMITS, start_s + place * 100 + latency_s)


def test_the_time_out_is_the_setting_until_enough_is_known() -> None:
    """19 answers say too little; with the 20th the time-out follows what was seen."""
    pace = Pace(10, 60.0)
    answer_each(pace, [4.0] * 19)
    assert pace.timeout_s() == 60.0

    answer_each(pace, [4.0])
    assert pace.timeout_s() == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("latencies_s", "setting_s", "timeout_s"),
    [
        ([1.0, math.e**2] * 10, 100.0, math.e**4),
        ([1.0, math.e**2] * 10, 50.0, math.e**4),
        ([100.0, 100 * math.e**2] * 10, 60.0, MAX_TIMEOUT_S),
        ([0.01] * 20, 60.0, 2.0),
        ([0.01] * 20, 1.5, 1.5),
    ],
)
def test_the_time_out_follows_latency(latencies_s: list[float], setting_s: float, timeout_s: float) -> None:
    """Latencies of e^0 and e^2 s have a mean logarithm of 1 and a deviation of 1: the time-out is e^(1 + 3) s,
    whatever the setting, never below 2 s (or the setting, if that is less) and never above a quarter of an hour.
    """
    pace = Pace(10, setting_s)
    answer_each(pace, latencies_s)

    assert pace.timeout_s() == pytest.approx(timeout_s)


def test_the_time_out_grows_with_a_model_that_becomes_slow() -> None:
    """After 200 answers of 20 s where 2 s were usual, an answer of 20 s is in time."""
    pace = Pace(10, 60.0)
    answer_each(pace, [2.0] * 50)
    assert pace.timeout_s() < 5.0

    answer_each(pace, [20.0] * 200)
    assert pace.timeout_s() > 20.0


def test_many_given_up_give_more_time_than_the_setting() -> None:
    """Five time-outs in a row are 23 % of what was lately seen: the time-out is wrong then, and twice the setting until
    answers come; five more make it four times as long.
    """
    pace = Pace(10, 60.0)
    answer_each(pace, [4.0] * 20)
    for _ in range(4):
        pace.timed_out(pace.reserve(1, START_S), START_S)
    assert pace.timeout_s() == pytest.approx(4.0)

    pace.timed_out(pace.reserve(1, START_S), START_S)
    assert pace.timeout_s() == 120.0
    for _ in range(5):
        pace.timed_out(pace.reserve(1, START_S), START_S)
    assert pace.timeout_s() == 240.0
    answer_each(pace, [4.0] * 14)
    assert pace.timeout_s() == pytest.approx(4.0)
    assert pace.in_flight == 0


def full_rounds(pace: Pace, count: int, latency_s: float, start_s: float) -> None:
    """As many as the width allows leave together and come back after the latency, so many times."""
    for turn in range(count):
        now_s = start_s + 100 * turn
        for reservation in departures(pace, int(pace.concurrency.limit), now_s):
            pace.answered(reservation, NO_LIMITS, now_s + latency_s)


def test_a_latency_that_rises_tenfold_narrows_and_one_that_stays_does_not() -> None:
    """Answers that take ten times as long mean too many at once; when they always do, the width comes back."""
    pace = Pace(10, 60.0)
    full_rounds(pace, 10, 1.0, START_S)
    assert pace.concurrency.limit == 10.0

    full_rounds(pace, 5, 10.0, START_S + 10_000)
    assert pace.concurrency.limit < 8.0
    full_rounds(pace, 300, 10.0, START_S + 20_000)
    assert pace.concurrency.limit == 10.0


@pytest.mark.parametrize("jump_s", [-900.0, 1e9])
def test_a_clock_that_jumps_stalls_nothing(jump_s: float) -> None:
    """With a hold, a head start, a spacing and an empty bucket running, a jump of the clock ends the waiting."""
    pace = Pace(10, 60.0)
    pace.requests, pace.tokens = full(600), full(6_000)
    pace.reserve(100, START_S)
    pace.refused(pace.reserve(100, START_S), Limits(tokens=RateLimit(6_000, 3_000)), 100.0, START_S)
    assert pace.wait_s(1, START_S) == pytest.approx(100.0)

    assert pace.wait_s(1, START_S + jump_s) == 0.0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["ask", "ask", "ask", "answer", "answer", "refuse", "overload", "lose", "time out", "away", "fail", "idle"]
        ),
        st.floats(0, 5),
        st.sampled_from([0.0] * 8 + [-1_000.0, -3.0, 10.0, 1e7]),
        st.integers(1, 2_000),
    ),
    max_size=120,
)


def complete(pace: Pace, how: str, reservation: Reservation, limits: Limits, now_s: float) -> None:
    if how == "answer":
        pace.answered(reservation, limits, now_s)
    elif how == "refuse":
        pace.refused(reservation, limits, 1.0, now_s)
    elif how == "overload":
        pace.overloaded(reservation, None, now_s)
    elif how == "time out":
        pace.timed_out(reservation, now_s)
    elif how == "away":
        pace.unavailable(reservation, now_s)
    elif how == "fail":
        pace.failed(reservation)
    else:
        pace.lost(reservation)


@settings(max_examples=150)
@given(STEPS)
def test_after_a_minute_of_quiet_a_request_leaves_whatever_the_clock_did(
    steps: list[tuple[str, float, float, int]],
) -> None:
    """However requests fared and the clock jumped, with a server that tells the truth about its minute's limit: once
    nothing is in flight and the longest hold and a minute are over, nobody waits.
    """
    pace = Pace(8, 60.0)
    clock_s, left, in_flight = START_S, 60_000.0, list[Reservation]()
    for how, passes_s, jumps_s, tokens in steps:
        clock_s += passes_s + jumps_s
        left = min(60_000.0, left + passes_s * 1_000)
        if how == "ask":
            if pace.wait_s(tokens, clock_s) == 0.0:
                in_flight.append(pace.reserve(tokens, clock_s))
                left -= tokens
        elif how != "idle" and in_flight:
            complete(pace, how, in_flight.pop(0), Limits(tokens=RateLimit(60_000.0, max(0.0, left))), clock_s)
    for reservation in in_flight:
        pace.lost(reservation)

    assert pace.in_flight == 0
    assert 1.0 <= pace.concurrency.limit <= 8.0
    pace.wait_s(1, clock_s)
    assert pace.wait_s(1, clock_s + MAX_HOLD_S + 60.0) == 0.0


# --- The gate


def gate(max_concurrency: int = 10, request_timeout_s: float = 60.0) -> Limiter:
    return Limiter(max_concurrency, request_timeout_s, invented_time_loop().time)


async def opened_gate(max_concurrency: int = 10, reply: Mapping[str, str] | None = None) -> tuple[Limiter, JobQueue]:
    """A gate whose account has answered once, with these headers, and a lane of it that is as wide."""
    limiter = gate(max_concurrency)
    queue = limiter.queue(max_concurrency)
    (await limiter.admit(queue, 1)).answered(reply or {})
    return limiter, queue


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_on_invented_time(main())


def test_the_time_of_a_request_begins_when_it_may_be_sent() -> None:
    """The wait at the gate is no part of it."""

    async def main() -> None:
        limiter, queue = await opened_gate(1)
        first = await limiter.admit(queue, 1)
        waiting = await started(limiter.admit(queue, 1))
        await asyncio.sleep(3.0)
        assert limiter.elapsed_s(first) == pytest.approx(3.0, abs=0.01)
        first.answered({})
        second = await waiting
        await asyncio.sleep(2.0)
        assert limiter.elapsed_s(second) == pytest.approx(2.0, abs=0.01)
        second.answered({})

    run(main)


async def started(waiting: Coroutine[Any, Any, Permit]) -> asyncio.Task[Permit]:
    """A task that stands at the gate when this returns."""
    task = asyncio.create_task(waiting)
    await asyncio.sleep(0)
    return task


def test_jobs_take_turns_and_each_is_served_in_its_order() -> None:
    """With one place, a job of three that comes after one of six is served between its requests, not after them."""
    order: list[str] = []

    async def main() -> None:
        limiter, first = await opened_gate(1)
        second = limiter.queue(1)

        async def ask(name: str, queue: JobQueue) -> None:
            permit = await limiter.admit(queue, 1)
            order.append(name)
            await asyncio.sleep(1.0)
            permit.answered({})

        asked = [ask(f"a{n}", first) for n in range(6)] + [ask(f"b{n}", second) for n in range(3)]
        await asyncio.gather(*asked)

    run(main)

    assert [name for name in order if name[0] == "a"] == [f"a{n}" for n in range(6)]
    assert [name for name in order if name[0] == "b"] == ["b0", "b1", "b2"]
    turns = "".join(name[0] for name in order)
    assert turns in {"abababaaa", "aabababaa"}


def test_jobs_take_turns_where_the_rate_decides_too() -> None:
    """At one request a second a job of three is served as often as one of six, however many may be in flight."""
    order: list[str] = []

    async def main() -> None:
        limiter, first = await opened_gate(10, headers("requests", 60, 0))
        second = limiter.queue(10)

        async def ask(name: str, queue: JobQueue) -> None:
            permit = await limiter.admit(queue, 1)
            order.append(name)
            permit.answered({})

        await asyncio.gather(*[ask("a", first) for _ in range(6)], *[ask("b", second) for _ in range(3)])

    run(main)

    assert "".join(order) in {"abababaaa", "aabababaa"}


def test_a_job_has_no_more_in_flight_than_its_own_limit() -> None:
    """A job that may have two in flight has two, while another one fills the rest of the width."""
    most = {"narrow": 0, "wide": 0}
    now = dict.fromkeys(most, 0)

    async def main() -> None:
        limiter, wide = await opened_gate(6)
        narrow = limiter.queue(2)

        async def ask(name: str, queue: JobQueue) -> None:
            permit = await limiter.admit(queue, 1)
            now[name] += 1
            most[name] = max(most[name], now[name])
            await asyncio.sleep(1.0)
            now[name] -= 1
            permit.answered({})

        await asyncio.gather(*[ask("narrow", narrow) for _ in range(9)], *[ask("wide", wide) for _ in range(30)])

    run(main)

    assert most["narrow"] == 2
    assert 4 <= most["wide"] <= 6


def test_a_verdict_is_given_once() -> None:
    """Whatever is said of a request after its verdict changes nothing: its place is given back once."""

    async def main() -> None:
        limiter, queue = await opened_gate(2)
        permit = await limiter.admit(queue, 1)
        permit.answered({})
        permit.release()
        permit.timed_out()
        permit.overloaded(60.0)
        permit.refused({}, 60.0)
        assert limiter.pace.in_flight == 0
        assert queue.in_flight == 0
        await asyncio.wait_for(limiter.admit(queue, 1), 0.1)

    run(main)


def test_a_request_without_a_verdict_gives_its_place_back() -> None:
    """A request that ends in an exception is released, and the next one may go."""

    async def main() -> None:
        limiter, queue = await opened_gate(1)
        permit = await limiter.admit(queue, 1)
        waiting = await started(limiter.admit(queue, 1))
        assert not waiting.done()
        permit.release()
        (await waiting).release()
        assert limiter.pace.in_flight == 0

    run(main)


@pytest.mark.parametrize("when", ["while it waits", "as it is let through"])
def test_a_cancelled_waiter_leaks_no_place(when: str) -> None:
    """A waiter that is cancelled, even in the turn in which it is let through, leaves its place to the next."""

    async def main() -> None:
        limiter, queue = await opened_gate(1)
        permit = await limiter.admit(queue, 1)
        cancelled = await started(limiter.admit(queue, 1))
        next_one = await started(limiter.admit(queue, 1))
        if when == "as it is let through":
            permit.answered({})
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        assert cancelled.cancelled()
        permit.release()
        (await asyncio.wait_for(next_one, 0.1)).answered({})
        assert (limiter.pace.in_flight, queue.in_flight) == (0, 0)

    run(main)


def test_cancelling_half_of_a_crowd_leaks_no_place() -> None:
    """Of 300 waiters every second is cancelled, at any time of its wait or its call: the others are all served."""
    served: list[int] = []

    async def main() -> None:
        limiter, queue = await opened_gate(4)

        async def ask(place: int) -> None:
            permit = await limiter.admit(queue, 1)
            try:
                await asyncio.sleep(1.0)
                permit.answered({})
                served.append(place)
            finally:
                permit.release()

        tasks = [asyncio.create_task(ask(place)) for place in range(300)]
        for task in tasks[::2]:
            await asyncio.sleep(0.13)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (limiter.pace.in_flight, queue.in_flight) == (0, 0)
        await asyncio.wait_for(limiter.admit(queue, 1), 0.1)

    run(main)

    assert set(range(1, 300, 2)) <= set(served)


def test_a_cancelled_waiter_holds_nobody_back() -> None:
    """A small request that stands behind a large one leaves as soon as the large one is cancelled."""

    async def main() -> None:
        limiter, queue = await opened_gate(10, headers("tokens", 6_000, 90))
        large = await started(limiter.admit(queue, 5_000))
        small = await started(limiter.admit(limiter.queue(10), 20))
        large.cancel()
        await asyncio.gather(large, return_exceptions=True)

        before_s = invented_time_loop().time()
        await small
        assert invented_time_loop().time() - before_s < 1.0

    run(main)


def test_a_fault_of_the_account_sends_its_lane_away() -> None:
    """Who waits in the lane of a refused key is sent away with the fault, now and later; other lanes go on."""

    async def main() -> None:
        limiter, queue = await opened_gate(1)
        other = limiter.queue(1)
        fault = AccountError("no quota", "no_quota")
        permit = await limiter.admit(queue, 1)
        waiting = [await started(limiter.admit(queue, 1)) for _ in range(5)]
        going_on = await started(limiter.admit(other, 1))
        permit.account_fault(fault)

        assert await asyncio.gather(*waiting, return_exceptions=True) == [fault] * 5
        with pytest.raises(AccountError, match="no quota"):
            await limiter.admit(queue, 1)
        (await going_on).answered({})
        assert limiter.pace.in_flight == 0

    run(main)


def test_a_crowd_behind_a_hold_sets_one_timer_and_does_not_spin() -> None:
    """However many wait for a hold to end, one timer is set for all, and the loop turns a few times for each."""

    async def main() -> None:
        loop = invented_time_loop()
        limiter, queue = await opened_gate(1_000)
        (await limiter.admit(queue, 1)).refused({}, 60.0)
        crowd = [asyncio.create_task(limiter.admit(queue, 1)) for _ in range(1_000)]
        await asyncio.sleep(30.0)
        assert loop.live_timers() == 1
        turns, timers = loop.turns, len(loop.timers)
        await asyncio.gather(*crowd)
        assert loop.turns - turns <= 4_000
        assert len(loop.timers) - timers <= 1_100

    run(main)


def test_what_is_inside_is_given_up_at_the_time_out() -> None:
    """A request that hangs is cancelled at the time-out, or at so many times of it: 15 minutes at most."""

    async def main() -> None:
        loop = invented_time_loop()
        limiter = gate(10, request_timeout_s=60.0)
        queue = limiter.queue(10)
        for _ in range(20):
            permit = await limiter.admit(queue, 1)
            await asyncio.sleep(4.0)
            permit.answered({})

        for factor, given_up_s in ((1.0, 4.0), (2.0, 8.0), (4.0, 16.0), (100.0, 400.0), (1_000.0, 900.0)):
            permit = await limiter.admit(queue, 1)
            with limiter.adaptive_timeout(permit, factor) as scope:
                await asyncio.sleep(3_600.0)
            waited_s = loop.time() - permit.reserved_s
            assert scope.cancelled_caught
            assert given_up_s <= waited_s <= given_up_s + 0.5
            permit.release()

    run(main)


def test_what_ends_in_time_is_not_given_up() -> None:
    """A request that ends before its time-out is not touched, and when none is watched no timer stays."""

    async def main() -> None:
        limiter, queue = await opened_gate()
        permit = await limiter.admit(queue, 1)
        with limiter.adaptive_timeout(permit, 1.0) as scope:
            await asyncio.sleep(59.0)
        permit.answered({})
        assert not scope.cancelled_caught
        await asyncio.sleep(1.0)
        assert invented_time_loop().live_timers() == 0

    run(main)


@pytest.mark.parametrize("text", ABSURD)
def test_absurd_headers_change_nothing_and_are_named_once(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """Replies whose figures make no sense leave what is known as it was; each header is named in the log once."""

    async def main() -> None:
        limiter, queue = await opened_gate()
        for _ in range(3):
            permit = await limiter.admit(queue, 1)
            permit.answered({**headers("requests", text, 5), **headers("tokens", 100, text)})
            assert (limiter.pace.requests.limit, limiter.pace.tokens.limit) == (None, None)
            assert limiter.pace.wait_s(1e6, invented_time_loop().time()) == 0.0

    run(main)

    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "x-ratelimit-limit-requests" in said[0]
    assert "x-ratelimit-remaining-tokens" in said[1]


@pytest.mark.parametrize("limit", [0.001, 0.5])
def test_a_limit_below_one_is_absurd_too(limit: float) -> None:
    """A limit of less than one request a minute, which no account has, does not stop a job for hours."""

    async def main() -> None:
        limiter, queue = await opened_gate()
        for _ in range(3):
            (await limiter.admit(queue, 1)).answered(headers("requests", limit, 0))
        assert invented_time_loop().time() < 10_000.0 + 600.0

    run(main)


# --- A server that is away


def served_by(server: Callable[[Permit], str]) -> Callable[[Limiter, JobQueue], Coroutine[Any, Any, str]]:
    """Ask through a gate until there is an answer; each exchange takes 0.1 s and ends as `server` says."""

    async def ask(limiter: Limiter, queue: JobQueue) -> str:
        while True:
            permit = await limiter.admit(queue, 1)
            await asyncio.sleep(0.1)
            how = server(permit)
            if how == "refused":
                permit.unavailable()
            elif how == "503":
                permit.not_ready(None)
            else:
                permit.answered({})
                return how

    return ask


@pytest.mark.parametrize(("how", "most"), [("refused", 24), ("503", 30)])
def test_a_dead_server_costs_a_handful_of_attempts(how: str, most: int) -> None:
    """1,280 symbols, ten at once, with a server that dies after the first answer: after exactly the outage's limit all
    have the fault, and the server was asked by the ten in flight and 13 probes.
    """
    asked: list[float] = []

    async def main() -> None:
        loop = invented_time_loop()
        limiter, _ = await opened_gate(10)
        fault = ValueError("away")
        queue = limiter.queue(10, 120.0, fault)

        def server(_permit: Permit) -> str:
            asked.append(loop.time())
            return how

        ask = served_by(server)
        ended = await asyncio.gather(*[ask(limiter, queue) for _ in range(1_280)], return_exceptions=True)
        assert set(ended) == {fault}
        assert loop.time() - asked[0] == pytest.approx(120.0, abs=0.5)
        assert limiter.pace.in_flight == 0
        with pytest.raises(ValueError, match="away"):
            await limiter.admit(queue, 1)

    run(main)

    assert 15 <= len(asked) <= most


def test_jobs_end_together_and_one_that_comes_later_has_its_own_patience() -> None:
    """Of two jobs at a dead server the second comes 100 s later: it waits 100 s longer, and is done when it is back."""

    async def main() -> None:
        loop = invented_time_loop()
        limiter, _ = await opened_gate(10)
        began_s = loop.time()
        ask = served_by(lambda _: "refused" if loop.time() - began_s < 180 else "done")
        first = asyncio.gather(*[ask(limiter, limiter.queue(10, 120.0, ValueError("away")))], return_exceptions=True)
        await asyncio.sleep(100.0)
        second = limiter.queue(10, 120.0, ValueError("away"))
        later = asyncio.gather(*[ask(limiter, second) for _ in range(20)])

        assert [str(fault) for fault in await first] == ["away"]
        assert loop.time() - began_s == pytest.approx(120.0, abs=0.5)
        assert await later == ["done"] * 20
        assert not limiter.pace.breaker.is_open

    run(main)


def test_a_job_that_ends_gives_the_probe_to_another() -> None:
    """A probe that is cancelled with its job is no verdict: the next job's request asks at once."""

    async def main() -> None:
        limiter, queue = await opened_gate(10)
        (await limiter.admit(queue, 1)).unavailable()
        probe = await limiter.admit(queue, 1)
        other = await started(limiter.admit(limiter.queue(10), 1))
        await asyncio.sleep(50.0)
        assert not other.done()
        probe.release()
        assert (await asyncio.wait_for(other, 0.1)).is_probe

    run(main)


def test_connections_that_break_together_share_one_look_at_the_server() -> None:
    """Ten broken connections ask once whether the server is there; those that were in flight already need not ask."""
    looks: list[bool] = []

    async def look() -> bool:
        looks.append(True)
        await asyncio.sleep(0.1)
        return True

    async def main() -> None:
        limiter, queue = await opened_gate(11)
        permits = [await limiter.admit(queue, 1) for _ in range(11)]
        assert await asyncio.gather(*[limiter.is_server_down(permit, look) for permit in permits[:10]]) == [True] * 10
        permits[0].unavailable()
        assert await limiter.is_server_down(permits[10], look)

    run(main)

    assert looks == [True]


@pytest.mark.parametrize(
    ("others_in_flight", "answered_since", "is_open"), [(0, False, True), (3, False, False), (0, True, False)]
)
def test_a_503_means_away_where_nothing_is_answered(others_in_flight: int, answered_since: bool, is_open: bool) -> None:
    """A 503 beside others in flight, or after an answer, is an overload, which halves the width and no more."""
    pace = proven()
    first = pace.reserve(1, START_S)
    departures(pace, others_in_flight)
    if answered_since:
        pace.answered(pace.reserve(1, START_S), NO_LIMITS, START_S + 1)
    pace.not_ready(first, None, START_S + 2)

    assert pace.breaker.is_open == is_open
    assert (pace.concurrency.limit < 10.0) == (not is_open)


@pytest.mark.parametrize("how", ["answered", "refused", "overloaded", "failed", "account_fault"])
def test_any_reply_to_a_probe_ends_the_outage(how: str) -> None:
    """Whatever a server replies to a probe, it is there."""
    pace = proven()
    pace.unavailable(pace.reserve(1, START_S), START_S)
    probe = pace.reserve(1, START_S + 1)
    results: dict[str, Callable[[], None]] = {
        "answered": lambda: pace.answered(probe, NO_LIMITS, START_S + 2),
        "refused": lambda: pace.refused(probe, NO_LIMITS, 0.0, START_S + 2),
        "overloaded": lambda: pace.overloaded(probe, 0.0, START_S + 2),
        "failed": lambda: pace.failed(probe),
        "account_fault": lambda: pace.account_fault(probe),
    }
    results[how]()

    assert not pace.breaker.is_open
    assert pace.wait_s(1, START_S + 2) == 0.0


@pytest.mark.parametrize("how", ["unavailable", "503", "timed out"])
def test_a_probe_that_fails_prolongs_the_outage(how: str) -> None:
    """A probe that is refused, put off or not answered makes the next one wait longer."""
    pace = proven()
    pace.unavailable(pace.reserve(1, START_S), START_S)
    probe = pace.reserve(1, START_S + 1)
    if how == "unavailable":
        pace.unavailable(probe, START_S + 1)
    elif how == "503":
        pace.not_ready(probe, None, START_S + 1)
    else:
        pace.timed_out(probe, START_S + 1)

    assert pace.wait_s(1, START_S + 1) == pytest.approx(0.5)
    assert pace.in_flight == 0


# --- Against a server


class Server:
    """A limit as a server enforces it, by arithmetic of its own: a bucket of `limit` that fills in `period_s`."""

    def __init__(self, kind: str, limit: float, period_s: float = 60.0) -> None:
        self.kind, self.limit = kind, limit
        self.per_s = limit / 60
        self.size = self.per_s * period_s
        self.level = self.size
        self.at_s = invented_time_loop().time()
        self.refused = 0

    def take(self, amount: float) -> tuple[float | None, Mapping[str, str]]:
        """None and the headers, or the seconds after which to ask again."""
        now_s = invented_time_loop().time()
        self.level = min(self.size, self.level + (now_s - self.at_s) * self.per_s)
        self.at_s = now_s
        # What a second may hold is not what the headers tell: they go by the minute.
        shown = self.limit - (self.size - self.level)
        if amount > self.level:
            self.refused += 1
            return (amount - self.level) / self.per_s, headers(self.kind, self.limit, max(0, int(shown)))
        self.level -= amount
        return None, headers(self.kind, self.limit, max(0, int(shown - amount)))


async def serve(server: Server, count: int, amount: float, latency_s: float, concurrency_limit: int = 100) -> float:
    """Send so many requests through a gate, each until it is answered; the result is the seconds that took."""
    limiter = gate(concurrency_limit)
    queue = limiter.queue(concurrency_limit)
    began_s = invented_time_loop().time()

    async def ask() -> None:
        while True:
            permit = await limiter.admit(queue, amount if server.kind == "tokens" else 1)
            retry_after_s, reply = server.take(amount if server.kind == "tokens" else 1)
            if retry_after_s is None:
                await asyncio.sleep(latency_s)
                permit.answered(reply)
                return
            await asyncio.sleep(0.01)
            permit.refused(reply, retry_after_s)

    await asyncio.gather(*[ask() for _ in range(count)])
    assert limiter.pace.in_flight == 0
    return invented_time_loop().time() - began_s


@pytest.mark.parametrize(
    ("enforced", "count", "ideal_s", "refused_at_most"),
    [
        (("requests", 600, 60.0), 1_200, 60.0, 0),
        (("tokens", 280_000, 60.0), 1_000, 25.7, 0),
        (("tokens", 864_000, 1.0), 1_000, 26.8, 100),
    ],
    ids=["requests", "tokens", "second by second"],
)
def test_a_gate_that_was_told_nothing_keeps_a_servers_pace(
    enforced: tuple[str, float, float], count: int, ideal_s: float, refused_at_most: int
) -> None:
    """From the headers of ordinary replies alone the gate uses at least nine tenths of what a limit allows, and no
    request is refused but the first burst, where the limit holds by the second.
    """

    async def main() -> None:
        server = Server(*enforced)
        took_s = await serve(server, count, 400.0, 1.0)
        assert ideal_s < took_s - 1.0 < ideal_s / 0.9
        assert server.refused <= refused_at_most

    run(main)


def test_a_bucket_that_others_have_emptied_costs_a_few_refusals() -> None:
    """Where another user of the account has just emptied the bucket, the pace is found within a burst of refusals."""

    async def main() -> None:
        server = Server("requests", 600)
        server.level = 5.0
        took_s = await serve(server, 300, 400.0, 1.0)
        assert 29.5 < took_s - 1.0 < 29.5 / 0.9
        assert server.refused <= 100

    run(main)


async def serve_places(  # noqa: PLR0913 - the figures of one server and its client
    places: int,
    width: int,
    count: int,
    retry_after_s: float | None,
    *,
    refused: Callable[[int], bool] = lambda _: False,
    sending_s: float = 0.0,
) -> tuple[float, int]:
    """Send so many requests of 0.2 s through a gate to a server that refuses what exceeds its places, or is drawn.

    A refusal takes 0.01 s; requests are sent one after another, each in `sending_s`. The result is the seconds that all
    took, and the number of refusals.
    """
    limiter, queue = await opened_gate(width)
    sending = asyncio.Lock()
    loop, chance = invented_time_loop(), random.Random(1)  # noqa: S311 - no secret
    began_s, taken, arrived, refusals = loop.time(), 0, 0, 0

    async def ask() -> None:
        nonlocal taken, arrived, refusals
        while True:
            permit = await limiter.admit(queue, 1)
            async with sending:
                await asyncio.sleep(sending_s)
            arrived += 1
            if taken >= places or refused(arrived):
                refusals += 1
                await asyncio.sleep(0.01)
                permit.refused({}, retry_after_s)
                continue
            taken += 1
            await asyncio.sleep(0.2 * chance.lognormvariate(-0.03, 0.25))
            taken -= 1
            permit.answered({})
            return

    await asyncio.gather(*[ask() for _ in range(count)])
    assert limiter.pace.in_flight == 0
    return loop.time() - began_s, refusals


@pytest.mark.parametrize("retry_after_s", [1.0, None])
@pytest.mark.parametrize("width", [10, 100])
@pytest.mark.parametrize("places", [1, 4, 8, 40])
def test_a_limit_on_requests_in_flight_is_found_and_kept(places: int, width: int, retry_after_s: float | None) -> None:
    """A server with 1 to 40 places and no other word than 429 is kept busy: 1.15 x the ideal at most, two latencies for
    the beginning and the end, and but for the first burst few requests are refused.
    """
    together = min(places, width)
    count = 30 * together

    async def main() -> None:
        took_s, refusals = await serve_places(places, width, count, retry_after_s)
        assert took_s <= 1.15 * (count / together + 2) * 0.2
        assert refusals <= width + 10

    run(main)


@pytest.mark.parametrize("places", [4, 40])
def test_a_limit_is_found_by_a_busy_client_too(places: int) -> None:
    """Where sending the first burst takes twice the server's latency, early answers are no sign of a wide server."""

    async def main() -> None:
        took_s, _ = await serve_places(places, 100, 30 * places, 1.0, sending_s=0.004)
        assert took_s <= 1.15 * 32 * 0.2 + 100 * 0.004

    run(main)


@pytest.mark.parametrize("which", [1, 2, 150])
def test_one_spurious_refusal_costs_seconds_and_is_recovered_from(which: int) -> None:
    """Where one request of 300 is refused for no reason, the job takes two seconds longer at most."""

    async def main() -> None:
        plain_s, _ = await serve_places(10_000, 10, 300, 1.0)
        took_s, refusals = await serve_places(10_000, 10, 300, 1.0, refused=lambda number: number == which)
        assert refusals == 1
        assert took_s - plain_s <= 2.0

    run(main)
