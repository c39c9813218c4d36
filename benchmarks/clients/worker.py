"""This worker: `run_job` as its handler calls it, with events really written and results really stored.

Like a worker that has waited for its first job it has imported what a job needs; it knows nothing of the server.
Leaves out the RunPod loop around a job, which `start` measures, and progress updates.
"""

from __future__ import annotations

import json
import logging
import sys
import uuid
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.clients.stage import API_KEY, Run, Task, perform
from generation.config import Settings
from generation.job import run_job, warm_up


def worker_settings(task: Task) -> Settings:
    """The worker's settings for a task; payload files lie in its results folder, where `symbols_key` finds them."""
    return Settings.from_env(
        {
            "OPENAI_API_KEY": API_KEY,
            "OPENAI_BASE_URL": task.base_url,
            "MAX_CONCURRENT_REQUESTS": str(task.width),
            "RESULTS_DIR": str(Path(task.payload).parent),
        }
    )


def get_ready(settings: Settings, *, with_runpod: bool = False) -> None:
    """Import and load what a waiting worker has; `runpod` itself only where memory is measured."""
    if with_runpod:
        import_module("runpod")
    # The SDK sets the root logger up for standard output.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
    warm_up(settings)


def read_payload(task: Task) -> dict[str, Any]:
    """The job's input: a list of symbols as JSON itself, JSON Lines by their key."""
    path = Path(task.payload)
    if path.suffix == ".jsonl":
        return {"symbols_key": path.name}
    payload: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return payload


def one_symbol() -> dict[str, Any]:
    """A payload that is in no measured job."""
    context = {"symbol_id": "warm", "name": "warm", "kind": "function", "language": "python", "file_path": "warm.py"}
    return {"symbols": [{"symbol_id": "warm", "context": context}]}


def unused_job_id() -> str:
    """A job under an id that was used before, by any client in this folder, would find its results and ask nobody."""
    return uuid.uuid4().hex


async def prepare(task: Task) -> Run:
    settings = worker_settings(task)
    get_ready(settings, with_runpod=task.with_runpod)
    payload = read_payload(task)
    if task.warm:
        await run_job(one_symbol(), settings, default_job_id=unused_job_id())

    async def run() -> int:
        output = await run_job(payload, settings, default_job_id=unused_job_id())
        assert output["status"] != "planned"
        return output["documented_count"]

    return run


if __name__ == "__main__":
    perform(prepare)
