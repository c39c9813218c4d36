"""The remaining budget of a job: its cap, less the cost so far and the maximum cost of the requests in flight.

A request that could exceed the cap waits until requests in flight have been billed, which is mostly less than was
reserved for them. Leaves out: the cost of a request without an answer, since what the server bills for it is unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from generation.domain.catalogue import Pricing
from generation.domain.usage import NO_USAGE, Usage, cost_usd
from generation.errors import Stopped


class Budget:
    """The budget of one job; `spent` is the usage that earlier runs have paid for. No cap means no limit."""

    def __init__(self, cap_usd: float | None, pricing: Pricing, spent: Usage = NO_USAGE) -> None:
        self._cap_usd = cap_usd
        self._pricing = pricing
        self._spent = spent
        self._reserved = NO_USAGE
        self._in_flight = 0
        # One request waits for money and the others queue behind it, so that a small one never overtakes a large one.
        self._turn = asyncio.Lock()
        self._settled = asyncio.Event()

    def spend(self, usage: Usage) -> None:
        """Add what a request was billed: within its reservation, so that nobody counts on the money in between."""
        self._spent += usage

    @contextlib.asynccontextmanager
    async def reserved(self, at_most: Usage) -> AsyncIterator[None]:
        """Reserve the maximum usage of a request while it is in flight.

        Wait while the cost so far, all reservations and this one could exceed the cap. Raise Stopped if they could
        although no other request is in flight.
        """
        async with self._turn:
            while not self._fits(at_most):
                if not self._in_flight:
                    raise self._reached()
                self._settled.clear()
                await self._settled.wait()
            self._reserved += at_most
            self._in_flight += 1
        try:
            yield
        finally:
            self._reserved -= at_most
            self._in_flight -= 1
            self._settled.set()

    def _fits(self, at_most: Usage) -> bool:
        together = self._spent + self._reserved + at_most
        return self._cap_usd is None or cost_usd(together, self._pricing) <= self._cap_usd

    def _reached(self) -> Stopped:
        spent_usd = cost_usd(self._spent, self._pricing)
        sentence = f"max_cost_usd ({self._cap_usd}) is reached: ${spent_usd:.6f} are spent, and the next request"
        return Stopped(f"{sentence} could exceed it", "cost_cap_reached")
