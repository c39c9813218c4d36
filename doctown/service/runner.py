"""Runs the jobs of the store: each process takes what is free, as long as it has room, and takes over from the dead.

A process has room for a job while it runs fewer than `max_jobs`, and while there is memory for another build: where it
runs out, the kernel ends the process with all that it runs. A job is run by the process that holds its lease. While it
runs, its record is changed every STATE_INTERVAL_S at most, and looked at for a request to cancel. A process that must
stop, or has lost the lease, leaves the record as it is: another process goes on with what was bought. Leaves out: what
a job does (`doctown.jobs`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from doctown.jobs.output import PlannedRepository, RepositoryOutput, RepositoryProgressPayload
from doctown.jobs.progress import RepositoryProgress
from doctown.machine import free_memory_bytes
from doctown.service import records
from doctown.service.records import JobState, is_open
from doctown.service.store import JobStore, lease_key
from generation import JobError, JobFigures, LeaseSighting, ProcessFigures, StorageError, lease_if_free

log = logging.getLogger(__name__)

# How often a process with room looks for jobs of others, and how often the record of a running job is looked at.
SCAN_INTERVAL_S = 5.0
STATE_INTERVAL_S = 2.0
LEASE_TTL_S = 15.0
# The end of a job is written though the store is away for a while: it costs a new execution otherwise.
END_ATTEMPTS = 5
END_PAUSE_S = 2.0
# What a build takes at its peak with 38,000 symbols (docs/benchmarks.md, sympy).
BUILD_MEMORY_BYTES = 1_000_000_000

Now = Callable[[], datetime]


class Execute(Protocol):
    """Runs a job: `doctown.jobs.run_repository_job` with all that does not change."""

    def __call__(
        self, payload: object, *, job_id: str, watch: Callable[[RepositoryProgress], None], figures: JobFigures
    ) -> Awaitable[RepositoryOutput | PlannedRepository]:
        """Return the job's output. Raise JobError."""
        ...


def utc_now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


class Runner:
    """The jobs that this process runs, `max_jobs` at once."""

    def __init__(  # noqa: PLR0913, PLR0917 - each is one thing that the outside decides
        self,
        store: JobStore,
        execute: Execute,
        figures: ProcessFigures,
        max_jobs: int,
        stopping: asyncio.Event,
        now: Now = utc_now,
        free_bytes: Callable[[], int] = free_memory_bytes,
    ) -> None:
        self._store = store
        self._execute = execute
        self._figures = figures
        self._max_jobs = max_jobs
        self._stopping = stopping
        self._now = now
        self._free_bytes = free_bytes
        self._builds_that_fit = 1
        self._woken = asyncio.Event()
        self._running: dict[str, asyncio.Task[bool]] = {}
        self._seen: dict[str, LeaseSighting] = {}

    def wake(self) -> None:
        """Look for jobs at once: one has come."""
        self._woken.set()

    async def run(self) -> None:
        """Run jobs until the process must stop; then end those that run, in order."""
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                self._woken.clear()
                try:
                    await self._take_free_jobs()
                except StorageError as error:
                    log.warning("jobs cannot be looked for: %s", error)
                woken = asyncio.create_task(self._woken.wait())
                await asyncio.wait({woken, stopping}, timeout=SCAN_INTERVAL_S, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
        finally:
            stopping.cancel()
            await self._end_all()

    async def _end_all(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _take_free_jobs(self) -> None:
        """Begin the jobs that nobody runs, the oldest first, while there is room."""
        ids = await self._store.open_ids()
        self._seen = {job_id: seen for job_id, seen in self._seen.items() if job_id in set(ids)}
        self._figures.stored = max(0, len(ids) - len(self._running) - len(self._seen))
        for job_id in ids:
            if len(self._running) >= self._max_jobs or self._stopping.is_set():
                return
            if job_id in self._running:
                continue
            if self._has_memory():
                await self._try(job_id)
            else:
                state, _ = await self._store.change(job_id, records.short_of_memory)
                if state is not None and state["status"] == "queued":
                    return

    def _has_memory(self) -> bool:
        """Tell whether another build fits into memory; the first one always may try.

        Those that run may not have taken yet what they will: how many fit is decided while none runs.
        """
        free_bytes = self._free_bytes()
        if not self._running:
            self._builds_that_fit = max(1, free_bytes // BUILD_MEMORY_BYTES)
            return True
        return len(self._running) < self._builds_that_fit and free_bytes >= BUILD_MEMORY_BYTES

    async def _try(self, job_id: str) -> None:
        """Begin a job if its lease is free; return as soon as that is known."""
        is_decided = asyncio.Event()
        task = asyncio.create_task(self._run_if_free(job_id, is_decided), name=f"job {job_id}")
        self._running[job_id] = task
        task.add_done_callback(functools.partial(self._forget, job_id, is_decided))
        await is_decided.wait()
        if job_id in self._seen:
            await asyncio.wait([task])

    def _forget(self, job_id: str, is_decided: asyncio.Event, task: asyncio.Task[bool]) -> None:
        del self._running[job_id]
        is_decided.set()
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            _log_fault(job_id, error)
        elif task.result():
            self._woken.set()  # there is room for another one

    async def _run_if_free(self, job_id: str, is_decided: asyncio.Event) -> bool:
        """Run a job whose lease is free; return whether it was."""
        key = lease_key(job_id)
        try:
            async with lease_if_free(
                self._store.storage, key, self._seen.get(job_id), ttl_s=LEASE_TTL_S
            ) as lease_or_sighting:
                if isinstance(lease_or_sighting, LeaseSighting):
                    self._seen[job_id] = lease_or_sighting
                    return False
                self._seen.pop(job_id, None)
                is_decided.set()
                is_over = await self._run(job_id)
            if is_over:
                # After the lease: a process that is killed in between leaves a marker, at which the next one looks, and
                # not a lease, at which nobody looks without a marker.
                with contextlib.suppress(StorageError):  # the next process to look for jobs removes it
                    await self._store.close(job_id)
        except JobError as error:  # the lease is lost, or the store is away: another process goes on, or this one later
            log.warning("job %s is not run any longer by this process: %s", job_id, error)
            return False
        return True

    async def _run(self, job_id: str) -> bool:
        """Run a job, and return whether it is over."""
        state, is_begun = await self._store.change(job_id, lambda found: records.begun(found, self._now()))
        if not is_begun or state is None or not is_open(state):
            return True
        log.info("job %s: execution %d begins", job_id, state["executions"])
        latest: list[RepositoryProgress] = []
        with self._figures.job("repository") as (figures, status):
            change = await self._executed(state, figures, status, latest)
        return await self._end(job_id, lambda found: change(_advanced(state["executions"], latest, found) or found))

    async def _executed(
        self, state: JobState, figures: JobFigures, status: list[str], latest: list[RepositoryProgress]
    ) -> Callable[[JobState], JobState | None]:
        """Run the job and return how its record changes. Raise CancelledError where this process must leave it.

        `latest` gets the progress of the job, and `status` how it has ended.
        """
        job_id, execution = state["job_id"], state["executions"]
        job = asyncio.ensure_future(
            self._execute(
                state["input"],
                job_id=job_id,
                watch=lambda progress: latest.__setitem__(slice(None), [progress]),
                figures=figures,
            )
        )
        keeping = asyncio.create_task(self._keep_record(job_id, execution, latest, job))
        try:
            output = await job
        except JobError as error:
            status.append("error")
            if not any(failure == error.failure for _, failure in figures.failures):
                figures.failures["job", error.failure] += 1
            said, failure = str(error), error.failure
            return lambda found: records.failed(found, execution, said, failure, self._now())
        except asyncio.CancelledError:
            if not keeping.done() or keeping.cancelled() or keeping.exception() or not keeping.result():
                raise  # this process, or its lease, has come to an end
            return lambda found: records.cancelled(found, execution, self._now())
        except Exception as error:  # noqa: BLE001 - the caller gets one sentence
            status.append("error")
            figures.failures["job", "internal"] += 1
            _log_fault(job_id, error)
            sentence = f"the service itself failed ({type(error).__name__}): see its log"
            return lambda found: records.failed(found, execution, sentence, "internal", self._now())
        finally:
            job.cancel()
            keeping.cancel()
            await asyncio.wait({job, keeping})
        status.append(output["status"])
        return lambda found: records.ended(found, execution, output, self._now())

    async def _keep_record(
        self, job_id: str, execution: int, latest: list[RepositoryProgress], job: asyncio.Future[Any]
    ) -> bool:
        """Write the job's progress and look for a request to cancel; return True once that has come, and cancel it."""
        while True:
            await asyncio.sleep(STATE_INTERVAL_S)
            try:
                state, _ = await self._store.change(job_id, functools.partial(_advanced, execution, latest))
            except StorageError as error:
                log.warning("job %s: its record cannot be written: %s", job_id, error)
                continue
            if state is not None and state["cancel_requested"]:
                job.cancel()
                return True

    async def _end(self, job_id: str, change: Callable[[JobState], JobState | None]) -> bool:
        """Write how a job has ended, and return whether it is over."""
        for attempt in range(1, END_ATTEMPTS + 1):
            try:
                state, is_ended = await self._store.change(job_id, change)
                break
            except StorageError:
                if attempt == END_ATTEMPTS:
                    raise
                await asyncio.sleep(END_PAUSE_S)
        if is_ended and state is not None:
            log.info("job %s has ended: %s", job_id, state["status"])
        return state is None or not is_open(state)


def _log_fault(job_id: str, error: BaseException) -> None:
    """Log where an unexpected exception was raised; its message may hold source code or a secret."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("job %s: a fault of this service: %s\n%s", job_id, type(error).__name__, where)


def _advanced(execution: int, latest: list[RepositoryProgress], state: JobState) -> JobState | None:
    progress: RepositoryProgressPayload | None = latest[-1].snapshot()["payload"] if latest else None
    return None if progress is None else records.advanced(state, execution, progress)
