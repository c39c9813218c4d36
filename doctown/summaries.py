"""The summaries of a build: what they would cost, what came of each symbol, and the totals. Pure.

Leaves out how they are bought: in this process (`documenting`) or by an engine of bulk runs (`engines`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from doctown.docpack.schema import CheckCounts, Documentation, Failure, SummaryChecks, TokenUsage
from generation.domain.outcome import Documented, Failed, Outcome
from generation.domain.output import PaidBefore

# Not chosen because of max_symbols: no failure, and not worth a line for each.
NOT_SELECTED = "not_selected"
MAX_TOLD_FAILURES = 5
# What symbols fail with that a job did not come to.
_OUT_OF_TIME = frozenset({"deadline_exceeded", "worker_stopping", "lease_lost"})
# Of an output that is only too large to list all symbols: they are known already.
LISTS_LEFT_OUT = "the symbols are left out of this output"


@dataclass(frozen=True)
class Estimate:
    """What the summaries would take: symbols by what happens to them and by size, and tokens and US dollars."""

    model: str
    symbols: int = 0
    known_symbols: int = 0
    offline_symbols: int = 0
    left_out_symbols: int = 0
    large_symbols: int = 0
    medium_symbols: int = 0
    small_symbols: int = 0
    requests: int = 0
    estimated_input_tokens: int = 0
    estimated_output_tokens: int = 0
    estimated_cost: float = 0.0
    warnings: tuple[str, ...] = ()


@dataclass
class Summaries:
    """What came of the symbols, by id, and what it took; `paid_before` is the part that interrupted builds paid."""

    documentation: dict[str, Documentation] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    usage: Counter[str] = field(default_factory=Counter)
    total_cost: float = 0.0
    checks: Counter[str] = field(default_factory=Counter)
    paid_before: PaidBefore = field(default_factory=lambda: PaidBefore(symbols=0, total_tokens=0, total_cost=0.0))
    findings: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    taken_over: int = 0
    left_out: int = 0

    @property
    def is_unfinished(self) -> bool:
        """Whether time was up before all were asked for, so that the next build goes on with what was bought."""
        return any(one["failure"] in _OUT_OF_TIME for one in self.failures.values())

    @property
    def token_usage(self) -> TokenUsage:
        """The tokens and requests as a pack has them."""
        return {
            "input_tokens": self.usage["input_tokens"],
            "cached_input_tokens": self.usage["cached_input_tokens"],
            "output_tokens": self.usage["output_tokens"],
            "reasoning_tokens": self.usage["reasoning_tokens"],
            "requests": self.usage["requests"],
            "retries": self.usage["retries"],
        }

    @property
    def check_counts(self) -> CheckCounts:
        """How the summaries fared in their checks, as a pack has it."""
        return {
            "checked": self.checks["checked"],
            "passed_all": self.checks["passed_all"],
            "findings": dict(sorted(self.findings.items())),
        }


def failure_lines(failures: Mapping[str, Failure]) -> Iterator[str]:
    """Yield a line for each of the first symbols that failed."""
    for symbol_id, failure in list(failures.items())[:MAX_TOLD_FAILURES]:
        yield f"failed: {symbol_id}: {failure['message']} ({failure['failure']})"
    if len(failures) > MAX_TOLD_FAILURES:
        yield f"and {len(failures) - MAX_TOLD_FAILURES:,} more failed"


def add_outcome(summaries: Summaries, outcome: Outcome, hashes: Mapping[str, str]) -> None:
    """Add what came of a symbol; `hashes` are those of the symbols' sources, by id."""
    if isinstance(outcome, Documented):
        summaries.documentation[outcome.symbol_id] = {
            "summary": outcome.summary,
            "source": outcome.source,
            "content_hash": outcome.content_hash,
            "checks": _checks(outcome, hashes.get(outcome.symbol_id)),
        }
        summaries.taken_over += outcome.source == "previous"
    elif outcome.failure == NOT_SELECTED:
        summaries.left_out += 1
    else:
        _add_failure(summaries, outcome)


def _add_failure(summaries: Summaries, outcome: Failed) -> None:
    summaries.failures[outcome.symbol_id] = {"failure": outcome.failure, "message": outcome.message or "no reason"}


def _checks(outcome: Documented, source_hash: str | None) -> SummaryChecks:
    found = outcome.checks
    checks: SummaryChecks = {
        "passed": [] if found is None else list(found.passed),
        "findings": []
        if found is None
        else [{"check": one.check, "hard": one.hard, "reason": one.reason} for one in found.findings],
    }
    if source_hash is not None:
        checks["source_hash"] = source_hash
    return checks


def add_paid_before(summaries: Summaries, paid: PaidBefore) -> None:
    """Add what earlier runs of a job had paid for."""
    before = summaries.paid_before
    summaries.paid_before = {
        "symbols": before["symbols"] + paid["symbols"],
        "total_tokens": before["total_tokens"] + paid["total_tokens"],
        "total_cost": round(before["total_cost"] + paid["total_cost"], 6),
    }


def add_totals(
    summaries: Summaries,
    usage: Mapping[str, Any],
    total_cost: float,
    checks: Mapping[str, Any],
    warnings: Iterable[str],
) -> None:
    """Add the totals of a job or a run: its usage, its cost in USD, its checks as a job's output has them."""
    summaries.usage.update({name: int(count) for name, count in usage.items() if isinstance(count, int)})
    summaries.total_cost = round(summaries.total_cost + total_cost, 6)
    summaries.checks.update({name: checks.get(name, 0) for name in ("checked", "passed_all", "rejected")})
    summaries.findings.update(checks["findings"])
    summaries.warnings += [one for one in warnings if not one.startswith(LISTS_LEFT_OUT)]
