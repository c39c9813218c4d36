"""The results of a source from the records of its symbols: one document, in the form of a job's results document.

Every symbol stands in it once, in the order of the source, and what was paid is added up, so that it can be read like
any job's, and named as `previous_results_key`. At most one source is in memory, as the bytes that are written. Leaves
out where the records come from: results of shards (`coordinator`), or lines of a batch (`batch_engine`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from generation.bulk.manifest import Division, Source, Summary
from generation.domain.catalogue import Pricing
from generation.domain.usage import NO_USAGE, Usage, cost_usd
from generation.results.report import as_json
from generation.results.reuse import read_results
from generation.storage.base import Storage

# Each names something to do or to know; thousands of shards have the same few to say.
MAX_WARNINGS = 100


@dataclass(frozen=True, slots=True)
class PaidBefore:
    """The part of the totals that earlier runs of the jobs had paid."""

    symbols: int = 0
    total_tokens: int = 0
    total_cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Header:
    """What a document says beside its symbols, and what is not counted from them.

    `pricing` is what was really paid: half of the list's for a batch.
    """

    job_id: str
    model: str
    pricing: Pricing
    paid_before: PaidBefore = PaidBefore()
    removed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    duration_ms: int = 0


class Merger:
    """Gathers the records of a source, as the bytes that will be written, and what they add up to."""

    def __init__(self) -> None:
        self._documented: dict[int, bytes] = {}
        self._failed: dict[int, bytes] = {}
        self._usage = NO_USAGE
        self._failures: Counter[str] = Counter()
        self._findings: Counter[str] = Counter()
        self._checked = self._passed_all = self._reusable = 0

    def __contains__(self, position: int) -> bool:
        return position in self._documented or position in self._failed

    def add(self, position: int, record: Mapping[str, Any]) -> None:
        """Take a kept record in; where a position comes again, the first one holds."""
        if position in self:
            return
        self._usage += usage_of(record)
        if "failure" in record:
            self._failed[position] = as_json(record)
            self._failures[str(record["failure"])] += 1
            return
        self._documented[position] = as_json(record)
        self._reusable += record.get("source") == "previous"
        if (checks := record.get("checks")) is not None:
            findings = checks.get("findings", ())
            self._checked += 1
            self._passed_all += not findings
            self._findings.update(str(finding.get("check")) for finding in findings)

    def add_all(self, records: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
        """Take records in with their positions, in any order."""
        for position, record in records:
            self.add(position, record)

    def merged(self, header: Header) -> tuple[bytes, Summary]:
        """The results document of the source, and its figures."""
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
            "warnings": list(dict.fromkeys(header.warnings))[:MAX_WARNINGS],
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
        )
        return b"".join(parts), summary

    def _count_checks(self) -> dict[str, Any]:
        findings = dict(sorted(self._findings.items()))
        return {"checked": self._checked, "passed_all": self._passed_all, "findings": findings}


def usage_of(record: Mapping[str, Any]) -> Usage:
    """What a record says was billed; counts that this version does not know are left out."""
    usage = record.get("usage", {})
    return Usage(**{name: int(usage[name]) for name in _COUNTS if name in usage})


_COUNTS = tuple(field.name for field in fields(Usage))


def _in_order(records: Mapping[int, bytes]) -> bytes:
    return b", ".join(records[position] for position in sorted(records))


async def removed_symbols(storage: Storage, source: Source, division: Division) -> tuple[str, ...]:
    """The symbols of a source's previous results that it does not have any more."""
    stored = await storage.read(source.previous_key) if source.previous_key else None
    previous = read_results(stored.body) if stored else None
    if previous is None:
        return ()
    present = {symbol_id for shard in division.shards for symbol_id in shard.ids}
    present |= {record["symbol_id"] for _, record in division.invalid}
    return tuple(symbol_id for symbol_id in previous.records if symbol_id not in present)
