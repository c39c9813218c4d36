"""RunPod's door: a job in, progress out, the output back. The only importer of `runpod`.

It translates and decides nothing: `generation.job.run_job` is the job. Run it beside `test_input.json` and it documents
that, once; on RunPod it takes jobs until it is told to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

from generation.config import Settings, set_process_defaults
from generation.domain.catalogue import OFFLINE
from generation.domain.output import ProgressSnapshot
from generation.errors import ConfigError, JobError, StorageError
from generation.job import run_job, warm_up
from generation.local import run_file
from generation.logs import set_up_logging
from generation.prompts.tokens import VocabularyMissing
from generation.reporting.progress import ProgressPump
from generation.storage import check_storage, open_storage

log = logging.getLogger("handler")

Job = dict[str, Any]

# The first request for a job goes out before imports compete with it for the interpreter.
WARM_UP_AFTER_S = 0.2

# An update that takes longer than this is not waited for: the result matters more.
PROGRESS_TIMEOUT_S = 30.0


def make_handler(
    settings: Settings, send_progress: Callable[[Job, ProgressSnapshot], Awaitable[None]], stopping: asyncio.Event
) -> Callable[[Job], Awaitable[Job]]:
    """The handler for RunPod's loop: it returns the output or `{"error": one sentence}`, and raises only to cancel."""

    async def handle(job: Job) -> Job:
        pump = ProgressPump(functools.partial(send_progress, job))
        run = functools.partial(run_job, default_job_id=str(job["id"]), watch=pump.observe, stopping=stopping)
        try:
            output = dict(await run(job.get("input"), settings))
            await pump.close()
        except JobError as error:
            output = {"error": str(error), "failure": error.failure}
        except Exception as error:  # noqa: BLE001 - the SDK would send the traceback to the caller
            # Without the exception's own text, which may repeat what it stumbled over: source code, or a secret.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("a fault of this worker: %s\n%s", type(error).__name__, where)  # noqa: TRY400
            output = {"error": f"the worker itself failed ({type(error).__name__}): see its log", "failure": "internal"}
        finally:
            await pump.abandon()
        return output

    return handle


async def send_to_runpod(job: Job, snapshot: ProgressSnapshot) -> None:
    """Send one update and return when it has arrived or failed.

    The SDK hands each update to a thread of its own and says nothing of its end: the thread is found by its name.
    """
    import runpod

    before = set(threading.enumerate())
    runpod.serverless.progress_update(job, snapshot)
    for thread in set(threading.enumerate()) - before:
        if thread.name.endswith("(_thread_target)"):
            await asyncio.to_thread(thread.join, PROGRESS_TIMEOUT_S)


async def send_nowhere(_job: Job, _snapshot: ProgressSnapshot) -> None:
    """Run locally: there is nobody to send to, and the SDK would log an error for each update."""


def concurrency_modifier(settings: Settings, stopping: asyncio.Event) -> Callable[[int], int]:
    """The SDK's question how many jobs to take, asked in its every turn: a constant, since a change stops the intake.

    The first question means that the worker begins to wait for jobs, in the loop in which they will run: what the first
    one will need is loaded meanwhile, and jobs are to hear of SIGTERM.
    """
    first_time = threading.Event()

    def jobs_at_once(_now: int) -> int:
        if not first_time.is_set():
            first_time.set()
            threading.Timer(WARM_UP_AFTER_S, warm_up_quietly, [settings]).start()
            tell_jobs_of_sigterm(stopping)
        return settings.jobs_per_worker

    return jobs_at_once


def tell_jobs_of_sigterm(stopping: asyncio.Event) -> None:
    """Set the event before the SDK's own handler, which only ends the intake and lets jobs run to their end."""
    loop = asyncio.get_running_loop()
    sdk_handler = signal.getsignal(signal.SIGTERM)

    def stop(signum: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping.set)
        if callable(sdk_handler):
            sdk_handler(signum, frame)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)


def results_store_check(settings: Settings) -> Callable[[], Awaitable[None]]:
    """The check by which a worker is refused that could not store results; a store that is only away may return."""
    storage = open_storage(settings.model_copy(update={"storage_retry_s": 0.0}))

    async def check_results_store() -> None:
        try:
            await check_storage(storage)
        except StorageError as error:
            if not error.retryable:
                raise
            log.warning("the results store is away: %s", error)

    return check_results_store


def warm_up_quietly(settings: Settings) -> None:
    """Load what jobs will need; whatever is wrong with it is the first job's to say."""
    if settings.model_name != OFFLINE:
        with contextlib.suppress(VocabularyMissing):
            warm_up(settings)


def main() -> None:
    """Check the settings and hand the process to RunPod's loop."""
    set_process_defaults(os.environ)
    try:
        settings = Settings.from_env(os.environ)
    except ConfigError as error:
        sys.exit(f"handler.py: {error}")
    # As the SDK decides it: with no queue to take jobs from, and none of its own options, this is a local run.
    if not os.environ.get("RUNPOD_WEBHOOK_GET_JOB") and not any(given.startswith("--") for given in sys.argv[1:]):
        set_up_logging(settings.log_level)
        sys.exit(run_file(Path(*sys.argv[1:2] or ["test_input.json"]), settings))
    import runpod

    # After the import, which sets the root logger up for standard output.
    set_up_logging(settings.log_level)
    send_progress = send_to_runpod if os.environ.get("RUNPOD_WEBHOOK_POST_OUTPUT") else send_nowhere
    runpod.serverless.register_fitness_check(results_store_check(settings))
    stopping = asyncio.Event()
    runpod.serverless.start(
        {
            "handler": make_handler(settings, send_progress, stopping),
            "concurrency_modifier": concurrency_modifier(settings, stopping),
        }
    )


if __name__ == "__main__":
    main()
