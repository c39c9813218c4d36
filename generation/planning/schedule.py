"""Which request of a plan may be asked next. Pure: state that changes, and no waiting.

A request may be asked as soon as every symbol that its own symbols call has come to an end, documented or failed, and
not when a whole level of the call graph has: nothing waits for what it does not need. Leaves out: the workers that ask
(`generator`).
"""

from __future__ import annotations

import heapq
from collections import defaultdict

from generation.domain.outcome import Outcome, Request, given_up
from generation.planning.planner import Plan


class Schedule:
    """The requests of one plan: those that wait for callees, and those that are ready, the most central first."""

    def __init__(self, plan: Plan) -> None:
        self._ready: list[tuple[float, int, Request]] = []
        self._direction = 1
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
        """Requests that are ready; one that is asked again comes before all others, since others may wait for it."""
        for request in requests:
            heapq.heappush(self._ready, self._ranked(request, self._added))
            self._added += 1

    def _ranked(self, request: Request, number: int) -> tuple[float, int, Request]:
        rank = float("-inf") if request.spent else -request.centrality * self._direction
        return rank, number * self._direction, request

    def set_reverse_order(self, backwards: bool) -> None:  # noqa: FBT001 - it says which
        """Ask for the least central first, or for the most central again."""
        direction = -1 if backwards else 1
        if direction != self._direction:
            self._direction = direction
            self._ready = [self._ranked(request, abs(number)) for _, number, request in self._ready]
            heapq.heapify(self._ready)

    def finish(self, position: int) -> None:
        """A symbol has come to an end."""
        self.unfinished -= 1
        for number in self._callers.pop(position, ()):
            self._missing[number].discard(position)
            if not self._missing[number]:
                del self._missing[number]
                self.add(self._waiting.pop(number))

    @property
    def ready(self) -> int:
        """How many requests can be asked now."""
        return len(self._ready)

    def next(self) -> Request:
        """The request to ask now. Raises IndexError where none is ready."""
        return heapq.heappop(self._ready)[2]

    def give_up(self, failure: str, message: str) -> list[Outcome]:
        """Ask nothing further; the result is what becomes of all who have not come to an end."""
        left = [*(request for _, _, request in self._ready), *self._waiting.values()]
        self._ready.clear()
        self._waiting.clear()
        return [outcome for request in left for outcome in given_up(request, failure, message)]
