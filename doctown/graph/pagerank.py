"""How central each symbol is: PageRank over calls that are known, scaled to 0..1.

PageRank as in Page, Brin, Motwani, Winograd: The PageRank Citation Ranking (1999), by power iteration, with dangling
nodes spread evenly. A caller passes its rank to what it calls, and a method to its class, so that a class is as central
as its methods together. Guessed edges are left out.
"""

import numpy as np
import numpy.typing as npt

from doctown.graph.model import Graph, module_id
from doctown.parsing.records import TYPE_KINDS

MIN_CONFIDENCE = 0.7
DAMPING = 0.85
TOLERANCE = 1e-9  # of the sum of changes in one iteration
MAX_ITERATIONS = 200


def centrality(graph: Graph) -> dict[str, float]:
    """Return for each node a number in 0..1: the logarithm of its PageRank, scaled so that the largest is 1.

    A node that nothing leads to has 0, and so have all nodes of a graph without edges.
    """
    nodes = [
        node for file, ids in zip(graph.files, graph.symbol_ids, strict=True) for node in (module_id(file.path), *ids)
    ]
    number = {node: position for position, node in enumerate(nodes)}
    pairs = {
        (number[edge.source], number[edge.target])
        for edge in graph.edges
        if edge.kind == "calls" and edge.confidence >= MIN_CONFIDENCE and edge.source != edge.target
    }
    if not pairs:
        return dict.fromkeys(nodes, 0.0)
    for file, ids in zip(graph.files, graph.symbol_ids, strict=True):
        pairs |= {
            (number[node], number[ids[symbol.parent]])
            for node, symbol in zip(ids, file.symbols, strict=True)
            if symbol.parent >= 0 and file.symbols[symbol.parent].kind in TYPE_KINDS
        }
    edges = np.array(sorted(pairs), dtype=np.int64)
    return dict(zip(nodes, _log_scaled(_ranks(edges, len(nodes))).tolist(), strict=True))


def _ranks(edges: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.float64]:
    """Return the PageRank of `count` nodes; edges: [n, 2], source and target."""
    source, target = edges[:, 0], edges[:, 1]
    degree = np.bincount(source, minlength=count)
    weight = 1.0 / degree[source]
    dangling = degree == 0
    rank = np.full(count, 1.0 / count)
    for _ in range(MAX_ITERATIONS):
        passed = np.bincount(target, weights=rank[source] * weight, minlength=count)
        following = (1 - DAMPING) / count + DAMPING * (passed + rank[dangling].sum() / count)
        change = np.abs(following - rank).sum()
        rank = following
        if change < TOLERANCE:
            break
    return rank


def _log_scaled(rank: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return ranks on a logarithmic scale from the least (0) to the largest (1), to four decimals."""
    logarithms = np.log(rank / rank.min())
    largest = logarithms.max()
    return np.round(logarithms / largest, 4) if largest > 0 else np.zeros_like(rank)
