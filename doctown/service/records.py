"""The record of a job, and how it changes: pure functions from one record to the next.

A job goes from `queued` to `running` to its end, and never back. What a status shows of a running job does not go back
either: an execution that begins anew, since the process of the one before has died, shows nothing until it is further.
Leaves out: where records are kept (`store`), and who runs jobs (`runner`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from doctown.jobs.output import (
    PlannedRepository,
    RepositoryOutput,
    RepositoryProgressPayload,
)
from generation.domain.output import Code, JobId, Sentence

JobStatus = Literal["queued", "running", "success", "partial", "failed", "planned", "cancelled"]
# A repository that no process survives must not end one after the other for ever.
MAX_EXECUTIONS = 6
OPEN: frozenset[JobStatus] = frozenset({"queued", "running"})
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", description="UTC, in RFC 3339.")]


@with_config(ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class JobState(TypedDict):
    """A job as its record in the store has it, and as `GET /status/{job_id}` shows it."""

    job_id: JobId
    status: Annotated[JobStatus, Field(description="`partial`: some symbols have no summary.")]
    input: Annotated[dict[str, Any], Field(description="What was asked for.")]
    created_at: Time
    started_at: Time | None
    ended_at: Time | None
    executions: Annotated[
        int, Field(ge=0, description="How often it was begun: again where the process that ran it has died.")
    ]
    cancel_requested: bool
    waits_for: NotRequired[
        Annotated[Literal["memory"], Field(description="What a queued job waits for, where it would have begun.")]
    ]
    progress: Annotated[RepositoryProgressPayload | None, Field(description="Null until the first step begins.")]
    output: Annotated[RepositoryOutput | PlannedRepository | None, Field(description="Null until it has ended.")]
    error: Annotated[Sentence | None, Field(description="Why the job could not run.")]
    failure: Code | None


def queued(job_id: str, payload: Mapping[str, Any], now: datetime) -> JobState:
    """Return the record of a job that was asked for."""
    return {
        "job_id": job_id,
        "status": "queued",
        "input": dict(payload),
        "created_at": as_time(now),
        "started_at": None,
        "ended_at": None,
        "executions": 0,
        "cancel_requested": False,
        "progress": None,
        "output": None,
        "error": None,
        "failure": None,
    }


def short_of_memory(state: JobState) -> JobState | None:
    """Return the record of a queued job that could begin but for memory; None where it says so, or is not queued."""
    return None if state["status"] != "queued" or "waits_for" in state else {**state, "waits_for": "memory"}


def begun(state: JobState, now: datetime) -> JobState | None:
    """Return the record of a job that is begun, or begun again; None where it has ended.

    A job that was begun MAX_EXECUTIONS times has failed: it may be what its processes have died of.
    """
    if not is_open(state):
        return None
    if state["executions"] >= MAX_EXECUTIONS:
        error = f"the process that ran it has died or was stopped {MAX_EXECUTIONS} times: see the logs of the service"
        return {**state, "status": "failed", "error": error, "failure": "job_lost", "ended_at": as_time(now)}
    started_at = state["started_at"] or as_time(now)
    return {
        **_without_wait(state),
        "status": "running",
        "started_at": started_at,
        "executions": state["executions"] + 1,
    }


def advanced(state: JobState, execution: int, progress: RepositoryProgressPayload) -> JobState | None:
    """Return the record with newer progress; None where nothing has changed, or another execution has begun."""
    if not _is_run_by(state, execution):
        return None
    merged = merge_progress(state["progress"], progress)
    if state["progress"] is not None and {**merged, "elapsed_ms": 0} == {**state["progress"], "elapsed_ms": 0}:
        return None
    return {**state, "progress": merged}


def ended(
    state: JobState, execution: int, output: RepositoryOutput | PlannedRepository, now: datetime
) -> JobState | None:
    """Return the record of a job that has its output; None where another execution has begun, or it has ended."""
    if not _is_run_by(state, execution):
        return None
    return {**state, "status": output["status"], "output": output, "ended_at": as_time(now)}


def failed(state: JobState, execution: int, error: str, failure: str, now: datetime) -> JobState | None:
    """Return the record of a job that could not run, or None as `ended`."""
    if not _is_run_by(state, execution):
        return None
    return {**state, "status": "failed", "error": error, "failure": failure, "ended_at": as_time(now)}


def cancelled(state: JobState, execution: int, now: datetime) -> JobState | None:
    """Return the record of a running job that was cancelled, or None as `ended`."""
    return {**state, "status": "cancelled", "ended_at": as_time(now)} if _is_run_by(state, execution) else None


def cancel_asked(state: JobState, now: datetime) -> JobState | None:
    """Return the record after somebody has asked for the job's end: at once where it waits; None where it has ended."""
    if not is_open(state):
        return None
    if state["status"] == "queued":
        return {**_without_wait(state), "status": "cancelled", "cancel_requested": True, "ended_at": as_time(now)}
    return {**state, "cancel_requested": True}


def _without_wait(state: JobState) -> JobState:
    return cast("JobState", {key: value for key, value in state.items() if key != "waits_for"})


def is_open(state: JobState) -> bool:
    """Tell whether a job has not ended."""
    return state["status"] in OPEN


def _is_run_by(state: JobState, execution: int) -> bool:
    return state["status"] == "running" and state["executions"] == execution


def merge_progress(
    before: RepositoryProgressPayload | None, now: RepositoryProgressPayload
) -> RepositoryProgressPayload:
    """Return the progress that is shown after `before`: nothing in it is less."""
    if before is None:
        return now
    further = before if before["step"] > now["step"] else now
    symbols = before if before["completed"] + before["failed"] > now["completed"] + now["failed"] else now
    counts: dict[str, Any] = {}
    for name in [*before["counts"], *now["counts"]]:
        both = [one["counts"][name] for one in (before, now) if name in one["counts"]]
        counts[name] = {key: max(one[key] for one in both) for key in ("done", "total")}
    merged = {
        **further,
        "counts": counts,
        "completed": symbols["completed"],
        "failed": symbols["failed"],
        "total": max(before["total"], now["total"]),
        "total_tokens": max(before["total_tokens"], now["total_tokens"]),
        "total_cost": max(before["total_cost"], now["total_cost"]),
        "elapsed_ms": max(before["elapsed_ms"], now["elapsed_ms"]),
    }
    return cast("RepositoryProgressPayload", merged)


def as_time(now: datetime) -> str:
    """Return a moment in UTC as RFC 3339 has it, to a second."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
