"""`run_job`: one job from its payload to its output. Every door calls this and only translates.

parse -> find what earlier runs have paid -> plan -> generate -> fold -> publish, in that order and once. Leaves out:
how a payload arrives, how progress is sent and what becomes of the output.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO

from generation import events
from generation.budget import Budget
from generation.checkpoint import Checkpoint
from generation.checks import Findings, check_summary, known_names
from generation.config import Settings
from generation.content_hash import hasher
from generation.earlier import Earlier, Found, find_earlier, settle
from generation.errors import ConfigError, InputError, JobError, Stopped
from generation.generator import generate
from generation.knowledge import Knowledge, semantic_context
from generation.models import OFFLINE, model_warnings
from generation.offline import document_offline, document_request_offline
from generation.outcomes import Failed, Outcome, Symbol
from generation.planner import Plan, make_plan
from generation.report import Before, Report, Totals, planned
from generation.results import publish
from generation.schedule import Schedule
from generation.schemas import JobInput, check_symbol_count, parse_job, parse_symbols
from generation.sources import read_items, unpacked
from generation.storage import Storage, open_storage
from generation.token_counter import NO_USAGE, TokenCounter, VocabularyMissing, load_counter

if TYPE_CHECKING:
    from generation.openai_client import OpenAIDocumenter

log = logging.getLogger(__name__)

# Requests in flight have so long to end when their job must, and what is not saved to be saved.
SETTLE_S = 5.0
SAVE_S = 3.0

Watch = Callable[[str, Outcome, Totals], None]


def ignore(job_id: str, outcome: Outcome, totals: Totals) -> None:
    """Watch nothing."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What is known of a job before its first request, besides its plan. `failed` are symbols that are invalid."""

    job_id: str
    settings: Settings
    storage: Storage
    earlier: Earlier
    failed: list[Failed]
    hashes: dict[int, str]
    warnings: list[str]


async def run_job(  # noqa: PLR0913 - the last four are what only doors have
    payload: object,
    settings: Settings,
    *,
    default_job_id: str,
    emit: events.Sink = events.print_event,
    watch: Watch = ignore,
    stopping: asyncio.Event | None = None,
) -> dict[str, Any]:
    """Document the symbols of a payload and store the results; the result is the job's output.

    `emit` gets the job's events, `watch` every outcome with the totals as they then stand; once `stopping` is set the
    job ends within SHUTDOWN_GRACE_S. Raises JobError, with one sentence for the caller, where the job could not run at
    all. Cancelled, it saves what it has paid for and lets the cancellation go on up.
    """
    started_s = asyncio.get_running_loop().time()
    request = parse_job(payload, default_job_id)
    job, plan = await _prepare(request, settings.with_options(request.options.as_settings()))
    settings = job.settings
    if request.options.dry_run:
        return planned(job.job_id, plan, job.failed, settings, job.warnings)
    checkpoint = Checkpoint(job.storage, job.job_id)
    before = _before(job.earlier, plan, checkpoint)
    if not before.usage.total_tokens:
        _refuse_above_cap(plan, settings)
    report = Report(job.job_id, settings, len(job.failed) + len(job.hashes), before)
    report.warnings += job.warnings

    def tell(outcome: Outcome) -> None:
        report.add(outcome)
        emit(events.of_outcome(job.job_id, outcome))
        watch(job.job_id, outcome, report.totals)

    def fold(outcome: Outcome) -> None:
        position = outcome.position
        outcome = replace(outcome, content_hash=job.hashes.get(position, ""))
        checkpoint.add(outcome)
        paid = job.earlier.paid.get(position)
        tell(replace(outcome, usage=outcome.usage + paid) if paid else outcome)

    knowledge = await asyncio.to_thread(_gather_knowledge, plan, settings)
    with_model = bool(plan.requests) and settings.model_name != OFFLINE
    budget = Budget(settings.max_cost_usd, settings.pricing, before.usage)
    documenter = await _documenter(plan, knowledge, budget, settings) if with_model else None
    emit(events.started(job.job_id, report.totals.total, plan.expected.total_tokens))
    free: list[Outcome] = [*job.failed, *plan.left_out, *(document_offline(symbol) for symbol in plan.offline)]
    for outcome in free:
        fold(outcome)
    for symbol in plan.known:
        known = job.earlier.outcomes[symbol.position]
        knowledge.learn(known)
        tell(known)
    schedule = Schedule(plan)
    # Only the schedule holds the contexts now, and lets go of each when it is done: most of the memory of a large job.
    del plan
    run = generate(schedule, documenter or document_request_offline, settings.max_concurrent_requests, knowledge.learn)
    try:
        async with _ending_in_time(documenter, settings, started_s, stopping or asyncio.Event()):
            report.warnings += await _generate(schedule, run, report, fold)
        output = await publish(report, job.earlier, checkpoint, job.storage, settings)
    except BaseException as error:
        await checkpoint.save(SAVE_S)
        if isinstance(error, JobError):
            emit(events.completed(job.job_id, "failed", report.totals, [str(error)]))
        raise
    emit(events.completed(job.job_id, output["status"], report.totals, output["warnings"]))
    return output


async def _prepare(request: JobInput, settings: Settings) -> tuple[_Job, Plan]:
    """Read the symbols and, meanwhile, what earlier runs have left; then plan what is still to be asked."""
    storage, job_id = open_storage(settings), str(request.job_id)
    (symbols, failed, warnings), found = await asyncio.gather(
        _read_symbols(request, storage), find_earlier(storage, job_id, request.previous_results_key)
    )
    plan, earlier, hashes = await asyncio.to_thread(_plan, symbols, failed, found, settings)
    warnings += model_warnings(settings.model, datetime.now(timezone.utc).date())
    _log_plan(job_id, plan, settings)
    return _Job(job_id, settings, storage, earlier, failed, hashes, [*warnings, *found.warnings]), plan


def _plan(
    symbols: list[Symbol], failed: list[Failed], found: Found, settings: Settings
) -> tuple[Plan, Earlier, dict[int, str]]:
    content_hash = hasher(settings)
    hashes = {symbol.position: content_hash(symbol.context) for symbol in symbols}
    ids = [*(symbol.symbol_id for symbol in symbols), *(one.symbol_id for one in failed)]
    earlier = settle(found, symbols, hashes, ids)
    plan = make_plan(symbols, settings, earlier.outcomes.keys())
    offline_hash = hasher(settings.model_copy(update={"model_name": OFFLINE}))
    hashes.update({symbol.position: offline_hash(symbol.context) for symbol in plan.offline})
    return plan, earlier, hashes


def _before(earlier: Earlier, plan: Plan, checkpoint: Checkpoint) -> Before:
    """What earlier runs had paid for the symbols that this one selects."""
    known = [earlier.outcomes[symbol.position] for symbol in plan.known]
    asked = (earlier.paid.get(symbol.position) for request in plan.requests for symbol in request.symbols)
    usage = sum((*(one.usage for one in known), *filter(None, asked)), start=NO_USAGE)
    paid = sum(one.usage != NO_USAGE for one in known)
    return Before(paid, usage, earlier.removed, {**earlier.included, **checkpoint.included})


@contextlib.asynccontextmanager
async def _ending_in_time(
    documenter: OpenAIDocumenter | None, settings: Settings, started_s: float, stopping: asyncio.Event
) -> AsyncIterator[None]:
    """While this is open, a job with a model is stopped at its deadline, or when the process must end."""
    if documenter is None:
        yield
        return
    watchdog = asyncio.create_task(_stop_in_time(documenter, settings, started_s, stopping))
    try:
        yield
    finally:
        watchdog.cancel()
        await asyncio.wait([watchdog])


async def _stop_in_time(
    documenter: OpenAIDocumenter, settings: Settings, started_s: float, stopping: asyncio.Event
) -> None:
    """First no new requests, then, after a while in which those in flight may end, none at all."""
    settle_s = min(SETTLE_S, settings.deadline_s / 10)
    last_s = started_s + settings.deadline_s - settle_s
    try:
        await asyncio.wait_for(stopping.wait(), last_s - asyncio.get_running_loop().time())
        fault = Stopped("the worker was told to stop", "worker_stopping")
        settle_s = max(0.0, settings.shutdown_grace_s - SAVE_S)
    except asyncio.TimeoutError:
        fault = Stopped(f"its deadline (deadline_s, {settings.deadline_s:g}) has passed", "deadline_exceeded")
    documenter.stop(fault)
    await asyncio.sleep(settle_s)
    documenter.hang_up()


async def _read_symbols(job: JobInput, storage: Storage) -> tuple[list[Symbol], list[Failed], list[str]]:
    """The job's symbols, those that are invalid, and warnings. Parsing thousands takes a second: in a thread."""
    if job.symbols_key is None:
        return await asyncio.to_thread(_parse, job.symbols or [])
    with await storage.fetch(job.symbols_key) as file:
        return await asyncio.to_thread(_parse_file, file, job.symbols_key)


def _parse_file(file: BinaryIO, key: str) -> tuple[list[Symbol], list[Failed], list[str]]:
    with unpacked(file, key) as plain:
        return _parse(read_items(plain, key))


def _parse(items: Iterable[object]) -> tuple[list[Symbol], list[Failed], list[str]]:
    if isinstance(items, list):
        check_symbol_count(len(items))
    symbols: list[Symbol] = []
    failed: list[Failed] = []
    ignored_fields: set[str] = set()
    for verdict in parse_symbols(items, ignored_fields):
        if isinstance(verdict, Symbol):
            symbols.append(verdict)
        else:
            failed.append(verdict)
        check_symbol_count(len(symbols) + len(failed))
    check_symbol_count(len(symbols) + len(failed))
    return symbols, failed, _warn_of_ignored(ignored_fields)


def _warn_of_ignored(fields: set[str]) -> list[str]:
    named = ", ".join(sorted(fields)[:10])
    return [f"context fields that are not known here were ignored: {named}"] if fields else []


def _log_plan(job_id: str, plan: Plan, settings: Settings) -> None:
    log.info(
        "job %s: %d symbols (%d known; %d large over 4K characters, %d medium, %d small), %d requests of %s, "
        "about %d tokens, $%.4f",
        job_id,
        len(plan.symbols),
        len(plan.known),
        plan.large,
        plan.medium,
        plan.small,
        len(plan.requests),
        settings.model_name,
        plan.expected.total_tokens,
        plan.expected_cost_usd,
    )


def _refuse_above_cap(plan: Plan, settings: Settings) -> None:
    if settings.max_cost_usd is not None and plan.expected_cost_usd > settings.max_cost_usd:
        estimate = (
            f"the estimated cost of ${plan.expected_cost_usd:.4f} is above max_cost_usd ({settings.max_cost_usd})"
        )
        advice = "raise it, lower max_symbols or raise min_centrality"
        raise InputError(f"{estimate}: {advice}", "estimate_above_cap")


def _gather_knowledge(plan: Plan, settings: Settings) -> Knowledge:
    symbols = plan.symbols
    semantic = semantic_context(symbols) if settings.include_semantic_context else None
    return Knowledge(symbols, plan.callees, semantic)


async def _documenter(plan: Plan, knowledge: Knowledge, budget: Budget, settings: Settings) -> OpenAIDocumenter:
    """The way to a model's summary; what it needs is imported when it is needed."""
    try:
        counter = await asyncio.to_thread(warm_up, settings)
    except VocabularyMissing as error:
        raise ConfigError(str(error)) from None
    from generation.openai_client import OpenAIDocumenter

    known = await asyncio.to_thread(known_names, (symbol.context for symbol in plan.symbols))

    def check(summary: str, symbol: Symbol, is_misplaced: bool | None) -> Findings:  # noqa: FBT001
        return check_summary(summary, symbol.context, known, misplaced=is_misplaced, language=settings.output_language)

    return OpenAIDocumenter(settings, counter, knowledge.notes, check, budget)


def warm_up(settings: Settings) -> TokenCounter:
    """Import and load what a job with a model needs (0.7 s, once a process). Raises VocabularyMissing."""
    import_module("generation.openai_client")
    return load_counter(settings.model.encoding, settings.tiktoken_cache_dir)


async def _generate(
    schedule: Schedule, run: AsyncGenerator[Outcome, None], report: Report, fold: Callable[[Outcome], None]
) -> list[str]:
    """Run the schedule; the result is warnings. What stops the job in mid-run fails the rest and keeps the work."""
    try:
        async with contextlib.aclosing(run) as outcomes:
            async for outcome in outcomes:
                fold(outcome)
    except JobError as error:
        if not isinstance(error, Stopped) and not report.usage.requests:
            raise
        left = schedule.give_up(error.failure, str(error))
        for outcome in left:
            fold(outcome)
        count = sum(isinstance(outcome, Failed) for outcome in left)
        advice = f"send it again as {report.job_id} and it goes on, at no cost for what is done"
        return [f"the job stopped before its end, with {count} symbols left: {error}; {advice}"]
    return []
