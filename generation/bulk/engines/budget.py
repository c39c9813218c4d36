"""What a run may still spend: its cap, less what ended shards have cost and what those in flight may. Pure.

A job holds its own cap over all its runs, and is refused where its estimate is above it: a shard is granted its
estimate twice, or all that is left. Leaves out what a job does with its grant (`generation.budget`).
"""

from __future__ import annotations

# A grant is the worst case of the requests in flight too, which in a small shard is more than all it will cost.
MIN_RESERVATION_USD = 0.05
ESTIMATE_MARGIN = 1.25


class RunBudget:
    """The money of one run. Without a cap every grant is None: no cap."""

    def __init__(self, cap_usd: float | None) -> None:
        self.cap_usd = cap_usd
        self._spent: dict[str, float] = {}
        self._granted: dict[str, float] = {}
        self.before_usd = 0.0

    @property
    def spent_usd(self) -> float:
        """What ended shards have cost, and sources that were done before."""
        return self.before_usd + sum(self._spent.values())

    @property
    def has_reservations(self) -> bool:
        """Whether a shard is in flight that may leave a part of its grant."""
        return bool(self._granted)

    def record_cost(self, job_id: str, cost_usd: float) -> None:
        """A shard is not in flight any more, and has cost so much in all its attempts."""
        self._granted.pop(job_id, None)
        self._spent[job_id] = cost_usd

    def reserve(self, job_id: str, expected_usd: float) -> float | None:
        """What a shard may spend, all its attempts included; 0 where that is not enough to send it."""
        if self.cap_usd is None:
            return None
        own_usd = self._spent.get(job_id, 0.0)
        left_usd = self.cap_usd - self.spent_usd - sum(self._granted.values())
        needed_usd = expected_usd * ESTIMATE_MARGIN
        if left_usd < needed_usd or left_usd <= 0:
            return 0.0
        granted_usd = min(left_usd, max(2 * expected_usd, MIN_RESERVATION_USD))
        self._granted[job_id] = granted_usd
        return own_usd + granted_usd
