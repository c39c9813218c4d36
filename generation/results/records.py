"""Outcomes as records of JSON and back: what outputs list, what results documents and checkpoints keep. Pure.

A record that is read may have been written by another version or another hand: what is not in the form is no record,
and whoever needed it does without. Leaves out: where records are kept (`checkpoint`, `report`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from generation.domain.finding import Findings
from generation.domain.outcome import Documented, Failed, Outcome, Source
from generation.domain.output import DocumentedSymbol, FailedSymbol
from generation.domain.usage import NO_USAGE, Usage

# What outputs leave out of a kept record: of a documented symbol, and of a failed one.
_KEPT_ONLY = frozenset({"usage", "checks"})
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
    elif outcome.content_hash:
        record["content_hash"] = outcome.content_hash
    return record


def as_output(record: dict[str, Any]) -> dict[str, Any]:
    """A symbol's kept record as a job output lists it."""
    left_out = _KEPT_OF_FAILED if "failure" in record else _KEPT_ONLY
    return {key: value for key, value in record.items() if key not in left_out}


def _sendable(text: str) -> str:
    # Of a lone surrogate, which JSON can hold and UTF-8 cannot, this is a ValueError.
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


@pydantic_dataclass(frozen=True, slots=True, config=ConfigDict(extra="ignore"))
class StoredRecord:
    """A record that was read. A symbol with a `summary` is documented, one with a `failure` is not."""

    symbol_id: Text
    content_hash: Text = ""
    summary: Annotated[Text, Field(min_length=1)] | None = None
    source: Source = "model"
    file_path: Text | None = None
    failure: Text | None = None
    message: Text = ""
    usage: Annotated[Usage, AfterValidator(_not_negative)] = NO_USAGE
    checks: Annotated[Findings, AfterValidator(_sendable_findings)] | None = None

    def outcome(self, position: int) -> Outcome:
        """The outcome that the record was made from, at the place where its symbol is now."""
        if self.summary is not None:
            return Documented(
                position, self.symbol_id, self.summary, self.usage, self.source, self.checks, self.content_hash
            )
        failure = self.failure or "unknown"
        return Failed(position, self.symbol_id, self.file_path, failure, self.message, self.usage, self.content_hash)


_read = TypeAdapter(StoredRecord).validate_python


def read_records(records: Iterable[object]) -> Iterator[StoredRecord]:
    """The records among these values; what is none is left out."""
    for record in records:
        try:
            yield _read(record)
        except ValidationError:
            continue
