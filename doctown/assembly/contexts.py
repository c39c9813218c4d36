"""What the worker is told of each symbol: contexts from the records, the graph and the source. Pure.

A context holds nothing that moves when another symbol changes and that a summary would then be paid again for, but for
the names of callers and callees. So the label of a symbol's cluster is never in it: one function more in a repository
of 3,160 symbols gave 2,966 of them another label. Neighbours are in it where semantic context is asked for: a summary
is not paid again because of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from doctown.assembly.symbols import Calls, ProgramSymbol
from generation import SymbolContext

MAX_NAMES = 40
MAX_ID_CHARS = 1_024  # of what the worker takes
MAX_SIGNATURE_CHARS = 10_000

# What the worker refuses: control characters but white space, and halves of surrogate pairs.
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Neighbour(NamedTuple):
    """A symbol that is near another: its qualified name, the cosine of the two vectors, its first sentence if any."""

    name: str
    similarity: float
    note: str | None = None


class Facts(NamedTuple):
    """What contexts are made of beside a symbol and its source: names by id, calls, centrality, calls that lead out."""

    names: Mapping[str, str]
    calls: Calls
    centrality: Mapping[str, float]
    external_calls: Mapping[str, Iterable[str]]


def make_context(
    symbol: ProgramSymbol, source: str, facts: Facts, neighbours: Sequence[Neighbour] = ()
) -> SymbolContext:
    """Return the context of a symbol; `source` is what a prompt shows of its source."""
    found = symbol.symbol
    callees = facts.calls.callees.get(symbol.id, ())
    callers = facts.calls.callers.get(symbol.id, ())
    values: dict[str, Any] = {
        "symbol_id": symbol.id,
        "name": _line(found.name),
        "kind": found.kind,
        "language": symbol.file.language,
        "file_path": symbol.file.path,
        "signature": clean(found.signature)[:MAX_SIGNATURE_CHARS] or None,
        "calls": _names([*(facts.names[one] for one in callees), *sorted(facts.external_calls.get(symbol.id, ()))]),
        "called_by": _names(facts.names[one] for one in callers),
        "callees": tuple(one for one in callees if len(one) <= MAX_ID_CHARS and one.isprintable())[:MAX_NAMES],
        "imports": _names(_import_lines(symbol)),
        "centrality": facts.centrality.get(symbol.id, 0.0),
        "docstring": clean(found.docstring or "") or None,
        "source_code": clean(source) or None,
        "parent": _line(facts.names[symbol.parent]) if symbol.parent is not None else None,
        "bases": _names(found.base_names),
        "decorators": _names(decorator.text for decorator in found.decorators),
        "exported": found.exported,
        "related_symbols": [
            {"name": _line(one.name), "similarity": max(-1.0, min(1.0, one.similarity)), "note": one.note}
            for one in neighbours
        ],
    }
    return SymbolContext(**values)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the first names, each once, on one line."""
    return tuple(dict.fromkeys(_line(name) for name in names if name.strip()))[:MAX_NAMES]


def _import_lines(symbol: ProgramSymbol) -> list[str]:
    return [
        one.module if one.member is None else f"{one.module}: {one.member}"
        for one in symbol.file.imports
        if one.scope == 0
    ]


def _line(text: str) -> str:
    return " ".join(clean(text).split())[:MAX_ID_CHARS] or "?"


def clean(text: str) -> str:
    """Return a text without what the worker refuses."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)
