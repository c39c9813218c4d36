"""A job leaves the event loop to others: to other jobs, their progress, and the renewal of leases."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from generation.config import Settings
from generation.job import run_job
from generation.reporting.events import Event
from tests.support.contexts import payload
from tests.support.slow_callbacks import slow_callbacks

MAX_CALLBACK_S = 0.05


def run(job_input: dict[str, Any], settings: Settings) -> dict[str, Any]:
    def emit(event: Event) -> None:
        event.as_json()

    return dict(asyncio.run(run_job(job_input, settings, default_job_id="j", emit=emit)))


def stored_input(folder: Path, count: int) -> dict[str, Any]:
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    (folder / "inputs" / "in.json").write_text(json.dumps(payload(count)), encoding="utf-8")
    return {"symbols_key": "inputs/in.json"}


@pytest.mark.parametrize("count", [5_000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_a_large_job_leaves_the_loop_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """No step of a job uses more than 50 ms of CPU on the loop: from the input, from its results, and left out."""
    if count > 5_000:
        # What a symbol's own summary takes does not grow with the job, and would be most of the test's time.
        monkeypatch.setattr("generation.offline.summaries.summarize_facts", lambda context: f"Names {context.name}.")
    settings = Settings.from_env({"MODEL_NAME": "offline", "RESULTS_DIR": str(tmp_path)})
    job_input = stored_input(tmp_path, count)
    with slow_callbacks(MAX_CALLBACK_S) as found:
        first = run(job_input, settings)
        again = run(job_input, settings)
        rest = run({**job_input, "job_id": "rest", "options": {"max_symbols": 1}}, settings)
    assert [first["documented_count"], again["documented_count"], rest["failed_count"]] == [count, count, count - 1]
    assert found == []
