"""Totals of a job while it runs, and its results document at the end.

The document lists every symbol in the order of the input. Pure except for the clock, which is a parameter. Storing the
document is left to `publish`.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from generation.config import Settings
from generation.domain.outcome import Documented, Failed, Outcome
from generation.domain.output import (
    CheckCounts,
    Plan,
    PlannedOutput,
    ResultsDocument,
    ResultsPointer,
    Status,
    TokenPricing,
    TokenUsage,
)
from generation.domain.usage import NO_USAGE, Counts, Usage, cost_usd
from generation.results.records import failed_record, stored_record

MAX_NAMED = 5
REJECTED = "failed a hard check twice; offline summaries stand in their place"
SYMBOL_LISTS = ("documented_symbols", "failed_symbols", "removed")


@dataclass(frozen=True, slots=True)
class Totals:
    """Cumulative totals of a job."""

    completed: int
    failed: int
    total: int
    total_tokens: int
    total_cost: float
    elapsed_ms: int

    @property
    def counts(self) -> Counts:
        """The totals as `Counts`."""
        return Counts(self.completed, self.failed, self.total_tokens, self.total_cost)


class Report:
    """Accumulates the outcomes of one job.

    `removed` are the ids of symbols in the previous results that the job does not have; `included` is, per run, the
    number of leading checkpoint segments that are merged into the document.
    """

    def __init__(
        self, job_id: str, settings: Settings, total: int, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.job_id = job_id
        self.outcomes: list[Outcome] = []
        self.usage = NO_USAGE
        self.warnings: list[str] = []
        self.removed: Sequence[str] = ()
        self.included: Mapping[str, int] = {}
        self._model = settings.model_name
        self._pricing = settings.pricing
        self._total = total
        self._before: dict[int, Usage] = {}
        self._documented = 0
        self._now_s = now_s
        self._started_s = now_s()

    def add(self, outcome: Outcome, paid_before: Usage = NO_USAGE) -> None:
        """Add an outcome; `paid_before` is the part of its usage that was paid by other runs of the job."""
        self.outcomes.append(outcome)
        self.usage += outcome.usage
        self._documented += isinstance(outcome, Documented)
        if paid_before != NO_USAGE:
            self._before[outcome.position] = paid_before

    def replace_outcomes(self, better: Mapping[int, Outcome]) -> None:
        """Replace outcomes by position. The increase in their usage counts as paid by other runs."""
        former, before = self.outcomes, self._before
        self.outcomes, self._before, self.usage, self._documented = [], {}, NO_USAGE, 0
        for outcome in former:
            now = better.get(outcome.position, outcome)
            self.add(now, before.get(outcome.position, NO_USAGE) + now.usage - outcome.usage)

    def end(self) -> None:
        """Stop the clock: everything derived from the report from now on has the same duration."""
        ended_s = self._now_s()
        self._now_s = lambda: ended_s

    @property
    def documented(self) -> int:
        """The number of symbols with a summary."""
        return self._documented

    @property
    def _paid_before(self) -> Usage:
        return sum(self._before.values(), start=NO_USAGE)

    def paid_here(self, outcome: Outcome) -> Usage:
        """Return the part of an outcome's usage that this run has paid."""
        return outcome.usage - self._before.get(outcome.position, NO_USAGE)

    @property
    def own_usage(self) -> Usage:
        """The usage that this run has paid."""
        return self.usage - self._paid_before

    @property
    def totals(self) -> Totals:
        """The present totals."""
        return Totals(
            completed=self._documented,
            failed=len(self.outcomes) - self._documented,
            total=self._total,
            total_tokens=self.usage.total_tokens,
            total_cost=cost_usd(self.usage, self._pricing),
            elapsed_ms=round((self._now_s() - self._started_s) * 1000),
        )

    @property
    def status(self) -> Status:
        """The job's status: whether all, some or none of the symbols have a summary."""
        if self._documented == len(self.outcomes):
            return "success"
        return "partial" if self._documented else "failed"

    def document(self) -> ResultsDocument:
        """Return the results document, with every symbol in the order of the input."""
        lists = {name: [stored_record(outcome) for outcome in outcomes] for name, outcomes in self._lists()}
        return cast("ResultsDocument", {**self.document_without_symbols(), **lists})

    def document_body(self) -> bytes:
        """Return the document as strict JSON in UTF-8.

        It is serialised record by record, since the document as Python objects takes several times as much memory.
        """
        body, lists = io.BytesIO(), dict(self._lists())
        for place, (name, value) in enumerate(self.document_without_symbols().items()):
            body.write(b", " if place else b"{")
            body.write(as_json(name) + b": ")
            if name not in lists:
                body.write(as_json(value))
                continue
            for number, outcome in enumerate(lists[name]):
                body.write(b", " if number else b"[")
                body.write(as_json(stored_record(outcome)))
            body.write(b"]" if lists[name] else b"[]")
        body.write(b"}")
        return body.getvalue()

    def _lists(self) -> Iterator[tuple[str, list[Outcome]]]:
        ordered = sorted(self.outcomes, key=lambda outcome: outcome.position)
        yield "documented_symbols", [one for one in ordered if isinstance(one, Documented)]
        yield "failed_symbols", [one for one in ordered if isinstance(one, Failed)]

    def _timeout_warning(self) -> list[str]:
        count = self.own_usage.timeouts
        if not count:
            return []
        advice = "where the model is slow, raise REQUEST_TIMEOUT_S or lower MAX_CONCURRENT_REQUESTS"
        return [f"{count} of {self.own_usage.requests} requests timed out, and what they cost is unknown: {advice}"]

    def _rejected_ids(self) -> list[str]:
        ordered = sorted(self.outcomes, key=lambda outcome: outcome.position)
        return [one.symbol_id for one in ordered if isinstance(one, Documented) and one.is_rejected]

    def document_without_symbols(self) -> ResultsDocument:
        """Return the results document with empty symbol lists."""
        totals, before = self.totals, self._paid_before
        return {
            "job_id": self.job_id,
            "status": self.status,
            "model": self._model,
            "documented_symbols": [],
            "failed_symbols": [],
            "removed": list(self.removed),
            "documented_count": totals.completed,
            "failed_count": totals.failed,
            "total_tokens": totals.total_tokens,
            "total_cost": totals.total_cost,
            "paid_before": {
                "symbols": sum(self._before.get(one.position) == one.usage for one in self.outcomes),
                "total_tokens": before.total_tokens,
                "total_cost": cost_usd(before, self._pricing),
            },
            "usage": cast("TokenUsage", asdict(self.usage)),
            "pricing": cast("TokenPricing", asdict(self._pricing)),
            "checks": count_checks(self.outcomes),
            "duration_ms": totals.elapsed_ms,
            "warnings": [*self.warnings, *self._timeout_warning(), *rejection_warnings(self._rejected_ids())],
            "results": None,
            "checkpoint": dict(self.included),
        }


def count_checks(outcomes: Sequence[Outcome]) -> CheckCounts:
    """Return how many summaries were checked, passed every check and were rejected, and the findings of each check."""
    checked = [one.checks for one in outcomes if isinstance(one, Documented) and one.checks is not None]
    found = Counter(finding.check for checks in checked for finding in checks.findings)
    return {
        "checked": len(checked),
        "passed_all": sum(not checks.findings for checks in checked),
        "rejected": sum(isinstance(one, Documented) and one.is_rejected for one in outcomes),
        "findings": dict(sorted(found.items())),
    }


def rejection_warnings(symbol_ids: Sequence[str]) -> list[str]:
    """Return a sentence that names the first symbols whose summaries were rejected, if there are any."""
    if not symbol_ids:
        return []
    named = ", ".join(symbol_ids[:MAX_NAMED]) + (", ..." if len(symbol_ids) > MAX_NAMED else "")
    was = "1 summary" if len(symbol_ids) == 1 else f"{len(symbol_ids)} summaries"
    return [f"{was} of the model {REJECTED}: {named}"]


def planned(
    job_id: str, plan: Plan, failed: Sequence[Failed], settings: Settings, warnings: Sequence[str]
) -> PlannedOutput:
    """Return the output of a dry run."""
    return {
        "job_id": job_id,
        "status": "planned",
        "model": settings.model_name,
        "plan": plan,
        "failed_symbols": [failed_record(one) for one in failed],
        "pricing": cast("TokenPricing", asdict(settings.pricing)),
        "warnings": list(warnings),
    }


def as_json(document: object) -> bytes:
    """Return the document as strict JSON in UTF-8. Raises ValueError for NaN, infinities and lone surrogates."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8")


def pointer(bucket: str | None, key: str, url: str | None, body: bytes) -> ResultsPointer:
    """Return the location, size and SHA-256 digest of a results document."""
    digest = hashlib.sha256(body).hexdigest()
    return {"bucket": bucket, "key": key, "url": url, "bytes": len(body), "sha256": digest}


def fitted(output: dict[str, Any], max_bytes: int) -> dict[str, Any]:
    """Return the output, without its symbols and with a warning if it is larger than `max_bytes`."""
    return output if len(as_json(output)) <= max_bytes else without_symbols(output, max_bytes)


def without_symbols(output: dict[str, Any], max_bytes: int) -> dict[str, Any]:
    """Return the output without its symbols, with a warning that it would exceed `max_bytes`."""
    reason = (
        f"the symbols are left out of this output, which would exceed {max_bytes} bytes: read them from results.key"
    )
    kept = {key: value for key, value in output.items() if key not in SYMBOL_LISTS}
    return kept | {"warnings": [*output["warnings"], reason]}


def limit_symbols(output: dict[str, Any], max_bytes: int, rest_note: str) -> dict[str, Any]:
    """Return the output with as many symbols as fit into `max_bytes`, documented ones first.

    `rest_note` ends the warning about the omitted ones: it says where they are.
    """
    if len(as_json(output)) <= max_bytes:
        return output
    kept = output | {key: [] for key in SYMBOL_LISTS}
    left_bytes = max_bytes - len(as_json(kept)) - 200
    left_out = 0
    for key in SYMBOL_LISTS:
        for record in output[key]:
            size = len(as_json(record)) + 2
            if size <= left_bytes:
                left_bytes -= size
                kept[key].append(record)
            else:
                left_out += 1
    return kept | {"warnings": [*output["warnings"], f"{left_out} symbols did not fit into this output {rest_note}"]}
