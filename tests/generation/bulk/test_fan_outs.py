"""What is done to many jobs at once: one that is refused stops none of the others, and is counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from generation.bulk.engines.runpod import engine as runpod_engine
from generation.bulk.engines.runpod.engine import POLL_INTERVALS, RunPodEngine, open_api
from generation.bulk.engines.runpod.settings import RunPodSettings
from generation.bulk.engines.runpod.submissions import Submissions
from generation.bulk.manifest import Run
from generation.errors import InputError
from generation.figures.process import ProcessFigures
from generation.storage.folder import FolderStorage
from tests.loopback.queue import LoopbackQueue, Rules, running_queue

RUN = Run("r", "runpod", ())
JOBS = 6


def settings_of(queue: LoopbackQueue) -> RunPodSettings:
    url = queue.url.rpartition("/")[0]
    return RunPodSettings.from_env({"RUNPOD_API_KEY": "any", "RUNPOD_ENDPOINT_ID": "ep", "RUNPOD_API_URL": url})


async def cancel_run(queue: LoopbackQueue, folder: Path, ids: list[str]) -> tuple[int, int]:
    storage = FolderStorage(folder)
    submissions = Submissions(storage, RUN.name)
    for number, runpod_id in enumerate(ids):
        await submissions.accepted(f"r-{number}", 1, runpod_id)
    cancelled = await runpod_engine.cancel(RUN, storage, settings_of(queue))
    assert all(isinstance(error, InputError) for error in cancelled.errors)
    return cancelled.jobs, len(cancelled.errors)


async def abort_run(queue: LoopbackQueue, folder: Path, ids: list[str]) -> None:
    async with open_api(settings_of(queue)) as api:
        engine = RunPodEngine(RUN, FolderStorage(folder), api, POLL_INTERVALS, ProcessFigures())
        engine._in_flight.update(ids)
        await engine.abort()


@pytest.mark.parametrize("way", ["cancel", "abort"])
def test_a_job_that_is_not_cancelled_leaves_the_others_cancelled(
    tmp_path: Path, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of six jobs, five are cancelled although RunPod refuses to cancel the sixth, and that is said with its number."""
    with running_queue() as queue:
        ids = [queue.submit({}) for _ in range(JOBS)]
        queue.follow(Rules(call_script=[{"fault": "refused", "only": ["cancel"], "times": 1}]))
        if way == "cancel":
            assert asyncio.run(cancel_run(queue, tmp_path, ids)) == (JOBS, 1)
        else:
            asyncio.run(abort_run(queue, tmp_path, ids))
            assert "1 of 6 jobs could not be cancelled" in caplog.text
        statuses = [queue.status(job_id)["status"] for job_id in ids]
    assert sorted(statuses) == [*["CANCELLED"] * (JOBS - 1), "IN_QUEUE"]
