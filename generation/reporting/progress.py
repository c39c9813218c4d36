"""Rate-limited progress updates: sends the latest snapshot of a job to RunPod's progress API.

At most one update is in flight and updates start at least 250 ms apart; a snapshot that is superseded before it is
sent is dropped. Each snapshot is cumulative. None is sent after `close` has returned, so none can arrive after the
result. How an update is sent is up to the caller (`send`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Literal, cast

from generation.domain.limits import MAX_PROGRESS_SYMBOLS
from generation.domain.outcome import Documented, Outcome
from generation.domain.output import ProgressPayload, ProgressSnapshot
from generation.results.records import documented_record
from generation.results.report import Totals

log = logging.getLogger(__name__)

PROGRESS: Literal["generation.progress.v1"] = "generation.progress.v1"

# The SDK opens a thread and a connection for each update; at this interval they were observed to arrive in order.
INTERVAL_S = 0.25

# One of this package, or of a caller whose jobs are of another kind.
Snapshot = Mapping[str, Any]
Send = Callable[[Any], Awaitable[None]]


class ProgressPump:
    """Sends the latest snapshot of one job, at most once every `interval_s` seconds."""

    def __init__(
        self, send: Send, interval_s: float = INTERVAL_S, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._send = send
        self._interval_s = interval_s
        self._sleep = sleep
        self._job_id = ""
        self._totals: Totals | None = None
        self._pending: Callable[[], Snapshot] | None = None
        self._recent: deque[Documented] = deque(maxlen=MAX_PROGRESS_SYMBOLS)
        self._pump: asyncio.Task[None] | None = None
        self._next_at_s = 0.0

    def observe(self, job_id: str, outcome: Outcome, totals: Totals) -> None:
        """Record an outcome and the job's new totals, and schedule an update. Does not block."""
        self._job_id, self._totals = job_id, totals
        if isinstance(outcome, Documented):
            self._recent.append(outcome)
        self.offer(self._take_snapshot)

    def offer(self, snapshot: Callable[[], Snapshot]) -> None:
        """Schedule an update with what `snapshot` returns when it is sent, in place of what was not sent yet."""
        self._pending = snapshot
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Send the latest snapshot, if it has not been sent, and return when no update is in flight."""
        if self._pump is not None:
            # Shielded: if this is cancelled, an update in flight must still finish before the job's end.
            await asyncio.shield(self._pump)

    async def abandon(self) -> None:
        """Discard the unsent snapshot and return when no update is in flight."""
        if self._pump is not None:
            self._pending = None
            await asyncio.gather(self._pump, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending is not None:
            await self._sleep(max(0.0, self._next_at_s - loop.time()))
            pending, self._pending = self._pending, None
            if pending is None:
                return
            try:
                await self._send(pending())
            except Exception as error:  # noqa: BLE001 - a lost update must not fail the job; the next one is cumulative
                log.warning("a progress update was lost (%s)", type(error).__name__)
            self._next_at_s = loop.time() + self._interval_s

    def _take_snapshot(self) -> ProgressSnapshot:
        symbols = [documented_record(outcome) for outcome in self._recent]
        self._recent.clear()
        payload = cast("ProgressPayload", {**asdict(cast("Totals", self._totals)), "symbols": symbols})
        return {"type": PROGRESS, "job_id": self._job_id, "payload": payload}
