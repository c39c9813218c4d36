"""Decides what follows from an attempt at a shard: it is done, is retried, has failed, or stops the whole run. Pure.

A shard's results document is authoritative; how its job ended decides the rest.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, NamedTuple

from generation.domain.usage import Counts

# Faults of the account, the model, its server or the workers' settings: every other shard would fail in the same way.
FATAL = frozenset(
    {
        "account",
        "bad_setting",
        "key_refused",
        "model_not_found",
        "no_quota",
        "not_permitted",
        "server_unavailable",
        "unsupported_parameter",
    }
)
# Failures of symbols that another request may well document.
TRANSIENT = frozenset({"connection", "deadline_exceeded", "server_error", "timeout", "worker_stopping"})
CAP_REACHED = "cost_cap_reached"
# A job whose estimate does not fit what the run has left for it.
ESTIMATE_ABOVE_CAP = "estimate_above_cap"
# A shard whose jobs were lost, or failed for transient reasons, MAX_FRUITLESS_ATTEMPTS times.
SHARD_FAILED = "shard_failed"
# Failures that resuming the run later may fix.
RESUMABLE = TRANSIENT | FATAL | {CAP_REACHED, SHARD_FAILED}
# Failures of a job that would recur with the same contexts.
PERMANENT = frozenset({"bad_input"})

# Consecutive attempts at a shard that document no further symbol.
MAX_FRUITLESS_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How an attempt ended, as far as its engine knows; `unknown` where RunPod no longer knows the job."""

    ended: Literal["completed", "failed", "timed_out", "cancelled", "unknown"]
    failure: str | None = None
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class ShardResults:
    """The contents of a shard's results document.

    `failures` counts the failed symbols by code, and `sentences` has one message for each code.
    """

    documented: int
    failures: Mapping[str, int]
    sentences: Mapping[str, str]
    total_tokens: int
    total_cost: float
    document: Mapping[str, Any] = field(repr=False)

    @property
    def counts(self) -> Counts:
        """The totals as `Counts`."""
        return Counts(self.documented, sum(self.failures.values()), self.total_tokens, self.total_cost)

    @property
    def is_settled(self) -> bool:
        """Whether another attempt at the shard would change nothing."""
        return not RESUMABLE & self.failures.keys()


def read_shard_results(body: bytes) -> ShardResults | None:
    """Return the parsed results document of a shard, or None where `body` is not one."""
    try:
        document = json.loads(body)
        failed = document["failed_symbols"]
        return ShardResults(
            documented=len(document["documented_symbols"]),
            failures=Counter(str(one["failure"]) for one in failed),
            sentences={str(one["failure"]): str(one["message"]) for one in failed},
            total_tokens=int(document["total_tokens"]),
            total_cost=float(document["total_cost"]),
            document=document,
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


class NextStep(Enum):
    """What to do with a shard next."""

    DONE = "done"
    AGAIN = "again"
    FAILED = "failed"
    STOP = "stop"


class Decision(NamedTuple):
    """The next step for a shard, and its reason: a failure code and a sentence."""

    next_step: NextStep
    failure: str = ""
    sentence: str = ""


DONE = Decision(NextStep.DONE)


def judge(attempt: AttemptResult, results: ShardResults | None) -> Decision:
    """Return the decision after an attempt that ended like this and left these results."""
    if attempt.ended == "completed" and results is not None:
        return judge_results(results)
    if attempt.failure in FATAL:
        return Decision(NextStep.STOP, str(attempt.failure), attempt.sentence)
    if results is not None and results.is_settled:
        return DONE
    if attempt.failure == ESTIMATE_ABOVE_CAP:
        return Decision(NextStep.AGAIN, CAP_REACHED, attempt.sentence)
    if attempt.failure in PERMANENT:
        return Decision(NextStep.FAILED, str(attempt.failure), attempt.sentence)
    return Decision(NextStep.AGAIN, attempt.failure or SHARD_FAILED, attempt.sentence or _describe_lost_job(attempt))


def judge_results(results: ShardResults) -> Decision:
    """Return the decision by the results document alone."""
    for failure in FATAL & results.failures.keys():
        return Decision(NextStep.STOP, failure, results.sentences[failure])
    for failure in sorted(RESUMABLE & results.failures.keys()):
        return Decision(NextStep.AGAIN, failure, results.sentences[failure])
    return DONE


def _describe_lost_job(attempt: AttemptResult) -> str:
    how = {
        "completed": "ended without results",
        "failed": "failed without saying why",
        "timed_out": "ran into the endpoint's execution time-out",
        "cancelled": "was cancelled",
        "unknown": "is not known there any more",
    }
    return f"its job {how[attempt.ended]}"
