"""What a job may still spend: its cap, less what is spent and what the requests in flight may cost at most.

Leaves out the price of a request that was never answered: what a server bills for that is not known here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from generation.domain.catalogue import Pricing
from generation.domain.usage import NO_USAGE, Usage, cost_usd
from generation.errors import Stopped


class Budget:
    """The budget of one job; `spent` is what earlier runs of it had paid. Without a cap everything may be spent."""

    def __init__(self, cap_usd: float | None, pricing: Pricing, spent: Usage = NO_USAGE) -> None:
        self._cap_usd = cap_usd
        self._pricing = pricing
        self._spent = spent
        self._reserved = NO_USAGE

    def spend(self, usage: Usage) -> None:
        """Count what a request was billed."""
        self._spent += usage

    @contextlib.contextmanager
    def reserved(self, at_most: Usage) -> Iterator[None]:
        """Hold back what a request may cost at most while it is in flight. Raises Stopped where that is too much."""
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
