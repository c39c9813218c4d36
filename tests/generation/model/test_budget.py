"""The spend cap, by hand: at a dollar a million tokens in and ten out, 100,000 tokens in are ten cents."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.config import Settings
from generation.domain.catalogue import Pricing
from generation.domain.usage import Usage, cost_usd
from generation.errors import Stopped
from generation.model.budget import Budget
from generation.prompts.tokens import TokenCounter
from tests.conftest import run_on_invented_time
from tests.loopback.openai import Behaviour, RunningServer, running
from tests.support.contexts import SEED, payload
from tests.support.jobs import run_job_to_dict

PRICING = Pricing(1.0, 0.1, 10.0)


def cents(count: int) -> Usage:
    return Usage(input_tokens=count * 10_000)


def run(work: Coroutine[Any, Any, None]) -> None:
    run_on_invented_time(work)


async def fits(budget: Budget, usage: Usage) -> bool:
    try:
        async with budget.reserved(usage):
            return True
    except Stopped:
        return False


def fits_now(budget: Budget, usage: Usage) -> bool:
    return run_on_invented_time(fits(budget, usage))


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
    assert fits_now(Budget(dollars, PRICING), usage)
    assert not fits_now(Budget(dollars - 0.005, PRICING), usage)


def test_what_is_spent_is_gone() -> None:
    """Of a dollar, after bills of 30 and 45 cents, 25 are left."""
    budget = Budget(1.0, PRICING)
    budget.spend(cents(30))
    budget.spend(cents(45))
    assert fits_now(budget, cents(25))
    assert not fits_now(budget, cents(26))


def test_what_earlier_runs_had_paid_is_spent() -> None:
    """A cap holds for a job with all its runs: of a dollar, 60 cents before leave 40."""
    budget = Budget(1.0, PRICING, cents(60))
    assert fits_now(budget, cents(40))
    assert not fits_now(budget, cents(41))


def test_over_the_cap_the_job_stops_in_words_and_nothing_is_changed() -> None:
    """The sentence has the cap and what is spent; a request that is refused holds nothing back."""
    budget = Budget(1.0, PRICING, cents(25))

    async def leave() -> None:
        async with budget.reserved(cents(76)):
            pytest.fail("a request above the cap has left")

    with pytest.raises(Stopped) as stopped:
        run(leave())
    assert stopped.value.failure == "cost_cap_reached"
    sentence = "max_cost_usd (1.0) is reached: $0.250000 are spent, and the next request could exceed it"
    assert str(stopped.value) == sentence
    assert fits_now(budget, cents(75))


def test_a_request_waits_for_those_in_flight_to_be_billed() -> None:
    """Two of 40 cents leave 20 of a dollar: a third of 30 waits, and leaves when the first was billed 5 cents."""

    async def work() -> None:
        budget = Budget(1.0, PRICING)
        async with AsyncExitStack() as second:
            async with budget.reserved(cents(40)):
                await second.enter_async_context(budget.reserved(cents(40)))
                third = asyncio.create_task(fits(budget, cents(30)))
                await asyncio.sleep(60)
                assert not third.done()
                budget.spend(cents(5))
            assert await third
            assert await fits(budget, cents(55))
        assert await fits(budget, cents(95))
        assert not await fits(budget, cents(96))

    run(work())


def test_no_small_request_overtakes_a_large_one_and_none_is_lost() -> None:
    """While a request waits for money those behind it wait too; where it never fits it ends alone, and they go on."""

    async def work() -> None:
        budget = Budget(1.0, PRICING)
        async with budget.reserved(cents(40)):
            large = asyncio.create_task(fits(budget, cents(90)))
            small = asyncio.create_task(fits(budget, cents(10)))
            await asyncio.sleep(60)
            assert not small.done()
            budget.spend(cents(40))
        assert not await large
        assert await small

    run(work())


def test_a_bill_in_flight_is_spent_beside_what_is_held_back() -> None:
    """Of a request that is asked again, the first bill is spent and the second still held back."""

    async def work() -> None:
        budget = Budget(1.0, PRICING)
        async with budget.reserved(cents(40)):
            budget.spend(cents(30))
            assert await fits(budget, cents(30))
        assert await fits(budget, cents(70))
        assert not await fits(budget, cents(71))

    run(work())


@pytest.mark.parametrize("fault", [ValueError, asyncio.CancelledError, KeyboardInterrupt])
def test_a_request_that_fails_holds_nothing_back(fault: type[BaseException]) -> None:
    """Whatever ends a request, its reservation ends with it, and whoever waits for the money gets it."""

    async def work() -> None:
        budget = Budget(1.0, PRICING)
        with pytest.raises(fault):  # noqa: PT012 - what waits begins within
            async with budget.reserved(cents(100)):
                waiting = asyncio.create_task(fits(budget, cents(100)))
                await asyncio.sleep(1)
                raise fault
        assert await waiting

    run(work())


def test_a_request_that_is_cancelled_while_it_waits_holds_up_nobody() -> None:
    """The next in the queue takes its turn."""

    async def work() -> None:
        budget = Budget(1.0, PRICING)
        async with budget.reserved(cents(60)):
            first, second = (asyncio.create_task(fits(budget, cents(50))) for _ in range(2))
            await asyncio.sleep(1)
            first.cancel()
        assert await second

    run(work())


def test_without_a_cap_there_is_no_limit() -> None:
    """A job without max_cost_usd is stopped by no bill."""
    budget = Budget(None, PRICING, cents(10**9))
    budget.spend(cents(10**9))
    assert fits_now(budget, cents(10**9))


def test_a_cap_on_what_costs_nothing_never_stops_a_job() -> None:
    """A model without prices, on a server of one's own, spends nothing of the smallest cap."""
    assert fits_now(Budget(1e-6, Pricing(0.0, 0.0, 0.0), cents(10**6)), cents(10**6))


REQUESTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 100), st.integers(0, 3)), max_size=40)


@given(REQUESTS, st.integers(0, 150), st.integers(1, 50))
def test_the_cap_holds_and_is_used(requests: list[tuple[int, int, int]], cap: int, workers: int) -> None:
    """However requests overlap and whatever they are billed of what was held back: no more than the cap is spent.

    And none is refused that would have fitted after those before it were billed, however many leave at once.
    """
    budget, bills, refused = Budget(cap / 100, PRICING), [], []
    waiting = iter(requests)

    async def work() -> None:
        for at_most, share, duration_s in waiting:
            try:
                async with budget.reserved(cents(at_most)):
                    await asyncio.sleep(duration_s)
                    bills.append(at_most * share // 100)
                    budget.spend(cents(bills[-1]))
            except Stopped:
                refused.append(sum(bills) + at_most)

    async def work_all() -> None:
        await asyncio.gather(*(work() for _ in range(workers)))

    run(work_all())
    assert sum(bills) <= cap
    assert len(bills) + len(refused) == len(requests)
    assert all(needed > cap for needed in refused)


# Whole jobs, against a server that bills them.

LONG = (
    "Reads the request that a caller hands over, compares every field with what a catalogue promises, and turns sums, "
    "quantities and discounts into amounts which later steps can add without rounding twice, whatever coin they had, "
    "whoever sent them, and however many lines an order holds. Gives back one record for each line, in their order, so "
    "that receipts, reminders and monthly statements name equal articles, carry matching totals, explain themselves to "
    "customers wondering why something costs this much, and let auditors follow any figure from its source through all "
    "corrections until payment has reached the bank, been confirmed there, or come back unpaid after its last day."
)
TIGHT = {"INPUT_TOKEN_PRICE": "1", "OUTPUT_TOKEN_PRICE": "10", "MAX_RETRIES": "2", "CALLEES_FIRST": "false"}


def write(_request: dict[str, Any], prompt: str) -> str:
    """A model that says more than the estimate reckons with."""
    keys = [line.split()[2] for line in prompt.splitlines() if line.startswith("## Symbol ")]
    if keys:
        return json.dumps({"summaries": [{"key": key, "summary": LONG} for key in keys]})
    return json.dumps({"summary": LONG})


def document(server: RunningServer, folder: Path, **settings: object) -> dict[str, Any]:
    given = {name.upper(): str(value) for name, value in settings.items()}
    environ = {
        "OPENAI_API_KEY": "key",
        "OPENAI_BASE_URL": server.base_url,
        "RESULTS_DIR": str(folder),
        **TIGHT,
        **given,
    }
    job = run_job_to_dict(payload(14), Settings.from_env(environ), default_job_id="job", emit=lambda _: None)
    return asyncio.run(job)


def billed_usd(server: RunningServer) -> float:
    bill = server.bill()
    usage = Usage(bill["input_tokens"], bill["cached_input_tokens"], bill["output_tokens"])
    return cost_usd(usage, Pricing(1.0, 0.1, 10.0))


def largest_usd(server: RunningServer, counter: TokenCounter) -> float:
    """What the dearest request could have cost."""
    asked = [(counter.count_messages(one["messages"]), one["max_completion_tokens"]) for one in server.requests]
    return max(cost_usd(Usage(input_tokens=tokens, output_tokens=cap), PRICING) for tokens, cap in asked)


@pytest.mark.parametrize("batch_mode", [False, True], ids=["one by one", "batch mode"])
@pytest.mark.parametrize("faults", [{}, {"truncated_json": 0.2, "length": 0.1}], ids=["no faults", "faults"])
def test_jobs_use_their_cap_and_never_exceed_it(
    faults: dict[str, float], batch_mode: bool, counter: TokenCounter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job is documented whole if its cost and the largest request fit its cap, at any concurrency.

    Below that its bill is never above the cap, and less than the largest request could cost stays unused.
    """
    monkeypatch.setattr("generation.model.documenter.FIRST_BACKOFF_S", 0.0)
    chance = random.Random(SEED)  # noqa: S311 - no secret
    behaviour = Behaviour(fault_rates=faults, keep_requests=True)
    with running(behaviour, write) as server:
        whole = document(server, tmp_path / "whole", batch_mode=batch_mode)
        cost, largest = billed_usd(server), largest_usd(server, counter)
        for number, (at_once, share) in enumerate([(1, 1.0), (14, 1.0), (4, 0.8), (14, 0.7)]):
            server.reset()
            cap = round(cost + largest if share == 1.0 else cost * chance.uniform(share, 0.95), 6)
            name = f"{number}"
            options = {"batch_mode": batch_mode, "max_concurrent_requests": at_once, "max_cost_usd": cap}
            ran = document(server, tmp_path / name, **options)
            assert ran["total_cost"] == billed_usd(server) <= cap
            if share == 1.0:
                assert ran["failed_symbols"] == whole["failed_symbols"]
            else:
                assert {one["failure"] for one in ran["failed_symbols"]} >= {"cost_cap_reached"}
                assert ran["total_cost"] > cap - largest
