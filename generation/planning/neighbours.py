"""The nearest symbols of a job by their embeddings. Pure, in numpy, a block of rows at a time.

20,000 symbols of 1,536 dimensions are 120 MB as float32 and their similarities 1.6 GB at once; in blocks of 1,024 rows
they are 80 MB and take seconds. Leaves out: making embeddings, which come with the contexts.
"""

from __future__ import annotations

from collections.abc import Sequence

from generation.domain.outcome import Symbol

NEAREST = 3
BLOCK_ROWS = 1_024

Neighbour = tuple[int, float]


def nearest_neighbours(symbols: Sequence[Symbol]) -> dict[int, tuple[Neighbour, ...]]:
    """For each symbol with an embedding the (position, cosine similarity) of its three nearest, nearest first.

    All embeddings have one dimension and none is zero; `intake` has checked that. Takes a second for 20,000 symbols
    of 256 dimensions and needs `BLOCK_ROWS` rows of similarities at a time.
    """
    import numpy as np

    embedded = [symbol for symbol in symbols if symbol.context.embedding is not None]
    nearest = min(NEAREST, len(embedded) - 1)
    if nearest < 1:
        return {}
    vectors = np.array([symbol.context.embedding for symbol in embedded], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found: dict[int, tuple[Neighbour, ...]] = {}
    for start in range(0, len(embedded), BLOCK_ROWS):
        similarities = vectors[start : start + BLOCK_ROWS] @ vectors.T
        rows = np.arange(len(similarities))
        similarities[rows, start + rows] = -np.inf
        best = np.argpartition(-similarities, nearest - 1, axis=1)[:, :nearest]
        for row, columns in enumerate(best.tolist()):
            ranked = sorted(columns, key=lambda column: (-similarities[row, column], column))
            found[embedded[start + row].position] = tuple(
                (embedded[column].position, float(similarities[row, column])) for column in ranked
            )
    return found
