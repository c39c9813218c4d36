"""How far a run is, by what the store says, and what it has come to: for `status`, and at a run's end.

Reads nothing but the states of sources and, of those that are not finished, the results of their shards. Leaves out
jobs in flight: what they have done shows when they end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from generation.bulk.engines.outcomes import read_shard_results
from generation.bulk.manifest import Division, Run, Summary, load_state
from generation.domain.usage import NO_COUNTS, Counts
from generation.storage.base import Storage
from generation.storage.keys import results_key

MAX_CONCURRENT_READS = 8


@dataclass(slots=True)
class Survey:
    """A run in figures. `open_shards` have no results yet; `faults` says which sources could not be read, and why."""

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

    @property
    def is_complete(self) -> bool:
        """Whether every symbol of every source is documented."""
        return self.sources_finished == self.sources and not self.failures and not self.faults

    def as_record(self) -> dict[str, Any]:
        """The survey as JSON."""
        # A Counter is nothing that `asdict` can copy.
        figures = {**asdict(replace(self, failures=Counter())), "failures": dict(self.failures), **asdict(self.counts)}
        del figures["counts"]
        figures["total_cost"] = round(self.counts.total_cost, 6)
        return {"type": "bulk.summary.v1", **figures, "complete": self.is_complete}

    def add(self, name: str, summary: Summary) -> None:
        """Count a source that is merged."""
        self.symbols += summary.symbols
        self.counts += summary.counts
        self.taken_over += summary.taken_over
        self.failures.update(summary.failures)
        if summary.fault:
            self.faults[name] = summary.fault


async def survey(run: Run, storage: Storage) -> Survey:
    """Look at every source of a run."""
    found = Survey(run.name, run.engine, len(run.sources))
    for source in run.sources:
        state = await load_state(storage, run.name, source)
        if state is None:
            found.sources_not_begun += 1
        elif isinstance(state, Summary):
            found.sources_finished += 1
            found.add(source.name, state)
        elif state.merged is not None:
            found.add(source.name, state.merged)
        else:
            await _add_division(state, storage, found)
    return found


async def _add_division(division: Division, storage: Storage, found: Survey) -> None:
    places = asyncio.Semaphore(MAX_CONCURRENT_READS)
    found.symbols += division.symbols
    found.counts += Counts(failed=len(division.invalid))
    found.failures.update(str(record["failure"]) for _, record in division.invalid)

    async def look(job_id: str) -> None:
        async with places:
            stored = await storage.read(results_key(job_id))
            reading = await asyncio.to_thread(read_shard_results, stored.body) if stored else None
        if reading is None:
            found.open_shards += 1
            return
        found.counts += reading.counts
        found.failures.update(reading.failures)

    await asyncio.gather(*(look(shard.job_id) for shard in division.shards))
