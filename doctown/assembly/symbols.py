"""The symbols of a program one by one, with what is known of each beside its record, and who calls whom. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

from doctown.analysis import Analysis
from doctown.errors import SourceError
from doctown.graph.model import MODULE, Graph
from doctown.graph.pagerank import MIN_CONFIDENCE
from doctown.parsing.records import FileRecord, Symbol


class ProgramSymbol(NamedTuple):
    """A symbol under its id; `parent` is the id of the symbol it is defined in, None at the top of the file."""

    id: str
    file: FileRecord
    symbol: Symbol
    parent: str | None
    is_test: bool


class Calls(NamedTuple):
    """Sure calls between symbols, by id: whom each calls, and who calls it; ids sorted, itself left out."""

    callees: Mapping[str, Sequence[str]]
    callers: Mapping[str, Sequence[str]]


def program_symbols(analysis: Analysis) -> list[ProgramSymbol]:
    """Return all symbols in the order of files and places. Raise SourceError where two have one id."""
    tests = {file.path for file in analysis.files if file.is_test}
    found = [
        ProgramSymbol(
            symbol_id,
            file,
            symbol,
            ids[symbol.parent] if symbol.parent >= 0 else None,
            file.path in tests or symbol.is_test,
        )
        for file, ids in zip(analysis.graph.files, analysis.graph.symbol_ids, strict=True)
        for symbol_id, symbol in zip(ids, file.symbols, strict=True)
    ]
    check_ids([symbol.id for symbol in found])
    return found


def check_ids(ids: Sequence[str]) -> None:
    """Raise SourceError where an id is there twice."""
    seen: set[str] = set()
    for symbol_id in ids:
        if symbol_id in seen:
            path = symbol_id.partition("::")[0]
            raise SourceError(f"Two symbols have the id {symbol_id!a}: leave their file out with --exclude {path!a}")
        seen.add(symbol_id)


def sure_calls(graph: Graph, tests: Container[str] = ()) -> Calls:
    """Return the calls that are more than a guess; those of a file's own code are left out, and calls by `tests`.

    What a test calls is the same without it: a summary need not be written again because of a new test.
    """
    callees: dict[str, set[str]] = defaultdict(set)
    callers: dict[str, set[str]] = defaultdict(set)
    module_end = f"::{MODULE}"
    for edge in graph.edges:
        if edge.source in tests:
            continue
        is_sure = edge.kind == "calls" and edge.confidence >= MIN_CONFIDENCE and edge.source != edge.target
        if is_sure and not edge.source.endswith(module_end) and not edge.target.endswith(module_end):
            callees[edge.source].add(edge.target)
            callers[edge.target].add(edge.source)
    return Calls(_sorted(callees), _sorted(callers))


def _sorted(sets: Mapping[str, set[str]]) -> dict[str, list[str]]:
    return {one: sorted(others) for one, others in sets.items()}
