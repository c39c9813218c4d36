"""What an attempt at a shard means: it is done, is to be sent again, has failed, or stops the whole run. Pure.

The truth about a shard is its results document; how its job ended says the rest. Leaves out how either is got hold of.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, NamedTuple

from generation.domain.usage import Counts

# Of the account, the model or the workers' settings: every other shard would end the same way.
FATAL = frozenset(
    {
        "account",
        "bad_setting",
        "key_refused",
        "model_not_found",
        "no_quota",
        "not_permitted",
        "unsupported_parameter",
    }
)
# Of symbols: asked for again, they may well be documented.
TRANSIENT = frozenset({"connection", "deadline_exceeded", "server_error", "timeout", "worker_stopping"})
CAP_REACHED = "cost_cap_reached"
# A shard whose jobs were lost, or failed in ways that may pass, more often than it is sent.
SHARD_FAILED = "shard_failed"
# What resuming the run later may change.
RESUMABLE = TRANSIENT | FATAL | {CAP_REACHED, SHARD_FAILED}
# Of a job: the same contexts would be refused again.
PERMANENT = frozenset({"bad_input"})

# So often a shard is sent without that a single symbol more is documented.
MAX_FRUITLESS_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How an attempt ended, as far as its engine was told. `unknown` where nobody can say any more."""

    ended: Literal["completed", "failed", "timed_out", "cancelled", "unknown"]
    failure: str | None = None
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class ShardResults:
    """What a shard's results document says. `failures` counts its failed symbols, `sentences` has one of each."""

    documented: int
    failures: Mapping[str, int]
    sentences: Mapping[str, str]
    total_tokens: int
    total_cost: float
    document: Mapping[str, Any] = field(repr=False)

    @property
    def counts(self) -> Counts:
        """The same as figures."""
        return Counts(self.documented, sum(self.failures.values()), self.total_tokens, self.total_cost)

    @property
    def is_settled(self) -> bool:
        """Whether sending the shard again would change nothing."""
        return not RESUMABLE & self.failures.keys()


def read_shard_results(body: bytes) -> ShardResults | None:
    """A shard's results document; None for what is none."""
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
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


class NextStep(Enum):
    """What becomes of a shard next."""

    DONE = "done"
    AGAIN = "again"
    FAILED = "failed"
    STOP = "stop"


class Verdict(NamedTuple):
    """A course, and why."""

    course: NextStep
    failure: str = ""
    sentence: str = ""


DONE = Verdict(NextStep.DONE)


def judge(told: AttemptResult, reading: ShardResults | None) -> Verdict:
    """What an attempt means that ended like this and left these results."""
    if told.ended == "completed" and reading is not None:
        return judge_results(reading)
    if told.failure in FATAL:
        return Verdict(NextStep.STOP, str(told.failure), told.sentence)
    if reading is not None and reading.is_settled:
        return DONE
    if told.failure in PERMANENT:
        return Verdict(NextStep.FAILED, str(told.failure), told.sentence)
    return Verdict(NextStep.AGAIN, told.failure or SHARD_FAILED, told.sentence or _of_lost_job(told))


def judge_results(reading: ShardResults) -> Verdict:
    """What a results document alone means."""
    for failure in FATAL & reading.failures.keys():
        return Verdict(NextStep.STOP, failure, reading.sentences[failure])
    for failure in sorted(RESUMABLE & reading.failures.keys()):
        return Verdict(NextStep.AGAIN, failure, reading.sentences[failure])
    return DONE


def _of_lost_job(told: AttemptResult) -> str:
    how = {
        "completed": "ended without results",
        "failed": "failed without saying why",
        "timed_out": "ran into the endpoint's execution time-out",
        "cancelled": "was cancelled",
        "unknown": "is not known there any more",
    }
    return f"its job {how[told.ended]}"
