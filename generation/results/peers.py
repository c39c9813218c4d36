"""Two runs of one job at the same time share it: each takes from the other what that has saved.

RunPod can hand a job out while its first worker still runs it. A run looks at the segments of others whenever it has
saved one of its own; of a symbol that another has documented it takes the outcome and asks nobody. A later run begins
at the other end of the order, so that two meet in the middle and not at every symbol. What both buy before they know of
each other, and at the meeting, is in flight or in one unsaved segment. Leaves out: whose results win (`publish`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from generation.domain.outcome import Documented, Documenter, Outcome, Request
from generation.domain.usage import NO_USAGE, Usage
from generation.errors import JobError, StorageError
from generation.results.checkpoint import EVERY_SEGMENT, SEGMENT_AGE_S, read_segments, run_name_of
from generation.results.records import StoredRecord
from generation.results.reuse import Earlier, best_of, read_results
from generation.storage.base import Storage
from generation.storage.keys import prefix_of, results_key

log = logging.getLogger(__name__)


class PeerRuns:
    """What other runs of a job have saved since this one began, and what this one has taken of it."""

    def __init__(self, storage: Storage, job_id: str, run: str, earlier: Earlier) -> None:
        self._storage = storage
        self._job_id = job_id
        self._run = run
        self._saved: defaultdict[str, list[StoredRecord]] = defaultdict(list)
        self._results: Mapping[str, StoredRecord] = {}
        self._seen = {run_name_of(key) for key in earlier.segments}
        self._running: set[str] = set()
        self._next_look_s = 0.0
        self.included = {**earlier.included, run: EVERY_SEGMENT}
        self.keys = set(earlier.segments)
        self.taken: set[int] = set()

    @property
    def should_run_in_reverse(self) -> bool:
        """Whether an odd number of runs that may go on began before this one: it begins at the other end."""
        return sum(run < self._run for run in self._seen) % 2 == 1

    async def poll(self) -> bool:
        """Look, unless this run was alone a moment ago: the list of a large job's segments is long."""
        now_s = asyncio.get_running_loop().time()
        if self._running or now_s >= self._next_look_s:
            self._next_look_s = now_s + SEGMENT_AGE_S
            return await self.look()
        return False

    async def look(self) -> bool:
        """Read what is new, and say whether another run is under way. What cannot be read now is read the next time."""
        try:
            keys = await self._storage.list_keys(prefix_of(self._job_id))
            segments = await read_segments(self._storage, keys, self.included)
            there = {run_name_of(key) for key in keys}
            # A run whose segments are gone has put them into the results.
            if self._running - there:
                await self._read_results()
        except StorageError as error:
            log.warning("job %s: other runs of it, if there are any, are not seen now: %s", self._job_id, error)
            return bool(self._running)
        self._running = (self._running | segments.runs.keys()) & there
        self._seen |= segments.runs.keys()
        self.included, self.keys = (
            segments.included,
            self.keys.union(key for key in segments.keys if run_name_of(key) != self._run),
        )
        for records in segments.runs.values():
            for symbol_id, record in records.items():
                self._saved[symbol_id].append(record)
        return bool(self._running)

    async def _read_results(self) -> None:
        stored = await self._storage.read(results_key(self._job_id))
        results = await asyncio.to_thread(read_results, stored.body) if stored else None
        self._results = results.records if results else self._results

    def take(self, position: int, symbol_id: str, content_hash: str) -> Documented | None:
        """The outcome that another run has saved of a symbol, without what it cost."""
        outcome = best_of(self._records(symbol_id, content_hash), position)
        if not isinstance(outcome, Documented):
            return None
        self.taken.add(position)
        return replace(outcome, usage=NO_USAGE)

    def cost(self, symbol_id: str, content_hash: str, here: Usage) -> Usage:
        """What a symbol has cost, here and in the other runs. Results know of all runs before them, segments of one."""
        saved = (one.usage for one in self._saved.get(symbol_id, ()) if one.content_hash == content_hash)
        result = self._results.get(symbol_id)
        known = result.usage if result and result.content_hash == content_hash else NO_USAGE
        return sum(saved, start=here).elementwise_max(known)

    def _records(self, symbol_id: str, content_hash: str) -> list[StoredRecord]:
        records = [*self._saved.get(symbol_id, ())]
        if result := self._results.get(symbol_id):
            records.append(result)
        return [one for one in records if one.content_hash == content_hash]

    @property
    def has_saved(self) -> bool:
        """Whether any other run has saved anything."""
        return bool(self._saved or self._results)


def sharing(ask: Documenter, others: PeerRuns, hashes: Mapping[int, str]) -> Documenter:
    """The same documenter, which asks nobody for a symbol that another run has documented.

    Its outcomes have their content hashes.
    """

    def hashed(outcome: Outcome) -> Outcome:
        return replace(outcome, content_hash=hashes[outcome.position])

    async def document(request: Request) -> Sequence[Outcome | Request]:
        # What has cost something here comes to its end here.
        taken = [
            outcome
            for symbol in (() if request.spent else request.symbols)
            if (outcome := others.take(symbol.position, symbol.symbol_id, hashes[symbol.position]))
        ]
        if not taken:
            try:
                return [one if isinstance(one, Request) else hashed(one) for one in await ask(request)]
            except JobError as error:
                error.partial_outcomes = tuple(hashed(outcome) for outcome in error.partial_outcomes)
                raise
        positions = {outcome.position for outcome in taken}
        left = tuple(symbol for symbol in request.symbols if symbol.position not in positions)
        # The rest is asked for by itself: a fault of that must not strike what is known.
        return [*taken, request.part(left)] if left else taken

    return document
