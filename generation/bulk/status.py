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
    documented: int = 0
    taken_over: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    total_tokens: int = 0
    total_cost: float = 0.0
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """How many symbols have failed so far."""
        return sum(self.failures.values())

    @property
    def is_complete(self) -> bool:
        """Whether every symbol of every source is documented."""
        return self.sources_finished == self.sources and not self.failures and not self.faults

    def as_record(self) -> dict[str, Any]:
        """The survey as JSON."""
        # A Counter is nothing that `asdict` can copy.
        counts = {**asdict(replace(self, failures=Counter())), "failures": dict(self.failures)}
        return {"type": "bulk.summary.v1", **counts, "failed": self.failed, "complete": self.is_complete}

    def add(self, name: str, summary: Summary) -> None:
        """Count a source that is merged."""
        self.symbols += summary.symbols
        self.documented += summary.documented
        self.taken_over += summary.taken_over
        self.failures.update(summary.failures)
        self.total_tokens += summary.total_tokens
        self.total_cost = round(self.total_cost + summary.total_cost, 6)
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
    found.failures.update(str(record["failure"]) for _, record in division.invalid)

    async def look(job_id: str) -> None:
        async with places:
            stored = await storage.read(results_key(job_id))
            reading = await asyncio.to_thread(read_shard_results, stored.body) if stored else None
        if reading is None:
            found.open_shards += 1
            return
        found.documented += reading.documented
        found.failures.update(reading.failures)
        found.total_tokens += reading.total_tokens
        found.total_cost = round(found.total_cost + reading.total_cost, 6)

    await asyncio.gather(*(look(shard.job_id) for shard in division.shards))
