"""The summaries of a build, bought by jobs in this process.

A build's symbols go to the worker in jobs of at most 50,000. A job keeps what it has paid in the build's work folder,
or in the store where the build is itself the job of a worker, under an id that is the same when the build is run again,
so that nothing is paid twice; summaries of an earlier pack are handed to it as the results of an earlier job
(`previous`). Leaves out which symbols, what the worker is told of them, and the engines of bulk runs (`engines`).
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from doctown.errors import DocumentError, OutputError
from doctown.events import Emit, documented_so_far
from doctown.execution import Execution
from doctown.summaries import Estimate, Summaries, add_outcome, add_paid_before, add_totals
from generation import (
    JobError,
    JobOptions,
    JobRequest,
    Settings,
    SymbolContext,
    cancelled_on_signals,
    document,
    forget_job,
    open_storage,
)
from generation.domain.limits import MAX_JOB_SYMBOLS
from generation.domain.outcome import Outcome
from generation.domain.output import JobOutput, PlannedOutput

# A week: a build ends when it is done, not when a worker's time is up.
BUILD_DEADLINE_S = 7 * 24 * 3600.0
# What a job gets that has less than this left: it asks for nothing more and says what it found.
MIN_DEADLINE_S = 0.1
# With less room than this a build stops buying: what it has bought, and what is in flight, can still be saved.
MIN_FREE_BYTES = 2_000_000
PREVIOUS_FILE = "previous.json"
PREVIOUS_KEY = f"results/{PREVIOUS_FILE}"
# A job whose estimate does not fit what the jobs before it have left.
ESTIMATE_ABOVE_CAP = "estimate_above_cap"
Result = TypeVar("Result")

_R2_SETTINGS = (
    "r2_account_id",
    "r2_access_key_id",
    "r2_secret_access_key",
    "r2_bucket",
    "r2_endpoint_url",
    "r2_public_base_url",
)


class Job(NamedTuple):
    """One job of a build: its id and its symbols."""

    job_id: str
    contexts: Sequence[SymbolContext]


def kept_in(work: Path, settings: Settings) -> Settings:
    """Return the settings of jobs that keep their results in a folder of this machine.

    Not in the bucket: a build that ends removes what it has kept, and counts nothing that an earlier one paid.
    """
    here: dict[str, object] = dict.fromkeys(_R2_SETTINGS)
    return settings.model_copy(update={**here, "results_dir": work, "deadline_s": BUILD_DEADLINE_S})


class Documenting:
    """The jobs of one build. `previous` are earlier results, as a results document."""

    def __init__(  # noqa: PLR0913 - what a build knows
        self,
        contexts: Sequence[SymbolContext],
        job_id: str,
        work: Path,
        settings: Settings,
        previous: Mapping[str, object] | None,
        *,
        today: date,
        renew: bool = False,
        execution: Execution | None = None,
    ) -> None:
        self._today = today
        self._renew = renew
        self._execution = execution
        self._work = work
        self._jobs = split(contexts, job_id)
        self._settings = settings if execution is not None else kept_in(work, settings)
        self._stored_previous_key = PREVIOUS_KEY if execution is None else f"results/{job_id}.previous.json"
        self._previous_key = None if previous is None else self._stored_previous_key
        if previous is not None and execution is None:
            _write(work / PREVIOUS_FILE, previous)
        elif previous is not None:
            body = json.dumps(previous, ensure_ascii=False).encode()
            run_to_end(open_storage(settings).write(self._stored_previous_key, body), execution)

    def estimate(self) -> Estimate:
        """Return what the jobs would cost. Raise DocumentError."""
        return run_to_end(self._estimate(), self._execution)

    def run(self, hashes: Mapping[str, str], emit: Emit) -> Summaries:
        """Write the summaries; `hashes` are those of the symbols' sources, by id. Raise DocumentError."""
        return run_to_end(self._document(hashes, emit), self._execution)

    def forget(self) -> None:
        """Remove from the store what a build of a worker's job has kept there. Raise DocumentError."""
        run_to_end(self._forget(), self._execution)

    def forget_previous(self) -> None:
        """Remove the earlier results that were handed to the jobs of such a build. Raise DocumentError."""
        run_to_end(open_storage(self._settings).delete([self._stored_previous_key]), self._execution)

    async def _forget(self) -> None:
        storage = open_storage(self._settings)
        await storage.delete([self._stored_previous_key])
        for job in self._jobs:
            await forget_job(job.job_id, storage)

    async def _estimate(self) -> Estimate:
        counts: Counter[str] = Counter()
        cost_usd, warnings = 0.0, []
        for number, job in enumerate(self._jobs):
            rest = self._rest(number, Summaries())
            if rest is None:
                counts["left_out_symbols"] += len(job.contexts)
                continue
            options = JobOptions(dry_run=True, max_symbols=rest.max_symbols, renew=self._renew)
            output = await self._call(job, options, Summaries(), {}, lambda _: None)
            if output["status"] == "planned":
                counts.update({name: value for name, value in output["plan"].items() if isinstance(value, int)})
                cost_usd += output["plan"]["estimated_cost"]
                warnings += output["warnings"]
        counts.pop("estimated_cost", None)
        return Estimate(
            self._settings.model_name,
            **counts,
            estimated_cost=round(cost_usd, 6),
            warnings=tuple(dict.fromkeys(warnings)),
        )

    async def _document(self, hashes: Mapping[str, str], emit: Emit) -> Summaries:
        summaries = Summaries()
        for number, job in enumerate(self._jobs):
            options = self._rest(number, summaries)
            if options is None:
                summaries.left_out += len(job.contexts)
                continue
            try:
                output = await self._call(job, options, summaries, hashes, emit)
            except JobError as error:
                if not number or error.failure != ESTIMATE_ABOVE_CAP:
                    raise
                # What the jobs before it have bought stays.
                summaries.left_out += len(job.contexts)
                continue
            if output["status"] != "planned":
                add_totals(summaries, output["usage"], output["total_cost"], output["checks"], output["warnings"])
                add_paid_before(summaries, output["paid_before"])
        return summaries

    def _rest(self, number: int, summaries: Summaries) -> JobOptions | None:
        """Return what is left of the caps for the job of this number, None where nothing is."""
        max_symbols, max_cost_usd = self._settings.max_symbols, self._settings.max_cost_usd
        if max_symbols is not None and number:
            max_symbols -= number * MAX_JOB_SYMBOLS
        if max_cost_usd is not None and number:
            max_cost_usd -= summaries.total_cost
        if (max_symbols is not None and max_symbols <= 0) or (max_cost_usd is not None and max_cost_usd <= 0):
            return None
        return JobOptions(max_symbols=max_symbols, max_cost_usd=max_cost_usd, renew=self._renew)

    async def _call(
        self, job: Job, options: JobOptions, summaries: Summaries, hashes: Mapping[str, str], emit: Emit
    ) -> JobOutput | PlannedOutput:
        request = JobRequest(job.job_id, options, self._previous_key)
        total = sum(len(one.contexts) for one in self._jobs)

        def watch(_job_id: str, outcome: Outcome, totals: object) -> None:
            add_outcome(summaries, outcome, hashes)
            done = len(summaries.documentation) + len(summaries.failures) + summaries.left_out
            cost = summaries.total_cost + float(getattr(totals, "total_cost", 0.0))
            used = summaries.usage["input_tokens"] + summaries.usage["output_tokens"]
            tokens = used + int(getattr(totals, "total_tokens", 0))
            emit(documented_so_far(done, total, len(summaries.failures), cost, tokens))
            if self._execution is None:
                _check_room(self._work)

        settings, stopping, figures = self._settings, None, None
        if self._execution is not None:
            figures = self._execution.figures
            settings = settings.model_copy(update={"deadline_s": max(MIN_DEADLINE_S, self._execution.left_s)})
            stopping = self._execution.stopping
        return await document(
            request,
            job.contexts,
            settings,
            emit=lambda _event: None,
            watch=watch,
            stopping=stopping,
            today=lambda: self._today,
            figures=figures,
        )


def split(contexts: Sequence[SymbolContext], job_id: str, most: int = MAX_JOB_SYMBOLS) -> list[Job]:
    """Return the jobs for these symbols; where there are several, the most central symbols are in the first."""
    if len(contexts) <= most:
        return [Job(job_id, contexts)] if contexts else []
    ordered = sorted(contexts, key=lambda context: -(context.centrality or 0.0))
    return [
        Job(f"{job_id}-{number}", ordered[start : start + most])
        for number, start in enumerate(range(0, len(ordered), most), start=1)
    ]


def run_to_end(work: Coroutine[Any, Any, Result], execution: Execution | None = None) -> Result:
    """Run the worker to its end, in the loop of the execution where there is one. Raise DocumentError, in its sentence.

    Without one, the first SIGINT or SIGTERM cancels it and raises KeyboardInterrupt.
    """
    try:
        return asyncio.run(cancelled_on_signals(work)) if execution is None else execution.wait(work)
    except JobError as error:
        raise DocumentError(str(error), error.failure) from None


def _check_room(work: Path) -> None:
    """Raise OutputError where the disk of the work folder fills up: what is bought then could not be kept."""
    if work.is_dir() and shutil.disk_usage(work).free < MIN_FREE_BYTES:
        raise OutputError(
            f"The disk of {str(work)!a} is full: make room, and the same command goes on with what was bought"
        )


def _write(path: Path, value: object) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"The file {str(path)!a} cannot be written ({error.strerror}): make room for it") from None
