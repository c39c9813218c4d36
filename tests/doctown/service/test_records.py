"""How the record of a job changes: forward only, by whoever runs it now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from doctown.events import STEPS
from doctown.jobs.output import RepositoryProgressPayload
from doctown.service import records
from doctown.service.records import MAX_EXECUTIONS, JobState, merge_progress

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def running(executions: int = 1) -> JobState:
    state = records.queued("job", {"repository": {"url": "https://github.com/o/r"}}, NOW)
    for _ in range(executions):
        found = records.begun(state, NOW)
        assert found is not None
        state = found
    return state


def progress(step: int, done: int, failed: int = 0, total: int = 10, cost: float = 0.0) -> RepositoryProgressPayload:
    return {
        "step": step,
        "steps": len(STEPS),
        "name": cast("Any", STEPS[step - 1]),
        "counts": {"document": {"done": done + failed, "total": total}},
        "completed": done,
        "failed": failed,
        "total": total,
        "total_tokens": 10 * done,
        "total_cost": cost,
        "elapsed_ms": 5,
    }


def test_a_job_that_has_ended_does_not_change() -> None:
    """Neither an execution, nor progress, nor a request to cancel brings an ended job back."""
    ended = records.failed(running(), 1, "No.", "bad_source", NOW)
    assert ended is not None
    assert records.begun(ended, NOW) is None
    assert records.advanced(ended, 1, progress(1, 0)) is None
    assert records.cancel_asked(ended, NOW) is None
    assert records.cancelled(ended, 1, NOW) is None
    assert records.failed(ended, 1, "No.", "internal", NOW) is None


def test_an_execution_that_was_taken_over_has_no_say() -> None:
    """What a process writes that was thought to be dead changes nothing once another has begun."""
    taken_over = running(executions=2)
    assert records.advanced(taken_over, 1, progress(7, 10)) is None
    assert records.failed(taken_over, 1, "No.", "internal", NOW) is None
    assert records.cancelled(taken_over, 1, NOW) is None
    assert taken_over["started_at"] == "2026-01-01T00:00:00Z"


def test_a_job_that_no_process_survives_is_given_up() -> None:
    """After MAX_EXECUTIONS it has failed, in a sentence: it does not end one process after the other for ever."""
    state = running(executions=MAX_EXECUTIONS)
    lost = records.begun(state, NOW)
    assert lost is not None
    assert (lost["status"], lost["failure"], lost["executions"]) == ("failed", "job_lost", MAX_EXECUTIONS)
    assert lost["error"] is not None


def test_a_job_that_waits_is_cancelled_at_once_and_one_that_runs_when_it_can() -> None:
    waiting = records.queued("job", {}, NOW)
    at_once, asked = records.cancel_asked(waiting, NOW), records.cancel_asked(running(), NOW)
    assert at_once is not None
    assert asked is not None
    assert (at_once["status"], at_once["ended_at"]) == ("cancelled", "2026-01-01T00:00:00Z")
    assert (asked["status"], asked["cancel_requested"]) == ("running", True)


def test_a_job_waits_for_memory_only_while_it_is_queued() -> None:
    """It says so once, and no longer when it runs or has ended; a job that runs does not wait."""
    queued = records.queued("job", {}, NOW)
    waiting = records.short_of_memory(queued)
    assert waiting == {**queued, "waits_for": "memory"}
    assert records.short_of_memory(waiting) is None
    assert records.short_of_memory(running()) is None
    assert records.begun(waiting, NOW) == records.begun(queued, NOW)
    assert records.cancel_asked(waiting, NOW) == records.cancel_asked(queued, NOW)


def test_progress_that_says_nothing_new_is_not_written() -> None:
    state = records.advanced(running(), 1, progress(5, 3))
    assert state is not None
    assert records.advanced(state, 1, {**progress(5, 3), "elapsed_ms": 900}) is None


SOME_PROGRESS = st.builds(progress, st.integers(1, 7), st.integers(0, 5), st.integers(0, 5), st.integers(10, 20))


@given(st.lists(SOME_PROGRESS, min_size=2, max_size=8))
def test_what_is_shown_never_goes_back(told: list[RepositoryProgressPayload]) -> None:
    """Whatever executions tell one after the other: step, counts, symbols, tokens and dollars only grow."""
    shown = told[0]
    for now in told[1:]:
        before, shown = shown, merge_progress(shown, now)
        assert shown["step"] >= before["step"]
        assert shown["name"] == STEPS[shown["step"] - 1]
        assert shown["completed"] + shown["failed"] >= before["completed"] + before["failed"]
        assert shown["completed"] + shown["failed"] <= shown["total"]
        for key in ("total", "total_tokens", "total_cost", "elapsed_ms"):
            assert shown[key] >= before[key]
        for name, counts in before["counts"].items():
            assert shown["counts"][name]["done"] >= counts["done"]
