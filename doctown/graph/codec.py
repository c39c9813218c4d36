"""A graph as bytes, for the cache: all but the records that it was resolved from."""

import marshal
from collections.abc import Sequence

from doctown.graph.model import Counts, Edge, Graph
from doctown.parsing.records import FileRecord


def encode(graph: Graph) -> bytes:
    """Return the graph as bytes, without its records."""
    counts = [
        (symbol, sorted(of.external_names), of.resolved, of.external, of.unresolved, of.ambiguous)
        for symbol, of in graph.counts.items()
    ]
    return marshal.dumps((list(map(list, graph.symbol_ids)), counts, list(map(tuple, graph.edges))))


def decode(data: bytes, files: Sequence[FileRecord]) -> Graph:
    """Return the graph that `encode` made the bytes from, on the records that it was resolved from."""
    symbol_ids, counts, edges = marshal.loads(data)  # noqa: S302 - from the user's own cache
    return Graph(
        files,
        symbol_ids,
        {
            symbol: Counts(resolved, external, unresolved, ambiguous, set(names))
            for symbol, names, resolved, external, unresolved, ambiguous in counts
        },
        list(map(Edge._make, edges)),
    )
