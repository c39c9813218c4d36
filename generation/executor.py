"""Run a plan with concurrent workers: requests in, outcomes out as they complete. The only scheduler of tasks.

A bounded number of workers takes requests as the schedule releases them; a symbol's failure is an outcome and does not
affect other symbols. Leaves out: pacing (the limiter delays requests) and the use of outcomes.
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
    """Document the symbols of a schedule with up to `workers` concurrent requests; yield outcomes as they complete.

    `add_summary` is called with each outcome before requests that waited for it are released. If a documenter raises
    JobError, no further request is started, those in flight are completed, since they may be paid for, and then the
    error is raised; the schedule still holds all symbols without an outcome. Any other exception of a documenter,
    including a BaseException that is no Exception, is handled and re-raised in the same way, in preference to a
    JobError. Closing the iterator cancels the calls in flight.
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
    """The state that the workers of one run share."""

    def __init__(self, schedule: Schedule, document: Documenter, add_summary: Callable[[Outcome], None]) -> None:
        self._schedule = schedule
        self._document = document
        self._add_summary = add_summary
        self._released = asyncio.Semaphore(0)
        self._counted = 0
        self._busy = 0
        self._faults: list[BaseException] = []
        self._left = schedule.unfinished
        self._outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._release()

    async def work(self) -> None:
        """Process one request after another, until a documenter has raised an error."""
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
                # Not only Exception: a panic of the tokenizer is a BaseException, and the call may cancel itself.
                self._faults.append(error)
                # Symbols that cost nothing return to the schedule as if they were never requested.
                results = (isinstance(error, JobError) and error.partial_outcomes) or [request]
            self._busy -= 1
            self._take(results)
            # A documenter that waits for nothing would keep the loop from everything else.
            await asyncio.sleep(0)

    def _take(self, results: Results) -> None:
        for result in results:
            if isinstance(result, Request):
                self._schedule.add(result)
            else:
                self._add_summary(result)
                self._schedule.finish(result.position)
                self._outcomes.put_nowait(result)
        self._release()
        if self._faults:
            self._outcomes.put_nowait(None)

    def _release(self) -> None:
        """Wake one worker for each request that has become ready."""
        while self._counted < self._schedule.ready:
            self._counted += 1
            self._released.release()

    async def next_outcome(self) -> Outcome | None:
        """Return the next outcome, or None if there are no more."""
        while self._left and not (self._faults and not self._busy and self._outcomes.empty()):
            outcome = await self._outcomes.get()
            if outcome is not None:
                self._left -= 1
                return outcome
        return None

    def fault(self) -> BaseException | None:
        """Return the error to raise, or None: a bug of this project before a JobError, which is expected."""
        return min(self._faults, key=lambda fault: isinstance(fault, JobError), default=None)
