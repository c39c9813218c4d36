"""How one job of a run over repositories is done: by a worker on RunPod, or in this process.

A repository's job is safe to repeat: one execution of a repository runs at a time, and the next begins with its pack.
So a submission whose answer was lost is simply sent again. Leaves out what follows from how a job ended (`run`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from doctown.bulk.state import State
from doctown.jobs import Caches, run_repository_job
from doctown.jobs.output import RepositoryOutput
from generation import JobError, ProcessFigures, RunPodApi, Settings, Unreachable, read_figures, result_of

FIRST_LOOK_S = 1.0
LAST_LOOK_S = 15.0
LOOK_GROWTH = 1.3
LOST = "lost"


@dataclass(frozen=True)
class Attempt:
    """How a job ended: with an output, or with a failure and its sentence; `LOST` where nobody knows."""

    output: RepositoryOutput | None = None
    failure: str = ""
    message: str = ""


Save = Callable[[State], Awaitable[None]]
Step = Callable[[str], None]


class Engine(Protocol):
    """A way to do jobs."""

    async def attempt(self, job_input: Mapping[str, Any], state: State, save: Save, step: Step) -> Attempt:
        """Do a job, or wait for the one that `state` says is under way. `save` keeps its id; `step` gets its steps.

        Raise JobError where no job can be done at all.
        """
        ...


class LocalEngine:
    """Jobs in this process; `figures` count what they do."""

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], caches: Caches, figures: ProcessFigures | None = None
    ) -> None:
        self._figures = figures or ProcessFigures()
        self._settings = settings
        self._environ = environ
        self._caches = caches

    async def attempt(self, job_input: Mapping[str, Any], state: State, save: Save, step: Step) -> Attempt:
        """Do a job; a cancellation stops it in order, with what it has bought in the store."""
        await save(state)
        with self._figures.job("repository") as (figures, status):
            try:
                output = await run_repository_job(
                    dict(job_input),
                    self._settings,
                    job_id="bulk",
                    environ=self._environ,
                    watch=lambda progress: step(progress.snapshot()["payload"]["name"]),
                    caches=self._caches,
                    figures=figures,
                )
            except JobError as error:
                status.append("error")
                return Attempt(None, error.failure, str(error))
            status.append(output["status"])
        return Attempt(cast("RepositoryOutput", output))


class RunPodEngine:
    """Jobs of an endpoint, whose workers have the same bucket; `figures` count what they tell of their jobs."""

    def __init__(
        self, api: RunPodApi, first_look_s: float = FIRST_LOOK_S, figures: ProcessFigures | None = None
    ) -> None:
        self._figures = figures or ProcessFigures()
        self._api = api
        self._first_look_s = first_look_s

    async def attempt(self, job_input: Mapping[str, Any], state: State, save: Save, step: Step) -> Attempt:
        """Send a job and wait for its end; cancelled, it leaves the job to go on by itself."""
        if state.runpod_id is not None:
            # Sent by an earlier start: what it failed for may be over.
            earlier = await self._until_ended(state.runpod_id, step)
            if earlier.output is not None:
                return earlier
        try:
            runpod_id = await self._api.submit(dict(job_input), None)
        except Unreachable as error:
            if not error.maybe_accepted:
                raise
            return Attempt(None, LOST, str(error))
        await save(replace(state, runpod_id=runpod_id))
        return await self._until_ended(runpod_id, step)

    async def _until_ended(self, runpod_id: str, step: Step) -> Attempt:
        wait_s = self._first_look_s
        while True:
            status = await self._api.status(runpod_id)
            if status is None:
                return Attempt(None, LOST, "RunPod does not know the job any more")
            output = status.get("output")
            if (result := result_of(status)) is not None:
                told = output if isinstance(output, dict) else {}
                self._figures.add("repository", str(told.get("status", "error")), read_figures(told.get("figures")))
                if result.ended == "completed" and isinstance(output, dict) and "docpack" in output:
                    return Attempt(cast("RepositoryOutput", output))
                if result.ended == "failed":
                    return Attempt(None, result.failure or "job_failed", result.sentence or "the job failed on RunPod")
                return Attempt(None, LOST, f"the job ended on RunPod without a result ({result.ended})")
            payload = output.get("payload") if isinstance(output, dict) else None
            if isinstance(payload, dict) and isinstance(payload.get("name"), str):
                step(payload["name"])
            await asyncio.sleep(wait_s)
            wait_s = min(LAST_LOOK_S, wait_s * LOOK_GROWTH)
