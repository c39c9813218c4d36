"""Coordinates a run: keeps up to `in_flight` shards in flight and retries those for which that may help.

Partitions each source in turn, passes its shards to an engine, decides what follows from each attempt (`outcomes`), and
merges a source when its last shard has ended. All state is written to the store before it is relied on, so that after a
kill at any point the next start reads the divisions and the shards' results, and continues. How a shard is documented
is up to the engine: `attempt` is one attempt.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from generation.bulk.engines.budget import RunBudget
from generation.bulk.engines.outcomes import (
    CAP_REACHED,
    FATAL,
    MAX_FRUITLESS_ATTEMPTS,
    RESUMABLE,
    SHARD_FAILED,
    AttemptResult,
    NextStep,
    ShardResults,
    judge,
    read_shard_results,
)
from generation.bulk.inputs import read_shard
from generation.bulk.manifest import Division, Run, Shard, Source, Summary, load_state, save_state
from generation.bulk.merge import Header, Merger, PaidBefore, removed_symbols
from generation.bulk.partition import states
from generation.bulk.progress import ProgressSink, ProgressTracker
from generation.config import Settings
from generation.domain.catalogue import Pricing
from generation.domain.outcome import Failed, Symbol
from generation.domain.usage import Counts
from generation.errors import JobError, Stopped
from generation.results.records import stored_record
from generation.storage.base import Storage
from generation.storage.keys import merged_key, prefix_of, results_key

log = logging.getLogger(__name__)

# Pause between the attempts at a shard, doubled with each fruitless one.
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0


class ShardEngine(Protocol):
    """A way to document shards."""

    # Seconds that attempts in flight have to end by themselves when the run is stopped.
    grace_s: float

    async def attempt(self, shard: Shard, job_input: dict[str, Any], progress: ProgressTracker) -> AttemptResult:
        """Run a shard's job once, or wait for an attempt that is already in flight, and return how it ended.

        `job_input` is the job's input without `symbols_key`. Repeating an attempt is safe: the job continues from its
        checkpoint. Raises JobError where the whole run cannot continue.
        """
        ...

    def contexts_of(self, shard: Shard) -> str:
        """Return the key of the shard's contexts."""
        ...

    async def forget(self, shard: Shard) -> None:
        """Delete everything that is stored of a shard except its results, its contexts last."""
        ...

    async def abort(self) -> None:
        """End the attempts in flight, after a fatal fault has stopped the run."""
        ...


class _ShardFailure(NamedTuple):
    """Why a shard's symbols fail that have no results."""

    failure: str
    sentence: str


async def load_results(storage: Storage, shard: Shard) -> ShardResults | None:
    """Return the stored results of a shard, or None where there are none. Raise StorageError."""
    stored = await storage.read(results_key(shard.job_id))
    return await asyncio.to_thread(read_shard_results, stored.body) if stored else None


class Coordinator:
    """One start of one run."""

    def __init__(
        self, run: Run, storage: Storage, settings: Settings, engine: ShardEngine, report: ProgressSink
    ) -> None:
        self._run = run
        self._storage = storage
        self._settings = settings
        self._engine = engine
        self._progress = ProgressTracker(
            run.name,
            run.engine,
            len(run.sources),
            report,
            min(settings.max_concurrent_requests, run.shard_size * run.in_flight),
            is_per_job=run.engine == "runpod",
            takes_over=any(source.previous_key for source in run.sources),
        )
        self._budget = RunBudget(run.max_cost_usd)
        self._slots = asyncio.Semaphore(run.in_flight)
        self._merging = asyncio.Semaphore(1)
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._fault: JobError | None = None
        self._ended = asyncio.Event()
        self._stopping = asyncio.Event()

    async def coordinate(self, stopping: asyncio.Event) -> None:
        """Run until all sources are merged or `stopping` is set. Raises JobError where the run cannot continue."""
        self._stopping = stopping
        feeder = asyncio.create_task(self._guarded(self._feed()), name="feeder")
        stop = asyncio.create_task(stopping.wait())
        over = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait([feeder, stop, over], return_when=asyncio.FIRST_COMPLETED)
            while self._tasks and not stopping.is_set() and not self._fault:
                await asyncio.wait([*self._tasks, stop, over], return_when=asyncio.FIRST_COMPLETED)
            if stopping.is_set() and self._tasks and not self._fault:
                feeder.cancel()
                await asyncio.wait(self._tasks, timeout=self._engine.grace_s)
        finally:
            unfinished = [feeder, stop, over, *self._tasks]
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
            if self._fault and self._fault.failure in FATAL | {"cancelled"}:
                await self._engine.abort()
        if self._fault:
            raise self._fault

    async def _guarded(self, work: Any) -> None:  # noqa: ANN401 - any coroutine of this class
        """Await a part of the run, and record its error: the first one ends the run."""
        try:
            await work
        except Stopped:
            # The rest of the run is left for `resume`.
            return
        except JobError as error:
            self._fault = self._fault or error
            self._ended.set()
        except Exception as error:  # noqa: BLE001 - any fault ends the run and is logged
            name = type(error).__name__
            self._fault = self._fault or JobError(f"the coordinator itself failed ({name}): see its log", "internal")
            self._ended.set()
            # Log the traceback without the exception's message, which may contain source code.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("a fault of the coordinator: %s\n%s", name, where)  # noqa: TRY400

    async def _feed(self) -> None:
        if self._run.max_cost_usd is not None:
            await self._count_spent()
        async for source, state in states(self._run, self._storage, self._settings):
            if isinstance(state, Summary):
                self._progress.finished_before(state)
                continue
            self._progress.divided(state)
            work = _Work(source, state)
            if not state.shards:
                await self._merge(work)
            for shard in state.shards:
                await self._slots.acquire()
                self._begin(self._document(work, shard))

    async def _count_spent(self) -> None:
        """Add up what earlier starts of the run have spent, before the first reservation."""
        for source in self._run.sources:
            state = await load_state(self._storage, self._run.name, source)
            if isinstance(state, Summary):
                self._budget.before_usd += state.total_cost
            for shard in state.shards if isinstance(state, Division) else ():
                await self._record_cost(shard, await load_results(self._storage, shard))

    def _begin(self, work: Any) -> None:  # noqa: ANN401 - as _guarded
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _document(self, work: _Work, shard: Shard) -> None:
        """Document a shard, and merge its source if it was the last one."""
        self._progress.began()
        try:
            shard_failure = await self._run_until_done(work.source, shard)
        finally:
            self._slots.release()
        results = await load_results(self._storage, shard)
        if results is None and shard_failure is None:
            shard_failure = _ShardFailure(SHARD_FAILED, "its results are not in the store")
        await self._record_cost(shard, results)
        counts = results.counts if results else Counts(failed=len(shard.ids))
        self._progress.ended(shard.job_id, counts)
        work.left -= 1
        if shard_failure:
            work.shard_failures[shard.job_id] = shard_failure
        if not work.left:
            await self._merge(work)

    async def _run_until_done(self, source: Source, shard: Shard) -> _ShardFailure | None:
        """Attempt a shard until its results are final. Return None, or why its symbols without results fail.

        Raises Stopped where the run is stopped, and JobError where it cannot continue.
        """
        results = await load_results(self._storage, shard)
        if results:
            self._progress.found(results.counts)
        if results and results.is_settled:
            return None
        fruitless, documented = 0, results.documented if results else 0
        while True:
            await self._record_cost(shard, results)
            if (granted_usd := await self._reserve(shard)) == 0:
                return _ShardFailure(CAP_REACHED, self._cap_sentence())
            attempt = await self._engine.attempt(shard, self._job_input(source, shard, granted_usd), self._progress)
            if self._stopping.is_set():
                raise Stopped("the run is stopped")
            results = await load_results(self._storage, shard)
            decision = judge(attempt, results)
            if decision.next_step is NextStep.STOP:
                raise JobError(decision.sentence, decision.failure)
            if decision.next_step is NextStep.DONE:
                return None
            now_documented = results.documented if results else 0
            fruitless = 0 if now_documented > documented else fruitless + 1
            documented = max(documented, now_documented)
            if decision.next_step is NextStep.FAILED or fruitless >= MAX_FRUITLESS_ATTEMPTS:
                return _ShardFailure(decision.failure, decision.sentence)
            log.info("shard %s is sent again (%s): %s", shard.job_id, decision.failure, decision.sentence)
            await asyncio.sleep(min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** max(0, fruitless - 1)))

    async def _record_cost(self, shard: Shard, results: ShardResults | None) -> None:
        async with self._changed:
            self._budget.record_cost(shard.job_id, results.total_cost if results else 0.0)
            self._changed.notify_all()

    async def _reserve(self, shard: Shard) -> float | None:
        """Return the cap for the shard's job, after waiting while other shards may return unspent money.

        None means no cap, and 0 that the run's cap is reached.
        """
        async with self._changed:
            while True:
                granted_usd = self._budget.reserve(shard.job_id, shard.expected_usd)
                if granted_usd != 0 or not self._budget.has_reservations:
                    return granted_usd
                await self._changed.wait()

    def _cap_sentence(self) -> str:
        spent = f"${self._budget.spent_usd:.6f} are spent, and another shard could exceed it"
        sentence = f"max_cost_usd of the run ({self._budget.cap_usd}) is reached: {spent}"
        self._progress.note = f"{sentence}; resume it with a higher --max-cost-usd"
        return sentence

    def _job_input(self, source: Source, shard: Shard, granted_usd: float | None) -> dict[str, Any]:
        options = dict(self._run.options)
        if granted_usd is not None:
            options["max_cost_usd"] = round(granted_usd, 6)
        job_input: dict[str, Any] = {"job_id": shard.job_id, "options": options}
        if source.previous_key:
            job_input["previous_results_key"] = source.previous_key
        return job_input

    async def _merge(self, work: _Work) -> None:
        """Write a source's results; delete its shards unless resuming the run may improve them."""
        async with self._merging:
            if work.division.fault:
                summary = Summary(0, 0, 0, {}, 0, 0.0, fault=work.division.fault)
            else:
                summary = await self._merged(work)
        self._progress.sources_done += 1
        self._progress.publish()
        if RESUMABLE & summary.failures.keys():
            unfinished = replace(work.division, merged=summary)
            await save_state(self._storage, self._run.name, work.source, unfinished)
            return
        await save_state(self._storage, self._run.name, work.source, summary)
        for shard in work.division.shards:
            await self._delete_contexts(shard)

    async def _merged(self, work: _Work) -> Summary:
        merger = Merger()
        for position, record in work.division.invalid:
            merger.add(position, record)
        heading = _Heading(self._settings.model_name, self._settings.pricing)
        for shard in work.division.shards:
            results = await load_results(self._storage, shard)
            if results:
                heading.add(results.document)
                await asyncio.to_thread(merger.add_all, shard_records(shard, results.document))
            missing = await self._missing_symbols(shard, merger)
            await asyncio.to_thread(merger.add_all, _failed_records(missing, work.shard_failures.get(shard.job_id)))
        header = heading.header(
            f"{self._run.name}/{work.source.name}",
            await removed_symbols(self._storage, work.source, work.division),
            work.division.warnings,
        )
        body, summary = await asyncio.to_thread(merger.merged, header)
        await self._storage.write(merged_key(self._run.name, work.source.name), body)
        return summary

    async def _missing_symbols(self, shard: Shard, merger: Merger) -> list[Symbol]:
        """Return the symbols of a shard where its results do not contain all of them."""
        if all(position in merger for position in shard.positions):
            return []
        return await read_shard(self._storage, shard, self._engine.contexts_of(shard))

    async def _delete_contexts(self, shard: Shard) -> None:
        """Delete everything of a merged shard, its contexts last."""
        await self._storage.delete([results_key(shard.job_id)])
        await self._storage.delete(await self._storage.list_keys(prefix_of(shard.job_id)))
        await self._engine.forget(shard)


def _failed_records(
    symbols: Iterable[Symbol], shard_failure: _ShardFailure | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield failed records for symbols without results."""
    failure, sentence = shard_failure or _ShardFailure(SHARD_FAILED, "its results do not have it")
    for symbol in symbols:
        context = symbol.context
        failed = Failed(symbol.position, symbol.symbol_id, context.file_path, failure, sentence)
        yield symbol.position, stored_record(failed)


class _Work:
    """A source that is being documented: the number of unfinished shards, and why shards without results failed."""

    def __init__(self, source: Source, division: Division) -> None:
        self.source = source
        self.division = division
        self.left = len(division.shards)
        self.shard_failures: dict[str, _ShardFailure] = {}


class _Heading:
    """Accumulates the header fields of the shards' results documents."""

    def __init__(self, model: str, pricing: Pricing) -> None:
        self._model, self._pricing = model, pricing
        self._paid = PaidBefore()
        self._warnings: dict[str, None] = {}
        self._duration_ms = 0
        self._seen = False

    def add(self, document: Mapping[str, Any]) -> None:
        if not self._seen:
            self._model, self._pricing = document["model"], Pricing(**document["pricing"])
            self._seen = True
        before = document.get("paid_before", {})
        self._paid = PaidBefore(
            self._paid.symbols + before.get("symbols", 0),
            self._paid.total_tokens + before.get("total_tokens", 0),
            round(self._paid.total_cost + before.get("total_cost", 0.0), 6),
        )
        self._warnings.update(dict.fromkeys(document.get("warnings", ())))
        self._duration_ms += document.get("duration_ms", 0)

    def header(self, job_id: str, removed: tuple[str, ...], warnings: tuple[str, ...]) -> Header:
        every = (*warnings, *self._warnings)
        return Header(job_id, self._model, self._pricing, self._paid, removed, every, self._duration_ms)


def shard_records(shard: Shard, document: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the records of a shard's results document, with their positions in the source."""
    positions = dict(zip(shard.ids, shard.positions, strict=True))
    for record in (*document["documented_symbols"], *document["failed_symbols"]):
        if (position := positions.get(record["symbol_id"])) is not None:
            yield position, record
