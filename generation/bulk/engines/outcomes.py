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

from generation.bulk.progress import Figures

# Of the account, the model or the workers' settings: every other shard would end the same way.
OF_THE_RUN = frozenset(
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
PASSING = frozenset({"connection", "deadline_exceeded", "server_error", "timeout", "worker_stopping"})
CAP_REACHED = "cost_cap_reached"
# A shard whose jobs were lost, or failed in ways that may pass, more often than it is sent.
SHARD_FAILED = "shard_failed"
# What resuming the run later may change.
RESUMABLE = PASSING | OF_THE_RUN | {CAP_REACHED, SHARD_FAILED}
# Of a job: the same contexts would be refused again.
LASTING = frozenset({"bad_input"})

# So often a shard is sent without that a single symbol more is documented.
TRIES_IN_VAIN = 3


@dataclass(frozen=True, slots=True)
class Told:
    """How an attempt ended, as far as its engine was told. `unknown` where nobody can say any more."""

    ended: Literal["completed", "failed", "timed_out", "cancelled", "unknown"]
    failure: str | None = None
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a shard's results document says. `failures` counts its failed symbols, `sentences` has one of each."""

    documented: int
    failures: Mapping[str, int]
    sentences: Mapping[str, str]
    total_tokens: int
    total_cost: float
    document: Mapping[str, Any] = field(repr=False)

    @property
    def figures(self) -> Figures:
        """The same as figures."""
        return Figures(self.documented, sum(self.failures.values()), self.total_tokens, self.total_cost)

    @property
    def is_settled(self) -> bool:
        """Whether sending the shard again would change nothing."""
        return not RESUMABLE & self.failures.keys()


def read_shard_results(body: bytes) -> Reading | None:
    """A shard's results document; None for what is none."""
    try:
        document = json.loads(body)
        failed = document["failed_symbols"]
        return Reading(
            documented=len(document["documented_symbols"]),
            failures=Counter(str(one["failure"]) for one in failed),
            sentences={str(one["failure"]): str(one["message"]) for one in failed},
            total_tokens=int(document["total_tokens"]),
            total_cost=float(document["total_cost"]),
            document=document,
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


class Course(Enum):
    """What becomes of a shard next."""

    DONE = "done"
    AGAIN = "again"
    FAILED = "failed"
    STOP = "stop"


class Verdict(NamedTuple):
    """A course, and why."""

    course: Course
    failure: str = ""
    sentence: str = ""


DONE = Verdict(Course.DONE)


def judge(told: Told, reading: Reading | None) -> Verdict:
    """What an attempt means that ended like this and left these results."""
    if told.ended == "completed" and reading is not None:
        return judge_results(reading)
    if told.failure in OF_THE_RUN:
        return Verdict(Course.STOP, str(told.failure), told.sentence)
    if reading is not None and reading.is_settled:
        return DONE
    if told.failure in LASTING:
        return Verdict(Course.FAILED, str(told.failure), told.sentence)
    return Verdict(Course.AGAIN, told.failure or SHARD_FAILED, told.sentence or _of_lost_job(told))


def judge_results(reading: Reading) -> Verdict:
    """What a results document alone means."""
    for failure in OF_THE_RUN & reading.failures.keys():
        return Verdict(Course.STOP, failure, reading.sentences[failure])
    for failure in sorted(RESUMABLE & reading.failures.keys()):
        return Verdict(Course.AGAIN, failure, reading.sentences[failure])
    return DONE


def _of_lost_job(told: Told) -> str:
    how = {
        "completed": "ended without results",
        "failed": "failed without saying why",
        "timed_out": "ran into the endpoint's execution time-out",
        "cancelled": "was cancelled",
        "unknown": "is not known there any more",
    }
    return f"its job {how[told.ended]}"
