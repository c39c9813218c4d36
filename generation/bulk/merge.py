"""Merges the records of a source's symbols into one document, in the format of a job's results document.

The document lists every symbol once, in the order of the source, with the totals of all records, so that it can be used
like any job's results, also as `previous_results_key`. At most one source is in memory, as serialised records. The
records come from the results of shards (`engines.coordinator`) or the answers of batches (`engines.batch.ledger`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from generation.bulk.manifest import MAX_KEPT_FAILURES, Division, FailedSymbol, Source, Summary
from generation.domain.catalogue import Pricing
from generation.domain.usage import NO_USAGE, Usage, cost_usd
from generation.results.report import REJECTED, as_json, rejection_warnings
from generation.results.reuse import read_results
from generation.storage.base import Storage

# Thousands of shards mostly repeat the same few warnings.
MAX_WARNINGS = 100


@dataclass(frozen=True, slots=True)
class PaidBefore:
    """The part of the totals that was paid by earlier runs of the jobs."""

    symbols: int = 0
    total_tokens: int = 0
    total_cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a results document that are not derived from its symbols.

    `pricing` is what was really paid: half the list price for a batch.
    """

    job_id: str
    model: str
    pricing: Pricing
    paid_before: PaidBefore = PaidBefore()
    removed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    duration_ms: int = 0


class Merger:
    """Collects the records of a source in serialised form, and their totals."""

    def __init__(self) -> None:
        self._documented: dict[int, bytes] = {}
        self._failed: dict[int, bytes] = {}
        self._usage = NO_USAGE
        self._failures: Counter[str] = Counter()
        self._findings: Counter[str] = Counter()
        self._first_failed: dict[int, FailedSymbol] = {}
        self._checked = self._passed_all = self._reusable = 0
        self._rejected: dict[int, str] = {}

    def __contains__(self, position: int) -> bool:
        return position in self._documented or position in self._failed

    def add(self, position: int, record: Mapping[str, Any]) -> None:
        """Add a stored record; ignore it where the position already has one."""
        if position in self:
            return
        self._usage += usage_of(record)
        if "failure" in record:
            self._failed[position] = as_json(record)
            self._first_failed[position] = failed_symbol(record)
            self._failures[str(record["failure"])] += 1
            return
        self._documented[position] = as_json(record)
        self._reusable += record.get("source") == "previous"
        if (checks := record.get("checks")) is not None:
            findings = checks.get("findings", ())
            self._checked += 1
            self._passed_all += not findings
            self._findings.update(str(finding.get("check")) for finding in findings)
            if record.get("source") == "offline" and any(finding.get("hard") for finding in findings):
                self._rejected[position] = str(record["symbol_id"])

    def add_all(self, records: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
        """Add records with their positions, in any order."""
        for position, record in records:
            self.add(position, record)

    def merged(self, header: Header) -> tuple[bytes, Summary]:
        """Return the results document of the source as JSON, and its summary."""
        documented, failed = len(self._documented), len(self._failed)
        status = "success" if not failed else "partial" if documented else "failed"
        total_cost = cost_usd(self._usage, header.pricing)
        last = {
            "removed": list(header.removed),
            "documented_count": documented,
            "failed_count": failed,
            "total_tokens": self._usage.total_tokens,
            "total_cost": total_cost,
            "paid_before": asdict(header.paid_before),
            "usage": asdict(self._usage),
            "pricing": asdict(header.pricing),
            "checks": self._count_checks(),
            "duration_ms": header.duration_ms,
            "warnings": self._warnings(header.warnings),
            "results": None,
            "checkpoint": {},
        }
        parts = (
            as_json({"job_id": header.job_id, "status": status, "model": header.model})[:-1],
            b', "documented_symbols": [' + _in_order(self._documented),
            b'], "failed_symbols": [' + _in_order(self._failed) + b"], ",
            as_json(last)[1:],
        )
        summary = Summary(
            symbols=documented + failed,
            documented=documented,
            taken_over=self._reusable,
            failures=dict(self._failures),
            total_tokens=self._usage.total_tokens,
            total_cost=total_cost,
            failed=tuple(self._first_failed[position] for position in sorted(self._first_failed)[:MAX_KEPT_FAILURES]),
        )
        return b"".join(parts), summary

    def _warnings(self, given: Iterable[str]) -> list[str]:
        """Return warnings of the shards, with one for the rejected summaries of all of them."""
        rejected = rejection_warnings([self._rejected[position] for position in sorted(self._rejected)])
        others = [one for one in given if REJECTED not in one]
        return list(dict.fromkeys([*rejected, *others]))[:MAX_WARNINGS]

    def _count_checks(self) -> dict[str, Any]:
        findings = dict(sorted(self._findings.items()))
        return {
            "checked": self._checked,
            "passed_all": self._passed_all,
            "rejected": len(self._rejected),
            "findings": findings,
        }


def failed_symbol(record: Mapping[str, Any]) -> FailedSymbol:
    """Return the symbol of a stored record that failed."""
    return FailedSymbol(*(str(record.get(name, "")) for name in FailedSymbol._fields))


def usage_of(record: Mapping[str, Any]) -> Usage:
    """Return the usage in a record, without counts that this version does not know."""
    usage = record.get("usage", {})
    return Usage(**{name: int(usage[name]) for name in _COUNTS if name in usage})


_COUNTS = tuple(field.name for field in fields(Usage))


def _in_order(records: Mapping[int, bytes]) -> bytes:
    return b", ".join(records[position] for position in sorted(records))


async def removed_symbols(storage: Storage, source: Source, division: Division) -> tuple[str, ...]:
    """Return the ids of symbols in a source's previous results that the source no longer has."""
    stored = await storage.read(source.previous_key) if source.previous_key else None
    return await asyncio.to_thread(_removed, stored.body, division) if stored else ()


def _removed(body: bytes, division: Division) -> tuple[str, ...]:
    previous = read_results(body)
    if previous is None:
        return ()
    present = {symbol_id for shard in division.shards for symbol_id in shard.ids}
    present |= {record["symbol_id"] for _, record in division.invalid}
    return tuple(symbol_id for symbol_id in previous.records if symbol_id not in present)
