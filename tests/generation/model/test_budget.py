"""The spend cap, by hand: at a dollar a million tokens in and ten out, 100,000 tokens in are ten cents."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.domain.catalogue import Pricing
from generation.domain.usage import Usage, cost_usd
from generation.errors import Stopped
from generation.model.budget import Budget

PRICING = Pricing(1.0, 0.1, 10.0)


def cents(count: int) -> Usage:
    return Usage(input_tokens=count * 10_000)


def fits(budget: Budget, usage: Usage) -> bool:
    try:
        with budget.reserved(usage):
            return True
    except Stopped:
        return False


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (Usage(input_tokens=100_000), 0.1),
        (Usage(input_tokens=100_000, cached_input_tokens=100_000), 0.01),
        (Usage(output_tokens=10_000), 0.1),
        (Usage(input_tokens=100_000, cached_input_tokens=50_000, output_tokens=10_000, reasoning_tokens=9_000), 0.155),
    ],
)
def test_a_request_fits_up_to_the_cap_and_not_beyond(usage: Usage, dollars: float) -> None:
    """What a request may cost at most is priced as its bill is: it fits a cap of just that, and none a cent below."""
    assert fits(Budget(dollars, PRICING), usage)
    assert not fits(Budget(dollars - 0.005, PRICING), usage)


def test_what_is_spent_is_gone() -> None:
    """Of a dollar, after bills of 30 and 45 cents, 25 are left."""
    budget = Budget(1.0, PRICING)
    budget.spend(cents(30))
    budget.spend(cents(45))
    assert fits(budget, cents(25))
    assert not fits(budget, cents(26))


def test_what_earlier_runs_had_paid_is_spent() -> None:
    """A cap holds for a job with all its runs: of a dollar, 60 cents before leave 40."""
    budget = Budget(1.0, PRICING, cents(60))
    assert fits(budget, cents(40))
    assert not fits(budget, cents(41))


def test_over_the_cap_the_job_stops_in_words_and_nothing_is_changed() -> None:
    """The sentence has the cap and what is spent; a request that is refused holds nothing back."""
    budget = Budget(1.0, PRICING, cents(25))
    with pytest.raises(Stopped) as stopped, budget.reserved(cents(76)):
        pytest.fail("a request above the cap has left")
    assert stopped.value.failure == "cost_cap_reached"
    sentence = "max_cost_usd (1.0) is reached: $0.250000 are spent, and the next request could exceed it"
    assert str(stopped.value) == sentence
    assert fits(budget, cents(75))


def test_what_is_in_flight_counts_until_it_has_ended() -> None:
    """Two requests of 40 cents leave 20 of a dollar to a third; the first that ends gives its 40 back."""
    budget = Budget(1.0, PRICING)
    with ExitStack() as second, ExitStack() as first:
        first.enter_context(budget.reserved(cents(40)))
        second.enter_context(budget.reserved(cents(40)))
        assert fits(budget, cents(20))
        assert not fits(budget, cents(21))
        first.close()
        assert fits(budget, cents(60))
        assert not fits(budget, cents(61))
    assert fits(budget, cents(100))


def test_a_bill_in_flight_is_spent_beside_what_is_held_back() -> None:
    """Of a request that is asked again, the first bill is spent and the second still held back."""
    budget = Budget(1.0, PRICING)
    with budget.reserved(cents(40)):
        budget.spend(cents(30))
        assert fits(budget, cents(30))
        assert not fits(budget, cents(31))
    assert fits(budget, cents(70))
    assert not fits(budget, cents(71))


@pytest.mark.parametrize("fault", [ValueError, asyncio.CancelledError, KeyboardInterrupt])
def test_a_request_that_fails_holds_nothing_back(fault: type[BaseException]) -> None:
    """Whatever ends a request, its reservation ends with it."""
    budget = Budget(1.0, PRICING)
    with pytest.raises(fault), budget.reserved(cents(100)):
        raise fault
    assert fits(budget, cents(100))


def test_without_a_cap_there_is_no_limit() -> None:
    """A job without max_cost_usd is stopped by no bill."""
    budget = Budget(None, PRICING, cents(10**9))
    budget.spend(cents(10**9))
    assert fits(budget, cents(10**9))


def test_a_cap_on_what_costs_nothing_never_stops_a_job() -> None:
    """A model without prices, on a server of one's own, spends nothing of the smallest cap."""
    assert fits(Budget(1e-6, Pricing(0.0, 0.0, 0.0), cents(10**6)), cents(10**6))


REQUESTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 100), st.integers(0, 3)), max_size=40)


@given(REQUESTS, st.integers(0, 150))
def test_bills_within_what_was_held_back_never_exceed_the_cap(requests: list[tuple[int, int, int]], cap: int) -> None:
    """However requests overlap: none costs more than was held back for it, and so all together no more than the cap."""
    budget, spent = Budget(cap / 100, PRICING), Usage()
    in_flight: list[tuple[ExitStack, Usage]] = []
    for at_most, share, ended in requests:
        stack = ExitStack()
        held = sum((usage for _, usage in in_flight), Usage())
        if cost_usd(spent + held + cents(at_most), PRICING) > cap / 100:
            assert not fits(budget, cents(at_most))
        else:
            stack.enter_context(budget.reserved(cents(at_most)))
            in_flight.append((stack, cents(at_most)))
        for _ in range(min(ended, len(in_flight))):
            stack, held_back = in_flight.pop(0)
            stack.close()
            bill = Usage(input_tokens=held_back.input_tokens * share // 100)
            budget.spend(bill)
            spent += bill
    assert cost_usd(spent, PRICING) <= cap / 100
