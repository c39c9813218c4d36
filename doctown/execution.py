"""A build that runs in a thread, within a process whose event loop runs other jobs too.

The build is ordinary blocking code; what it awaits (the worker, the store) runs in the loop, which has the shared
clients and rate limits. A build that is cancelled ends at its next report of progress, or when what it awaits has ended
in order; one whose process must stop ends the same way, unless it is buying summaries: then it keeps those it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from doctown.errors import DocumentError
from doctown.events import Emit, Event
from generation import JobFigures

Result = TypeVar("Result")

OUT_OF_TIME = (
    "Its deadline (deadline_s) has passed before any summary could be bought: send the job again, and it goes on with "
    "the vectors that it has, or raise the deadline and the endpoint's execution timeout"
)
STOPPED = "The worker was told to stop: send the job again, and it goes on with what was bought"


class Execution:
    """One execution of a build; made in the loop that it uses.

    What the build buys is kept in the store under the id `kept_as`, until its pack is stored. It buys nothing more from
    `ends_at_s` on, by the loop's clock. `work` is a folder for source code; `figures` count what it
    does.
    """

    def __init__(
        self, kept_as: str, stopping: asyncio.Event, ends_at_s: float, work: Path, figures: JobFigures
    ) -> None:
        self.kept_as = kept_as
        self.figures = figures
        self.stopping = stopping
        self.work = work
        self._ends_at_s = ends_at_s
        self._loop = asyncio.get_running_loop()
        self._awaited: asyncio.Task[Any] | None = None
        self._is_cancelled = False
        self._is_buying = False

    @property
    def left_s(self) -> float:
        """The seconds in which it may still buy."""
        return self._ends_at_s - self._loop.time()

    async def run(self, build: Callable[[], Result]) -> Result:
        """Run a build in a thread of its own. Cancelled, wait until it has ended in order, and raise that.

        Not a thread of the loop's pool: as many builds as that has threads would wait for the pool for ever.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="build") as thread:
            running = self._loop.run_in_executor(thread, build)
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                self._cancel()
                while not running.done():
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait([running])
                if not running.cancelled():
                    running.exception()  # whatever it has ended with: its caller has gone
                raise

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Await `work` in the loop; for the build's thread. Raise what it raises, or CancelledError."""
        return asyncio.run_coroutine_threadsafe(self._ended(work), self._loop).result().result()

    async def _ended(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        self._awaited = task = asyncio.create_task(work)
        if self._is_cancelled:
            task.cancel()
        await asyncio.wait([task])
        self._awaited = None
        return task

    def check(self) -> None:
        """Raise CancelledError in a build that was cancelled, and DocumentError where it must end.

        What must end in the middle of buying ends with what it has, and so does the build from then on.
        """
        if self._is_cancelled:
            raise asyncio.CancelledError
        if self._is_buying:
            return
        if self.stopping.is_set():
            raise DocumentError(STOPPED, "worker_stopping")
        if self.left_s <= 0:
            raise DocumentError(OUT_OF_TIME, "deadline_exceeded")

    def begin_to_buy(self) -> None:
        """Let the build end with what it has from now on, where its process must stop."""
        self.check()
        self._is_buying = True

    def reporting(self, report: Emit) -> Emit:
        """Return where the build tells its events: `report` gets them in the loop, in their order."""

        def emit(event: Event) -> None:
            self._loop.call_soon_threadsafe(report, event)
            if self._awaited is None:  # what is awaited is cancelled as a task
                self.check()

        return emit

    def _cancel(self) -> None:
        self._is_cancelled = True
        if self._awaited is not None:
            self._awaited.cancel()
