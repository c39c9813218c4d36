"""A graph as plain JSON values: its nodes and edges as a pack has them, without documentation. Pure functions."""

from collections.abc import Container, Iterator, Sequence
from typing import TypedDict

from doctown.graph.model import MODULE, Edge, Graph, module_id
from doctown.parsing.records import FileRecord


class Node(TypedDict):
    """A symbol, or the module node of a file; unresolved calls contain the ambiguous ones. Lines are 1-based."""

    id: str
    name: str
    qualified_name: str
    kind: str
    language: str
    file: str
    signature: str | None
    parent: str | None
    exported: bool
    is_test: bool
    start_line: int
    end_line: int
    resolved_calls: int
    external_calls: list[str]
    unresolved_calls: int
    ambiguous_calls: int


EdgeJson = TypedDict(
    "EdgeJson",
    {"from": str, "to": str, "kind": str, "lines": list[int], "origin": str, "confidence": float},
)


def nodes(graph: Graph, paths: Container[str], test_paths: Container[str]) -> Iterator[Node]:
    """Yield the nodes of the files of `paths`: of each file its module, then its symbols in their order."""
    for file, ids in zip(graph.files, graph.symbol_ids, strict=True):
        if file.path in paths:
            is_test = file.path in test_paths
            yield _module_node(graph, file, is_test=is_test)
            yield from (_symbol_node(graph, file, ids, index, is_test=is_test) for index in range(len(ids)))


def edges(graph: Graph, paths: Container[str]) -> Iterator[EdgeJson]:
    """Yield the edges between the nodes of the files of `paths`, in the graph's order."""
    chosen = frozenset(
        node
        for file, ids in zip(graph.files, graph.symbol_ids, strict=True)
        if file.path in paths
        for node in (module_id(file.path), *ids)
    )
    return (_edge(edge) for edge in graph.edges if edge.source in chosen and edge.target in chosen)


def _edge(edge: Edge) -> EdgeJson:
    return {
        "from": edge.source,
        "to": edge.target,
        "kind": edge.kind,
        "lines": list(edge.lines),
        "origin": edge.origin,
        "confidence": edge.confidence,
    }


def _module_node(graph: Graph, file: FileRecord, *, is_test: bool) -> Node:
    counts = graph.counts[module_id(file.path)]
    return {
        "id": module_id(file.path),
        "name": file.path.rpartition("/")[2].partition(".")[0],
        "qualified_name": MODULE,
        "kind": "module",
        "language": file.language,
        "file": file.path,
        "signature": None,
        "parent": None,
        "exported": True,
        "is_test": is_test,
        "start_line": 1,
        "end_line": file.lines,
        "resolved_calls": counts.resolved,
        "external_calls": sorted(counts.external_names),
        "unresolved_calls": counts.unresolved,
        "ambiguous_calls": counts.ambiguous,
    }


def _symbol_node(graph: Graph, file: FileRecord, ids: Sequence[str], index: int, *, is_test: bool) -> Node:
    symbol, counts = file.symbols[index], graph.counts[ids[index]]
    return {
        "id": ids[index],
        "name": symbol.name,
        "qualified_name": symbol.qualified_name,
        "kind": symbol.kind,
        "language": file.language,
        "file": file.path,
        "signature": symbol.signature,
        "parent": ids[symbol.parent] if symbol.parent >= 0 else module_id(file.path),
        "exported": symbol.exported,
        "is_test": is_test or symbol.is_test,
        "start_line": symbol.start_line,
        "end_line": symbol.end_line,
        "resolved_calls": counts.resolved,
        "external_calls": sorted(counts.external_names),
        "unresolved_calls": counts.unresolved,
        "ambiguous_calls": counts.ambiguous,
    }
