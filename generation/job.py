"""Run one job: `document` from symbols to the output, and `run_job` from a payload, which every entry point calls.

The steps are: parse, find what earlier runs have paid for, plan, generate, add outcomes to the report, publish. Leaves
out: how a payload arrives, how progress is sent and what is done with the output.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar

from generation.checks import known_names
from generation.config import Settings
from generation.domain.catalogue import OFFLINE, utc_today
from generation.domain.context import SymbolContext
from generation.domain.outcome import Documenter, Failed, Outcome, Request, Symbol
from generation.domain.output import JobOutput, PlannedOutput
from generation.domain.usage import NO_USAGE, Usage
from generation.errors import ConfigError, InputError, JobError, Stopped
from generation.executor import generate
from generation.figures.job import JobFigures
from generation.intake.job_input import JobInput, JobOptions, parse_job
from generation.intake.readable import check_previous_results_key, check_symbols_key
from generation.intake.sources import decompressed, read_items
from generation.intake.symbols import ParsedSymbols, check_ids, check_symbol_count, read_symbols
from generation.model.budget import Budget
from generation.offline.summaries import document_offline, document_request_offline
from generation.planning.planner import Plan, make_plan, plan_figures
from generation.planning.prompt_context import PromptContext, semantic_context
from generation.planning.schedule import Schedule
from generation.prompts.content_hash import hasher, origin_of, retired_questions
from generation.prompts.tokens import TokenCounter, VocabularyMissing, load_counter
from generation.repairs import Review, review_summary
from generation.reporting import events
from generation.results.checkpoint import EVERY_SEGMENT, Checkpoint, new_run
from generation.results.job_lease import JobLease, job_lease
from generation.results.publish import ResultsTarget, publish
from generation.results.report import Report, Totals, planned
from generation.results.reuse import Earlier, Found, Questions, find_earlier, models_in, resolve_reuse
from generation.storage import check_storage_unless_away, open_storage
from generation.storage.base import Storage
from generation.storage.keys import prefix_of, results_key

if TYPE_CHECKING:
    from generation.model.documenter import OpenAIDocumenter

log = logging.getLogger(__name__)

# Time for requests in flight to end when their job must end, and then for unsaved outcomes to be saved.
SETTLE_S = 5.0
SAVE_S = 3.0

# Outcomes that are added without a request before the loop does other work: some milliseconds.
PAUSE_AFTER = 50

Item = TypeVar("Item")
Watch = Callable[[str, Outcome, Totals], None]


def ignore(job_id: str, outcome: Outcome, totals: Totals) -> None:
    """Ignore an outcome: the default of `watch`."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What is known of a job before its first request, besides its plan. `failed` are the invalid symbols."""

    job_id: str
    settings: Settings
    storage: Storage
    earlier: Earlier
    failed: list[Failed]
    hashes: dict[int, str]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job without its symbols: its id, its options, and the key of earlier results to reuse."""

    job_id: str
    options: JobOptions = field(default_factory=JobOptions)
    previous_results_key: str | None = None


async def run_job(  # noqa: PLR0913 - the keyword arguments come from the entry points
    payload: object,
    settings: Settings,
    *,
    default_job_id: str,
    emit: events.Sink = events.print_event,
    watch: Watch = ignore,
    stopping: asyncio.Event | None = None,
    today: Callable[[], date] = utc_today,
    figures: JobFigures | None = None,
) -> JobOutput | PlannedOutput:
    """Document the symbols of a payload and store the results: parse the payload, then do as `document` does.

    `default_job_id` is the job's id if the payload has none; `today` decides which models exist; `figures` count while
    it runs. Raise JobError, with one sentence for the caller, if the job cannot run at all, and whatever `emit` and
    `watch` raise.
    """
    started_s = asyncio.get_running_loop().time()
    job = parse_job(payload, default_job_id)
    request = JobRequest(str(job.job_id), job.options, job.previous_results_key)
    _check_keys(job, settings)
    storage = open_storage(settings)
    call = _Call(emit, watch, stopping or asyncio.Event(), started_s, today(), figures or JobFigures())
    return await _document_alone(request, await _read_symbols(job, storage), storage, settings, call)


async def document(  # noqa: PLR0913 - as run_job
    request: JobRequest,
    symbols: Sequence[SymbolContext],
    settings: Settings,
    *,
    emit: events.Sink = events.print_event,
    watch: Watch = ignore,
    stopping: asyncio.Event | None = None,
    today: Callable[[], date] = utc_today,
    figures: JobFigures | None = None,
) -> JobOutput | PlannedOutput:
    """Document symbols and store the results; the output of a dry run is its plan.

    `emit` receives the job's events, `watch` every outcome with the totals after it; once `stopping` is set, the job
    ends within SHUTDOWN_GRACE_S; `today` decides which models exist; `figures` count while it runs.

    Raise JobError, with one sentence, if the job cannot run at all; InputError if there are no symbols, too many for
    one job, or two with the same id; and whatever `emit` and `watch` raise. A cancelled job saves what it has paid for
    and re-raises the cancellation.
    """
    started_s = asyncio.get_running_loop().time()
    check_symbol_count(len(symbols))
    check_ids(symbols)
    storage = open_storage(settings)
    parsed = ParsedSymbols([Symbol(position, context) for position, context in enumerate(symbols)], [], [])
    call = _Call(emit, watch, stopping or asyncio.Event(), started_s, today(), figures or JobFigures())
    return await _document_alone(request, parsed, storage, settings, call)


class _Call(NamedTuple):
    """What a job is called with: where it reports to, the event that stops it, when it began, the date, its figures."""

    emit: events.Sink
    watch: Watch
    stopping: asyncio.Event
    started_s: float
    today: date
    figures: JobFigures


async def _document_alone(
    request: JobRequest, parsed: ParsedSymbols, storage: Storage, settings: Settings, call: _Call
) -> JobOutput | PlannedOutput:
    """Wait until no other run of the job is at work, find what the earlier ones have left, and do the rest."""
    async with _leased(request, storage, settings, call) as held:
        found = await find_earlier(storage, request.job_id, request.previous_results_key, held.fault)
        preparing = _prepare(request, parsed, found, storage, settings, call.today)
        # The plan is to be the only reference to the contexts.
        del parsed, found
        return await _document(request, await preparing, call, held)


def _leased(
    request: JobRequest, storage: Storage, settings: Settings, call: _Call
) -> contextlib.AbstractAsyncContextManager[JobLease]:
    """Hold the job's lease while the block runs; a dry run needs none."""
    if request.options.dry_run:
        return contextlib.nullcontext(JobLease())
    settings = settings.with_options(request.options.as_settings())
    last_s = _last_s(settings, call.started_s)
    return job_lease(storage, request.job_id, call.stopping, last_s, _deadline_passed(settings))


async def _document(
    request: JobRequest, prepared: tuple[_Job, Plan], call: _Call, held: JobLease
) -> JobOutput | PlannedOutput:
    job, plan = prepared
    settings = job.settings
    if request.options.dry_run:
        return planned(job.job_id, plan_figures(plan), job.failed, settings, job.warnings)
    spent = _spent_before(job.earlier, plan)
    if not spent.total_tokens:
        _reject_above_cap(plan, settings)
    prompt_context = await asyncio.to_thread(_make_prompt_context, plan, settings)
    with_model = bool(plan.requests) and settings.model_name != OFFLINE
    budget = Budget(settings.max_cost_usd, settings.pricing, spent)
    if with_model:
        await check_storage_unless_away(job.storage)
    call.figures.pricing = settings.pricing
    documenter = await _documenter(plan, prompt_context, budget, settings, call.figures) if with_model else None
    schedule = await asyncio.to_thread(Schedule, plan)
    run = _Run(job, plan, schedule, call, held)
    call.emit(events.started(job.job_id, run.report.totals.total, plan.expected.total_tokens))
    await run.fold_without_requests(plan, prompt_context)
    # Now only the schedule references the contexts, and drops each when it is done: most of the memory of a large job.
    del plan, prepared
    try:
        async with _ending_in_time(documenter, run.ending, settings, call):
            with call.figures.timed("document"):
                await run.generate(documenter, prompt_context)
        # Where another run has taken over, its results are this one's too: wait for them, unless time is up.
        once_more = _leased(request, job.storage, settings, call) if held.is_lost else contextlib.nullcontext()
        async with contextlib.AsyncExitStack() as stack:
            with contextlib.suppress(Stopped):
                await stack.enter_async_context(once_more)
            with call.figures.timed("store"):
                output = await publish(run.report, run.results_target(), run.checkpoint, settings)
    except BaseException as error:
        await run.checkpoint.save(SAVE_S)
        if isinstance(error, JobError):
            call.emit(events.completed(job.job_id, "failed", run.report.totals, [str(error)]))
        raise
    call.emit(events.completed(job.job_id, output["status"], run.report.totals, output["warnings"]))
    return output


class _Run:
    """One run of a job, from its plan to its report."""

    def __init__(self, job: _Job, plan: Plan, schedule: Schedule, call: _Call, held: JobLease) -> None:
        self._name = new_run()
        self.report = Report(job.job_id, job.settings, len(job.failed) + len(job.hashes))
        self.report.warnings += job.warnings
        self.report.removed = job.earlier.removed
        settings = job.settings
        largest = max((len(request.symbols) for request in plan.requests), default=1)
        max_requested = settings.max_concurrent_requests * largest
        self.checkpoint = Checkpoint(job.storage, job.job_id, self._name, settings.pricing, max_requested)
        self.ending = asyncio.Event()
        self._held = held
        self._schedule = schedule
        self._job = job
        self._emit = call.emit
        self._watch = call.watch
        self._figures = call.figures

    async def fold_without_requests(self, plan: Plan, prompt_context: PromptContext) -> None:
        """Add the outcomes that need no request: invalid, left out, written offline, or known from earlier runs."""
        offline = (document_offline(one) for one in plan.offline)
        free: Iterable[Outcome] = chain(self._job.failed, plan.left_out, offline)
        async for outcome in _with_pauses(free):
            self._fold(self._hashed(outcome))
        async for symbol in _with_pauses(plan.known):
            known = self._job.earlier.outcomes[symbol.position]
            prompt_context.add_summary(known)
            self._report_outcome(known, known.usage, is_known=True)

    async def generate(self, documenter: OpenAIDocumenter | None, prompt_context: PromptContext) -> None:
        """Document the remaining symbols. An error that stops the job fails those left and keeps what is done."""
        ask: Documenter = self._only_as_holder(documenter) if documenter else document_request_offline
        workers = self._job.settings.max_concurrent_requests

        def add_summary(outcome: Outcome) -> None:
            prompt_context.add_summary(outcome)
            # At once: a cancelled run adds no more outcomes to its report.
            self.checkpoint.add(self._hashed(outcome))

        try:
            async with contextlib.aclosing(generate(self._schedule, ask, workers, add_summary)) as outcomes:
                async for outcome in outcomes:
                    self._fold(self._hashed(outcome))
        except JobError as error:
            if not isinstance(error, Stopped) and not self.report.usage.requests:
                raise
            self._give_up(error)

    def results_target(self) -> ResultsTarget:
        """Return where to store the results, and which saved segments of other runs they then replace."""
        earlier = self._job.earlier
        self.report.included = {**earlier.included, self._name: EVERY_SEGMENT}
        return ResultsTarget(self._job.storage, self._name, earlier.version, earlier.segments)

    def _only_as_holder(self, documenter: OpenAIDocumenter) -> Documenter:
        """Return the documenter, which then waits until the job's lease is certain and enough is saved."""

        async def ask(request: Request) -> Sequence[Outcome | Request]:
            async with self.checkpoint.requested(len(request.symbols)):
                await self._held.confirm(self.ending)
                return await documenter(request)

        return ask

    def _fold(self, outcome: Outcome) -> None:
        """Add an outcome to the report, with what its symbol has cost in earlier runs."""
        paid = self._job.earlier.paid.get(outcome.position)
        with_paid = replace(outcome, usage=outcome.usage + paid) if paid else outcome
        self._report_outcome(with_paid, paid or NO_USAGE)

    def _hashed(self, outcome: Outcome) -> Outcome:
        """Return an outcome with its symbol's content hash."""
        return replace(outcome, content_hash=self._job.hashes.get(outcome.position, ""))

    def _report_outcome(self, outcome: Outcome, paid_before: Usage, *, is_known: bool = False) -> None:
        self.report.add(outcome, paid_before)
        self._figures.count_outcome(outcome, is_known=is_known)
        self._emit(events.of_outcome(self._job.job_id, outcome))
        self._watch(self._job.job_id, outcome, self.report.totals)

    def _give_up(self, error: JobError) -> None:
        left = [self._hashed(outcome) for outcome in self._schedule.give_up(error.failure, str(error))]
        for outcome in left:
            self.checkpoint.add(outcome)
            self._fold(outcome)
        count = sum(isinstance(outcome, Failed) for outcome in left)
        if count:
            advice = f"send it again as {self._job.job_id} and it goes on, at no cost for what is done"
            self.report.warnings.append(f"the job stopped before its end, with {count} symbols left: {error}; {advice}")


async def _with_pauses(items: Iterable[Item]) -> AsyncIterator[Item]:
    """Yield items, and let the loop do other work after every PAUSE_AFTER of them."""
    for number, item in enumerate(items, start=1):
        yield item
        if not number % PAUSE_AFTER:
            await asyncio.sleep(0)


async def _prepare(  # noqa: PLR0913, PLR0917 - what a job has been given, and the date
    request: JobRequest, parsed: ParsedSymbols, found: Found, storage: Storage, settings: Settings, today: date
) -> tuple[_Job, Plan]:
    """Plan the requests that are still needed after earlier runs."""
    settings = settings.as_of(today).with_options(request.options.as_settings())
    settings.require_usable_model(needs_key=not request.options.dry_run)
    symbols, failed, warnings = parsed
    ask = functools.partial(questions, settings, today, models_in(found), renew=request.options.renew)
    plan, earlier, hashes = await asyncio.to_thread(_plan, symbols, failed, found, settings, ask)
    for warning in settings.model_warnings(today):
        log.warning("job %s: %s", request.job_id, warning)
        warnings.append(warning)
    warnings += found.warnings
    _log_plan(request.job_id, plan, settings)
    return _Job(request.job_id, settings, storage, earlier, failed, hashes, warnings), plan


def questions(
    settings: Settings, today: date, models: Iterable[str], symbols: Iterable[Symbol], *, renew: bool = False
) -> Questions:
    """Return what a job asks about these symbols; `models` are those that its stored results say they are from."""
    content_hash = hasher(settings)
    retired = [one.content_hash for one in retired_questions(settings, today, models)]
    return Questions(
        {symbol.position: content_hash(symbol.context) for symbol in symbols},
        lambda context: [retired_hash(context) for retired_hash in retired],
        origin_of(settings) if renew else None,
    )


def _plan(
    symbols: list[Symbol],
    failed: list[Failed],
    found: Found,
    settings: Settings,
    ask: Callable[[Iterable[Symbol]], Questions],
) -> tuple[Plan, Earlier, dict[int, str]]:
    ids = [*(symbol.symbol_id for symbol in symbols), *(one.symbol_id for one in failed)]
    job_questions = ask(symbols)
    hashes = dict(job_questions.hashes)
    earlier = resolve_reuse(found, symbols, job_questions, ids)
    plan = make_plan(symbols, settings, earlier.outcomes.keys())
    offline_hash = hasher(settings.model_copy(update={"model_name": OFFLINE}))
    hashes.update({symbol.position: offline_hash(symbol.context) for symbol in plan.offline})
    return plan, earlier, hashes


def _spent_before(earlier: Earlier, plan: Plan) -> Usage:
    """Return what earlier runs have paid for the symbols that this run selects."""
    usages = (
        earlier.outcomes[symbol.position].usage
        if symbol.position in earlier.outcomes
        else earlier.paid.get(symbol.position)
        for symbol in plan.symbols
    )
    return sum(filter(None, usages), start=NO_USAGE)


@contextlib.asynccontextmanager
async def _ending_in_time(
    documenter: OpenAIDocumenter | None, ending: asyncio.Event, settings: Settings, call: _Call
) -> AsyncIterator[None]:
    """Stop a job that uses a model at its deadline, or when the process must end, while the block runs."""
    if documenter is None:
        yield
        return
    watchdog = asyncio.create_task(_stop_in_time(documenter, ending, settings, call))
    try:
        yield
    finally:
        watchdog.cancel()
        await asyncio.wait([watchdog])


async def _stop_in_time(documenter: OpenAIDocumenter, ending: asyncio.Event, settings: Settings, call: _Call) -> None:
    """At the deadline or when stopped, start no new requests; after a grace period cancel those in flight."""
    fault = _deadline_passed(settings)
    settle_s = _settle_s(settings)
    left_s = _last_s(settings, call.started_s) - asyncio.get_running_loop().time()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(call.stopping.wait(), left_s)
        fault = Stopped("the worker was told to stop")
        settle_s = max(0.0, settings.shutdown_grace_s - SAVE_S)
    documenter.stop(fault)
    ending.set()
    await asyncio.sleep(settle_s)
    documenter.cancel_in_flight()


def _settle_s(settings: Settings) -> float:
    return min(SETTLE_S, settings.deadline_s / 10)


def _last_s(settings: Settings, started_s: float) -> float:
    """Return when a job that began at `started_s` starts its last request."""
    return started_s + settings.deadline_s - _settle_s(settings)


def _deadline_passed(settings: Settings) -> Stopped:
    return Stopped(f"its deadline (deadline_s, {settings.deadline_s:g}) has passed", "deadline_exceeded")


def _check_keys(job: JobInput, settings: Settings) -> None:
    """Raise InputError if the payload names a key that callers may not read."""
    if job.symbols_key is not None:
        check_symbols_key(job.symbols_key, str(job.job_id), settings.key_prefixes)
    if job.previous_results_key is not None:
        check_previous_results_key(job.previous_results_key, str(job.job_id), settings.key_prefixes)


async def forget_job(job_id: str, storage: Storage) -> None:
    """Delete what is stored of a job, once it is kept elsewhere: its results and its checkpoint. Raise StorageError."""
    await storage.delete([results_key(job_id), *await storage.list_keys(prefix_of(job_id))])


async def _read_symbols(job: JobInput, storage: Storage) -> ParsedSymbols:
    """Return the job's symbols. Parses in a thread, since thousands of symbols take a second."""
    if job.symbols_key is None:
        return await asyncio.to_thread(read_symbols, job.symbols or [])
    with await storage.open(job.symbols_key) as file:
        return await asyncio.to_thread(_read_file, file, job.symbols_key)


def _read_file(file: BinaryIO, key: str) -> ParsedSymbols:
    name = f"symbols_key: {key}"
    with decompressed(file, name) as plain:
        return read_symbols(read_items(plain, name))


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


def _reject_above_cap(plan: Plan, settings: Settings) -> None:
    if settings.max_cost_usd is not None and plan.expected_cost_usd > settings.max_cost_usd:
        estimate = (
            f"the estimated cost of ${plan.expected_cost_usd:.4f} is above max_cost_usd ({settings.max_cost_usd})"
        )
        advice = "raise it, lower max_symbols or raise min_centrality"
        raise InputError(f"{estimate}: {advice}", "estimate_above_cap")


def _make_prompt_context(plan: Plan, settings: Settings) -> PromptContext:
    symbols = plan.symbols
    semantic = semantic_context(symbols) if settings.include_semantic_context else None
    return PromptContext(symbols, plan.callees, semantic)


async def _documenter(
    plan: Plan, prompt_context: PromptContext, budget: Budget, settings: Settings, figures: JobFigures
) -> OpenAIDocumenter:
    """Return the documenter of the model; imports what only a job with a model needs."""
    try:
        counter = await asyncio.to_thread(warm_up, settings)
    except VocabularyMissing as error:
        raise ConfigError(str(error)) from None
    from generation.model.client import shared_window
    from generation.model.documenter import OpenAIDocumenter

    window = await shared_window(settings)
    known = await asyncio.to_thread(known_names, (symbol.context for symbol in plan.symbols))

    def review(summary: str, symbol: Symbol, is_misplaced: bool | None) -> Review:  # noqa: FBT001
        return review_summary(summary, symbol.context, known, misplaced=is_misplaced, language=settings.output_language)

    return OpenAIDocumenter(settings, counter, prompt_context.notes, review, budget, window=window, figures=figures)


def warm_up(settings: Settings) -> TokenCounter:
    """Import and load what a job with a model needs (0.7 s, once a process). Raise VocabularyMissing."""
    import_module("generation.model.client")
    return load_counter(settings.model.encoding, settings.tiktoken_cache_dir)
