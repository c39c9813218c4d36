"""The latest-wins pump between a job's outcomes and RunPod's progress API.

However fast outcomes come, at most one update is under way, updates are at least 250 ms apart, each is a cumulative
snapshot, and none is sent after `close` has returned, so that none can arrive after the result. Leaves out how an
update is sent: that is the door's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Literal, cast

from generation.domain.limits import MAX_PROGRESS_SYMBOLS
from generation.domain.outcome import Documented, Outcome
from generation.domain.output import ProgressPayload, ProgressSnapshot
from generation.results.records import documented_record
from generation.results.report import Totals

log = logging.getLogger(__name__)

PROGRESS: Literal["generation.progress.v1"] = "generation.progress.v1"

# The SDK starts a thread and a connection for each update; at this distance they were seen to arrive in order.
INTERVAL_S = 0.25

Send = Callable[[ProgressSnapshot], Awaitable[None]]


class ProgressPump:
    """Sends the newest snapshot of one job, as often as the receiver bears."""

    def __init__(
        self, send: Send, interval_s: float = INTERVAL_S, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._send = send
        self._interval_s = interval_s
        self._sleep = sleep
        self._job_id = ""
        self._totals: Totals | None = None
        self._recent: deque[Documented] = deque(maxlen=MAX_PROGRESS_SYMBOLS)
        self._pump: asyncio.Task[None] | None = None
        self._next_at_s = 0.0

    def observe(self, job_id: str, outcome: Outcome, totals: Totals) -> None:
        """Take an outcome in; returns at once."""
        self._job_id, self._totals = job_id, totals
        if isinstance(outcome, Documented):
            self._recent.append(outcome)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Send what is newest, once more, and return when nothing is under way any more."""
        if self._pump is not None:
            # A cancellation while this waits must not hurry an update that is under way past the job's end.
            await asyncio.shield(self._pump)

    async def abandon(self) -> None:
        """Return when nothing is under way, without sending what is left."""
        if self._pump is not None:
            self._totals = None
            await asyncio.gather(self._pump, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._totals is not None:
            await self._sleep(max(0.0, self._next_at_s - loop.time()))
            if self._totals is None:
                return
            try:
                await self._send(self._take_snapshot(self._totals))
            except Exception as error:  # noqa: BLE001 - a lost update must not cost the job; the next one tells all
                log.warning("a progress update was lost (%s)", type(error).__name__)
            self._next_at_s = loop.time() + self._interval_s

    def _take_snapshot(self, totals: Totals) -> ProgressSnapshot:
        symbols = [documented_record(outcome) for outcome in self._recent]
        self._recent.clear()
        self._totals = None
        payload = cast("ProgressPayload", {**asdict(totals), "symbols": symbols})
        return {"type": PROGRESS, "job_id": self._job_id, "payload": payload}
