"""The state of a run through the Batch API: which symbols to request, their outcomes and costs, and merged results.

Contexts and final records are on disk; only the states of unfinished symbols are in memory. Requests are made in
`engine`, and answers are interpreted in `rows`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, replace
from datetime import date
from itertools import chain
from typing import NamedTuple

from generation.bulk.engines.batch.api import Batch
from generation.bulk.engines.batch.rows import (
    NEW,
    Row,
    RowWriter,
    SymbolState,
    batch_pricing,
    failed,
    judge,
    next_after_direct,
    next_state,
    read_lines,
)
from generation.bulk.engines.batch.store import Symbols
from generation.bulk.engines.outcomes import RESUMABLE
from generation.bulk.inputs import read_shard
from generation.bulk.manifest import Division, Run, Source, Summary, save_state
from generation.bulk.merge import Header, Merger, removed_symbols
from generation.bulk.progress import ProgressTracker
from generation.checks import known_names
from generation.config import Settings
from generation.domain.catalogue import OFFLINE, Pricing
from generation.domain.outcome import Documented, Failed, Origin, Outcome, Symbol
from generation.domain.usage import NO_USAGE, Counts, Usage, apportion, cost_usd
from generation.job import questions
from generation.offline.summaries import document_offline
from generation.prompts.content_hash import hasher, origin_of, retired_questions
from generation.repairs import Review, review_summary
from generation.results.records import stored_record
from generation.results.reuse import Found, Results, models_in, read_results, reusable
from generation.storage.base import Storage
from generation.storage.keys import contexts_key, merged_key

# Error codes of the API that are safe to repeat in a message.
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,80}")


class Money:
    """The usage billed for each source so far, in batches (half price) and by direct requests (full price)."""

    def __init__(self, pricing: Pricing) -> None:
        self.full, self.half = pricing, batch_pricing(pricing)
        self.before_usd, self.before_tokens = 0.0, 0
        self._batch: defaultdict[int, Usage] = defaultdict(Usage)
        self._direct: defaultdict[int, Usage] = defaultdict(Usage)

    def spend(self, source: int, usage: Usage, *, is_direct: bool) -> None:
        """Add the usage billed for a symbol of a source."""
        (self._direct if is_direct else self._batch)[source] += usage

    @property
    def tokens(self) -> int:
        """All tokens billed, including sources that were finished before this start."""
        here = (*self._batch.values(), *self._direct.values())
        return self.before_tokens + sum(usage.total_tokens for usage in here)

    @property
    def spent_usd(self) -> float:
        """The cost of the run, including sources that were finished before this start."""
        batch, direct = (sum(all_of.values(), start=NO_USAGE) for all_of in (self._batch, self._direct))
        return self.before_usd + cost_usd(batch, self.half) + cost_usd(direct, self.full)

    def pricing_of(self, source: int) -> Pricing:
        """Return the price of a source's tokens: half price, or the weighted mean where some were paid in full."""
        batch, direct = self._batch[source], self._direct[source]
        if direct == NO_USAGE:
            return self.half

        def mean(half: float, of_batch: int, of_direct: int) -> float:
            tokens = of_batch + of_direct
            return (half * of_batch + 2 * half * of_direct) / tokens if tokens else half

        def uncached(usage: Usage) -> int:
            return usage.input_tokens - usage.cached_input_tokens

        return Pricing(
            mean(self.half.input_per_1m, uncached(batch), uncached(direct)),
            mean(self.half.cached_input_per_1m, batch.cached_input_tokens, direct.cached_input_tokens),
            mean(self.half.output_per_1m, batch.output_tokens, direct.output_tokens),
        )


class Question(NamedTuple):
    """What a row asks: about which symbol, under which content hash, and what its answer is written by."""

    number: int
    content_hash: str
    origin: Origin


class _Asked:
    """The rows of a part by their custom ids; those to models that are gone by now only if one is looked for."""

    def __init__(self, state: BatchState, numbers: Sequence[int], run_name: str) -> None:
        self._state = state
        self._numbers = numbers
        self._run_name = run_name
        self._by_id = self._ids(map(state.question, numbers))
        self._has_retired = False

    def find(self, custom_id: str) -> Question | None:
        if custom_id not in self._by_id and not self._has_retired:
            self._has_retired = True
            retired = chain.from_iterable(map(self._state.retired_questions, self._numbers))
            self._by_id = self._ids(retired) | self._by_id
        return self._by_id.get(custom_id)

    def _ids(self, questions: Iterable[Question]) -> dict[str, Question]:
        return {self._state.row(one.number).custom_id(self._run_name, one.content_hash): one for one in questions}


class BatchState:
    """The symbols of one run by number, and their states; `warnings` go into the results of every source.

    `today` decides which models exist: answers to a batch that was sent to one that is gone by now still count.
    """

    def __init__(  # noqa: PLR0913 - what an engine has
        self,
        run: Run,
        storage: Storage,
        settings: Settings,
        progress: ProgressTracker,
        warnings: Sequence[str],
        *,
        today: date,
    ) -> None:
        self._run = run
        self._storage = storage
        self._settings = settings
        self._progress = progress
        self._warnings = tuple(warnings)
        self._today = today
        self._origin = origin_of(settings)
        self._retired = retired_questions(settings, today)
        self._known: dict[int, frozenset[str]] = {}
        self._sources: dict[int, tuple[Source, Division]] = {}
        self._states: dict[int, SymbolState] = {}
        self._started_s = time.monotonic()
        self.symbols = Symbols()
        self.money = Money(settings.pricing)
        self.is_resumable = False

    async def load(self, source: Source, state: Division | Summary) -> None:
        """Load a source's symbols; a source that has its results is only counted."""
        if isinstance(state, Summary):
            self.money.before_usd += state.total_cost
            self.money.before_tokens += state.total_tokens
            self._progress.finished_before(state)
        else:
            await self._load_division(source, state)

    def finish_replay(self) -> None:
        """Finish replaying the answers of earlier starts: symbols with a resumable failure are requested again."""
        for number, state in list(self._states.items()):
            if isinstance(state.outcome, Failed) and state.outcome.failure in RESUMABLE:
                self._states[number] = replace(state, outcome=None, failed_attempts=0)
            elif state.outcome is not None:
                self._finish(number)

    def waiting(self, in_flight: set[int]) -> list[int]:
        """Return the symbols that are neither done nor in flight, the most central first."""
        waiting = [one for one in range(len(self.symbols)) if not self.symbols.has_ended(one) and one not in in_flight]
        return sorted(waiting, key=lambda number: (-self.symbols.centralities[number], number))

    def state(self, number: int) -> SymbolState:
        """Return the state of a symbol."""
        return self._states.get(number, NEW)

    def row(self, number: int) -> Row:
        """Return the symbol's row that is in flight or will be requested next."""
        return Row(*self.symbols.place(number), self.state(number).asked)

    def line(self, number: int, writer: RowWriter) -> tuple[bytes, Usage]:
        """Return the line of a symbol's next row, and the maximum usage of its answer."""
        symbol, content_hash = self.symbols.symbol(number), self.symbols.hashes[number]
        return writer.line(self.row(number), symbol, self.state(number), content_hash)

    def answers(self, numbers: Sequence[int], batch: Batch, lines: Iterable[bytes]) -> Iterator[tuple[int, Outcome]]:
        """Yield exactly one answer for each row of a part, by number.

        A row without a readable answer fails. Usage that the batch reports but its lines do not is apportioned among
        these.
        """
        asked = _Asked(self, numbers, self._run.name)
        missing = dict.fromkeys(numbers)
        reported = NO_USAGE
        for line in read_lines(lines):
            question = asked.find(line.custom_id)
            if question is None or question.number not in missing:
                continue
            number = question.number
            del missing[number]
            symbol = self.symbols.symbol(number)
            turn = self.state(number).asked
            answer = judge(line, turn, symbol, self.review(number), self._settings)
            reported += answer.usage
            if isinstance(answer, Documented):
                answer = replace(answer, origin=question.origin)
            yield number, replace(answer, content_hash=question.content_hash)
        # The batch's total also contains what was billed for answers that are lost.
        lost = [max(0, count) for count in astuple(batch.billed - reported)[:4]] if batch.billed != NO_USAGE else []
        failure, message = _failure_of_missing(batch)
        for number, usage in zip(missing, apportion(Usage(*lost), [1] * len(missing) or [1]), strict=False):
            retries = 1 if self.state(number).asked else 0
            answer = failed(self.symbols.symbol(number), failure, message, usage + Usage(requests=1, retries=retries))
            yield number, replace(answer, content_hash=self.symbols.hashes[number])

    def question(self, number: int) -> Question:
        """Return what is asked about a symbol now."""
        return Question(number, self.symbols.hashes[number], self._origin)

    def retired_questions(self, number: int) -> Iterator[Question]:
        """Yield what a model that is gone by now may have been asked about a symbol: its answer still counts."""
        if self._retired:
            context = self.symbols.symbol(number).context
            for content_hash, origin in self._retired:
                yield Question(number, content_hash(context), origin)

    def review(self, number: int) -> Callable[[str, Symbol], Review]:
        """Return the function that checks and repairs summaries of a symbol."""
        known = self._known[self.symbols.place(number)[0]]
        language = self._settings.output_language
        return lambda summary, symbol: review_summary(summary, symbol.context, known, language=language)

    def record_answer(self, number: int, answer: Outcome, *, is_direct: bool) -> None:
        """Record an answer. For one to an earlier version of the symbol, only the cost is recorded."""
        self.money.spend(self.symbols.place(number)[0], answer.usage, is_direct=is_direct)
        if self.symbols.has_ended(number):
            return
        if answer.content_hash != self.symbols.hashes[number] and all(
            answer.content_hash != retired.content_hash for retired in self.retired_questions(number)
        ):
            return
        state, symbol = self.state(number), self.symbols.symbol(number)
        self._states[number] = (
            next_after_direct(state, answer)
            if is_direct
            else next_state(state, answer, symbol, self._settings.max_retries)
        )

    def close_finished(self, numbers: Iterable[int]) -> list[int]:
        """Finish the symbols that have an outcome and return those that need another request."""
        again = []
        for number in numbers:
            if self.symbols.has_ended(number):
                continue
            if self.state(number).outcome is not None:
                self._finish(number)
            else:
                again.append(number)
        return again

    def _finish(self, number: int) -> None:
        outcome = self._states.pop(number).outcome
        if outcome is not None:
            self._store_outcome(number, outcome)

    def _store_outcome(self, number: int, outcome: Outcome) -> None:
        position = self.symbols.place(number)[1]
        content_hash = outcome.content_hash or self.symbols.hashes[number]
        self.symbols.end(number, stored_record(replace(outcome, position=position, content_hash=content_hash)))
        is_documented = isinstance(outcome, Documented)
        self._progress.done += Counts(documented=is_documented, failed=not is_documented)

    async def _load_division(self, source: Source, division: Division) -> None:
        """Load a source's symbols; finish those that are invalid, reused or not selected for the model."""
        self._sources[source.number] = (source, division)
        self._progress.symbols += division.symbols
        numbers = self.symbols.begin(source.number, division.symbols)
        for position, record in division.invalid:
            self.symbols.end(numbers[position], record)
        self._progress.done += Counts(failed=len(division.invalid))
        names: set[str] = set()
        found = Found(previous=await self._previous(source))
        for shard in division.shards:
            symbols = await read_shard(self._storage, shard, contexts_key(self._run.name, shard.job_id))
            names |= await asyncio.to_thread(self._load_symbols, symbols, numbers, found)
        self._known[source.number] = frozenset(names)
        await asyncio.to_thread(self._select, numbers)

    def _load_symbols(self, symbols: Sequence[Symbol], numbers: Sequence[int], found: Found) -> set[str]:
        """Store symbols, finish those that earlier results have, and return the names that occur in them."""
        names: set[str] = set()
        asked = questions(self._settings, self._today, models_in(found), symbols)
        for symbol in symbols:
            number = numbers[symbol.position]
            self.symbols.put(number, symbol, asked.hashes[symbol.position])
            names |= known_names([symbol.context])
            if kept := reusable(found.previous, symbol, asked):
                self._store_outcome(number, replace(kept, usage=NO_USAGE))
        return names

    async def _previous(self, source: Source) -> Results | None:
        """Return the source's earlier results, unless the run is to write every summary anew."""
        if not source.previous_key or self._run.options.get("renew"):
            return None
        stored = await self._storage.read(source.previous_key)
        return await asyncio.to_thread(read_results, stored.body) if stored else None

    def _select(self, numbers: Sequence[int]) -> None:
        """Finish the symbols that `max_symbols` and `min_centrality` exclude from the model, as a job does."""
        symbols, settings = self.symbols, self._settings
        valid = [number for number in numbers if symbols.hashes[number]]
        valid.sort(key=lambda number: (-symbols.centralities[number], number))
        offline_hash = hasher(settings.model_copy(update={"model_name": OFFLINE}))
        for rank, number in enumerate(valid):
            if settings.max_symbols is not None and rank >= settings.max_symbols:
                message = f"left out: max_symbols is {settings.max_symbols} and other symbols are more central"
                self._store_outcome(number, failed(symbols.symbol(number), "not_selected", message))
            elif symbols.centralities[number] < settings.min_centrality:
                symbol = symbols.symbol(number)
                symbols.hashes[number] = offline_hash(symbol.context)
                self._store_outcome(number, document_offline(symbol))

    async def merge_complete(self) -> None:
        """Write the results of the sources whose symbols are all done."""
        for number in [number for number in self._sources if not self.symbols.left[number]]:
            await self._merge(number, "", "")

    async def merge_rest(self, failure: str, sentence: str) -> None:
        """Write the results of the other sources. Unfinished symbols fail; resuming the run requests them again."""
        for number in list(self._sources):
            await self._merge(number, failure, sentence)

    async def _merge(self, number: int, failure: str, sentence: str) -> None:
        """Write a source's results; where resuming cannot improve them, save its summary and delete its contexts."""
        source, division = self._sources.pop(number)
        if division.fault:
            summary = Summary(0, 0, 0, {}, 0, 0.0, fault=division.fault)
        else:
            header = self._header(source, division, await removed_symbols(self._storage, source, division))
            body, summary = await asyncio.to_thread(self._merged, number, header, failure, sentence)
            await self._storage.write(merged_key(self._run.name, source.name), body)
        self._progress.sources_done += 1
        if not summary.fault and RESUMABLE & summary.failures.keys():
            self.is_resumable = True
            return
        await save_state(self._storage, self._run.name, source, summary)
        await self._storage.delete([contexts_key(self._run.name, shard.job_id) for shard in division.shards])

    def _merged(self, number: int, header: Header, failure: str, sentence: str) -> tuple[bytes, Summary]:
        merger = Merger()
        numbers = self.symbols.of(number)
        merger.add_all(self.symbols.records(numbers))
        for one in numbers:
            if not self.symbols.has_ended(one):
                state = self.state(one)
                symbol, content_hash = self.symbols.symbol(one), self.symbols.hashes[one]
                outcome: Outcome = failed(symbol, failure, sentence)
                outcome = replace(state.fallback or outcome, usage=state.usage, content_hash=content_hash)
                merger.add(symbol.position, stored_record(outcome))
        return merger.merged(header)

    def _header(self, source: Source, division: Division, removed: tuple[str, ...]) -> Header:
        retired = self._settings.model_warnings(self._today)
        return Header(
            job_id=f"{self._run.name}/{source.name}",
            model=self._settings.model_name,
            pricing=self.money.pricing_of(source.number),
            removed=removed,
            warnings=(*division.warnings, *self._warnings, *retired),
            duration_ms=round((time.monotonic() - self._started_s) * 1000),
        )


def _failure_of_missing(batch: Batch) -> tuple[str, str]:
    """Return the failure code and message of a row without an answer, given how its batch ended."""
    if batch.status == "failed":
        code = next((f" ({code})" for code in batch.codes if _CODE.fullmatch(code)), "")
        return "server_error", f"the batch failed as a whole{code}"
    if batch.status == "completed":
        return "bad_answer", "the batch's files have no answer that can be read"
    return "timeout", "the batch ended before the request was executed"
