"""Decide when a server that is away is asked again. Pure; the time is a parameter.

A circuit breaker (Nygard, Release It!, 2007): it is closed while the server replies, and opens when a request cannot be
delivered. While it is open, one request at a time is sent as a probe, with exponential backoff between two of them; any
reply closes it. A server that is away so costs a few requests, however many wait. The backoff has no jitter, since each
process sends one probe at a time. Leaves out: what counts as a reply (`documenter`), and how long a job waits
(`limiter`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from generation.backoff import max_backoff_s

# The wait before the first probe, and the maximum, also for the `Retry-After` of a server that is away.
FIRST_PROBE_S = 0.25
MAX_PROBE_S = 15.0
MAX_RETRY_AFTER_S = 30.0


@dataclass(slots=True)
class CircuitBreaker:
    """Whether the server is away: `since_s` is when that was noticed, None while it replies."""

    since_s: float | None = None
    failed_probes: int = 0
    probe_in_flight: bool = False
    waits_since_s: float = -math.inf
    waits_for_s: float = 0.0

    @property
    def is_open(self) -> bool:
        """Return whether the server is away."""
        return self.since_s is not None

    def wait_s(self, now_s: float) -> float | None:
        """Return the seconds until a request may be sent; None while a probe is in flight."""
        if not self.is_open:
            return 0.0
        if self.probe_in_flight:
            return None
        # The length of a wait is unknown when the clock has gone back.
        left_s = self.waits_since_s + self.waits_for_s - now_s
        return 0.0 if now_s < self.waits_since_s else max(0.0, left_s)

    def reserve(self) -> bool:
        """Record that a request is sent, and return whether it is a probe."""
        self.probe_in_flight = self.is_open
        return self.is_open

    def failed(self, is_probe: bool, retry_after_s: float | None, now_s: float) -> None:  # noqa: FBT001
        """Record a request that the server could not take: open, or wait longer if it was the probe.

        Requests that were in flight when the breaker opened say nothing new.
        """
        if self.is_open and not is_probe:
            return
        if self.since_s is None:
            self.since_s, self.failed_probes = now_s, 0
        else:
            self.failed_probes += 1
        self.probe_in_flight = False
        self.waits_since_s = now_s
        backoff_s = max_backoff_s(self.failed_probes, FIRST_PROBE_S, MAX_PROBE_S)
        self.waits_for_s = max(backoff_s, min(retry_after_s or 0.0, MAX_RETRY_AFTER_S))

    def replied(self, is_probe: bool) -> None:  # noqa: FBT001
        """Record a reply. That of a request sent before the outage says nothing of now."""
        if is_probe:
            self.since_s, self.probe_in_flight = None, False

    def lost(self, is_probe: bool) -> None:  # noqa: FBT001
        """Record a request of which nothing is known, such as a cancelled one: another probe may be sent."""
        if is_probe:
            self.probe_in_flight = False
