"""k-means with k-means++ (Arthur and Vassilvitskii 2007): fixed seed, ten starts, the one with the least inertia.

With more than `MAX_START_ROWS` vectors the starts are compared on evenly spaced rows, and the best of them is continued
on all rows. Left out: labels (`labels`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from doctown.machine import map_on_cores

SEED = 0
STARTS = 10
MAX_ROUNDS = 50
MAX_START_ROWS = 8_192
MIN_CLUSTERS, MAX_CLUSTERS = 2, 64

Floats = NDArray[np.float32]
Clusters = NDArray[np.intp]


class Partition(NamedTuple):
    """The cluster of each point, the clusters' centres, and the sum of the points' squared distances from them."""

    inertia: float
    clusters: Clusters
    centres: Floats


def cluster_count(symbols: int) -> int:
    """Return the number of clusters for so many symbols: clamp(round(sqrt(n) / 2), 2, 64).

    Measured on five packages: about the best agreement with files for 300 symbols (8) and for 5,000 (35).
    """
    return min(MAX_CLUSTERS, max(MIN_CLUSTERS, round(math.sqrt(symbols) / 2)))


def k_means(vectors: Floats, k: int) -> Clusters:
    """Return the cluster of each row, numbered in the order of their first members; -1 for a row of zeros.

    Rows are unit vectors or zeros. There are fewer than `k` clusters where fewer than `k` rows differ, or where one
    loses all of its rows on the way.
    """
    clusters = np.full(len(vectors), -1, dtype=np.intp)
    filled = np.flatnonzero(vectors.any(axis=1))
    if len(filled) and k > 0:
        points = vectors[filled]
        sample = points[:: -(-len(points) // MAX_START_ROWS)]
        starts = map_on_cores(lambda number: _start(sample, k, number), range(STARTS))
        best = min(starts, key=lambda start: start.inertia)
        (found,) = map_on_cores(lambda centres: _improve(points, centres).clusters, [best.centres])
        clusters[filled] = _numbered_by_first_member(found)
    return clusters


def _start(points: Floats, k: int, number: int) -> Partition:
    """Return what the start of this number comes to."""
    return _improve(points, _spread_centres(points, k, np.random.default_rng([SEED, number])))


def _spread_centres(points: Floats, k: int, chance: np.random.Generator) -> Floats:
    """Return up to `k` points, each chosen in proportion to its squared distance from those before it."""
    squares = np.einsum("ij,ij->i", points, points)
    chosen = [int(chance.integers(len(points)))]
    distances = np.full(len(points), np.inf)
    while True:
        last = points[chosen[-1]]
        # Rounding gives a point a distance from itself of some 1e-7, on either side of zero.
        to_last = np.maximum(squares - 2 * (points @ last) + last @ last, 0)
        distances = np.minimum(distances, to_last)
        total = np.cumsum(distances)
        if len(chosen) == k or total[-1] == 0:
            return points[chosen]
        place = np.searchsorted(total, chance.random() * total[-1], side="right")
        chosen.append(min(int(place), len(points) - 1))  # the product may be rounded up to the total


def _improve(points: Floats, centres: Floats) -> Partition:
    """Return the partition after Lloyd's rounds: until no row changes its cluster."""
    clusters = np.full(len(points), -1, dtype=np.intp)
    rows = np.arange(len(points))
    for _ in range(MAX_ROUNDS):
        # Of the squared distance |p|² - 2pc + |c|², the part that depends on the centre, halved.
        scores = points @ centres.T - np.einsum("ij,ij->i", centres, centres) / 2
        before, clusters = clusters, scores.argmax(axis=1)
        if np.array_equal(before, clusters):
            break
        membership = np.zeros_like(scores)
        membership[rows, clusters] = 1
        sizes = membership.sum(axis=0)
        means = (membership.T @ points) / np.maximum(sizes, 1)[:, np.newaxis]
        centres = np.where(sizes[:, np.newaxis] > 0, means, centres)  # one without members stays where it is
    inertia = float(np.sum(points**2, dtype=np.float64) - 2 * scores[rows, clusters].sum(dtype=np.float64))
    return Partition(inertia, clusters, centres)


def _numbered_by_first_member(clusters: Clusters) -> Clusters:
    _, firsts, place = np.unique(clusters, return_index=True, return_inverse=True)
    number = np.empty(len(firsts), dtype=np.intp)
    number[np.argsort(firsts)] = np.arange(len(firsts))
    return number[place]
