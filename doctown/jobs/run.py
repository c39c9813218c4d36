"""`run_repository_job`: from the input of a job to its output, for RunPod, the HTTP service and runs over lists.

The build runs in a thread; what it awaits runs in the caller's loop, with the clients and the limits of all jobs. All
that is kept is in the store: what was bought while the pack is not there (`kept_as`), then the pack. One execution of a
repository runs at a time; another one waits for it, and then has its pack to begin from. Checkouts and work trees are
in a folder of the machine that is removed however the job ends.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar, cast

from doctown.build import BuildResult, Caller, plan_build, run_build
from doctown.embedding import EmbeddingSettings
from doctown.embedding.cache import FILE_NAME as VECTORS_FILE
from doctown.errors import DoctownError, PackError
from doctown.events import Event
from doctown.execution import Execution
from doctown.jobs.keys import vectors_key
from doctown.jobs.output import PlannedRepository, RepositoryOutput, RepositoryPlan, StepName
from doctown.jobs.progress import RepositoryProgress
from doctown.jobs.request import RepositoryJob, parse_repository_job
from doctown.jobs.stored import Confirm, StoredPack
from doctown.jobs.work_folder import remove_abandoned, work_folder
from doctown.options import MAX_CONCURRENT_OF_OPENAI, BuildOptions
from doctown.parsing.cache import Cache
from doctown.repository import Limits, Network, Selection
from doctown.summaries import Summaries
from generation import (
    JobError,
    JobFigures,
    Settings,
    Stopped,
    StorageError,
    job_lease,
)
from generation.domain.catalogue import utc_today
from generation.domain.output import ResultsPointer, Status, TokenPricing

log = logging.getLogger(__name__)

Watch = Callable[[RepositoryProgress], None]
Result = TypeVar("Result")

# The part of an execution's time that is left for the pack, its upload and the result.
PACK_SHARE = 0.1
MAX_PACK_S = 60.0
VECTORS = "vectors"
LEASE_LOST = "lease_lost"
# Some 100,000 vectors; nothing is ever removed from a cache.
MAX_VECTORS_BYTES = 200_000_000
_LOGGED = frozenset({"step_ended", "warning", "failed"})


def ignore(progress: RepositoryProgress) -> None:
    """Ignore progress: the default of `watch`."""


@dataclass(frozen=True)
class Caches:
    """What saves time when a machine has read a repository before: records of files, and vectors of texts."""

    parse: Cache | None = None
    vectors: Path | None = None


async def run_repository_job(  # noqa: PLR0913 - the keyword arguments come from the entry points
    payload: object,
    settings: Settings,
    *,
    job_id: str,
    environ: Mapping[str, str],
    watch: Watch = ignore,
    stopping: asyncio.Event | None = None,
    today: Callable[[], date] = utc_today,
    figures: JobFigures | None = None,
    caches: Caches = Caches(),
) -> RepositoryOutput | PlannedRepository:
    """Build the repository of a payload and store its pack; the output of a dry run is its plan.

    `job_id` is the job's id if the payload has none. `environ` has git's PATH and tokens, the settings of builds, and
    the hosts that repositories may come from (`Network`). `watch` is called in the loop at each step forward; its
    progress makes a snapshot. Once `stopping` is set, the job buys nothing more; `today` decides which models exist;
    `figures` count while it runs.

    Raise JobError, with one sentence for the caller, if the job cannot run at all. A cancelled job keeps what it has
    paid for and raises the cancellation. What is over time or stopped is `partial`: the next execution goes on.
    """
    started_s = asyncio.get_running_loop().time()
    job = parse_repository_job(payload, job_id)
    settings = _with_concurrency(settings.as_of(today()).with_options(job.options.as_settings()))
    settings.require_usable_model(needs_key=not job.options.dry_run)
    stored = await StoredPack.of(job, settings)
    stopping = stopping or asyncio.Event()
    progress = RepositoryProgress(job.job_id)
    figures = figures or JobFigures()

    def report(event: Event) -> None:
        if event.type == "step_ended":
            figures.seconds.setdefault(event.data["name"], event.data["seconds"])
        if event.type in _LOGGED:
            log.info("job %s: %s", job.job_id, event.text)
        if progress.add(event):
            watch(progress)

    async def build_alone(work: Path) -> RepositoryOutput | PlannedRepository:
        async with _alone(stored, settings, stopping, started_s) as confirm:
            execution = Execution(stored.kept_as, stopping, _last_purchase_s(settings, started_s), work, figures)
            caller = Caller(
                execution.reporting(report),
                lambda _estimate: True,
                environ,
                today,
                execution,
                lambda written: execution.wait(stored.upload(written, confirm)),
            )
            options = await _build_options(job, stored, work, environ, caches)
            if job.options.dry_run:
                return await _plan(job, options, settings, caller, caches)
            async with _kept_vectors(options, stored, work):
                result = await execution.run(lambda: run_build(options, settings, caches.parse, caller))
            return _output(job, result, stored, settings, asyncio.get_running_loop().time() - started_s)

    await asyncio.to_thread(remove_abandoned, Path(tempfile.gettempdir()))
    with work_folder() as work:
        try:
            if job.git is not None:
                Network.from_env(environ).check_source(job.git)
            return await _again_where_taken_over(lambda: build_alone(work), job.job_id)
        except DoctownError as error:
            figures.failures[progress.step, error.failure] += 1
            raise JobError(_for_callers(error, work, stored), error.failure) from None


async def _again_where_taken_over(build: Callable[[], Awaitable[Result]], job_id: str) -> Result:
    """Build again, from the pack of the other, where another process has taken the repository over."""
    while True:
        try:
            return await build()
        except JobError as error:
            if error.failure != LEASE_LOST:
                raise
        log.warning("job %s: another process has taken the repository over: it goes on from its pack", job_id)


def _for_callers(error: DoctownError, work: Path, stored: StoredPack) -> str:
    """Return the sentence of an error; callers know a pack by its key, which is its path in the folder."""
    sentence = str(error).replace(f"{work}/", "")
    if isinstance(error, PackError) and not stored.is_previous_named:
        return f"{sentence} It is the last pack in the bucket: remove it there to begin anew"
    return sentence


def _with_concurrency(settings: Settings) -> Settings:
    """Return the settings with a build's requests in flight, unless the operator or the caller has said how many."""
    if settings.openai_base_url is not None or "max_concurrent_requests" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"max_concurrent_requests": MAX_CONCURRENT_OF_OPENAI})


@asynccontextmanager
async def _alone(
    stored: StoredPack, settings: Settings, stopping: asyncio.Event, started_s: float
) -> AsyncIterator[Confirm]:
    """Hold the repository's lease: another execution ends first, and leaves a pack that has what it has bought.

    Yield what returns once the lease is certain, and raises LeaseLost where another process has it.
    """
    passed = Stopped(f"its deadline (deadline_s, {settings.deadline_s:g}) has passed", "deadline_exceeded")
    name = f"{stored.kept_as}.build"
    async with job_lease(stored.storage, name, stopping, _last_purchase_s(settings, started_s), passed) as held:
        yield lambda: held.confirm(stopping)


def _last_purchase_s(settings: Settings, started_s: float) -> float:
    return started_s + settings.deadline_s - min(MAX_PACK_S, PACK_SHARE * settings.deadline_s)


async def _build_options(
    job: RepositoryJob, stored: StoredPack, work: Path, environ: Mapping[str, str], caches: Caches
) -> BuildOptions:
    """Return the options of the build; fetch the earlier pack, and the archive. Raise JobError or DoctownError."""
    given = job.options
    if job.git is not None:
        source = job.git.url if job.git.ref is None else f"{job.git.url}@{job.git.ref}"
    else:
        key = job.archive_key or ""
        source = str(await stored.fetched(key, work / "archive" / key.rpartition("/")[2]))
    return BuildOptions(
        source=source,
        output=work / "output",
        file_name=stored.file_name,
        selection=Selection(include=tuple(given.include), exclude=tuple(given.exclude), subdir=job.subdir),
        include_tests=given.include_tests,
        kinds=None if given.kinds is None else frozenset(given.kinds),
        embeddings=given.embeddings,
        embedding_settings=EmbeddingSettings.from_env(environ),
        clusters=given.clusters,
        previous=await stored.previous_pack(work),
        renew=given.renew,
        limits=Limits.from_env(environ),
        network=Network.from_env(environ),
        cache_folder=caches.vectors or work / VECTORS,
    )


@asynccontextmanager
async def _kept_vectors(options: BuildOptions, stored: StoredPack, work: Path) -> AsyncIterator[None]:
    """Have the vectors of earlier executions while the block runs, and keep new ones, however it ends.

    To embed a thousand texts takes a worker some 13 s, to fetch their vectors a moment. Without them, a build that does
    not come to its summaries within one execution never would.
    """
    file, key = work / VECTORS / VECTORS_FILE, vectors_key(stored.kept_as, VECTORS_FILE)
    if options.embeddings != "minilm" or options.cache_folder != file.parent:
        yield
        return
    if await stored.storage.exists(key):
        await stored.fetched(key, file)
        if file.stat().st_size > MAX_VECTORS_BYTES:
            file.unlink()  # mostly of texts that are gone: it begins anew
    before = _size_and_time(file)
    try:
        yield
    finally:
        if _size_and_time(file) != before:
            try:
                await stored.storage.write(key, await asyncio.to_thread(file.read_bytes))
            except StorageError as error:
                log.warning("the vectors are computed again next time: %s", error)


def _size_and_time(file: Path) -> tuple[int, int] | None:
    if not file.is_file():
        return None
    status = file.stat()
    return status.st_size, status.st_mtime_ns


async def _plan(
    job: RepositoryJob, options: BuildOptions, settings: Settings, caller: Caller, caches: Caches
) -> PlannedRepository:
    execution = cast("Execution", caller.execution)
    estimates = await execution.run(lambda: plan_build(options, settings, caches.parse, caller))
    figures = dataclasses.asdict(estimates["local"])
    model, warnings = figures.pop("model"), figures.pop("warnings")
    return {
        "job_id": job.job_id,
        "status": "planned",
        "model": model,
        "plan": cast("RepositoryPlan", figures),
        "pricing": cast("TokenPricing", dataclasses.asdict(settings.pricing)),
        "warnings": list(warnings),
    }


def _output(
    job: RepositoryJob, result: BuildResult, stored: StoredPack, settings: Settings, duration_s: float
) -> RepositoryOutput:
    summaries, manifest = result.summaries, result.pack.manifest
    usage = summaries.token_usage
    return {
        "job_id": job.job_id,
        "status": _status(summaries),
        "model": settings.model_name,
        "repository": manifest["repository"],
        "documented_count": len(summaries.documentation),
        "failed_count": len(summaries.failures),
        "taken_over_count": summaries.taken_over,
        "is_unfinished": summaries.is_unfinished,
        "failures": dict(sorted(Counter(one["failure"] for one in summaries.failures.values()).items())),
        "left_out_count": summaries.left_out,
        "total_tokens": usage["input_tokens"] + usage["output_tokens"],
        "total_cost": summaries.total_cost,
        "usage": {**usage, "timeouts": summaries.usage["timeouts"]},
        "pricing": cast("TokenPricing", dataclasses.asdict(settings.pricing)),
        "paid_before": summaries.paid_before,
        "checks": {**summaries.check_counts, "rejected": summaries.checks["rejected"]},
        "duration_ms": round(duration_s * 1000),
        "warnings": manifest["warnings"],
        "docpack": cast("ResultsPointer", stored.docpack),
        "embeddings": stored.embeddings,
        "counts": manifest["counts"],
        "seconds": cast("dict[StepName, float]", dict(result.seconds)),
    }


def _status(summaries: Summaries) -> Status:
    """Return whether all, some or none of the symbols have a summary, as for a job of symbols."""
    if not summaries.failures:
        return "success"
    return "partial" if summaries.documentation else "failed"
