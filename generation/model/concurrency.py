"""Find how many requests a server takes at once, from what it accepts and rejects. Pure; the time is a parameter.

AIMD (additive increase, multiplicative decrease: Chiu and Jain, 1989), with two additions for a server that limits the
requests in flight and says so with a bare 429: after such a rejection the limit becomes the number that was accepted,
and the rejected number is remembered and tried again at intervals that double while it is rejected. Such a rejection
needs no pause, since a request in flight that ends makes room for another. Leaves out: what a rejection means if it
cannot be explained by the number in flight (`pacing`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# A rejection is not explained by the number in flight if this share of it, or more, was accepted in the last RECENT_S.
CONTRADICTION_SHARE = 0.75
RECENT_S = 10.0

# Intervals at which a rejected number is tried again.
FIRST_TRIAL_S = 1.0
MAX_TRIAL_S = 30.0

# The limit grows only if this share of it is used.
NEARLY_USED = 0.8


@dataclass(slots=True)
class ConcurrencyLimit:
    """The number of requests that may be in flight, at most `cap`; `epoch` counts its decreases.

    `accepted` is the largest number that the server has lately had in flight, as far as that is certain, `rejected` the
    smallest that it has rejected, infinity while that is unknown.
    """

    cap: int
    limit: float
    epoch: int = 0
    accepted: int = 0
    accepted_at_s: float = -math.inf
    rejected: float = math.inf
    try_again_s: float = 0.0
    tried_at_s: float = -math.inf

    def is_full(self, in_flight: int) -> bool:
        """Return whether a request in flight must end first."""
        return in_flight >= max(1, int(self.limit))

    def raise_cap(self, cap: int) -> None:
        """Raise the cap and the limit if a job asks for more than any before it."""
        if cap > self.cap:
            self.limit += cap - self.cap
            self.cap = cap

    def decrease(self, epoch: int, in_flight: int, factor: float) -> None:
        """Multiply the limit, or the number in flight if smaller, by `factor`.

        A burst of rejections counts once: only those of requests that were sent under the current limit do.
        """
        if epoch == self.epoch:
            self.limit = max(1.0, min(self.limit, in_flight + 1) * factor)
            self.epoch += 1

    def increase(self, in_flight: int, now_s: float) -> None:
        """Increase the limit by one in each round, if it is used and the next number may be tried."""
        grown = min(self.cap, self.limit + 1 / self.limit)
        may_try = grown < self.rejected or _since_s(self.tried_at_s, now_s) >= self.try_again_s
        if may_try and in_flight + 1 >= NEARLY_USED * int(self.limit):
            self.limit = grown

    def learn_accepted(self, level: int, epoch: int, older: int, now_s: float) -> None:
        """Record that a request was accepted.

        `level` is the number in flight with it when it was sent. `older` are those that were sent before it and are
        still in flight when it is answered: they were certainly accepted, while some that were sent after it may be
        about to be rejected, or have not left a busy client yet.
        """
        together = older + 1
        if together >= self.accepted or _since_s(self.accepted_at_s, now_s) >= RECENT_S:
            self.accepted, self.accepted_at_s = together, now_s
        if level >= self.rejected and epoch == self.epoch:
            self.rejected = math.inf

    def explains_rejection(self, in_flight: int, now_s: float) -> bool:
        """Return whether a request may have been rejected because of the `in_flight` others.

        Not if it was alone, and not if many more have been accepted lately.
        """
        accepted = self.accepted if _since_s(self.accepted_at_s, now_s) < RECENT_S else 0
        return in_flight > 0 and in_flight + 1 > CONTRADICTION_SHARE * accepted

    def learn_rejected(self, level: int, epoch: int, in_flight: int, now_s: float) -> None:
        """Record a rejection because of the `in_flight` others: no more than these are sent until the next trial."""
        if epoch == self.epoch:
            was_trial = level >= self.rejected
            self.try_again_s = min(MAX_TRIAL_S, 2 * self.try_again_s) if was_trial else FIRST_TRIAL_S
            self.epoch += 1
        self.limit = min(self.limit, float(in_flight))
        self.rejected = in_flight + 1.0
        self.tried_at_s = now_s

    def forget_rejections(self) -> None:
        """Undo the decreases by rejections that had another cause."""
        self.rejected = math.inf
        self.limit = min(float(self.cap), max(self.limit, float(self.accepted)))


def _since_s(at_s: float, now_s: float) -> float:
    """Return the seconds since a moment; infinity if the clock went back, since they are unknown then."""
    return math.inf if now_s < at_s else now_s - at_s
