"""Exponential backoff with full jitter: how long to wait before the next attempt.

The only backoff of the project: for requests to the model, the Batch API, RunPod's API and checkpoints. Source: AWS,
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. Leaves out: whether to retry, and the store's
own retries, which tenacity does.
"""

from __future__ import annotations

import random

# 2^64 times any first wait exceeds every cap. A float overflows at 2^1024, which an outage of hours can reach.
_MAX_DOUBLINGS = 64


def max_backoff_s(failures: int, first_s: float, cap_s: float) -> float:
    """Return the maximum wait in seconds after `failures` failed attempts: `first_s * 2**failures`, up to `cap_s`.

    >>> [max_backoff_s(failures, 0.5, 20.0) for failures in (0, 1, 2, 10, 5_000)]
    [0.5, 1.0, 2.0, 20.0, 20.0]
    """
    return min(cap_s, first_s * 2.0 ** min(failures, _MAX_DOUBLINGS))


def backoff_s(failures: int, first_s: float, cap_s: float) -> float:
    """Return a random wait in seconds, uniform from 0 to `max_backoff_s`, so that many clients do not retry at once."""
    return random.uniform(0, max_backoff_s(failures, first_s, cap_s))  # noqa: S311 - no secret
