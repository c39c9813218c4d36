"""Parse and validate the symbols of a job.

Each item gives a `Symbol` or a `Failed`, never an exception; only a fault of the job as a whole raises InputError.
Messages name the place (`symbols[17].context.name`) and never repeat the value. Leaves out: where symbols come from
(`sources`), and the documents that are written (`report`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from generation.domain.context import CONTEXT_FIELDS, REPLACEMENT, SymbolContext
from generation.domain.limits import MAX_JOB_SYMBOLS
from generation.domain.outcome import Failed, Symbol
from generation.errors import InputError
from generation.intake.faults import MAX_SHOWN_FAULTS, describe_fault, printable

_read_context = TypeAdapter(SymbolContext).validate_python


def check_symbol_count(count: int) -> None:
    """Raise InputError if a job has no symbols, or more than MAX_JOB_SYMBOLS."""
    if count == 0:
        raise InputError("symbols is empty: there is nothing to document")
    if count > MAX_JOB_SYMBOLS:
        advice = f"a job takes at most {MAX_JOB_SYMBOLS}: split it into several"
        raise InputError(f"symbols holds {count} symbols and {advice}")


def check_ids(contexts: Iterable[SymbolContext]) -> None:
    """Raise InputError if two symbols have the same id."""
    counts = Counter(context.symbol_id for context in contexts)
    if repeated := [symbol_id for symbol_id, count in counts.items() if count > 1]:
        raise InputError(f"the symbol id {printable(repeated[0], 200)} is used more than once: ids must differ")


def parse_symbols(
    items: Iterable[object],
    ignored_fields: set[str],
    max_faults: int = MAX_SHOWN_FAULTS,
    *,
    replaced: list[str] | None = None,
) -> Iterator[Symbol | Failed]:
    """Yield a `Symbol` or a `Failed` for each item `{"symbol_id", "context"}`, in their order.

    Add the names of context fields that are not part of the contract to `ignored_fields`, and to `replaced` the places
    of texts whose control characters were replaced. A message names `max_faults` faults of its symbol at most.
    """
    ids: dict[str, int] = {}
    dimensions: dict[int, int] = {}
    for position, item in enumerate(items):
        parsed_item = _parse_symbol(position, item, ignored_fields, max_faults)
        if isinstance(parsed_item, Symbol):
            if replaced is not None:
                replaced += _replaced_texts(position, item, parsed_item.context)
            yield _conflict_with_others(parsed_item, ids, dimensions) or parsed_item
        else:
            yield parsed_item


class ParsedSymbols(NamedTuple):
    """The symbols of a payload: the valid ones, the invalid ones, and warnings."""

    symbols: list[Symbol]
    failed: list[Failed]
    warnings: list[str]


def read_symbols(items: Iterable[object]) -> ParsedSymbols:
    """Return the symbols of a job. Raise InputError if there are none, or more than MAX_JOB_SYMBOLS."""
    if isinstance(items, list):
        check_symbol_count(len(items))
    parsed = ParsedSymbols([], [], [])
    ignored_fields: set[str] = set()
    replaced: list[str] = []
    for parsed_item in parse_symbols(items, ignored_fields, replaced=replaced):
        if isinstance(parsed_item, Symbol):
            parsed.symbols.append(parsed_item)
        else:
            parsed.failed.append(parsed_item)
        check_symbol_count(len(parsed.symbols) + len(parsed.failed))
    check_symbol_count(len(parsed.symbols) + len(parsed.failed))
    parsed.warnings.extend([*ignored_fields_warning(ignored_fields), *replaced_warning(replaced)])
    return parsed


def ignored_fields_warning(fields: set[str]) -> list[str]:
    """Return the warning that context fields were ignored, or an empty list if none were."""
    named = ", ".join(sorted(fields)[:10])
    return [f"context fields that are not known here were ignored: {named}"] if fields else []


def replaced_warning(places: Sequence[str]) -> list[str]:
    """Return the warning that control characters were replaced, or an empty list if none were."""
    if not places:
        return []
    others = f" and in {len(places) - 1} other texts" if len(places) > 1 else ""
    return [f"control characters in {places[0]}{others} were replaced by U+FFFD"]


def _replaced_texts(position: int, item: object, context: SymbolContext) -> Iterator[str]:
    raw = item["context"] if isinstance(item, Mapping) else {}
    for name in ("docstring", "source_code"):
        # A replaced character is none of ASCII's: most texts need no comparison.
        text = getattr(context, name)
        if text and not text.isascii() and REPLACEMENT in text and raw[name] != text:
            yield f"symbols[{position}].context.{name}"


def _conflict_with_others(symbol: Symbol, ids: dict[str, int], dimensions: dict[int, int]) -> Failed | None:
    """Return a failure for a duplicate id, or an embedding of another dimension than the first one's."""
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


def _parse_symbol(position: int, item: object, ignored_fields: set[str], max_faults: int) -> Symbol | Failed:
    place = f"symbols[{position}]"
    if isinstance(item, UnreadableLine):
        return Failed(position, place, None, "invalid_symbol", f"{place} {item.reason}")
    if not isinstance(item, Mapping):
        return Failed(position, place, None, "invalid_symbol", f"{place} must be an object with symbol_id and context")
    faults = list(_envelope_faults(place, item))
    raw = item.get("context")
    if isinstance(raw, dict):
        context = _context_or_faults(place, raw, faults)
        if context is not None and not faults:
            ignored_fields.update(printable(str(field), 80) for field in raw.keys() - CONTEXT_FIELDS)
            return Symbol(position, context)
    return _invalid(position, item, "; ".join(faults[:max_faults]))


def _context_or_faults(place: str, raw: Mapping[str, object], faults: list[str]) -> SymbolContext | None:
    """Return the context, or add its faults to `faults`."""
    try:
        return _read_context(raw)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        faults.extend(describe_fault(f"{place}.context", fault) for fault in found)
        return None


class UnreadableLine:
    """A line of JSON Lines that is not JSON; `reason` completes the sentence "symbols[3] ..."."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _envelope_faults(place: str, item: Mapping[str, object]) -> Iterator[str]:
    symbol_id, context = item.get("symbol_id"), item.get("context")
    if unknown := item.keys() - {"symbol_id", "context"}:
        named = ", ".join(sorted(printable(str(key), 80) for key in unknown)[:5])
        yield f"{place} has unknown keys ({named}); it takes symbol_id and context"
    if not isinstance(symbol_id, str) or not symbol_id:
        yield f"{place}.symbol_id must be a text and not empty"
    if not isinstance(context, dict):
        yield f"{place}.context must be an object"
    elif isinstance(context.get("symbol_id"), str) and isinstance(symbol_id, str) and context["symbol_id"] != symbol_id:
        yield f"{place}.context.symbol_id must be the same as {place}.symbol_id"


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
