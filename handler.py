"""The RunPod entry point: takes jobs, sends progress and returns outputs. The only importer of `runpod`.

It only adapts `generation.job.run_job`, and `doctown.jobs.run_repository_job` where a repository comes in, to the SDK.
What builds repositories is imported when the first one comes: a worker that documents symbols starts as fast without
it. Run locally, it documents `test_input.json` once and exits; on
RunPod it takes jobs until it is asked to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any

from generation.command_line import prepare_environment
from generation.config import Settings
from generation.domain.catalogue import OFFLINE, utc_today
from generation.errors import ConfigError, JobError
from generation.figures.job import JobFigures
from generation.intake.job_input import unwrapped
from generation.logs import set_up_logging
from generation.process import protect_streams
from generation.prompts.tokens import VocabularyMissing
from generation.reporting.progress import ProgressPump, Snapshot
from generation.storage import check_storage_unless_away, open_storage

log = logging.getLogger("handler")

Job = dict[str, Any]

# The first request for a job goes out before imports compete with it for the interpreter.
WARM_UP_AFTER_S = 0.2

# Stop waiting for a progress update after this time, so that it does not delay the result.
PROGRESS_TIMEOUT_S = 30.0


def make_handler(
    settings: Settings,
    send_progress: Callable[[Job, Any], Awaitable[None]],
    stopping: asyncio.Event,
    today: Callable[[], date] = utc_today,
    environ: Mapping[str, str] | None = None,
) -> Callable[[Job], Awaitable[Job]]:
    """Return the handler for the SDK's loop.

    The handler returns the job's output, or `{"error": one sentence, "failure": code}` where the job fails. It raises
    only `CancelledError`. `environ` has git's PATH and tokens, and the settings of builds.
    """

    async def handle(job: Job) -> Job:
        pump = ProgressPump(functools.partial(send_progress, job))
        figures = JobFigures()
        payload, job_id = job.get("input"), str(job["id"])
        try:
            if is_repository_input(payload):
                _require_bucket(settings)
                run_repository_job = await asyncio.to_thread(load_builds)
                work = run_repository_job(
                    payload,
                    settings,
                    job_id=job_id,
                    environ=environ or {},
                    watch=lambda progress: pump.offer(progress.snapshot),
                    stopping=stopping,
                    today=today,
                    figures=figures,
                )
            else:
                run_job = await asyncio.to_thread(load_jobs)
                work = run_job(
                    payload,
                    settings,
                    default_job_id=job_id,
                    watch=pump.observe,
                    stopping=stopping,
                    today=today,
                    figures=figures,
                )
            output = dict(await work)
            if output["status"] != "planned":
                output["figures"] = figures.record()
            await pump.close()
        except JobError as error:
            output = {"error": str(error), "failure": error.failure}
        except Exception as error:  # noqa: BLE001 - the SDK would send the traceback to the caller
            # Log the traceback without the exception's message, which may contain source code or a secret.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("a fault of this worker: %s\n%s", type(error).__name__, where)  # noqa: TRY400
            output = {"error": f"the worker itself failed ({type(error).__name__}): see its log", "failure": "internal"}
        finally:
            # Nobody scrapes a worker of RunPod: this line is what its metrics are.
            log.info("figures %s", json.dumps({"job_id": job_id, **figures.record()}))
            await pump.abandon()
        return output

    return handle


def is_repository_input(payload: object) -> bool:
    """Return whether a job's input is a repository, or an archive of one, and not symbols."""
    payload = unwrapped(payload)
    return isinstance(payload, dict) and bool(payload.keys() & {"repository", "archive_key"})


def _require_bucket(settings: Settings) -> None:
    """Raise ConfigError without a bucket: a pack in a worker's folder is lost with the worker."""
    if not settings.r2_bucket:
        raise ConfigError("a repository's pack needs a bucket: set R2_BUCKET and the other R2 settings on the endpoint")


def load_jobs() -> Callable[..., Awaitable[Mapping[str, Any]]]:
    """Import what documents symbols, which a worker does while it waits for its first job."""
    from generation.job import run_job

    return run_job


def load_builds() -> Callable[..., Awaitable[Mapping[str, Any]]]:
    """Import what builds repositories (1 s) and return its function."""
    from doctown.jobs import run_repository_job

    return run_repository_job


async def send_to_runpod(job: Job, snapshot: Snapshot) -> None:
    """Send one progress update and return when it has been delivered or has failed.

    The SDK sends each update in a new thread and does not report when it ends, so the thread is found by its name.
    """
    import runpod

    before = set(threading.enumerate())
    runpod.serverless.progress_update(job, snapshot)
    for thread in set(threading.enumerate()) - before:
        if thread.name.endswith("(_thread_target)"):
            await asyncio.to_thread(thread.join, PROGRESS_TIMEOUT_S)


async def send_nowhere(_job: Job, _snapshot: Snapshot) -> None:
    """Discard the update: a local run has no receiver, and the SDK would log an error for each one."""


def concurrency_modifier(settings: Settings, stopping: asyncio.Event) -> Callable[[int], int]:
    """Return the function that the SDK calls on every poll to ask how many jobs to run concurrently.

    Its result is constant, since the SDK pauses taking jobs when it changes. The SDK makes the first call when it
    starts to wait for jobs, in the event loop that will run them: that call starts the warm-up in a thread and
    installs the SIGTERM handler.
    """
    first_time = threading.Event()

    def jobs_at_once(_now: int) -> int:
        if not first_time.is_set():
            first_time.set()
            threading.Timer(WARM_UP_AFTER_S, warm_up_quietly, [settings]).start()
            stop_jobs_on_sigterm(stopping)
        return settings.jobs_per_worker

    return jobs_at_once


def stop_jobs_on_sigterm(stopping: asyncio.Event) -> None:
    """Set `stopping` on SIGTERM, then call the SDK's own handler, which only stops taking new jobs."""
    loop = asyncio.get_running_loop()
    sdk_handler = signal.getsignal(signal.SIGTERM)

    def stop(signum: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping.set)
        if callable(sdk_handler):
            sdk_handler(signum, frame)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)


def results_store_check(settings: Settings) -> Callable[[], Awaitable[None]]:
    """Return a start-up check that fails where results could not be stored.

    A store that is only unavailable for now logs a warning and passes.
    """
    storage = open_storage(settings.model_copy(update={"storage_retry_s": 0.0}))

    async def check_results_store() -> None:
        await check_storage_unless_away(storage)

    return check_results_store


def warm_up_quietly(settings: Settings) -> None:
    """Load what jobs will need. Ignore a missing vocabulary: the first job reports it."""
    from generation.job import warm_up

    if settings.model_name != OFFLINE:
        with contextlib.suppress(VocabularyMissing):
            warm_up(settings)


def main() -> None:
    """Read the settings and run the SDK's loop, or one local job. Exit with one sentence where a setting is wrong."""
    protect_streams()
    for warning in prepare_environment(os.environ):
        print(f"handler.py: warning: {warning}", file=sys.stderr)  # noqa: T201 - logging is not set up yet
    try:
        settings = Settings.from_env(os.environ)
        settings.as_of(utc_today()).require_usable_model()
    except ConfigError as error:
        sys.exit(f"handler.py: {error}")
    # The SDK's own rule: without a job queue and without any of its options, this is a local run.
    if not os.environ.get("RUNPOD_WEBHOOK_GET_JOB") and not any(argument.startswith("--") for argument in sys.argv[1:]):
        from generation.local import run_file

        set_up_logging(settings.log_level)
        sys.exit(run_file(Path(*sys.argv[1:2] or ["test_input.json"]), settings, os.environ))
    import runpod

    # Only after the import, which configures the root logger to write to standard output.
    set_up_logging(settings.log_level)
    for warning in settings.model_warnings(utc_today()):
        log.warning("%s", warning)
    send_progress = send_to_runpod if os.environ.get("RUNPOD_WEBHOOK_POST_OUTPUT") else send_nowhere
    runpod.serverless.register_fitness_check(results_store_check(settings))
    stopping = asyncio.Event()
    runpod.serverless.start(
        {
            "handler": make_handler(settings, send_progress, stopping, environ=os.environ),
            "concurrency_modifier": concurrency_modifier(settings, stopping),
        }
    )


if __name__ == "__main__":
    main()
