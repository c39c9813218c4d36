"""The budget of a run: its spend cap, less the cost of ended shards and the reservations of shards in flight. Pure.

A job enforces its own cap over all its runs, and is rejected where its estimate is above the cap. A shard therefore
reserves twice its estimate, or all that is left; the last one takes what is left if its estimate fits. How a job
enforces its cap is defined in `generation.model.budget`.
"""

from __future__ import annotations

import math

# A cap must cover the worst case of at least one request, and lets so many leave at once as it covers.
MIN_RESERVATION_USD = 0.05
# The job's own estimate includes summaries of callees, which that of the shard does not.
ESTIMATE_MARGIN = 1.25


class RunBudget:
    """The budget of one run, in US dollars. Without a cap every reservation is None (unlimited)."""

    def __init__(self, cap_usd: float | None) -> None:
        self.cap_usd = cap_usd
        self._spent: dict[str, float] = {}
        self._granted: dict[str, float] = {}
        self.before_usd = 0.0

    @property
    def spent_usd(self) -> float:
        """The cost of all ended shards, and of the sources that were finished before this start."""
        return self.before_usd + sum(self._spent.values())

    @property
    def has_reservations(self) -> bool:
        """Whether a shard is in flight, which may return a part of its reservation."""
        return bool(self._granted)

    def record_cost(self, job_id: str, cost_usd: float) -> None:
        """Release a shard's reservation and record what all its attempts have cost."""
        self._granted.pop(job_id, None)
        self._spent[job_id] = cost_usd

    def reserve(self, job_id: str, expected_usd: float) -> float | None:
        """Reserve money for a shard and return the cap on its total cost, earlier attempts included.

        Return 0 where too little is left for an attempt, or too little until other shards return what they leave.
        """
        if self.cap_usd is None:
            return None
        own_usd = self._spent.get(job_id, 0.0)
        left_usd = _rounded_down(self.cap_usd - self.spent_usd - sum(self._granted.values()))
        needed_usd = expected_usd * (ESTIMATE_MARGIN if self._granted else 1.0)
        if left_usd < needed_usd or left_usd <= 0:
            return 0.0
        granted_usd = min(left_usd, max(2 * expected_usd, MIN_RESERVATION_USD))
        self._granted[job_id] = granted_usd
        return own_usd + granted_usd


def _rounded_down(usd: float) -> float:
    """Return whole millionths, in which caps are told to jobs."""
    return math.floor(usd * 1e6 + 1e-3) / 1e6
