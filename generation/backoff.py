"""How long to wait before the next attempt: exponential back-off with full jitter.

The one back-off of the project, whoever retries: requests to the model, the Batch API, RunPod's API, checkpoints.
Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. Leaves out: whether to try again,
and the store's own retries, which tenacity does.
"""

from __future__ import annotations

import random

# 2^64 times any first wait is beyond every cap; a float overflows at 2^1024, which an outage of hours can reach.
_MAX_DOUBLINGS = 64


def max_backoff_s(failures: int, first_s: float, cap_s: float) -> float:
    """Return the longest wait in seconds after `failures` earlier ones: `first_s` doubled each time, up to `cap_s`.

    >>> [max_backoff_s(failures, 0.5, 20.0) for failures in (0, 1, 2, 10, 5_000)]
    [0.5, 1.0, 2.0, 20.0, 20.0]
    """
    return min(cap_s, first_s * 2.0 ** min(failures, _MAX_DOUBLINGS))


def backoff_s(failures: int, first_s: float, cap_s: float) -> float:
    """Return a wait in seconds, left to chance between 0 and `max_backoff_s`, so that many who wait do not meet."""
    return random.uniform(0, max_backoff_s(failures, first_s, cap_s))  # noqa: S311 - no secret
