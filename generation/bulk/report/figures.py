"""The figures of a run's report, from its state and from the results of its sources.

Reads one source after another and keeps totals, so that a run of any size fits into memory: of single symbols only the
slowest and the dearest stay, and a number for each latency. Changes nothing in the store.
"""

from __future__ import annotations

import asyncio
import heapq
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from generation.bulk.manifest import Run
from generation.bulk.merge import usage_of
from generation.bulk.report.timeline import Start, load_timeline
from generation.bulk.status import Survey, survey
from generation.domain.catalogue import Pricing
from generation.domain.usage import NO_USAGE, Usage, cost_usd
from generation.results.records import StoredRecord
from generation.results.reuse import read_results
from generation.storage.base import Storage
from generation.storage.keys import merged_key

MAX_NAMED_SYMBOLS = 15


class NamedSymbol(NamedTuple):
    """A symbol and its figure; `source` is the name of the source that it is of."""

    figure: float
    symbol_id: str
    source: str


@dataclass(slots=True)
class Figures:
    """What a run's results say. `sources_read` counts the sources that have results."""

    run: Run
    survey: Survey
    starts: Sequence[Start] = ()
    sources_read: int = 0
    models: Counter[str] = field(default_factory=Counter)
    usage: Usage = NO_USAGE
    origins: Counter[str] = field(default_factory=Counter)
    checked: int = 0
    passed_all: int = 0
    rejected: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    # Milliseconds, in no order.
    latencies: array[int] = field(default_factory=lambda: array("Q"))
    slowest: list[NamedSymbol] = field(default_factory=list)
    dearest: list[NamedSymbol] = field(default_factory=list)

    def add(self, source: str, document: Mapping[str, Any], records: Mapping[str, StoredRecord]) -> None:
        """Add the results of a source."""
        self.sources_read += 1
        self.models[str(document.get("model", "?"))] += 1
        self.usage += usage_of(document)
        checks = document.get("checks", {})
        self.checked += checks.get("checked", 0)
        self.passed_all += checks.get("passed_all", 0)
        self.rejected += checks.get("rejected", 0)
        self.findings.update(checks.get("findings", {}))
        pricing = Pricing(**document["pricing"])
        for record in records.values():
            if record.summary is not None:
                self.origins[record.source] += 1
            if record.latency_ms is not None:
                self.latencies.append(record.latency_ms)
                _keep(self.slowest, NamedSymbol(record.latency_ms / 1_000, record.symbol_id, source))
            if record.usage.total_tokens:
                _keep(self.dearest, NamedSymbol(cost_usd(record.usage, pricing), record.symbol_id, source))


def _keep(largest: list[NamedSymbol], one: NamedSymbol) -> None:
    """Add a symbol to a heap of the MAX_NAMED_SYMBOLS largest."""
    if len(largest) < MAX_NAMED_SYMBOLS:
        heapq.heappush(largest, one)
    else:
        heapq.heappushpop(largest, one)


async def read_figures(run: Run, storage: Storage) -> Figures:
    """Return the figures of a run. Raises StorageError."""
    found = Figures(run, await survey(run, storage), await load_timeline(storage, run.name))
    for source in run.sources:
        stored = await storage.read(merged_key(run.name, source.name))
        results = await asyncio.to_thread(read_results, stored.body) if stored else None
        if results is not None:
            await asyncio.to_thread(found.add, source.name, results.document, results.records)
    return found
