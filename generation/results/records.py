"""Conversion between outcomes and JSON records, for outputs, results documents and checkpoints. Pure.

A record that is read may have been written by another version or a person: an invalid one is skipped. Where records are
stored is defined in `checkpoint` and `report`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from generation.domain.bookkeeping import as_count
from generation.domain.finding import Findings
from generation.domain.outcome import Documented, Failed, Origin, Outcome, Source
from generation.domain.output import DocumentedSymbol, FailedSymbol
from generation.domain.usage import NO_USAGE, Usage

# Fields of a stored record that outputs omit: for a documented symbol, and for a failed one.
_KEPT_ONLY = frozenset({"usage", "checks", "origin", "repairs", "latency_ms"})
_KEPT_OF_FAILED = _KEPT_ONLY | {"content_hash"}

_COUNTS = tuple(field.name for field in fields(Usage))


def output_record(outcome: Outcome) -> DocumentedSymbol | FailedSymbol:
    """Return a symbol as job outputs, progress and streams list it."""
    return documented_record(outcome) if isinstance(outcome, Documented) else failed_record(outcome)


def documented_record(outcome: Documented) -> DocumentedSymbol:
    """Return a documented symbol as outputs list it."""
    return {
        "symbol_id": outcome.symbol_id,
        "summary": outcome.summary,
        "tokens_used": outcome.usage.total_tokens,
        "source": outcome.source,
        "content_hash": outcome.content_hash,
    }


def failed_record(outcome: Failed) -> FailedSymbol:
    """Return a failed symbol as outputs list it."""
    return {
        "symbol_id": outcome.symbol_id,
        "file_path": outcome.file_path,
        "failure": outcome.failure,
        "message": outcome.message,
    }


def stored_record(outcome: Outcome) -> dict[str, Any]:
    """Return a symbol as results documents and checkpoints keep it: a StoredSymbol or a StoredFailure.

    It holds enough to make the outcome again.
    """
    record: dict[str, Any] = {**output_record(outcome)}
    if outcome.usage != NO_USAGE:
        counts = zip(_COUNTS, outcome.usage.counts, strict=True)
        record["usage"] = {name: count for name, count in counts if count}
    if isinstance(outcome, Documented):
        if outcome.checks is not None:
            findings = [{"check": one.check, "hard": one.hard, "reason": one.reason} for one in outcome.checks.findings]
            record["checks"] = {"passed": list(outcome.checks.passed), "findings": findings}
        if outcome.origin is not None:
            record["origin"] = outcome.origin._asdict()
        if outcome.repairs:
            record["repairs"] = list(outcome.repairs)
        if outcome.latency_ms is not None:
            record["latency_ms"] = outcome.latency_ms
    elif outcome.content_hash:
        record["content_hash"] = outcome.content_hash
    return record


def as_output(record: dict[str, Any]) -> dict[str, Any]:
    """Return a symbol's stored record as a job output lists it."""
    left_out = _KEPT_OF_FAILED if "failure" in record else _KEPT_ONLY
    return {key: value for key, value in record.items() if key not in left_out}


def _sendable(text: str) -> str:
    # Raises ValueError for a lone surrogate, which JSON can represent and UTF-8 cannot.
    text.encode("utf-8")
    return text


def _sendable_findings(checks: Findings) -> Findings:
    for text in (*checks.passed, *(text for one in checks.findings for text in (one.check, one.reason))):
        _sendable(text)
    return checks


def _not_negative(usage: Usage) -> Usage:
    if min(usage.counts) < 0:
        raise ValueError("counts begin at 0")
    return usage


Text = Annotated[str, AfterValidator(_sendable)]


def _origin(value: object) -> Origin | None:
    """Return a stored origin, or None for anything else: a summary does not get lost because of it."""
    known = {name: value.get(name) for name in Origin._fields} if isinstance(value, Mapping) else {}
    try:
        return _read_origin(known)
    except ValidationError:
        return None


@pydantic_dataclass(frozen=True, slots=True, config=ConfigDict(extra="ignore"))
class StoredRecord:
    """A stored record that was read: of a documented symbol if it has a `summary`, else of a failed one."""

    symbol_id: Text
    content_hash: Text = ""
    summary: Annotated[Text, Field(min_length=1)] | None = None
    source: Source = "model"
    file_path: Text | None = None
    failure: Text | None = None
    message: Text = ""
    usage: Annotated[Usage, AfterValidator(_not_negative)] = NO_USAGE
    checks: Annotated[Findings, AfterValidator(_sendable_findings)] | None = None
    origin: Annotated[Origin | None, BeforeValidator(_origin)] = None
    repairs: tuple[Text, ...] = ()
    latency_ms: Annotated[int | None, BeforeValidator(as_count)] = None

    def outcome(self, position: int) -> Outcome:
        """Return the outcome that the record describes, with the symbol's present position."""
        if self.summary is not None:
            facts = (self.usage, self.source, self.checks, self.content_hash, self.origin, self.repairs)
            return Documented(position, self.symbol_id, self.summary, *facts, self.latency_ms)
        failure = self.failure or "unknown"
        return Failed(position, self.symbol_id, self.file_path, failure, self.message, self.usage, self.content_hash)


_read = TypeAdapter(StoredRecord).validate_python
_read_origin = TypeAdapter(Origin).validate_python


def read_records(records: Iterable[object]) -> Iterator[StoredRecord]:
    """Yield the valid records among these values; skip the others."""
    for record in records:
        try:
            yield _read(record)
        except ValidationError:
            continue
