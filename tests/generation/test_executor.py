"""The one place that schedules: bounded, in the plan's order, and no fault takes others with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest

from generation import executor as generator
from generation.config import Settings
from generation.domain.context import SymbolContext
from generation.domain.outcome import Documented, Failed, Outcome, Request, Symbol
from generation.domain.usage import Usage
from generation.errors import AccountError, JobError
from generation.planning.planner import make_plan
from generation.planning.schedule import Schedule
from tests.conftest import run_on_invented_time
from tests.support.contexts import context

Document = Callable[[Symbol], Awaitable[Outcome]]


def symbols(count: int) -> list[Symbol]:
    return [Symbol(place, SymbolContext(**context(f"f{place}"))) for place in range(count)]


def generate(symbols: list[Symbol], document: Document, workers: int) -> AsyncGenerator[Outcome, None]:
    """Each symbol in a request of its own, none waiting for another."""

    async def ask(request: Request) -> list[Outcome | Request]:
        return [await document(request.symbols[0])]

    plan = make_plan(symbols, Settings.from_env({"MODEL_NAME": "offline"}))
    return generator.generate(Schedule(plan), ask, workers, lambda _: None)


def documented(symbol: Symbol) -> Documented:
    return Documented(symbol.position, symbol.symbol_id, "Do it.")


class Model:
    """Documents each symbol after `takes_s(position)` seconds, or raises `fault(position)` where there is one."""

    def __init__(
        self,
        takes_s: Callable[[int], float] = lambda _: 1.0,
        fault: Callable[[int], BaseException | None] = lambda _: None,
    ) -> None:
        self._takes_s = takes_s
        self._fault = fault
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.cancelled: list[int] = []
        self.most_at_once = 0

    async def __call__(self, symbol: Symbol) -> Outcome:
        place = symbol.position
        self.begun.append(place)
        self.most_at_once = max(self.most_at_once, len(self.begun) - len(self.ended))
        try:
            await asyncio.sleep(self._takes_s(place))
        except asyncio.CancelledError:
            self.cancelled.append(place)
            raise
        self.ended.append(place)
        if fault := self._fault(place):
            raise fault
        return documented(symbol)


async def collect(count: int, document: Document, workers: int) -> list[Outcome]:
    return [outcome async for outcome in generate(symbols(count), document, workers)]


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return run_on_invented_time(main)


@pytest.mark.parametrize(("count", "workers"), [(0, 3), (1, 3), (3, 1), (10, 3), (3, 10), (200, 7)])
def test_each_symbol_has_one_outcome_and_no_more_run_at_once_than_there_are_workers(count: int, workers: int) -> None:
    """Every symbol that goes in comes out once, symbols are begun in the plan's order, and the workers bound them."""
    model = Model(takes_s=lambda place: 1.0 + place * 7 % 5)

    outcomes = run(collect(count, model, workers))

    assert sorted(outcome.position for outcome in outcomes) == list(range(count))
    assert model.begun == list(range(count))
    assert model.most_at_once == min(count, workers)


def test_an_outcome_is_there_as_soon_as_it_is_complete() -> None:
    """Outcomes come in the order of their completion: with 3, 1 and 2 seconds the second is first."""
    model = Model(takes_s=lambda place: (3.0, 1.0, 2.0)[place])

    outcomes = run(collect(3, model, 3))

    assert [outcome.position for outcome in outcomes] == [1, 2, 0]


def test_a_failed_symbol_is_an_outcome_like_any_other() -> None:
    """A symbol's failure touches no other symbol."""

    async def document(symbol: Symbol) -> Outcome:
        if symbol.position % 3 == 0:
            return Failed(symbol.position, symbol.symbol_id, None, "rejected", "no")
        return documented(symbol)

    outcomes = run(collect(9, document, 2))

    assert {outcome.position for outcome in outcomes if isinstance(outcome, Failed)} == {0, 3, 6}
    assert len(outcomes) == 9


def test_a_job_error_begins_no_more_and_lets_those_in_flight_end() -> None:
    """After a JobError no symbol is begun; those under way are paid for: they come out before it is raised."""
    model = Model(
        takes_s=lambda place: 1.0 if place == 1 else 5.0,
        fault=lambda place: AccountError("no quota", "no_quota") if place == 1 else None,
    )
    seen: list[int] = []

    async def main() -> None:
        async for outcome in generate(symbols(20), model, 3):
            seen.append(outcome.position)  # noqa: PERF401 - what was seen before the error counts

    with pytest.raises(AccountError, match="no quota"):
        run(main())

    assert model.begun == [0, 1, 2]
    assert sorted(seen) == [0, 2]
    assert model.cancelled == []


def test_what_a_symbol_had_cost_before_the_fault_comes_out() -> None:
    """A symbol that was paid for and then met the fault is an outcome too, so that what it cost is counted."""
    fault = AccountError("no quota", "no_quota")
    fault.partial_outcomes = (Failed(1, "shop/orders.py:f1", None, "no_quota", "no quota", Usage(input_tokens=87)),)
    model = Model(takes_s=lambda place: 1.0 + place, fault=lambda place: fault if place == 1 else None)
    seen: list[Outcome] = []

    async def main() -> None:
        async for outcome in generate(symbols(2), model, 2):
            seen.append(outcome)  # noqa: PERF401 - as above

    with pytest.raises(AccountError):
        run(main())

    assert seen == [documented(symbols(1)[0]), *fault.partial_outcomes]


def test_a_fault_of_the_worker_itself_stops_the_run_too() -> None:
    """Another exception than a JobError ends the run as a JobError does, and is raised as it is."""
    model = Model(fault=lambda place: KeyError(place) if place == 2 else None)

    with pytest.raises(KeyError):
        run(collect(50, model, 2))

    assert len(model.begun) <= 4
    assert model.cancelled == []


def test_what_explains_the_most_is_raised() -> None:
    """Of several faults one of the worker's own making goes before a JobError, whichever came first."""
    faults = {0: JobError("first"), 1: KeyError("k"), 2: JobError("second")}

    with pytest.raises(KeyError):
        run(collect(3, Model(fault=faults.get), 3))


@pytest.mark.parametrize("fault", [asyncio.CancelledError(), BaseException("a panic of the tokenizer")], ids=repr)
def test_a_fault_that_is_no_exception_loses_no_symbol_in_silence(fault: BaseException) -> None:
    """Where a documenter ends in a BaseException, the run ends in it too, and not as if it were complete."""
    model = Model(fault=lambda place: fault if place == 1 else None)

    with pytest.raises(type(fault)) as caught:
        run(collect(6, model, 2))

    assert caught.value.args == fault.args


def test_closing_cancels_what_is_in_flight_and_waits_for_it() -> None:
    """Who stops listening stops the work: calls in flight are cancelled and over when closing returns."""
    model = Model(takes_s=lambda place: 1.0 if place == 0 else 60.0)

    async def main() -> None:
        async with aclosing(generate(symbols(20), model, 4)) as outcomes:
            async for outcome in outcomes:
                assert outcome.position == 0
                break
        assert sorted(model.cancelled) == model.begun[1:]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())

    assert model.begun[:4] == [0, 1, 2, 3]
    assert len(model.begun) <= 5


def test_cancelling_the_listener_cancels_the_calls() -> None:
    """A job that is cancelled while it waits for an outcome leaves no call behind, and the cancellation goes on up."""
    model = Model(takes_s=lambda _: 60.0)

    async def main() -> None:
        listener = asyncio.create_task(collect(20, model, 3))
        await asyncio.sleep(1.0)
        listener.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listener
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())

    assert sorted(model.cancelled) == [0, 1, 2]
    assert model.begun == [0, 1, 2]
