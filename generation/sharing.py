"""Two runs of one job at the same time share it: each takes from the other what that has saved.

RunPod can hand a job out while its first worker still runs it. A run looks at the segments of others whenever it has
saved one of its own; of a symbol that another has documented it takes the outcome and asks nobody. A later run begins
at the other end of the order, so that two meet in the middle and not at every symbol. What both buy before they know of
each other, and at the meeting, is in flight or in one unsaved segment. Leaves out: whose results win (`results`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from generation.checkpoint import EVERY_SEGMENT, prefix_of, read_segments
from generation.earlier import documented_from, read_results, results_key
from generation.errors import StorageError
from generation.outcomes import Documented, Outcome, Request

if TYPE_CHECKING:
    from generation.generator import Documenter
    from generation.records import Kept
    from generation.storage import Storage

log = logging.getLogger(__name__)


class Others:
    """What other runs of a job have saved since this one began, and what this one has taken of it."""

    def __init__(self, storage: Storage, job_id: str, run: str, included: Mapping[str, int]) -> None:
        self._storage = storage
        self._job_id = job_id
        self._run = run
        self._records: dict[str, Kept] = {}
        self._running: set[str] = set()
        self.included = {**included, run: EVERY_SEGMENT}
        self.keys: set[str] = set()
        self.taken: set[int] = set()

    @property
    def is_odd(self) -> bool:
        """Whether an odd number of runs began before this one: such a run begins at the other end."""
        return sum(run < self._run for run in self.included) % 2 == 1

    async def look(self) -> bool:
        """Read what is new, and say whether another run is under way. What cannot be read now is read the next time."""
        try:
            keys = await self._storage.list_keys(prefix_of(self._job_id))
            segments = await read_segments(self._storage, keys, self.included)
            running = {run for run in segments.runs if run != self._run} | self._still_there(keys)
            if self._running - running:
                await self._read_results()
        except StorageError as error:
            log.warning("job %s: other runs of it, if there are any, are not seen now: %s", self._job_id, error)
            return bool(self._running)
        self._running = running
        self.included, self.keys = segments.included, self.keys.union(segments.keys)
        for records in segments.runs.values():
            self._records.update(records)
        return bool(running)

    def _still_there(self, keys: Iterable[str]) -> set[str]:
        names = [key.rpartition("/")[2] for key in keys]
        return {run for run in self._running if any(name.startswith(run) for name in names)}

    async def _read_results(self) -> None:
        """A run whose segments are gone has put them into the results."""
        stored = await self._storage.read(results_key(self._job_id))
        results = await asyncio.to_thread(read_results, stored.body) if stored else None
        if results:
            self._records.update(results.records)

    def take(self, position: int, symbol_id: str, content_hash: str) -> Documented | None:
        """The outcome that another run has saved of a symbol."""
        outcome = documented_from(self._records.get(symbol_id), position, content_hash)
        if outcome is not None:
            self.taken.add(position)
        return outcome


def sharing(ask: Documenter, others: Others, hashes: Mapping[int, str]) -> Documenter:
    """The same documenter, which asks nobody for a symbol that another run has documented."""

    async def document(request: Request) -> Sequence[Outcome | Request]:
        # What has cost something here comes to its end here.
        taken = (
            []
            if request.spent
            else [
                outcome
                for symbol in request.symbols
                if (outcome := others.take(symbol.position, symbol.symbol_id, hashes[symbol.position]))
            ]
        )
        if not taken:
            return await ask(request)
        positions = {outcome.position for outcome in taken}
        left = tuple(symbol for symbol in request.symbols if symbol.position not in positions)
        return [*taken, *(await ask(request.part(left)) if left else ())]

    return document
