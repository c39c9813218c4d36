"""Documents shards in this process by `run_job`, with OPENAI_API_KEY and without RunPod.

Up to JOBS_PER_WORKER jobs run concurrently and share the account's rate limits, as in a worker. Jobs have no deadline,
since only the user ends this process; a shard that was stopped continues from its checkpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

from generation.bulk.engines.coordinator import Coordinator
from generation.bulk.engines.outcomes import AttemptResult
from generation.bulk.manifest import Run, Shard
from generation.bulk.progress import ProgressSink, ProgressTracker
from generation.config import Settings
from generation.domain.catalogue import utc_today
from generation.domain.limits import MAX_DEADLINE_S
from generation.domain.outcome import Outcome
from generation.errors import JobError
from generation.figures.process import ProcessFigures
from generation.job import run_job
from generation.reporting.events import Event
from generation.results.report import Totals
from generation.storage.base import Storage
from generation.storage.keys import contexts_key

# Job outputs are not used here, since the results documents are read instead.
MIN_OUTPUT_BYTES = 1_000


async def run(  # noqa: PLR0913 - the parameters of every engine, and the clock
    run: Run,
    storage: Storage,
    settings: Settings,
    report: ProgressSink,
    stopping: asyncio.Event,
    *,
    today: Callable[[], date] = utc_today,
    figures: ProcessFigures | None = None,
) -> None:
    """Run the engine, as `progress` defines it; `today` decides which models exist, `figures` count what jobs do."""
    run = replace(run, in_flight=min(run.in_flight, settings.jobs_per_worker))
    engine = LocalEngine(run, storage, settings, stopping, today, figures or ProcessFigures())
    await Coordinator(run, storage, settings, engine, report).coordinate(stopping)


class LocalEngine:
    """The `ShardEngine` that runs jobs in this process."""

    def __init__(  # noqa: PLR0913, PLR0917 - what the run is, and what its jobs are called with
        self,
        run: Run,
        storage: Storage,
        settings: Settings,
        stopping: asyncio.Event,
        today: Callable[[], date],
        figures: ProcessFigures,
    ) -> None:
        self._figures = figures
        self._run = run
        self._storage = storage
        update = {"deadline_s": MAX_DEADLINE_S, "max_output_bytes": MIN_OUTPUT_BYTES}
        self._settings = settings.model_copy(update=update)
        self._stopping = stopping
        self._today = today
        # The time that a job needs to end and to store its results.
        self.grace_s = settings.shutdown_grace_s + settings.storage_retry_s

    def contexts_of(self, shard: Shard) -> str:
        return contexts_key(self._run.name, shard.job_id)

    async def forget(self, shard: Shard) -> None:
        await self._storage.delete([self.contexts_of(shard)])

    async def abort(self) -> None:
        """Do nothing: jobs in this process are cancelled together with the tasks that await them."""

    async def attempt(self, shard: Shard, job_input: dict[str, Any], progress: ProgressTracker) -> AttemptResult:
        progress.working(shard.job_id)

        def watch(job_id: str, _outcome: Outcome, totals: Totals) -> None:
            progress.watch(job_id, totals.counts)

        payload = {**job_input, "symbols_key": self.contexts_of(shard)}
        with self._figures.job("symbols") as (figures, status):
            try:
                output = await run_job(
                    payload,
                    self._settings,
                    default_job_id=shard.job_id,
                    emit=_ignore_event,
                    watch=watch,
                    stopping=self._stopping,
                    today=self._today,
                    figures=figures,
                )
            except JobError as error:
                status.append("error")
                figures.failures["job", error.failure] += 1
                return AttemptResult("failed", error.failure, str(error))
            status.append(output["status"])
        return AttemptResult("completed")


def _ignore_event(event: Event) -> None:
    """Discard the event: standard output is reserved for the command's own output."""
