"""Documents shards on RunPod: submits each as a job, looks at it until it has ended, and loses none.

A job is known by a deterministic job id, so that one that is sent again goes on where it stopped. What must not happen
is that two workers run the same job at once, for both would pay. Each attempt therefore reads its contexts under a key
of its own, and the key of the one before is removed first: a copy that nobody knows of, since the answer to /run was
lost or RunPod has forgotten the job, finds nothing to document when its turn comes. One that has begun already is
known by what it saves, and is waited for. Leaves out what the end of a job means (`outcomes`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import aiohttp

from generation.bulk.engines.coordinator import Coordinator
from generation.bulk.engines.outcomes import AttemptResult
from generation.bulk.engines.runpod.api import RunPodApi
from generation.bulk.engines.runpod.settings import RunPodSettings
from generation.bulk.engines.runpod.submissions import Submission, Submissions
from generation.bulk.manifest import Run, Shard
from generation.bulk.progress import ProgressSink, ProgressTracker
from generation.config import Settings
from generation.domain.usage import Counts
from generation.errors import JobError, StorageError, Unreachable
from generation.storage.base import Storage
from generation.storage.keys import cancelled_key, contexts_key, contexts_prefix, prefix_of, results_key

CANCELLED = "cancelled"

# Each look at a job comes later than the one before by this factor.
LOOK_LATER = 1.3

# So long one shard is offered to an API that does not say whether it takes it.
OUTAGE_S = 600.0

ENDED: Mapping[str, Literal["completed", "failed", "timed_out", "cancelled"]] = {
    "COMPLETED": "completed",
    "FAILED": "failed",
    "TIMED_OUT": "timed_out",
    "CANCELLED": "cancelled",
}


@dataclass(frozen=True, slots=True)
class PollIntervals:
    """Seconds between looks at a job, and for a copy of a job that nobody knows of: until it would have shown itself by
    what it saves, and how long it may then be silent before it is taken for dead.
    """

    first_look_s: float = 0.25
    last_look_s: float = 2.0
    doubt_s: float = 10.0
    silence_s: float = 90.0


POLL_INTERVALS = PollIntervals()


async def run(  # noqa: PLR0913 - what every engine takes, and where the endpoint is
    run: Run,
    storage: Storage,
    settings: Settings,
    report: ProgressSink,
    stopping: asyncio.Event,
    *,
    runpod: RunPodSettings,
    patience: PollIntervals = POLL_INTERVALS,
) -> None:
    """Bring a run to its end; see `progress`."""
    await storage.delete([cancelled_key(run.name)])
    async with reached(runpod) as api:
        engine = RunPodEngine(run, storage, api, patience)
        await engine.load()
        await Coordinator(run, storage, settings, engine, report).coordinate(stopping)


async def cancel(run: Run, storage: Storage, runpod: RunPodSettings) -> int:
    """Cancel every job of a run that may be under way; the result is how many.

    A coordinator that is at work elsewhere finds its jobs cancelled, and then the mark by which it knows why.
    """
    await storage.write(cancelled_key(run.name), b"{}")
    submissions = Submissions(storage, run.name)
    await submissions.load()
    ids = submissions.runpod_ids()
    async with reached(runpod) as api:
        await asyncio.gather(*(api.cancel(runpod_id) for runpod_id in ids))
    return len(ids)


@contextlib.asynccontextmanager
async def reached(runpod: RunPodSettings) -> AsyncIterator[RunPodApi]:
    """The endpoint's API."""
    # The rates hold how many calls are under way; the SDK's proxies and certificates are the environment's.
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, trust_env=True) as session:
        yield RunPodApi(runpod, session)


class RunPodEngine:
    """The `ShardEngine` of RunPod."""

    # Jobs go on without their coordinator.
    grace_s = 0.0

    def __init__(self, run: Run, storage: Storage, api: RunPodApi, patience: PollIntervals) -> None:
        self._run = run
        self._storage = storage
        self._api = api
        self._patience = patience
        self._submissions = Submissions(storage, run.name)
        # By shard the attempt under whose key its contexts are, where that is not the first.
        self._moved: dict[str, int] = {}
        self._looked_after: set[str] = set()
        self._under_way: set[str] = set()

    async def load(self) -> None:
        """Read what earlier starts of the run have left."""
        await self._submissions.load()
        prefix = contexts_prefix(self._run.name)
        for key in await self._storage.list_keys(prefix):
            job_id, _, attempt = key.removeprefix(prefix).removesuffix(".jsonl.gz").partition("~")
            if attempt.isdigit():
                self._moved[job_id] = max(int(attempt), self._attempt_of_contexts(job_id))

    def contexts_of(self, shard: Shard) -> str:
        """As ShardEngine says."""
        return contexts_key(self._run.name, shard.job_id, self._attempt_of_contexts(shard.job_id))

    async def forget(self, shard: Shard) -> None:
        """As ShardEngine says."""
        await self._submissions.forget(shard.job_id)
        await self._storage.delete(self._contexts_up_to(shard.job_id, self._attempt_of_contexts(shard.job_id)))

    async def abort(self) -> None:
        """As ShardEngine says: every other job would meet the same fault, or spend what nobody waits for."""
        with contextlib.suppress(JobError):
            await asyncio.gather(*(self._api.cancel(runpod_id) for runpod_id in set(self._under_way)))

    async def attempt(self, shard: Shard, job_input: dict[str, Any], book: ProgressTracker) -> AttemptResult:
        """As ShardEngine says."""
        give_up_s = time.monotonic() + OUTAGE_S
        submission = await self._under_way_before(shard) or await self._submit(shard, job_input)
        while submission.runpod_id is None:
            if await self._is_run_unknown(shard, submission.attempt):
                return AttemptResult("completed")
            if time.monotonic() > give_up_s:
                raise Unreachable("RunPod has answered no /run for minutes: resume the run later")
            submission = await self._submit(shard, job_input)
        told = await self._look_until_ended(shard, submission.runpod_id, book)
        if told.ended == "unknown" and await self._is_run_unknown(shard, submission.attempt):
            return AttemptResult("completed")
        if told.ended == "cancelled" and await self._storage.read(cancelled_key(self._run.name)):
            raise JobError(f"the run was cancelled: `resume {self._run.name}` goes on with it", CANCELLED)
        return told

    async def _under_way_before(self, shard: Shard) -> Submission | None:
        """What an earlier start of the run has submitted and has not ended yet, as far as anyone knows.

        How one has ended that is over says nothing any more: the fault that it met may be gone.
        """
        submission = None if shard.job_id in self._looked_after else self._submissions.newest(shard.job_id)
        self._looked_after.add(shard.job_id)
        if submission is None or submission.runpod_id is None:
            return submission
        status = await self._api.status(submission.runpod_id)
        return submission if status is None or result_of(status) is None else None

    async def _submit(self, shard: Shard, job_input: dict[str, Any]) -> Submission:
        """Submit the next attempt; its id is unknown where it may have been accepted or not."""
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

    async def _look_until_ended(self, shard: Shard, runpod_id: str, book: ProgressTracker) -> AttemptResult:
        self._under_way.add(runpod_id)
        wait_s = self._patience.first_look_s
        try:
            while True:
                await asyncio.sleep(wait_s)
                status = await self._api.status(runpod_id)
                if status is None:
                    return AttemptResult("unknown")
                if told := result_of(status):
                    return told
                if counts := counts_of(status.get("output")):
                    book.watch(shard.job_id, counts)
                wait_s = min(self._patience.last_look_s, wait_s * LOOK_LATER)
        finally:
            self._under_way.discard(runpod_id)

    async def _is_run_unknown(self, shard: Shard, attempt: int) -> bool:
        """Whether a copy of the job ran without that its id is known; if so, return when it has ended, or is silent.

        A copy that has not begun by now never documents anything: its contexts are moved away.
        """
        await self._move_contexts(shard.job_id, attempt + 1)
        saved = await self._saved(shard)
        if not await self._changes(shard, saved, self._patience.doubt_s):
            return False
        while True:
            before, saved = saved, await self._saved(shard)
            if saved.results != before.results:
                return True
            if not await self._changes(shard, saved, self._patience.silence_s):
                return False

    async def _changes(self, shard: Shard, saved: _Saved, within_s: float) -> bool:
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            await asyncio.sleep(min(1.0, within_s / 4))
            if await self._saved(shard) != saved:
                return True
        return False

    async def _saved(self, shard: Shard) -> _Saved:
        stored = await self._storage.read(results_key(shard.job_id))
        return _Saved(stored.version if stored else None, tuple(await self._storage.list_keys(prefix_of(shard.job_id))))

    async def _move_contexts(self, job_id: str, attempt: int) -> None:
        """Put a shard's contexts under the key of an attempt, and remove those of the ones before."""
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
    """What the runs of a job have left in the store: the version of its results, and the keys of its segments."""

    results: str | None
    segments: tuple[str, ...]


def result_of(status: Mapping[str, Any]) -> AttemptResult | None:
    """How a job has ended, by the answer to /status; None where it has not."""
    ended = ENDED.get(str(status.get("status")))
    if ended is None:
        return None
    output, error = status.get("output"), status.get("error")
    failure = output.get("failure") if isinstance(output, dict) else None
    return AttemptResult(ended, failure if isinstance(failure, str) else None, error if isinstance(error, str) else "")


def counts_of(output: object) -> Counts | None:
    """The figures of a progress snapshot; None for anything else."""
    payload = output.get("payload") if isinstance(output, dict) else None
    if not isinstance(payload, dict):
        return None
    try:
        return Counts(
            int(payload["completed"]),
            int(payload["failed"]),
            int(payload["total_tokens"]),
            float(payload["total_cost"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
