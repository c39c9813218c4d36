"""What static analysis knows of one symbol, as a job's input contains it.

The types validate: texts have no control characters, numbers are within their bounds. Control characters in what is
quoted from files (docstring, source) are replaced, and a number that only rounding has put outside of its bounds is put
on them. Leaves out: how an item of the payload becomes a context (`intake`).
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic.dataclasses import dataclass as pydantic_dataclass

from generation.domain.limits import MAX_SOURCE_CHARS

# Control characters, and lone surrogates, which no UTF-8 can carry.
_FORBIDDEN_IN_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_FORBIDDEN_IN_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")

# More than any sum of 32-bit floats that should be 1 is off, and far less than what is wrong on purpose.
ROUNDING = 1e-6


def _without_controls(text: str) -> str:
    return _CONTROLS.sub(REPLACEMENT, text)


def _clamped(least: float) -> Callable[[object], object]:
    """Return a validator that puts a number from just outside of `least` to 1 on that bound."""

    def clamp(value: object) -> object:
        if isinstance(value, float) and least - ROUNDING <= value <= 1 + ROUNDING:
            return min(1.0, max(least, value))
        return value

    return clamp


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
    """Drop blank names and intern the others: the names of a codebase recur thousands of times."""
    return tuple(sys.intern(name) for name in names if name.strip())


Line = Annotated[str, Field(min_length=1, max_length=1_024), AfterValidator(_line)]
SharedLine = Annotated[Line, AfterValidator(sys.intern)]
Label = Annotated[str, Field(max_length=1_024), AfterValidator(_text), AfterValidator(sys.intern)]
Name = Annotated[str, Field(max_length=10_000), AfterValidator(_text)]
Signature = Annotated[str, Field(max_length=100_000), AfterValidator(_text)]
Source = Annotated[str, Field(max_length=MAX_SOURCE_CHARS), AfterValidator(_without_controls)]
Key = Annotated[Line, Field(max_length=1_024)]
Names = Annotated[tuple[Name, ...], Field(max_length=10_000), BeforeValidator(_or_empty), AfterValidator(_shared)]


Cosine = Annotated[float, Field(strict=True, ge=-1, le=1, allow_inf_nan=False), BeforeValidator(_clamped(-1.0))]
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False), BeforeValidator(_clamped(0.0))]


@pydantic_dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class RelatedSymbol:
    """A related symbol of which more is known than its name; `similarity` is a cosine, -1 to 1."""

    name: Line
    similarity: Cosine | None = None
    note: Label | None = None


def _embedding(values: list[float]) -> array[float]:
    if sum(value * value for value in values) < _MIN_SQUARED_NORM:
        raise ValueError("must not be a zero vector")
    # A list of floats takes eight times the memory of an array of 32-bit floats.
    return array("f", values)


# Below this squared norm, a vector of 32-bit floats cannot be normalised reliably.
_MIN_SQUARED_NORM = 1e-12

AS_TEXT, AS_OBJECT = "as text", "as object"
NameOrObject = Annotated[
    Annotated[Name, Tag(AS_TEXT)] | Annotated[RelatedSymbol, Tag(AS_OBJECT)],
    Discriminator(lambda value: AS_OBJECT if isinstance(value, dict) else AS_TEXT),
]
Related = Annotated[tuple[NameOrObject, ...], Field(max_length=10_000), BeforeValidator(_or_empty)]
Component = Annotated[float, Field(strict=True, ge=-1e6, le=1e6, allow_inf_nan=False)]
Embedding = Annotated[list[Component], Field(min_length=1, max_length=8_192), AfterValidator(_embedding)]


@pydantic_dataclass(frozen=True, slots=True, config=ConfigDict(extra="ignore"))
class SymbolContext:
    """What static analysis knows of one symbol. `centrality` runs from 0 to 1."""

    symbol_id: Annotated[Line, Field(description="The same ID as beside `context`.")]
    name: Annotated[Line, Field(description="Name as written in the source.")]
    kind: Annotated[SharedLine, Field(description="Kind, such as function, method or class.")]
    language: Annotated[SharedLine, Field(description="Programming language.")]
    file_path: Annotated[SharedLine, Field(description="Path from the root of the repository.")]
    signature: Annotated[Signature | None, Field(description="Signature as written in the source.")] = None
    calls: Annotated[Names, Field(description="Names of the symbols that it calls.")] = ()
    called_by: Annotated[Names, Field(description="Names of the symbols that call it.")] = ()
    imports: Annotated[Names, Field(description="Import lines of its file.")] = ()
    related_symbols: Annotated[
        Related, Field(description="Names, or objects with details; semantic context uses such objects as they are.")
    ] = ()
    cluster_label: Annotated[Label | None, Field(description="Part of the codebase that it belongs to.")] = None
    centrality: Annotated[
        Share | None,
        Field(description="From 0 to 1; 1 is the most central symbol."),
    ] = None
    docstring: Annotated[Source | None, Field(description="Docstring as written in the source, without quotes.")] = None
    source_code: Annotated[
        Source | None, Field(description="Source code; the more of the body is present, the better the summary.")
    ] = None
    embedding: Annotated[
        Embedding | None,
        Field(description="Vector, of one dimension throughout the job; semantic context finds neighbours by it."),
    ] = None
    callees: Annotated[
        tuple[SharedLine, ...] | None,
        Field(
            max_length=10_000,
            description="Ids of the symbols of this job that it calls; `calls` is then only what the prompt shows.",
        ),
    ] = None
    parent: Annotated[
        SharedLine | None, Field(description="What it is defined in, by its name: a class, a module.")
    ] = None
    bases: Annotated[Names, Field(description="Names of the classes or interfaces that it extends.")] = ()
    decorators: Annotated[Names, Field(description="Its decorators, attributes or annotations.")] = ()
    exported: Annotated[
        bool | None, Field(strict=True, description="Whether it is part of the public API of its module.")
    ] = None


CONTEXT_FIELDS = frozenset(SymbolContext.__dataclass_fields__)
