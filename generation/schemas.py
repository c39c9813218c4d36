"""The contract: what a job's input may hold, what a symbol's context is, and what comes of a symbol.

Parsing gives one verdict a symbol: a context or a `Failed`, never an exception; only what is wrong with the job as a
whole raises InputError. Messages name the place (`symbols[17].context.name`) and never repeat what stands there. Leaves
out: where symbols come from (`sources`), and the documents that are written (`report`).
"""

from __future__ import annotations

import re
import sys
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass

from generation.config import (
    BatchSize,
    BatchTokens,
    Centrality,
    ConcurrentRequests,
    CostUsd,
    DeadlineS,
    Language,
    MaxSymbols,
    ModelName,
)
from generation.errors import InputError
from generation.outcomes import Failed, Symbol

MAX_JOB_SYMBOLS = 50_000
MAX_SOURCE_CHARS = 1_000_000

JOB_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# Control characters, and lone surrogates, which no UTF-8 can carry.
_FORBIDDEN_IN_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_FORBIDDEN_IN_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def _line(text: str) -> str:
    return _plain(text, _FORBIDDEN_IN_LINE, "one line of plain text is expected")


def _text(text: str) -> str:
    return _plain(text, _FORBIDDEN_IN_TEXT, "of these only white space is allowed")


def _plain(text: str, forbidden: re.Pattern[str], rule: str) -> str:
    if found := forbidden.search(text):
        kind = "a lone surrogate" if found[0] >= "\ud800" else "a control character"
        raise ValueError(f"has {kind} (U+{ord(found[0]):04X}) at {found.start()}; {rule}")
    return text


def _or_empty(value: object) -> object:
    return () if value is None else value


def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """Without blank names, and each name once in memory: those of a codebase recur thousands of times."""
    return tuple(sys.intern(name) for name in names if name.strip())


Line = Annotated[str, Field(min_length=1, max_length=1_024), AfterValidator(_line)]
SharedLine = Annotated[Line, AfterValidator(sys.intern)]
Label = Annotated[str, Field(max_length=1_024), AfterValidator(_text), AfterValidator(sys.intern)]
Name = Annotated[str, Field(max_length=10_000), AfterValidator(_text)]
Signature = Annotated[str, Field(max_length=100_000), AfterValidator(_text)]
Source = Annotated[str, Field(max_length=MAX_SOURCE_CHARS), AfterValidator(_text)]
Key = Annotated[Line, Field(max_length=1_024)]
Names = Annotated[tuple[Name, ...], Field(max_length=10_000), BeforeValidator(_or_empty), AfterValidator(_shared)]


@pydantic_dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class RelatedSymbol:
    """A related symbol of which more is known than its name; `similarity` is a cosine, -1 to 1."""

    name: Line
    similarity: Annotated[float, Field(strict=True, ge=-1, le=1, allow_inf_nan=False)] | None = None
    note: Label | None = None


def _embedding(values: list[float]) -> array[float]:
    if sum(value * value for value in values) < _LEAST_SQUARED_NORM:
        raise ValueError("must not be a zero vector")
    # A list of a thousand floats takes eight times the memory.
    return array("f", values)


# Below this a vector of 32-bit numbers has no direction any more.
_LEAST_SQUARED_NORM = 1e-12

_AS_TEXT, _AS_OBJECT = "as text", "as object"
NameOrObject = Annotated[
    Annotated[Name, Tag(_AS_TEXT)] | Annotated[RelatedSymbol, Tag(_AS_OBJECT)],
    Discriminator(lambda value: _AS_OBJECT if isinstance(value, dict) else _AS_TEXT),
]
Related = Annotated[tuple[NameOrObject, ...], Field(max_length=10_000), BeforeValidator(_or_empty)]
Component = Annotated[float, Field(strict=True, ge=-1e6, le=1e6, allow_inf_nan=False)]
Embedding = Annotated[list[Component], Field(min_length=1, max_length=8_192), AfterValidator(_embedding)]


@pydantic_dataclass(frozen=True, slots=True, config=ConfigDict(extra="ignore"))
class SymbolContext:
    """What static analysis knows of one symbol. `centrality` runs from 0 to 1."""

    symbol_id: Line
    name: Line
    kind: SharedLine
    language: SharedLine
    file_path: SharedLine
    signature: Signature | None = None
    calls: Names = ()
    called_by: Names = ()
    imports: Names = ()
    related_symbols: Related = ()
    cluster_label: Label | None = None
    centrality: Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)] | None = None
    docstring: Source | None = None
    source_code: Source | None = None
    embedding: Embedding | None = None


CONTEXT_FIELDS = frozenset(SymbolContext.__dataclass_fields__)
_read_context = TypeAdapter(SymbolContext).validate_python


class JobOptions(BaseModel):
    """A job's own choices; each one's default is the setting of the same name in capitals (`model`: MODEL_NAME)."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, protected_namespaces=())

    model: ModelName | None = Field(default=None, serialization_alias="model_name")
    max_concurrent_requests: ConcurrentRequests | None = None
    max_symbols: MaxSymbols | None = None
    batch_mode: bool | None = None
    batch_size: BatchSize | None = None
    max_batch_tokens: BatchTokens | None = None
    include_semantic_context: bool | None = None
    callees_first: bool | None = None
    output_language: Language | None = None
    min_centrality: Centrality | None = None
    max_cost_usd: CostUsd | None = None
    deadline_s: DeadlineS | None = None
    dry_run: bool = Field(default=False, exclude=True)

    def as_settings(self) -> dict[str, Any]:
        """The options that are given, under the names of their settings."""
        return self.model_dump(exclude_none=True, by_alias=True)


class JobInput(BaseModel):
    """RunPod's `input`: what to document and how. The symbols themselves are parsed one by one, by `parse_symbols`."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    job_id: str | None = None
    symbols: list[Any] | None = None
    symbols_key: Key | None = None
    previous_results_key: Key | None = None
    options: JobOptions = JobOptions()

    @model_validator(mode="after")
    def _names_its_symbols_once(self) -> JobInput:
        if (self.symbols is None) == (self.symbols_key is None):
            raise ValueError("exactly one of symbols and symbols_key must be given")
        return self


def parse_job(payload: object, default_job_id: str) -> JobInput:
    """Read a job's input; its `job_id` is set afterwards. Raises InputError with a sentence that names the place."""
    if not isinstance(payload, dict):
        raise InputError("input must be an object with symbols or symbols_key")
    given = {key: value for key, value in payload.items() if value is not None}
    try:
        job = JobInput.model_validate(given)
    except ValidationError as error:
        raise InputError("; ".join(describe_fault("input", fault) for fault in error.errors()[:3])) from None
    job_id = default_job_id if job.job_id is None else job.job_id
    if not JOB_ID.fullmatch(job_id) or not job_id.strip("."):
        raise InputError(
            "input.job_id must be 1 to 128 letters, digits, dots, underscores or hyphens, and not only dots"
        )
    return job.model_copy(update={"job_id": job_id})


def check_symbol_count(count: int) -> None:
    """Raise InputError where a job has no symbols, or more than one job takes."""
    if count == 0:
        raise InputError("symbols is empty: there is nothing to document")
    if count > MAX_JOB_SYMBOLS:
        advice = f"a job takes at most {MAX_JOB_SYMBOLS}: split it into several"
        raise InputError(f"symbols holds {count} symbols and {advice}")


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


def printable(text: str, max_chars: int = 1_024) -> str:
    """A text of the payload in a form that can always be sent: lone surrogates and control characters are escaped."""
    sendable = text[:max_chars].encode("utf-8", errors="backslashreplace").decode("utf-8")
    return "".join(f"\\x{ord(char):02x}" if unicodedata.category(char) == "Cc" else char for char in sendable)


_PLAIN_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a key that is known here",
    "string_type": "must be a text",
    "string_unicode": "has a lone surrogate, which is no character",
    "string_too_short": "must not be empty",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "finite_number": "must be a finite number",
}


def describe_fault(place: str, fault: Mapping[str, Any]) -> str:
    """One of pydantic's findings as a sentence that names the place and leaves out the value."""
    where = place
    for part in fault["loc"]:
        if part in {_AS_TEXT, _AS_OBJECT}:
            continue
        where += f"[{part}]" if isinstance(part, int) else f".{printable(str(part), 80)}"
    limits = fault.get("ctx", {})
    if fault["type"] == "string_too_long":
        return f"{where} has more than {limits['max_length']} characters"
    if fault["type"] == "too_long":
        return f"{where} has more than {limits['max_length']} items"
    words = _PLAIN_WORDS.get(fault["type"])
    return f"{where} {words}" if words else f"{where}: {fault['msg'].removeprefix('Value error, ')}"
