"""Token usage and its cost.

Leaves out: counting the tokens of a text (`prompts.tokens`).
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from generation.domain.catalogue import Pricing


@dataclass(frozen=True, slots=True)
class Usage:
    """What the API reported for one request, or the sum of many. Reasoning tokens are part of the output tokens.

    What the server billed for requests that timed out is unknown, and not included.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    requests: int = 0
    retries: int = 0
    timeouts: int = 0

    @property
    def counts(self) -> tuple[int, ...]:
        """Return the fields in their order; `dataclasses.astuple` deep-copies each and takes ten times as long."""
        return (
            self.input_tokens,
            self.cached_input_tokens,
            self.output_tokens,
            self.reasoning_tokens,
            self.requests,
            self.retries,
            self.timeouts,
        )

    @property
    def total_tokens(self) -> int:
        """Return input and output tokens together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.requests + other.requests,
            self.retries + other.retries,
            self.timeouts + other.timeouts,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*map(operator.sub, self.counts, other.counts))

    def elementwise_max(self, other: Usage) -> Usage:
        """Return the larger of each pair of counts."""
        return Usage(*map(max, self.counts, other.counts))


NO_USAGE = Usage()


def apportion(usage: Usage, weights: Sequence[int]) -> list[Usage]:
    """Split a usage into integer parts, roughly in proportion to the weights, that add up to it exactly.

    >>> [part.input_tokens for part in apportion(Usage(input_tokens=100), [1, 1, 1])]
    [33, 33, 34]
    """
    steps = list(accumulate(weights))
    counts = usage.counts
    reached = [[count * step // (steps[-1] or 1) for count in counts] for step in steps]
    reached[-1] = list(counts)
    return [
        Usage(*(now - before for now, before in zip(row, previous, strict=True)))
        for row, previous in zip(reached, [[0] * len(counts), *reached], strict=False)
    ]


def cost_usd(usage: Usage, pricing: Pricing) -> float:
    """Return the cost of a usage in USD, rounded to a millionth; cached input tokens have a price of their own.

    >>> from generation.domain.catalogue import Pricing
    >>> cost_usd(Usage(input_tokens=87), Pricing(0.15, 0.015, 0.60))
    1.3e-05
    """
    uncached = usage.input_tokens - usage.cached_input_tokens
    micro_usd = (
        uncached * pricing.input_per_1m
        + usage.cached_input_tokens * pricing.cached_input_per_1m
        + usage.output_tokens * pricing.output_per_1m
    )
    return round(micro_usd / 1_000_000, 6)


@dataclass(frozen=True, slots=True)
class Counts:
    """The progress of a job, a shard or a run: symbols, tokens, and cost in USD."""

    documented: int = 0
    failed: int = 0
    total_tokens: int = 0
    total_cost: float = 0.0

    @property
    def done(self) -> int:
        """Return the number of symbols that have an outcome."""
        return self.documented + self.failed

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.documented + other.documented,
            self.failed + other.failed,
            self.total_tokens + other.total_tokens,
            self.total_cost + other.total_cost,
        )


NO_COUNTS = Counts()
