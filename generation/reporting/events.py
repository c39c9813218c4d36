"""A job's events, written to standard output as JSON lines.

An event is a frozen record; a sink is a function that takes one. Progress for RunPod's API, which is a state rather
than an event, is in `progress`.
"""

from __future__ import annotations

import contextlib
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
    """One event of a job; `timestamp` is in UTC, in RFC 3339 format; `status` is there once the job has ended."""

    type: str
    job_id: str
    payload: Mapping[str, Any]
    timestamp: str = field(default_factory=_now)
    status: Status | None = None

    def as_json(self) -> str:
        """Return the event as one line of strict JSON.

        The line is ASCII, so that neither the encoding of standard output nor a Unicode line separator can split it.
        """
        status = {} if self.status is None else {"status": self.status}
        head = {"type": self.type, **status, "job_id": self.job_id, "timestamp": self.timestamp}
        return json.dumps({**head, "payload": self.payload}, allow_nan=False)


Sink = Callable[[Event], None]


def print_event(event: Event) -> None:
    """Write an event to standard output as one line, and flush it. A reader that has gone away misses it."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{event.as_json()}\n")
        sys.stdout.flush()


def started(job_id: str, symbol_count: int, estimated_tokens: int) -> Event:
    """Return the event for a job that is about to make its first request."""
    payload: StartedPayload = {"symbol_count": symbol_count, "estimated_tokens": estimated_tokens}
    return Event(STARTED, job_id, payload)


def of_outcome(job_id: str, outcome: Outcome) -> Event:
    """Return the event for a symbol that has been documented or has failed."""
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
    """Return the event for a job whose results are complete; failed symbols are a warning, which comes first."""
    failed = "1 symbol has" if totals.failed == 1 else f"{totals.failed:,} symbols have"
    warning = [f"{failed} failed: failed_symbols says why"] if totals.failed else []
    payload: CompletedPayload = {
        "status": status,
        "failed_count": totals.failed,
        "total_tokens": totals.total_tokens,
        "total_cost": totals.total_cost,
        "duration_ms": totals.elapsed_ms,
        "warnings": [*warning, *warnings],
    }
    return Event(COMPLETED, job_id, payload, status=status)
