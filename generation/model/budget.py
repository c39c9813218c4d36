"""The remaining budget of a job: its cap, less the cost so far and the maximum cost of the requests in flight.

Leaves out: the cost of a request without an answer, since what the server bills for it is unknown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

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

    def spend(self, usage: Usage) -> None:
        """Add what a request was billed."""
        self._spent += usage

    @contextlib.contextmanager
    def reserved(self, at_most: Usage) -> Iterator[None]:
        """Reserve the maximum usage of a request while it is in flight.

        Raise Stopped if the cost so far, all reservations and this one could exceed the cap.
        """
        together = self._reserved + at_most
        if self._cap_usd is not None and cost_usd(self._spent + together, self._pricing) > self._cap_usd:
            spent_usd = cost_usd(self._spent, self._pricing)
            sentence = f"max_cost_usd ({self._cap_usd}) is reached: ${spent_usd:.6f} are spent, and the next request"
            raise Stopped(f"{sentence} could exceed it", "cost_cap_reached")
        self._reserved = together
        try:
            yield
        finally:
            self._reserved -= at_most
