"""The time from the start of the worker's process to its first job, compared with a bare `runpod` handler.

Both are driven by the tests' queue, in which a job waits when they start.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from benchmarks.clients.stage import API_KEY
from benchmarks.processes import REPOSITORY
from benchmarks.rows import Row
from tests.loopback.queue import running_queue
from tests.support.worker_process import running_process

ROUNDS = 5
LIMIT_S = 60.0
BARE_HANDLER = """
import runpod

async def handler(job):
    return {"seen": job["id"]}

if __name__ == "__main__":
    runpod.serverless.start({"handler": handler})
"""


def rows(say: Callable[[str], None]) -> list[Row]:
    ours, bare = [], []
    settings = {"OPENAI_API_KEY": API_KEY, "RUNPOD_LOG_LEVEL": "INFO"}
    with tempfile.TemporaryDirectory() as folder:
        bare_path = Path(folder) / "bare.py"
        bare_path.write_text(BARE_HANDLER, encoding="utf-8")
        for _ in range(ROUNDS):
            bare.append(seconds_to_first_job(bare_path, settings))
            ours.append(seconds_to_first_job(REPOSITORY / "handler.py", settings))
            say(f"start to first job: bare handler {bare[-1]:.2f} s, this worker {ours[-1]:.2f} s")
    return [
        Row(
            "start to the first job taken ÷ a bare handler's",
            round(median(ours) / median(bare), 3),
            1.10,
            f"{median(ours):.2f} s ÷ {median(bare):.2f} s",
            numbers={"worker_s": ours, "bare_s": bare},
        )
    ]


def seconds_to_first_job(program: Path, settings: Mapping[str, str]) -> float:
    with running_queue() as queue:
        # Submitted right before the start: the queue's own delay of the job is the time that is asked for.
        job_id = queue.submit({"symbols": []})
        # A new process: the workers of tests have their libraries loaded before they start.
        with running_process([sys.executable, "-u", str(program)], {**queue.environment(), **settings}, REPOSITORY):
            queue.wait_until(lambda: "delayTime" in queue.status(job_id), LIMIT_S, "the first job to be taken")
            return float(queue.status(job_id)["delayTime"]) / 1_000
