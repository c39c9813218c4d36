"""Decide which request of a plan can be sent next. Pure: mutable state, and no waiting.

A request is ready as soon as all callees of its symbols have been documented or have failed. It does not wait for a
whole level of the call graph. Leaves out: the workers that send requests (`executor`).
"""

from __future__ import annotations

import heapq
from collections import defaultdict

from generation.domain.outcome import Outcome, Request, given_up
from generation.planning.planner import Plan


class Schedule:
    """The requests of one plan: those that wait for callees, and those that are ready, most central first."""

    def __init__(self, plan: Plan) -> None:
        self._ready: list[tuple[float, int, Request]] = []
        self._waiting: dict[int, Request] = {}
        self._missing: dict[int, set[int]] = {}
        self._callers: defaultdict[int, list[int]] = defaultdict(list)
        self._added = 0
        pending = {symbol.position for request in plan.requests for symbol in request.symbols}
        self.unfinished = len(pending)
        for number, request in enumerate(plan.requests):
            own = {symbol.position for symbol in request.symbols}
            called = {one for position in own for one in plan.callees.get(position, ())}
            needed = (called & pending) - own
            if not needed:
                self.add(request)
                continue
            self._waiting[number], self._missing[number] = request, needed
            for one in needed:
                self._callers[one].append(number)

    def add(self, *requests: Request) -> None:
        """Add ready requests; a repeated request precedes all others, since others may wait for its symbols."""
        for request in requests:
            rank = float("-inf") if request.spent else -request.centrality
            heapq.heappush(self._ready, (rank, self._added, request))
            self._added += 1

    def finish(self, position: int) -> None:
        """Record that a symbol has an outcome, and release the requests that waited only for it."""
        self.unfinished -= 1
        for number in self._callers.pop(position, ()):
            self._missing[number].discard(position)
            if not self._missing[number]:
                del self._missing[number]
                self.add(self._waiting.pop(number))

    @property
    def ready(self) -> int:
        """Return the number of requests that can be sent now."""
        return len(self._ready)

    def next(self) -> Request:
        """Remove and return the next request. Raise IndexError if none is ready."""
        return heapq.heappop(self._ready)[2]

    def give_up(self, failure: str, message: str) -> list[Outcome]:
        """Remove all requests that were not taken; return the outcomes of their symbols."""
        left = [*(request for _, _, request in self._ready), *self._waiting.values()]
        self._ready.clear()
        self._waiting.clear()
        return [outcome for request in left for outcome in given_up(request, failure, message)]
