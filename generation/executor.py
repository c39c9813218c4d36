"""Runs a plan: requests in, outcomes out as they complete. The one place that runs things at once.

A bounded number of workers takes requests as the schedule releases them; a symbol's failure is an outcome and touches
no other symbol. Leaves out: pace (the limiter holds back whoever is too early) and what becomes of outcomes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from generation.domain.outcome import Documenter, Outcome, Request, Results
from generation.errors import JobError
from generation.planning.schedule import Schedule


async def generate(
    schedule: Schedule, document: Documenter, workers: int, add_summary: Callable[[Outcome], None]
) -> AsyncGenerator[Outcome, None]:
    """Document the symbols of a schedule with so many workers and yield each outcome as it completes.

    `add_summary` is called with each outcome before requests that waited for it are released. Where a documenter raises
    JobError, no further request is begun, those in flight are completed, since they may be paid for, and then the error
    is raised; the schedule then knows all symbols without an outcome. Closing the iterator cancels the calls in flight.
    """
    run = _Run(schedule, document, add_summary)
    tasks = [asyncio.create_task(run.work()) for _ in range(min(workers, schedule.unfinished))]
    try:
        while outcome := await run.next_outcome():
            yield outcome
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if fault := run.fault():
        raise fault


class _Run:
    """What the workers of one run share."""

    def __init__(self, schedule: Schedule, document: Documenter, add_summary: Callable[[Outcome], None]) -> None:
        self._schedule = schedule
        self._document = document
        self._learn = add_summary
        self._released = asyncio.Semaphore(0)
        self._counted = 0
        self._busy = 0
        self._faults: list[BaseException] = []
        self._left = schedule.unfinished
        self._outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._release()

    async def work(self) -> None:
        """Ask one request after the other, until something is wrong with the job."""
        while True:
            await self._released.acquire()
            self._counted -= 1
            if self._faults:
                return
            self._busy += 1
            request = self._schedule.next()
            try:
                results = await self._document(request)
            except BaseException as error:  # noqa: BLE001 - raised again by generate, after the others' outcomes
                # A tokenizer's panic is no Exception, a cancellation may come from within: neither goes unseen.
                self._faults.append(error)
                # Whoever the fault has cost nothing goes back to those who were never asked.
                results = (isinstance(error, JobError) and error.partial_outcomes) or [request]
            self._busy -= 1
            self._take(results)

    def _take(self, results: Results) -> None:
        for result in results:
            if isinstance(result, Request):
                self._schedule.add(result)
            else:
                self._learn(result)
                self._schedule.finish(result.position)
                self._outcomes.put_nowait(result)
        self._release()
        if self._faults:
            self._outcomes.put_nowait(None)

    def _release(self) -> None:
        """Wake a worker for each request that has become ready."""
        while self._counted < self._schedule.ready:
            self._counted += 1
            self._released.release()

    async def next_outcome(self) -> Outcome | None:
        """The next outcome, or None when there are no more."""
        while self._left and not (self._faults and not self._busy and self._outcomes.empty()):
            outcome = await self._outcomes.get()
            if outcome is not None:
                self._left -= 1
                return outcome
        return None

    def fault(self) -> BaseException | None:
        """What explains the most: a fault of this project's own making before a JobError, which is expected."""
        return min(self._faults, key=lambda fault: isinstance(fault, JobError), default=None)
