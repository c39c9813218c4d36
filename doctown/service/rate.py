"""A limit on the rate of requests for each caller: a token bucket, kept in this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

# Callers that were not heard of for long are forgotten: their buckets are full.
MAX_CALLERS = 10_000


class RateLimit:
    """Lets each caller make `per_minute` requests a minute, half of them at once."""

    def __init__(self, per_minute: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / 60
        self._burst = max(1.0, per_minute / 2)
        self._now_s = now_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, caller: str) -> float:
        """Count a request of a caller; return 0, or in how many seconds to come again where it is one too many."""
        now_s = self._now_s()
        level, since_s = self._buckets.pop(caller, (self._burst, now_s))
        level = min(self._burst, level + (now_s - since_s) * self._per_second)
        is_admitted = level >= 1
        self._buckets[caller] = (level - 1 if is_admitted else level, now_s)
        if len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if is_admitted else (1 - level) / self._per_second
