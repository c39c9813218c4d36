"""Documents shards in this process, with `run_job` and its pace: no RunPod, and a key of OpenAI here.

Jobs run beside each other, JOBS_PER_WORKER of them, and share the account's pace as those of a worker do. Leaves out
deadlines: nobody ends this process but its user, and a shard that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from generation.bulk.engines.coordinator import Coordinator
from generation.bulk.engines.outcomes import AttemptResult
from generation.bulk.manifest import Run, Shard
from generation.bulk.progress import ProgressSink, ProgressTracker
from generation.config import Settings
from generation.domain.outcome import Outcome
from generation.errors import JobError
from generation.job import run_job
from generation.reporting.events import Event
from generation.results.report import Totals
from generation.storage.base import Storage
from generation.storage.keys import contexts_key

NO_DEADLINE_S = 7 * 24 * 3600.0

# An output is read by nobody here: the results document is.
MIN_OUTPUT_BYTES = 1_000


async def run(run: Run, storage: Storage, settings: Settings, report: ProgressSink, stopping: asyncio.Event) -> None:
    """Bring a run to its end; see `progress`."""
    run = replace(run, in_flight=min(run.in_flight, settings.jobs_per_worker))
    engine = LocalEngine(run, storage, settings, stopping)
    await Coordinator(run, storage, settings, engine, report).coordinate(stopping)


class LocalEngine:
    """The `ShardEngine` of this process."""

    def __init__(self, run: Run, storage: Storage, settings: Settings, stopping: asyncio.Event) -> None:
        self._run = run
        self._storage = storage
        update = {"deadline_s": NO_DEADLINE_S, "max_output_bytes": MIN_OUTPUT_BYTES}
        self._settings = settings.model_copy(update=update)
        self._stopping = stopping
        # What a job needs to end, and to store what it has.
        self.grace_s = settings.shutdown_grace_s + settings.storage_retry_s

    def contexts_of(self, shard: Shard) -> str:
        """As ShardEngine says."""
        return contexts_key(self._run.name, shard.job_id)

    async def forget(self, shard: Shard) -> None:
        """As ShardEngine says."""
        await self._storage.delete([self.contexts_of(shard)])

    async def abort(self) -> None:
        """As ShardEngine says: jobs of this process are cancelled with the tasks that wait for them."""

    async def attempt(self, shard: Shard, job_input: dict[str, Any], book: ProgressTracker) -> AttemptResult:
        """As ShardEngine says."""

        def watch(job_id: str, _outcome: Outcome, totals: Totals) -> None:
            book.watch(job_id, totals.counts)

        payload = {**job_input, "symbols_key": self.contexts_of(shard)}
        try:
            await run_job(
                payload,
                self._settings,
                default_job_id=shard.job_id,
                emit=_ignore_event,
                watch=watch,
                stopping=self._stopping,
            )
        except JobError as error:
            return AttemptResult("failed", error.failure, str(error))
        return AttemptResult("completed")


def _ignore_event(event: Event) -> None:
    """Standard output is the command's, for its progress."""
