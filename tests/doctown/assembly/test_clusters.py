"""k-means: it finds what is there, and says the same each time."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from doctown.assembly import clusters
from doctown.assembly.clusters import cluster_count, k_means

SEED = 7


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def groups(sizes: list[int], dimensions: int = 16) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Vectors around as many axes as there are sizes, shuffled, and the group of each."""
    chance = np.random.default_rng(SEED)
    members = chance.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return unit(np.eye(dimensions)[members] + chance.normal(0, 0.05, (len(members), dimensions))), members


def test_groups_are_found_and_numbered_by_their_first_member() -> None:
    vectors, members = groups([30, 20, 40, 10])
    order = list(dict.fromkeys(members.tolist()))

    assert k_means(vectors, 4).tolist() == [order.index(member) for member in members]


def test_groups_are_found_in_more_vectors_than_the_starts_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """With starts on every third of 100 vectors, the others belong to their groups all the same."""
    monkeypatch.setattr(clusters, "MAX_START_ROWS", 34)
    vectors, members = groups([30, 20, 40, 10])
    order = list(dict.fromkeys(members.tolist()))

    assert k_means(vectors, 4).tolist() == [order.index(member) for member in members]


def test_each_start_ends_where_no_vector_is_nearer_to_another_centre() -> None:
    """The fixed point of Lloyd's rounds: the mean of a vector's own cluster is the nearest of all means."""
    vectors = unit(np.random.default_rng(SEED).normal(size=(300, 8)))

    found = k_means(vectors, 6)

    means = np.stack([vectors[found == cluster].mean(axis=0) for cluster in range(6)])
    distances = np.linalg.norm(vectors[:, np.newaxis] - means, axis=2)
    assert np.array_equal(distances.argmin(axis=1), found)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_same_vectors_give_the_same_clusters_in_every_process(threads: str) -> None:
    """Whatever the number of threads of the matrix products."""
    code = (
        "import numpy as np; from doctown.assembly.clusters import k_means;"
        "vectors = np.random.default_rng(7).normal(size=(600, 64)).astype(np.float32);"
        "vectors /= np.linalg.norm(vectors, axis=1, keepdims=True);"
        "print(k_means(vectors, 9).tolist())"
    )
    environment = {"PATH": os.environ["PATH"], "OPENBLAS_NUM_THREADS": threads}

    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    vectors = unit(np.random.default_rng(7).normal(size=(600, 64)).astype(np.float32))
    assert ended.stdout == f"{k_means(vectors, 9).tolist()}\n"


@pytest.mark.parametrize(
    ("vectors", "k", "expected"),
    [
        (np.zeros((0, 4)), 3, []),
        (np.eye(4)[[2]], 3, [0]),
        (np.eye(4)[[1, 1, 1, 1]], 3, [0, 0, 0, 0]),
        (np.eye(4)[[3, 0, 3]], 8, [0, 1, 0]),
        (np.zeros((2, 4)), 2, [-1, -1]),
        (np.array([[0.0, 0], [0, 1], [0, 0], [1, 0]]), 2, [-1, 0, -1, 1]),
        (np.eye(4), 1, [0, 0, 0, 0]),
        (np.eye(4), 0, [-1, -1, -1, -1]),
    ],
    ids=["none", "one", "all the same", "fewer than k", "all zeros", "zeros among them", "k of one", "k of zero"],
)
def test_few_or_equal_vectors_have_fewer_clusters(vectors: NDArray[Any], k: int, expected: list[int]) -> None:
    assert k_means(vectors.astype(np.float32), k).tolist() == expected


def test_equal_vectors_are_one_cluster_whatever_rounding_makes_of_their_distances() -> None:
    """Three vectors of 256 numbers, each 50 times, are three clusters, and not the eight that are asked for."""
    vectors = np.repeat(unit(np.random.default_rng(SEED).normal(size=(3, 256))), 50, axis=0)

    assert np.array_equal(k_means(vectors, 8), np.repeat(np.arange(3), 50))


@pytest.mark.parametrize(
    ("symbols", "count"), [(0, 2), (1, 2), (40, 3), (319, 9), (1_093, 17), (5_381, 37), (16_000, 63), (40_000, 64)]
)
def test_the_number_of_clusters_grows_with_the_root_of_the_symbols(symbols: int, count: int) -> None:
    assert cluster_count(symbols) == count
