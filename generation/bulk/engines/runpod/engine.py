"""Documents shards on RunPod: submits each as a job and polls it until it has ended.

Job ids are deterministic, so that a resubmitted job continues from its checkpoint. Two workers must not run the same
job at once, since both would pay. Each attempt therefore reads its contexts under its own key, and the key of the
previous attempt is deleted first: a copy of the job whose RunPod id is unknown, because the response to /run was lost
or RunPod has forgotten the job, finds no contexts when it starts. A copy that has already started is detected by the
lease that it renews, and is waited for. What the end of a job means is defined in `outcomes`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import aiohttp

from generation.bulk.engines.coordinator import Coordinator, load_results
from generation.bulk.engines.outcomes import AttemptResult, NextStep, judge
from generation.bulk.engines.runpod.api import RunPodApi
from generation.bulk.engines.runpod.settings import RunPodSettings
from generation.bulk.engines.runpod.submissions import Submission, Submissions
from generation.bulk.manifest import Run, Shard
from generation.bulk.progress import ProgressSink, ProgressTracker
from generation.config import Settings
from generation.domain.bookkeeping import as_count, as_object
from generation.domain.usage import Counts
from generation.errors import JobError, StorageError, Unreachable
from generation.fan_out import fan_out
from generation.figures.job import read_figures
from generation.figures.process import ProcessFigures
from generation.storage.base import Storage
from generation.storage.keys import cancelled_key, contexts_key, contexts_prefix, job_lease_key, prefix_of, results_key

log = logging.getLogger(__name__)

CANCELLED = "cancelled"

# No job costs as much: a figure above is no cost.
MAX_COST_USD = 1e9

# Factor by which the interval between polls of a job grows.
POLL_BACKOFF = 1.3

# Time for which one shard is resubmitted while /run returns no usable response.
OUTAGE_S = 600.0

ENDED: Mapping[str, Literal["completed", "failed", "timed_out", "cancelled"]] = {
    "COMPLETED": "completed",
    "FAILED": "failed",
    "TIMED_OUT": "timed_out",
    "CANCELLED": "cancelled",
}


@dataclass(frozen=True, slots=True)
class PollIntervals:
    """Intervals in seconds.

    `first_look_s` and `last_look_s` are the first and the maximum interval between polls of a job. A copy of a job with
    an unknown id has `doubt_s` to save something, which shows that it runs, and is then considered dead after
    `silence_s` without saving anything.
    """

    first_look_s: float = 0.25
    last_look_s: float = 2.0
    doubt_s: float = 10.0
    silence_s: float = 90.0


POLL_INTERVALS = PollIntervals()


async def run(  # noqa: PLR0913 - the parameters of every engine, and this one's own
    run: Run,
    storage: Storage,
    settings: Settings,
    report: ProgressSink,
    stopping: asyncio.Event,
    *,
    runpod: RunPodSettings,
    intervals: PollIntervals = POLL_INTERVALS,
    figures: ProcessFigures | None = None,
) -> None:
    """Run the engine, as `progress` defines it; `figures` count what workers tell of their jobs."""
    await storage.delete([cancelled_key(run.name)])
    async with open_api(runpod) as api:
        engine = RunPodEngine(run, storage, api, intervals, figures or ProcessFigures())
        await engine.load()
        await Coordinator(run, storage, settings, engine, report).coordinate(stopping)


class Cancelled(NamedTuple):
    """How many jobs were to be cancelled, and why those were not that RunPod refused to cancel."""

    jobs: int
    errors: Sequence[JobError]


async def cancel(run: Run, storage: Storage, runpod: RunPodSettings) -> Cancelled:
    """Cancel every job of a run that may be in flight; an error of one does not stop the others.

    The marker is written first, so that a coordinator in another process knows why its jobs were cancelled. Raises
    StorageError.
    """
    await storage.write(cancelled_key(run.name), b"{}")
    submissions = Submissions(storage, run.name)
    await submissions.load()
    ids = submissions.runpod_ids()
    async with open_api(runpod) as api:
        return Cancelled(len(ids), await cancel_each(api, ids))


async def cancel_each(api: RunPodApi, ids: Sequence[str]) -> list[JobError]:
    """Cancel jobs and return the errors of those that could not be."""
    # All at once, so that in an outage all are given up together; the API's own limits apply to the calls.
    return await fan_out(api.cancel, ids, max(1, len(ids)))


@contextlib.asynccontextmanager
async def open_api(runpod: RunPodSettings) -> AsyncIterator[RunPodApi]:
    """Open an HTTP session and yield the endpoint's API."""
    # No connection limit: `Rate` limits concurrency. Proxies and certificates come from the environment, as in the SDK.
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, trust_env=True) as session:
        yield RunPodApi(runpod, session)


class RunPodEngine:
    """The `ShardEngine` that runs jobs on RunPod."""

    # Jobs continue without their coordinator.
    grace_s = 0.0

    def __init__(
        self, run: Run, storage: Storage, api: RunPodApi, intervals: PollIntervals, figures: ProcessFigures
    ) -> None:
        self._figures = figures
        self._run = run
        self._storage = storage
        self._api = api
        self._intervals = intervals
        self._submissions = Submissions(storage, run.name)
        # Per job id: the attempt under whose key the contexts are, where it is not the first.
        self._moved: dict[str, int] = {}
        self._checked_earlier: set[str] = set()
        self._in_flight: set[str] = set()

    async def load(self) -> None:
        """Load the submissions of earlier starts, and the keys of their contexts."""
        await self._submissions.load()
        prefix = contexts_prefix(self._run.name)
        for key in await self._storage.list_keys(prefix):
            job_id, _, attempt = key.removeprefix(prefix).removesuffix(".jsonl.gz").partition("~")
            if attempt.isdigit():
                self._moved[job_id] = max(int(attempt), self._attempt_of_contexts(job_id))

    def contexts_of(self, shard: Shard) -> str:
        return contexts_key(self._run.name, shard.job_id, self._attempt_of_contexts(shard.job_id))

    async def forget(self, shard: Shard) -> None:
        await self._submissions.forget(shard.job_id)
        await self._storage.delete(self._contexts_up_to(shard.job_id, self._attempt_of_contexts(shard.job_id)))

    async def abort(self) -> None:
        """Cancel the jobs in flight, which would meet the same fault or spend money for unused results."""
        ids = sorted(self._in_flight)
        if errors := await cancel_each(self._api, ids):
            log.warning("%d of %d jobs could not be cancelled and may go on: %s", len(errors), len(ids), errors[0])

    async def attempt(self, shard: Shard, job_input: dict[str, Any], progress: ProgressTracker) -> AttemptResult:
        give_up_s = time.monotonic() + OUTAGE_S
        earlier = await self._earlier_submission(shard)
        submission = earlier or await self._submit(shard, job_input)
        while submission.runpod_id is None:
            if await self._await_unknown_copy(shard, submission.attempt):
                return AttemptResult("completed")
            if time.monotonic() > give_up_s:
                raise Unreachable("RunPod has answered no /run for minutes: resume the run later")
            submission = await self._submit(shard, job_input)
        result = await self._poll_until_ended(shard, submission.runpod_id, progress)
        if result.ended == "unknown" and await self._await_unknown_copy(shard, submission.attempt):
            return AttemptResult("completed")
        if earlier and judge(result, await load_results(self._storage, shard)).next_step is NextStep.STOP:
            # It began before this start: the cause may be gone, and a new job tells.
            return await self.attempt(shard, job_input, progress)
        if result.ended == "cancelled" and await self._storage.read(cancelled_key(self._run.name)):
            raise JobError(f"the run was cancelled: `resume {self._run.name}` goes on with it", CANCELLED)
        return result

    async def _earlier_submission(self, shard: Shard) -> Submission | None:
        """Return the submission of an earlier start that may still be in flight, or None.

        One that has ended is ignored, since the cause of its failure may be gone.
        """
        submission = None if shard.job_id in self._checked_earlier else self._submissions.newest(shard.job_id)
        self._checked_earlier.add(shard.job_id)
        if submission is None or submission.runpod_id is None:
            return submission
        status = await self._api.status(submission.runpod_id)
        return submission if status is None or result_of(status) is None else None

    async def _submit(self, shard: Shard, job_input: dict[str, Any]) -> Submission:
        """Submit the next attempt. `runpod_id` is None in the result where it may have been accepted."""
        job_id = shard.job_id
        before = self._submissions.newest(job_id)
        attempt = max(before.attempt + 1 if before else 1, self._attempt_of_contexts(job_id))
        await self._move_contexts(job_id, attempt)
        job_input = {**job_input, "symbols_key": contexts_key(self._run.name, job_id, attempt)}
        await self._submissions.begin(job_id, attempt)
        try:
            runpod_id = await self._api.submit(job_input, self._run.webhook)
        except Unreachable as error:
            if not error.maybe_accepted:
                raise
            return Submission(attempt)
        await self._submissions.accepted(job_id, attempt, runpod_id)
        return Submission(attempt, runpod_id)

    async def _poll_until_ended(self, shard: Shard, runpod_id: str, progress: ProgressTracker) -> AttemptResult:
        self._in_flight.add(runpod_id)
        wait_s = self._intervals.first_look_s
        try:
            while True:
                await asyncio.sleep(wait_s)
                status = await self._api.status(runpod_id)
                if status is None:
                    return AttemptResult("unknown")
                if result := result_of(status):
                    self._count(status)
                    return result
                if status.get("status") == "IN_PROGRESS":
                    progress.working(shard.job_id)
                if counts := counts_of(status.get("output")):
                    progress.watch(shard.job_id, counts)
                wait_s = min(self._intervals.last_look_s, wait_s * POLL_BACKOFF)
        finally:
            self._in_flight.discard(runpod_id)

    def _count(self, status: Mapping[str, Any]) -> None:
        """Count a job that has ended, by what its worker has told of it."""
        output = as_object(status.get("output"))
        ended = "cancelled" if status.get("status") == "CANCELLED" else str(output.get("status", "error"))
        self._figures.add("symbols", ended, read_figures(output.get("figures")))

    async def _await_unknown_copy(self, shard: Shard, attempt: int) -> bool:
        """Return whether a copy of the job with an unknown id has run to its end, after waiting for one that runs.

        Moves the contexts first, so that a copy that has not started yet cannot document anything. False where no copy
        shows itself, or one falls silent.
        """
        await self._move_contexts(shard.job_id, attempt + 1)
        saved = await self._saved(shard)
        if not await self._changes(shard, saved, self._intervals.doubt_s):
            return False
        while True:
            before, saved = saved, await self._saved(shard)
            if saved.results != before.results:
                return True
            if not await self._changes(shard, saved, self._intervals.silence_s):
                return False

    async def _changes(self, shard: Shard, saved: _Saved, within_s: float) -> bool:
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            await asyncio.sleep(min(1.0, within_s / 4))
            if await self._saved(shard) != saved:
                return True
        return False

    async def _saved(self, shard: Shard) -> _Saved:
        results = await self._storage.read(results_key(shard.job_id))
        lease = await self._storage.read(job_lease_key(shard.job_id))
        keys = await self._storage.list_keys(prefix_of(shard.job_id))
        return _Saved(results.version if results else None, lease.version if lease else None, tuple(keys))

    async def _move_contexts(self, job_id: str, attempt: int) -> None:
        """Copy a shard's contexts to the key of an attempt and delete those of earlier attempts."""
        if attempt <= (present := self._attempt_of_contexts(job_id)):
            return
        stored = await self._storage.read(contexts_key(self._run.name, job_id, present))
        if stored is None:
            raise StorageError(f"the contexts of shard {job_id} are gone: start the run under another name")
        await self._storage.write(contexts_key(self._run.name, job_id, attempt), stored.body)
        self._moved[job_id] = attempt
        await self._storage.delete(self._contexts_up_to(job_id, attempt - 1))

    def _attempt_of_contexts(self, job_id: str) -> int:
        return self._moved.get(job_id, 1)

    def _contexts_up_to(self, job_id: str, attempt: int) -> list[str]:
        return [contexts_key(self._run.name, job_id, number) for number in range(1, attempt + 1)]


class _Saved(NamedTuple):
    """What a job has saved: the versions of its results and of its lease, and the keys of its checkpoint segments."""

    results: str | None
    lease: str | None
    segments: tuple[str, ...]


def result_of(status: Mapping[str, Any]) -> AttemptResult | None:
    """Return how a job has ended, by the response to /status, or None where it has not."""
    ended = ENDED.get(str(status.get("status")))
    if ended is None:
        return None
    output, error = status.get("output"), status.get("error")
    failure = output.get("failure") if isinstance(output, dict) else None
    return AttemptResult(ended, failure if isinstance(failure, str) else None, error if isinstance(error, str) else "")


def counts_of(output: object) -> Counts | None:
    """Return the counts of a progress snapshot, or None where `output` is not one."""
    payload = as_object(as_object(output).get("payload"))
    counts = [as_count(payload.get(name)) for name in ("completed", "failed", "total_tokens")]
    cost_usd = payload.get("total_cost")
    if None in counts or isinstance(cost_usd, bool) or not isinstance(cost_usd, int | float):
        return None
    # An integer of 400 digits is no float.
    completed, failed, tokens = (count or 0 for count in counts)
    return Counts(completed, failed, tokens, float(cost_usd)) if 0 <= cost_usd < MAX_COST_USD else None
