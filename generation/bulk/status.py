"""The status of a run according to the store, for the `status` command and the end of a run.

Reads only the states of sources and, for unfinished ones, the results of their shards. Jobs in flight are not counted
until they end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from generation.bulk.engines.outcomes import read_shard_results
from generation.bulk.manifest import MAX_KEPT_FAILURES, Division, FailedSymbol, Run, Summary, load_state
from generation.bulk.merge import failed_symbol
from generation.domain.usage import NO_COUNTS, Counts
from generation.storage.base import Storage
from generation.storage.keys import results_key

MAX_CONCURRENT_READS = 8


@dataclass(slots=True)
class Survey:
    """The counts of a run. `open_shards` have no results yet; `faults` maps unreadable sources to the reason.

    `failed` are the first symbols that failed, MAX_KEPT_FAILURES at most.
    """

    run: str
    engine: str
    sources: int
    sources_finished: int = 0
    sources_not_begun: int = 0
    open_shards: int = 0
    symbols: int = 0
    taken_over: int = 0
    counts: Counts = NO_COUNTS
    failures: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    failed: list[FailedSymbol] = field(default_factory=list)

    has_results: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether every symbol of every source is documented."""
        return self.sources_finished == self.sources and not self.failures and not self.faults

    def as_record(self) -> dict[str, Any]:
        """Return the survey as a JSON-compatible record."""
        # `asdict` cannot copy a Counter.
        failed = [one._asdict() for one in self.failed]
        figures = {
            **asdict(replace(self, failures=Counter())),
            "failed": failed,
            "failures": dict(self.failures),
            **asdict(self.counts),
        }
        del figures["counts"], figures["has_results"]
        figures["total_cost"] = round(self.counts.total_cost, 6)
        return {"type": "bulk.summary.v1", **figures, "complete": self.is_complete}

    def add(self, name: str, summary: Summary) -> None:
        """Add a merged source."""
        self.symbols += summary.symbols
        self.counts += summary.counts
        self.taken_over += summary.taken_over
        self.failures.update(summary.failures)
        self.failed += summary.failed[: max(0, MAX_KEPT_FAILURES - len(self.failed))]
        if summary.fault:
            self.faults[name] = summary.fault


async def survey(run: Run, storage: Storage) -> Survey:
    """Read the state of every source of a run and add up the counts. Raises StorageError."""
    found = Survey(run.name, run.engine, len(run.sources))
    for source in run.sources:
        state = await load_state(storage, run.name, source)
        if state is None:
            found.sources_not_begun += 1
        elif isinstance(state, Summary):
            found.sources_finished += 1
            found.has_results |= not state.fault
            found.add(source.name, state)
        elif state.merged is not None:
            found.has_results = True
            found.add(source.name, state.merged)
        else:
            await _add_division(state, storage, found)
    return found


async def _add_division(division: Division, storage: Storage, found: Survey) -> None:
    slots = asyncio.Semaphore(MAX_CONCURRENT_READS)
    found.symbols += division.symbols
    found.counts += Counts(failed=len(division.invalid))
    invalid = [failed_symbol(record) for _, record in division.invalid[:MAX_KEPT_FAILURES]]
    found.failed += invalid[: max(0, MAX_KEPT_FAILURES - len(found.failed))]
    found.failures.update(str(record["failure"]) for _, record in division.invalid)

    async def look(job_id: str) -> None:
        async with slots:
            stored = await storage.read(results_key(job_id))
            results = await asyncio.to_thread(read_shard_results, stored.body) if stored else None
        if results is None:
            found.open_shards += 1
            return
        found.counts += results.counts
        found.failures.update(results.failures)
        failed = map(failed_symbol, results.document["failed_symbols"][:MAX_KEPT_FAILURES])
        found.failed += list(failed)[: max(0, MAX_KEPT_FAILURES - len(found.failed))]

    await asyncio.gather(*(look(shard.job_id) for shard in division.shards))
