"""What happened, as records: JSON lines on standard output, one for each event of a job.

An event is frozen and says all of itself; a sink is a function that takes one. Leaves out: progress for RunPod's API,
which is a state and not an event (`progress`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from generation.domain.outcome import Documented, Outcome
from generation.domain.output import (
    CompletedPayload,
    StartedPayload,
    Status,
    SymbolDocumentedPayload,
    SymbolFailedPayload,
)
from generation.results.report import Totals

STARTED = "generation.started.v1"
SYMBOL_DOCUMENTED = "generation.symbol_documented.v1"
SYMBOL_FAILED = "generation.symbol_failed.v1"
COMPLETED = "generation.completed.v1"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a job; `timestamp` is UTC in RFC 3339."""

    type: str
    job_id: str
    payload: Mapping[str, Any]
    timestamp: str = field(default_factory=_now)

    def as_json(self) -> str:
        """The event as one line of strict JSON, in ASCII: no encoding of standard output and no reader splits it."""
        record = {"type": self.type, "job_id": self.job_id, "timestamp": self.timestamp, "payload": self.payload}
        return json.dumps(record, allow_nan=False)


Sink = Callable[[Event], None]


def print_event(event: Event) -> None:
    """Write an event to standard output, as one line that is there at once."""
    sys.stdout.write(f"{event.as_json()}\n")
    sys.stdout.flush()


def started(job_id: str, symbol_count: int, estimated_tokens: int) -> Event:
    """A job is about to make its first request."""
    payload: StartedPayload = {"symbol_count": symbol_count, "estimated_tokens": estimated_tokens}
    return Event(STARTED, job_id, payload)


def of_outcome(job_id: str, outcome: Outcome) -> Event:
    """A symbol is documented or has failed."""
    if isinstance(outcome, Documented):
        documented: SymbolDocumentedPayload = {
            "symbol_id": outcome.symbol_id,
            "token_count": outcome.usage.total_tokens,
        }
        return Event(SYMBOL_DOCUMENTED, job_id, documented)
    failed: SymbolFailedPayload = {
        "symbol_id": outcome.symbol_id,
        "failure": outcome.failure,
        "message": outcome.message,
    }
    return Event(SYMBOL_FAILED, job_id, failed)


def completed(job_id: str, status: Status, totals: Totals, warnings: Sequence[str]) -> Event:
    """A job has its results."""
    payload: CompletedPayload = {
        "status": status,
        "total_tokens": totals.total_tokens,
        "total_cost": totals.total_cost,
        "duration_ms": totals.elapsed_ms,
        "warnings": list(warnings),
    }
    return Event(COMPLETED, job_id, payload)
