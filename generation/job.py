"""`run_job`: one job from its payload to its output. Every door calls this and only translates.

parse -> plan -> generate -> fold, in that order and once. Leaves out: how a payload arrives, how progress is sent and
what becomes of the output.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from importlib import import_module
from typing import Any

from generation import events
from generation.config import Settings
from generation.errors import ConfigError, JobError, StorageError
from generation.generator import Documenter, generate
from generation.models import OFFLINE, model_warnings
from generation.outcomes import Failed, Outcome, Symbol
from generation.planner import Plan, make_plan
from generation.report import Report, Totals, as_json, as_many_as_fit, fitted, pointer
from generation.schemas import JobInput, check_symbol_count, parse_job, parse_symbols
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
    plan = make_plan(symbols, settings)
    _log_plan(job_id, plan, settings)
    report = Report(job_id, settings.pricing, total=len(symbols) + len(failed))

    def fold(outcome: Outcome) -> None:
        report.add(outcome)
        emit(events.of_outcome(job_id, outcome))
        watch(job_id, outcome, report.totals)

    document = await _documenter(settings) if plan.symbols else None
    emit(events.started(job_id, report.totals.total, plan.estimated_tokens))
    for outcome in (*failed, *plan.left_out):
        fold(outcome)
    if document is not None:
        try:
            warnings += await _generate(plan, document, settings, report, fold)
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
    from generation.sources import read_items

    body = await storage.read(job.symbols_key)
    return await asyncio.to_thread(lambda: _parse(read_items(body, str(job.symbols_key))))


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
        "job %s: %d symbols (%d large over 4K characters, %d medium, %d small), about %d tokens and $%.4f with %s",
        job_id,
        len(plan.symbols),
        plan.large,
        plan.medium,
        plan.small,
        plan.estimated_tokens,
        plan.estimated_cost_usd,
        settings.model_name,
    )


async def _documenter(settings: Settings) -> Documenter:
    """The way to a summary; what it needs is imported when it is needed."""
    if settings.model_name == OFFLINE:
        from generation.offline import document_offline

        return document_offline
    return await _openai_documenter(settings)


async def _openai_documenter(settings: Settings) -> Documenter:
    try:
        counter = await asyncio.to_thread(warm_up, settings)
    except VocabularyMissing as error:
        raise ConfigError(str(error)) from None
    from generation.openai_client import OpenAIDocumenter

    return OpenAIDocumenter(settings, counter)


def warm_up(settings: Settings) -> TokenCounter:
    """Import and load what a job with a model needs (0.7 s, once a process). Raises VocabularyMissing."""
    import_module("generation.openai_client")
    return load_counter(settings.model.encoding, settings.tiktoken_cache_dir)


async def _generate(
    plan: Plan, document: Documenter, settings: Settings, report: Report, fold: Callable[[Outcome], None]
) -> list[str]:
    """Run the plan; the result is warnings. A fault of the account in mid-run fails the rest and keeps the work."""
    done: set[int] = set()
    try:
        async with contextlib.aclosing(generate(plan.symbols, document, settings.max_concurrent_requests)) as outcomes:
            async for outcome in outcomes:
                done.add(outcome.position)
                fold(outcome)
    except JobError as error:
        if not report.usage.requests:
            raise
        for symbol in plan.symbols:
            if symbol.position not in done:
                fold(Failed(symbol.position, symbol.symbol_id, symbol.context.file_path, error.failure, str(error)))
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
        url = await storage.write(key, body)
    except StorageError as error:
        log.error("job %s: %s", report.job_id, error)  # noqa: TRY400 - the sentence is the whole of it
        document["warnings"].append(f"the results are only in this output: {error}")
        return await asyncio.to_thread(as_many_as_fit, document, EMERGENCY_OUTPUT_BYTES)
    log.info("job %s: results are in %s", report.job_id, url or f"{storage.bucket}/{key}")
    document["results"] = pointer(storage.bucket, key, url, body)
    return await asyncio.to_thread(fitted, document, settings.max_output_bytes)
