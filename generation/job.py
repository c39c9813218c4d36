"""`run_job`: one job from its payload to its output. Every door calls this and only translates.

parse -> plan -> generate -> fold, in that order and once. Leaves out: how a payload arrives, how progress is sent and
what becomes of the output.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from datetime import datetime, timezone
from importlib import import_module
from typing import Any, BinaryIO

from generation import events
from generation.checks import Findings, check_summary, known_names
from generation.config import Settings
from generation.errors import ConfigError, InputError, JobError, StorageError
from generation.generator import Documenter, generate
from generation.knowledge import Knowledge, semantic_context
from generation.models import OFFLINE, model_warnings
from generation.offline import document_offline, document_request_offline
from generation.outcomes import Failed, Outcome, Symbol
from generation.planner import Plan, make_plan
from generation.report import Report, Totals, as_json, as_many_as_fit, fitted, planned, pointer, without_checks
from generation.schedule import Schedule
from generation.schemas import JobInput, check_symbol_count, parse_job, parse_symbols
from generation.sources import read_items, unpacked
from generation.storage import Storage, open_storage
from generation.token_counter import TokenCounter, VocabularyMissing, load_counter

log = logging.getLogger(__name__)

# RunPod refuses a result above 10 MB; results that could not be stored may fill an output up to this.
EMERGENCY_OUTPUT_BYTES = 9_000_000

Watch = Callable[[str, Outcome, Totals], None]


def ignore(job_id: str, outcome: Outcome, totals: Totals) -> None:
    """Watch nothing."""


async def run_job(
    payload: object,
    settings: Settings,
    *,
    default_job_id: str,
    emit: events.Sink = events.print_event,
    watch: Watch = ignore,
) -> dict[str, Any]:
    """Document the symbols of a payload and store the results; the result is the job's output.

    `emit` gets the job's events, `watch` every outcome with the totals as they then stand. Raises JobError, with one
    sentence for the caller, where the job could not run at all.
    """
    job = parse_job(payload, default_job_id)
    job_id = str(job.job_id)
    settings = settings.with_options(job.options.as_settings())
    storage = open_storage(settings)
    symbols, failed, warnings = await _read_symbols(job, storage)
    warnings += model_warnings(settings.model, datetime.now(timezone.utc).date())
    plan = await asyncio.to_thread(make_plan, symbols, settings)
    _log_plan(job_id, plan, settings)
    if job.options.dry_run:
        return planned(job_id, plan, failed, settings, warnings)
    _refuse_above_cap(plan, settings)
    report = Report(job_id, settings.pricing, total=len(symbols) + len(failed))

    def fold(outcome: Outcome) -> None:
        report.add(outcome)
        emit(events.of_outcome(job_id, outcome))
        watch(job_id, outcome, report.totals)

    knowledge = await asyncio.to_thread(_gather_knowledge, plan, settings)
    document = await _documenter(plan, knowledge, settings) if plan.requests else None
    written: list[Outcome] = [*failed, *plan.left_out, *(document_offline(symbol) for symbol in plan.offline)]
    emit(events.started(job_id, report.totals.total, plan.expected.total_tokens))
    for outcome in written:
        fold(outcome)
    schedule = Schedule(plan)
    # Only the schedule holds the contexts now, and lets go of each when it is done: most of the memory of a large job.
    del symbols, plan
    if document is not None:
        run = generate(schedule, document, settings.max_concurrent_requests, knowledge.learn)
        try:
            warnings += await _generate(schedule, run, report, fold)
        except JobError as error:
            emit(events.completed(job_id, "failed", report.totals, [str(error)]))
            raise
    output = await _store(report, settings.model_name, warnings, storage, settings)
    emit(events.completed(job_id, report.status, report.totals, output["warnings"]))
    return output


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
        "job %s: %d symbols (%d large over 4K characters, %d medium, %d small), %d requests of %s, "
        "about %d tokens, $%.4f",
        job_id,
        len(plan.symbols),
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


async def _documenter(plan: Plan, knowledge: Knowledge, settings: Settings) -> Documenter:
    """The way to a summary; what it needs is imported when it is needed."""
    if settings.model_name == OFFLINE:
        return document_request_offline
    try:
        counter = await asyncio.to_thread(warm_up, settings)
    except VocabularyMissing as error:
        raise ConfigError(str(error)) from None
    from generation.openai_client import OpenAIDocumenter

    known = await asyncio.to_thread(known_names, (symbol.context for symbol in plan.symbols))

    def check(summary: str, symbol: Symbol, is_misplaced: bool | None) -> Findings:  # noqa: FBT001
        return check_summary(summary, symbol.context, known, misplaced=is_misplaced, language=settings.output_language)

    return OpenAIDocumenter(settings, counter, knowledge.notes, check)


def warm_up(settings: Settings) -> TokenCounter:
    """Import and load what a job with a model needs (0.7 s, once a process). Raises VocabularyMissing."""
    import_module("generation.openai_client")
    return load_counter(settings.model.encoding, settings.tiktoken_cache_dir)


async def _generate(
    schedule: Schedule, run: AsyncGenerator[Outcome, None], report: Report, fold: Callable[[Outcome], None]
) -> list[str]:
    """Run the schedule; the result is warnings. A fault of the account in mid-run fails the rest and keeps the work."""
    try:
        async with contextlib.aclosing(run) as outcomes:
            async for outcome in outcomes:
                fold(outcome)
    except JobError as error:
        if not report.usage.requests:
            raise
        for outcome in schedule.give_up(error.failure, str(error)):
            fold(outcome)
        return [f"the job stopped before its end: {error}"]
    return []


async def _store(
    report: Report, model: str, warnings: list[str], storage: Storage, settings: Settings
) -> dict[str, Any]:
    """Write the results document and make the output, which carries the symbols where they fit."""
    key = f"results/{report.job_id}.json"
    document = report.document(model, warnings)
    body = await asyncio.to_thread(as_json, document)
    try:
        await storage.write(key, body)
    except StorageError as error:
        log.error("job %s: %s", report.job_id, error)  # noqa: TRY400 - the sentence is the whole of it
        document["warnings"].append(f"the results are only in this output: {error}")
        return await asyncio.to_thread(as_many_as_fit, document, EMERGENCY_OUTPUT_BYTES)
    url = storage.url(key)
    log.info("job %s: results are in %s", report.job_id, url or f"{storage.bucket}/{key}")
    document["results"] = pointer(storage.bucket, key, url, body)
    document["documented_symbols"] = [without_checks(record) for record in document["documented_symbols"]]
    return await asyncio.to_thread(fitted, document, settings.max_output_bytes)
