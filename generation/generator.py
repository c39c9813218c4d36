"""Runs a plan: symbols in, outcomes out as they complete. The one place that schedules.

A bounded number of workers takes symbols in the plan's order; a symbol's failure is an outcome and touches no other
symbol. Leaves out: pace (the limiter holds back whoever is too early) and what becomes of outcomes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from generation.errors import AccountError, JobError
from generation.outcomes import Outcome, Symbol

Documenter = Callable[[Symbol], Awaitable[Outcome]]


async def generate(symbols: Sequence[Symbol], document: Documenter, workers: int) -> AsyncGenerator[Outcome, None]:
    """Document the symbols with so many workers and yield each outcome as it completes.

    Where a documenter raises JobError no further symbol is begun, those in flight come to their end, since they may be
    paid for, and then the error is raised. Closing the iterator cancels the calls in flight.
    """
    todo = iter(symbols)
    outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()
    faults: list[BaseException] = []

    async def work() -> None:
        try:
            for symbol in todo:
                if faults:
                    break
                outcomes.put_nowait(await document(symbol))
        except BaseException as error:  # noqa: BLE001 - raised again below, after the others' outcomes
            # A tokenizer's panic is no Exception, and a cancellation may come from within: neither may pass in silence.
            faults.append(error)
            if isinstance(error, AccountError):
                for outcome in error.struck:
                    outcomes.put_nowait(outcome)
        finally:
            outcomes.put_nowait(None)

    tasks = [asyncio.create_task(work()) for _ in range(min(workers, len(symbols)))]
    running = len(tasks)
    try:
        while running:
            outcome = await outcomes.get()
            if outcome is None:
                running -= 1
            else:
                yield outcome
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    raise_first(faults)


def raise_first(faults: Sequence[BaseException]) -> None:
    """Raise what explains the most: a fault of this project's own making before a JobError, which is expected."""
    for fault in sorted(faults, key=lambda fault: isinstance(fault, JobError)):
        raise fault
