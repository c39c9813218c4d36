"""The nearest neighbours of each vector by cosine, exact, in tiles of a matrix product.

The product is symmetric: half of the tiles are computed, and each serves its rows and its columns. A tile is read once
for the greatest of each group of 64; the nearest are then looked for in the groups with the greatest of these, which
must hold them. So the product is what costs.
"""

from __future__ import annotations

import threading
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from doctown.machine import map_on_cores

NEAREST = 3
GROUP = 64
TILE_ROWS = 2_048  # 17 MB for each core; of smaller tiles more is to be merged, larger ones leave the cache
NO_SIMILARITY = -2  # below every cosine, above the mark of what a scan has taken

Found: TypeAlias = "tuple[NDArray[np.intp], NDArray[np.float32]]"


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
    # Rows up to a whole number of groups; those added are masked below.
    padded = -(-len(filled) // GROUP) * GROUP
    rows = np.zeros((padded, vectors.shape[1]), dtype=np.float32)
    rows[: len(filled)] = vectors[filled]
    best = _Best(padded, count)
    starts = range(0, padded, TILE_ROWS)

    def search(tile: tuple[int, int]) -> None:
        """Find the nearest of the rows of a tile among its columns, and of its columns among its rows."""
        first, second = (slice(start, min(start + TILE_ROWS, padded)) for start in tile)
        similarities = rows[first] @ rows[second].T
        similarities[max(0, len(filled) - first.start) :] = NO_SIMILARITY
        similarities[:, max(0, len(filled) - second.start) :] = NO_SIMILARITY
        if first == second:
            np.fill_diagonal(similarities, NO_SIMILARITY)
        else:
            best.add(second, first.start, *_greatest_of_columns(similarities, count))
        best.add(first, second.start, *_greatest_of_rows(similarities, count))

    map_on_cores(search, [(first, second) for first in starts for second in starts if first <= second])
    result.positions[filled, :count] = filled[best.positions[: len(filled)]]
    result.similarities[filled, :count] = best.similarities[: len(filled)]
    return result


class _Best:
    """The `count` nearest of each row so far, from any order of tiles: of equally near ones, the first."""

    def __init__(self, rows: int, count: int) -> None:
        self.positions = np.zeros((rows, count), dtype=np.intp)
        self.similarities = np.full((rows, count), -np.inf, dtype=np.float32)
        self._lock = threading.Lock()

    def add(self, rows: slice, start: int, columns: NDArray[np.intp], similarities: NDArray[np.float32]) -> None:
        """Take in what was found for some rows among the rows from `start` on."""
        with self._lock:
            positions = np.hstack([self.positions[rows], start + columns])
            values = np.hstack([self.similarities[rows], similarities])
            order = np.lexsort((positions, -values), axis=1)[:, : self.positions.shape[1]]
            self.positions[rows] = np.take_along_axis(positions, order, axis=1)
            self.similarities[rows] = np.take_along_axis(values, order, axis=1)


def _greatest_of_rows(values: NDArray[np.float32], count: int) -> Found:
    """Return the columns and values of each row's greatest, in falling order; of equal ones, the first.

    The number of columns is a multiple of `GROUP`.
    """
    grouped = values.reshape(len(values), -1, GROUP)
    groups = _best_groups(grouped.max(axis=2), count)
    return _greatest_in(groups, np.take_along_axis(grouped, groups[:, :, np.newaxis], axis=1), count)


def _greatest_of_columns(values: NDArray[np.float32], count: int) -> Found:
    """Return what `_greatest_of_rows` does of the transposed matrix, without a copy of it."""
    grouped = values.reshape(-1, GROUP, values.shape[1])
    groups = _best_groups(np.ascontiguousarray(grouped.max(axis=1).T), count)
    columns = np.arange(values.shape[1])[:, np.newaxis, np.newaxis]
    return _greatest_in(groups, grouped[groups[:, :, np.newaxis], np.arange(GROUP), columns], count)


def _best_groups(greatest: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Return the groups, in rising order, that hold the greatest; `greatest` has the greatest of each group."""
    groups, _ = _greatest_by_scan(greatest, min(count, greatest.shape[1]))
    groups.sort(axis=1)
    return groups


def _greatest_in(groups: NDArray[np.intp], candidates: NDArray[np.float32], count: int) -> Found:
    """Return places and values of the greatest of the candidates: for each row, those of its groups."""
    places, greatest = _greatest_by_scan(candidates.reshape(len(candidates), -1), count)
    return np.take_along_axis(groups, places // GROUP, axis=1) * GROUP + places % GROUP, greatest


def _greatest_by_scan(values: NDArray[np.float32], count: int) -> Found:
    """Return what `_greatest_of_rows` does, overwriting `values`: `count` times the maximum of each row."""
    rows = np.arange(len(values))
    columns = np.empty((len(values), count), dtype=np.intp)
    greatest = np.empty((len(values), count), dtype=np.float32)
    for rank in range(count):
        columns[:, rank] = values.argmax(axis=1)
        greatest[:, rank] = values[rows, columns[:, rank]]
        values[rows, columns[:, rank]] = -np.inf
    return columns, greatest
