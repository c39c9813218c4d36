"""A small job alone and beside a large one, in one worker process and one event loop.

The large job is the task's payload, the small one its last symbols. Each is measured several times: a job of 20 takes
as long as the slowest of 20 answers, and chance decides how long that is.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks.clients.stage import Run, Task, perform
from benchmarks.clients.worker import get_ready, one_symbol, read_payload, worker_settings
from generation.job import run_job

LARGE_SYMBOLS = 2_000
SMALL_SYMBOLS = 20
REPEATS = 5
CANARY_WAIT_S = 3.0


async def prepare(task: Task) -> Run:
    settings = worker_settings(task)
    get_ready(settings)
    symbols = read_payload(task)["symbols"]
    large, small = {"symbols": symbols[:-SMALL_SYMBOLS]}, {"symbols": symbols[-SMALL_SYMBOLS:]}
    numbers = itertools.count()

    async def seconds_of(payload: dict[str, Any]) -> float:
        started_s = time.perf_counter()
        output = await run_job(payload, settings, default_job_id=f"neighbours-{next(numbers)}")
        assert output["status"] == "success", output
        return time.perf_counter() - started_s

    async def run() -> Mapping[str, float]:
        await seconds_of(one_symbol())
        alone_s = [await seconds_of(small) for _ in range(REPEATS)]
        neighbour = asyncio.create_task(seconds_of(large))
        await asyncio.sleep(CANARY_WAIT_S)
        beside_s = [await seconds_of(small) for _ in range(REPEATS)]
        assert not neighbour.done(), "the large job ended before the small ones did"
        neighbour.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await neighbour
        return {"alone_s": median(alone_s), "beside_s": median(beside_s)}

    return run


if __name__ == "__main__":
    perform(prepare)
