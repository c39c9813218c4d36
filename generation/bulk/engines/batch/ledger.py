"""The symbols of a run through the Batch API: which are asked for, what became of each, its cost, and their results.

Contexts and last records are on disk; in memory is what has not come to an end after an answer. Leaves out how symbols
are asked (`engine`), and what an answer means (`rows`).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, replace
from datetime import UTC, datetime

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
from generation.checks import check_summary, known_names
from generation.config import Settings
from generation.domain.catalogue import OFFLINE, Pricing, model_warnings
from generation.domain.finding import Findings
from generation.domain.outcome import Documented, Failed, Outcome, Symbol
from generation.domain.usage import NO_USAGE, Counts, Usage, apportion, cost_usd
from generation.model.offline import document_offline
from generation.prompts.content_hash import hasher
from generation.results.records import stored_record
from generation.results.reuse import Results, read_results
from generation.storage.base import Storage
from generation.storage.keys import contexts_key, merged_key

# What may be shown of a code of the API.
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,80}")


class Money:
    """What the symbols of each source have cost so far in batches and, at full price, beside them."""

    def __init__(self, pricing: Pricing) -> None:
        self.full, self.half = pricing, batch_pricing(pricing)
        self.before_usd, self.before_tokens = 0.0, 0
        self._batch: defaultdict[int, Usage] = defaultdict(Usage)
        self._direct: defaultdict[int, Usage] = defaultdict(Usage)

    def spend(self, source: int, usage: Usage, *, is_direct: bool) -> None:
        """Count what a symbol of a source was billed."""
        (self._direct if is_direct else self._batch)[source] += usage

    @property
    def tokens(self) -> int:
        """All tokens that were billed, for sources that were done before too."""
        here = (*self._batch.values(), *self._direct.values())
        return self.before_tokens + sum(usage.total_tokens for usage in here)

    @property
    def spent_usd(self) -> float:
        """What the run has cost, sources that were done before included."""
        batch, direct = (sum(all_of.values(), start=NO_USAGE) for all_of in (self._batch, self._direct))
        return self.before_usd + cost_usd(batch, self.half) + cost_usd(direct, self.full)

    def pricing_of(self, source: int) -> Pricing:
        """What the tokens of a source were paid with: half, or the mean where some were paid in full."""
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


class BatchState:
    """The symbols of one run, by number; `warnings` go into the results of every source."""

    def __init__(
        self, run: Run, storage: Storage, settings: Settings, book: ProgressTracker, warnings: Sequence[str]
    ) -> None:
        self._run = run
        self._storage = storage
        self._settings = settings
        self._book = book
        self._warnings = tuple(warnings)
        self._content_hash = hasher(settings)
        self._known: dict[int, frozenset[str]] = {}
        self._sources: dict[int, tuple[Source, Division]] = {}
        self._standings: dict[int, SymbolState] = {}
        self._started_s = time.monotonic()
        self.symbols = Symbols()
        self.money = Money(settings.pricing)
        self.is_resumable = False

    async def load(self, source: Source, state: Division | Summary) -> None:
        """Take a source in; one that has its results is only counted."""
        if isinstance(state, Summary):
            self.money.before_usd += state.total_cost
            self.money.before_tokens += state.total_tokens
            self._book.finished_before(state)
        else:
            await self._take(source, state)

    def finish_replay(self) -> None:
        """All answers of earlier starts are learned; who failed in a way that may pass has a new chance."""
        for number, standing in list(self._standings.items()):
            if isinstance(standing.outcome, Failed) and standing.outcome.failure in RESUMABLE:
                self._standings[number] = replace(standing, outcome=None, failed_attempts=0)
            elif standing.outcome is not None:
                self._end_standing(number)

    def waiting(self, in_flight: set[int]) -> list[int]:
        """Whoever is neither done nor in flight, the most central first."""
        waiting = [one for one in range(len(self.symbols)) if not self.symbols.has_ended(one) and one not in in_flight]
        return sorted(waiting, key=lambda number: (-self.symbols.centralities[number], number))

    def standing(self, number: int) -> SymbolState:
        """What has come of a symbol so far."""
        return self._standings.get(number, NEW)

    def row(self, number: int) -> Row:
        """The question that is asked of a symbol next, or that is in flight."""
        return Row(*self.symbols.place(number), self.standing(number).asked)

    def line(self, number: int, writer: RowWriter) -> tuple[bytes, Usage]:
        """A symbol's row as it is asked for next, and what its answer may cost at most."""
        symbol, content_hash = self.symbols.symbol(number), self.symbols.hashes[number]
        return writer.line(self.row(number), symbol, self.standing(number), content_hash)

    def answers(self, numbers: Sequence[int], batch: Batch, lines: Iterable[bytes]) -> Iterator[tuple[int, Outcome]]:
        """One answer for each row of a part, whatever the files hold."""
        hashes, name = self.symbols.hashes, self._run.name
        missing = {self.row(number).custom_id(name, hashes[number]): number for number in numbers}
        told = NO_USAGE
        for line in read_lines(lines):
            number = missing.pop(line.custom_id, None)
            if number is None:
                continue
            symbol = self.symbols.symbol(number)
            turn = self.standing(number).asked
            answer = judge(line, turn, symbol, self.check(number), self._settings)
            told += answer.usage
            yield number, replace(answer, content_hash=self.symbols.hashes[number])
        # What was sold and got lost is in the batch's own sum.
        lost = [max(0, count) for count in astuple(batch.billed - told)[:4]] if batch.billed != NO_USAGE else []
        failure, message = _of_missing(batch)
        for number, usage in zip(missing.values(), apportion(Usage(*lost), [1] * len(missing) or [1]), strict=False):
            retries = 1 if self.standing(number).asked else 0
            answer = failed(self.symbols.symbol(number), failure, message, usage + Usage(requests=1, retries=retries))
            yield number, replace(answer, content_hash=self.symbols.hashes[number])

    def check(self, number: int) -> Callable[[str, Symbol], Findings]:
        """What finds fault with summaries of a symbol."""
        known = self._known[self.symbols.place(number)[0]]
        language = self._settings.output_language
        return lambda summary, symbol: check_summary(summary, symbol.context, known, language=language)

    def learn(self, number: int, answer: Outcome, *, is_direct: bool) -> None:
        """Take an answer in; one from before its symbol changed was paid and is none."""
        self.money.spend(self.symbols.place(number)[0], answer.usage, is_direct=is_direct)
        if answer.content_hash != self.symbols.hashes[number] or self.symbols.has_ended(number):
            return
        standing = self.standing(number)
        self._standings[number] = (
            next_after_direct(standing, answer)
            if is_direct
            else next_state(standing, answer, self._settings.max_retries)
        )

    def close_finished(self, numbers: Iterable[int]) -> list[int]:
        """Let those end that have an outcome now; the result is who must be asked again."""
        again = []
        for number in numbers:
            if self.symbols.has_ended(number):
                continue
            if self.standing(number).outcome is not None:
                self._end_standing(number)
            else:
                again.append(number)
        return again

    def _end_standing(self, number: int) -> None:
        outcome = self._standings.pop(number).outcome
        if outcome is not None:
            self._end(number, outcome)

    def _end(self, number: int, outcome: Outcome) -> None:
        position = self.symbols.place(number)[1]
        content_hash = self.symbols.hashes[number]
        self.symbols.end(number, stored_record(replace(outcome, position=position, content_hash=content_hash)))
        is_documented = isinstance(outcome, Documented)
        self._book.done += Counts(documented=is_documented, failed=not is_documented)

    async def _take(self, source: Source, division: Division) -> None:
        """Take a source's symbols in; those that no model is asked for, or has been asked for before, end at once."""
        self._sources[source.number] = (source, division)
        self._book.symbols += division.symbols
        numbers = self.symbols.begin(source.number, division.symbols)
        for position, record in division.invalid:
            self.symbols.end(numbers[position], record)
        self._book.done += Counts(failed=len(division.invalid))
        names: set[str] = set()
        previous = await self._previous(source)
        for shard in division.shards:
            for symbol in await read_shard(self._storage, shard, contexts_key(self._run.name, shard.job_id)):
                number = numbers[symbol.position]
                self.symbols.put(number, symbol, self._content_hash(symbol.context))
                names |= known_names([symbol.context])
                self._take_over(number, symbol, previous)
        self._known[source.number] = frozenset(names)
        self._select(numbers)

    async def _previous(self, source: Source) -> Results | None:
        stored = await self._storage.read(source.previous_key) if source.previous_key else None
        return await asyncio.to_thread(read_results, stored.body) if stored else None

    def _take_over(self, number: int, symbol: Symbol, previous: Results | None) -> None:
        kept = previous.records.get(symbol.symbol_id) if previous else None
        if kept and kept.content_hash == self.symbols.hashes[number] and kept.source != OFFLINE:
            outcome = kept.outcome(symbol.position)
            if isinstance(outcome, Documented):
                self._end(number, replace(outcome, source="previous", usage=NO_USAGE))

    def _select(self, numbers: Sequence[int]) -> None:
        """The most central symbols of a source are asked for; the rest ends here, as in a job."""
        symbols, settings = self.symbols, self._settings
        valid = [number for number in numbers if symbols.hashes[number]]
        valid.sort(key=lambda number: (-symbols.centralities[number], number))
        offline_hash = hasher(settings.model_copy(update={"model_name": OFFLINE}))
        for rank, number in enumerate(valid):
            if settings.max_symbols is not None and rank >= settings.max_symbols:
                message = f"left out: max_symbols is {settings.max_symbols} and other symbols are more central"
                self._end(number, failed(symbols.symbol(number), "not_selected", message))
            elif symbols.centralities[number] < settings.min_centrality:
                symbol = symbols.symbol(number)
                symbols.hashes[number] = offline_hash(symbol.context)
                self._end(number, document_offline(symbol))

    async def merge_complete(self) -> None:
        """Write the results of sources that have come to their end."""
        for number in [number for number in self._sources if not self.symbols.left[number]]:
            await self._merge(number, "", "")

    async def merge_rest(self, failure: str, sentence: str) -> None:
        """Write what there is of the others; whoever is not done fails, and is asked for when the run is resumed."""
        for number in list(self._sources):
            await self._merge(number, failure, sentence)

    async def _merge(self, number: int, failure: str, sentence: str) -> None:
        """Write a source's results; where nothing is left to do for it, let go of its contexts."""
        source, division = self._sources.pop(number)
        if division.fault:
            summary = Summary(0, 0, 0, {}, 0, 0.0, fault=division.fault)
        else:
            header = self._header(source, division, await removed_symbols(self._storage, source, division))
            body, summary = await asyncio.to_thread(self._merged, number, header, failure, sentence)
            await self._storage.write(merged_key(self._run.name, source.name), body)
        self._book.sources_done += 1
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
                standing = self.standing(one)
                symbol, content_hash = self.symbols.symbol(one), self.symbols.hashes[one]
                outcome: Outcome = failed(symbol, failure, sentence)
                outcome = replace(standing.fallback or outcome, usage=standing.usage, content_hash=content_hash)
                merger.add(symbol.position, stored_record(outcome))
        return merger.merged(header)

    def _header(self, source: Source, division: Division, removed: tuple[str, ...]) -> Header:
        retired = model_warnings(self._settings.model, datetime.now(UTC).date())
        return Header(
            job_id=f"{self._run.name}/{source.name}",
            model=self._settings.model_name,
            pricing=self.money.pricing_of(source.number),
            removed=removed,
            warnings=(*division.warnings, *self._warnings, *retired),
            duration_ms=round((time.monotonic() - self._started_s) * 1000),
        )


def _of_missing(batch: Batch) -> tuple[str, str]:
    """Why a row has no answer, when its batch has ended like this."""
    if batch.status == "failed":
        code = next((f" ({code})" for code in batch.codes if _CODE.fullmatch(code)), "")
        return "server_error", f"the batch failed as a whole{code}"
    if batch.status == "completed":
        return "bad_answer", "the batch's files have no answer that can be read"
    return "timeout", "the batch ended before the request was executed"
