"""The nearest neighbours of each vector by cosine, exact, in blocks of a matrix product.

A row of similarities is read once, for the greatest of each group of 64 columns; the nearest are then looked for in the
groups with the greatest of these, which must hold them. So the product is what costs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from doctown.machine import map_on_cores

NEAREST = 3
GROUP_COLUMNS = 64
MAX_BLOCK_BYTES = 32_000_000  # for each core
NO_SIMILARITY = -2  # below every cosine, above the mark of what a scan has taken


class Neighbours(NamedTuple):
    """Row i has the `positions` of vector i's neighbours, nearest first, and their cosine `similarities`.

    Both are of shape (vectors, 3); where there are fewer neighbours, positions are -1 and similarities 0.
    """

    positions: NDArray[np.intp]
    similarities: NDArray[np.float32]


def nearest_neighbours(vectors: NDArray[np.float32], nearest: int = NEAREST) -> Neighbours:
    """Return the nearest neighbours of each row among the others; of equally near ones, the first.

    Rows are unit vectors or zeros; a row of zeros has no neighbours and is nobody's.
    """
    filled = np.flatnonzero(vectors.any(axis=1))
    result = Neighbours(
        np.full((len(vectors), nearest), -1, dtype=np.intp), np.zeros((len(vectors), nearest), dtype=np.float32)
    )
    count = min(nearest, len(filled) - 1)
    if count < 1:
        return result
    # Columns up to a whole number of groups; those added are masked below.
    columns = -(-len(filled) // GROUP_COLUMNS) * GROUP_COLUMNS
    others = np.zeros((columns, vectors.shape[1]), dtype=np.float32)
    others[: len(filled)] = vectors[filled]
    step = max(1, MAX_BLOCK_BYTES // (4 * columns))

    def search(start: int) -> None:
        """Fill the result's rows of one block."""
        rows = np.arange(start, min(start + step, len(filled)))
        similarities = others[rows] @ others.T
        similarities[:, len(filled) :] = NO_SIMILARITY
        similarities[rows - start, rows] = NO_SIMILARITY
        found, values = _greatest(similarities, count)
        result.positions[filled[rows], :count] = filled[found]
        result.similarities[filled[rows], :count] = values

    map_on_cores(search, range(0, len(filled), step))
    return result


def _greatest(values: NDArray[np.float32], count: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the columns and values of each row's greatest, in falling order; of equal ones, the first.

    The number of columns is a multiple of `GROUP_COLUMNS`.
    """
    grouped = values.reshape(len(values), -1, GROUP_COLUMNS)
    groups, _ = _greatest_by_scan(grouped.max(axis=2), min(count, grouped.shape[1]))
    groups.sort(axis=1)
    candidates = np.take_along_axis(grouped, groups[:, :, np.newaxis], axis=1).reshape(len(values), -1)
    places, greatest = _greatest_by_scan(candidates, count)
    columns = np.take_along_axis(groups, places // GROUP_COLUMNS, axis=1) * GROUP_COLUMNS + places % GROUP_COLUMNS
    return columns, greatest


def _greatest_by_scan(values: NDArray[np.float32], count: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return what `_greatest` does, overwriting `values`: `count` times the maximum of each row."""
    rows = np.arange(len(values))
    columns = np.empty((len(values), count), dtype=np.intp)
    greatest = np.empty((len(values), count), dtype=np.float32)
    for rank in range(count):
        columns[:, rank] = values.argmax(axis=1)
        greatest[:, rank] = values[rows, columns[:, rank]]
        values[rows, columns[:, rank]] = -np.inf
    return columns, greatest
