"""How tests wait: for a state, for as long as a busy machine may need, and never for a time.

LIMIT_S is a safety net, not a claim: nothing asserts on how much of it was used. It lies below pytest's time-out, so
that a wait in vain says what it waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT_S = 100.0
POLL_INTERVAL_S = 0.01


def wait_until(condition: Callable[[], bool], what: str = "the condition", limit_s: float = LIMIT_S) -> None:
    """Return as soon as the condition holds, for what no event tells of. Raises TimeoutError after `limit_s`."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {limit_s} s in vain for {what}")
        time.sleep(POLL_INTERVAL_S)


class ManualClock:
    """A clock that stands still until a test moves it on. Called, it tells the time in seconds."""

    def __init__(self) -> None:
        self._now_s = 1_000.0

    def __call__(self) -> float:
        return self._now_s

    def advance(self, seconds: float) -> None:
        self._now_s += seconds
