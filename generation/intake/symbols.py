"""The contract: what a job's input may hold, what a symbol's context is, and what comes of a symbol.

Parsing gives one verdict a symbol: a context or a `Failed`, never an exception; only what is wrong with the job as a
whole raises InputError. Messages name the place (`symbols[17].context.name`) and never repeat what stands there. Leaves
out: where symbols come from (`sources`), and the documents that are written (`report`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from generation.domain.context import CONTEXT_FIELDS, SymbolContext
from generation.domain.limits import MAX_JOB_SYMBOLS
from generation.domain.outcome import Failed, Symbol
from generation.errors import InputError
from generation.intake.faults import describe_fault, printable

_read_context = TypeAdapter(SymbolContext).validate_python


def check_symbol_count(count: int) -> None:
    """Raise InputError where a job has no symbols, or more than one job takes."""
    if count == 0:
        raise InputError("symbols is empty: there is nothing to document")
    if count > MAX_JOB_SYMBOLS:
        advice = f"a job takes at most {MAX_JOB_SYMBOLS}: split it into several"
        raise InputError(f"symbols holds {count} symbols and {advice}")


def check_ids(contexts: Iterable[SymbolContext]) -> None:
    """Raise InputError where two symbols have one id."""
    counts = Counter(context.symbol_id for context in contexts)
    if repeated := [symbol_id for symbol_id, count in counts.items() if count > 1]:
        raise InputError(f"the symbol id {printable(repeated[0], 200)} is used more than once: ids must differ")


def parse_symbols(items: Iterable[object], ignored_fields: set[str]) -> Iterator[Symbol | Failed]:
    """One verdict for each item `{"symbol_id", "context"}`, in their order.

    Names of context fields that are not part of the contract are added to `ignored_fields`.
    """
    ids: dict[str, int] = {}
    dimensions: dict[int, int] = {}
    for position, item in enumerate(items):
        verdict = _parse_symbol(position, item, ignored_fields)
        if isinstance(verdict, Symbol):
            yield _unlike_the_others(verdict, ids, dimensions) or verdict
        else:
            yield verdict


class ParsedSymbols(NamedTuple):
    """The symbols of a payload: those that can be documented, those that are invalid, and warnings."""

    symbols: list[Symbol]
    failed: list[Failed]
    warnings: list[str]


def read_symbols(items: Iterable[object]) -> ParsedSymbols:
    """Return the symbols of a job. Raises InputError where there are none, or more than one job takes."""
    if isinstance(items, list):
        check_symbol_count(len(items))
    parsed = ParsedSymbols([], [], [])
    ignored_fields: set[str] = set()
    for verdict in parse_symbols(items, ignored_fields):
        if isinstance(verdict, Symbol):
            parsed.symbols.append(verdict)
        else:
            parsed.failed.append(verdict)
        check_symbol_count(len(parsed.symbols) + len(parsed.failed))
    check_symbol_count(len(parsed.symbols) + len(parsed.failed))
    parsed.warnings.extend(ignored_fields_warning(ignored_fields))
    return parsed


def ignored_fields_warning(fields: set[str]) -> list[str]:
    """Return the warning that context fields were ignored, or nothing where none were."""
    named = ", ".join(sorted(fields)[:10])
    return [f"context fields that are not known here were ignored: {named}"] if fields else []


def _unlike_the_others(symbol: Symbol, ids: dict[str, int], dimensions: dict[int, int]) -> Failed | None:
    """A symbol whose id is taken, or whose embedding has another dimension than the job's first."""
    place, context = f"symbols[{symbol.position}]", symbol.context
    first = ids.setdefault(symbol.symbol_id, symbol.position)
    if first != symbol.position:
        message = f"{place}.symbol_id is that of symbols[{first}] too: ids must differ"
        return Failed(symbol.position, symbol.symbol_id, context.file_path, "duplicate_symbol_id", message)
    if context.embedding is None:
        return None
    dimension = len(context.embedding)
    if not dimensions or dimension in dimensions:
        dimensions.setdefault(dimension, symbol.position)
        return None
    [(expected, first)] = dimensions.items()
    message = f"{place}.context.embedding has {dimension} numbers and that of symbols[{first}] has {expected}"
    return Failed(symbol.position, symbol.symbol_id, context.file_path, "invalid_symbol", message)


def _parse_symbol(position: int, item: object, ignored_fields: set[str]) -> Symbol | Failed:
    place = f"symbols[{position}]"
    if isinstance(item, UnreadableLine):
        return Failed(position, place, None, "invalid_symbol", f"{place} {item.reason}")
    if not isinstance(item, Mapping):
        return Failed(position, place, None, "invalid_symbol", f"{place} must be an object with symbol_id and context")
    if fault := _envelope_fault(place, item):
        return _invalid(position, item, fault)
    raw = item["context"]
    try:
        context = _read_context(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        return _invalid(position, item, "; ".join(describe_fault(f"{place}.context", fault) for fault in faults[:3]))
    if context.symbol_id != item["symbol_id"]:
        return _invalid(position, item, f"{place}.context.symbol_id must be the same as {place}.symbol_id")
    ignored_fields.update(printable(str(field), 80) for field in raw.keys() - CONTEXT_FIELDS)
    return Symbol(position, context)


class UnreadableLine:
    """Stands for a line of JSON Lines that is no JSON; `reason` completes the sentence "symbols[3] ..."."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _envelope_fault(place: str, item: Mapping[str, object]) -> str | None:
    if unknown := item.keys() - {"symbol_id", "context"}:
        named = ", ".join(sorted(printable(str(key), 80) for key in unknown)[:5])
        return f"{place} has unknown keys ({named}); it takes symbol_id and context"
    if not isinstance(item.get("symbol_id"), str) or not item["symbol_id"]:
        return f"{place}.symbol_id must be a text and not empty"
    if not isinstance(item.get("context"), dict):
        return f"{place}.context must be an object"
    return None


def _invalid(position: int, item: Mapping[str, object], message: str) -> Failed:
    symbol_id, context = item.get("symbol_id"), item.get("context")
    file_path = context.get("file_path") if isinstance(context, Mapping) else None
    return Failed(
        position,
        printable(symbol_id) if isinstance(symbol_id, str) and symbol_id else f"symbols[{position}]",
        printable(file_path) if isinstance(file_path, str) else None,
        "invalid_symbol",
        message,
    )
