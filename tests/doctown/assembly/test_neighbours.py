"""The nearest neighbours are those of the whole matrix of similarities."""

from __future__ import annotations

import numpy as np
import pytest

from doctown.assembly import neighbours
from doctown.assembly.neighbours import nearest_neighbours

SEED = 7


def test_the_nearest_are_those_worked_out_by_hand() -> None:
    """(1, 0) is nearest to (.96, .28), then (.6, .8), then (0, 1)."""
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.96, 0.28], [-1, 0]], dtype=np.float32)

    found = nearest_neighbours(vectors)

    assert found.positions[0].tolist() == [3, 2, 1]
    assert found.similarities[0] == pytest.approx([0.96, 0.6, 0])


@pytest.mark.parametrize("tile_rows", [64, 128])
@pytest.mark.parametrize("count", [4, 64, 65, 200, 500])
def test_tiles_and_groups_give_what_sorting_all_pairs_would(
    count: int, tile_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With tiles of one and two groups, at and around whole numbers of groups."""
    monkeypatch.setattr(neighbours, "TILE_ROWS", tile_rows)
    vectors = np.random.default_rng(SEED).normal(size=(count, 12)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -2)

    found = nearest_neighbours(vectors)

    assert np.array_equal(found.positions, np.argsort(-similarities, axis=1, kind="stable")[:, :3])
    assert found.similarities == pytest.approx(-np.sort(-similarities, axis=1)[:, :3], abs=1e-6)


@pytest.mark.parametrize("tile_rows", [64, 2_048])
def test_of_equally_near_vectors_the_first_come_first(tile_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 equal vectors: each has the first three others, in one tile as in many."""
    monkeypatch.setattr(neighbours, "TILE_ROWS", tile_rows)
    vectors = np.tile(np.array([[0, 1, 0]], dtype=np.float32), (200, 1))

    found = nearest_neighbours(vectors)

    assert found.positions[[0, 1, 2, 3, 199]].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2]]
    assert np.array_equal(found.similarities, np.ones((200, 3), dtype=np.float32))


def test_of_equally_near_vectors_the_first_comes_first_behind_a_nearer_one_far_away() -> None:
    """Vector 1 is nearest to 100; then 5 and 70, which are equal, although 70 is in the group of 100 and 5 is not."""
    vectors = np.tile(np.array([[0, 0, 1]], dtype=np.float32), (130, 1))
    vectors[[1, 100, 5, 70]] = np.array([[1, 0, 0], [0.96, 0.28, 0], [0.6, 0.8, 0], [0.6, 0.8, 0]])

    assert nearest_neighbours(vectors).positions[1].tolist() == [100, 5, 70]


def test_a_vector_of_zeros_is_no_neighbour_and_has_none() -> None:
    vectors = np.array([[1, 0], [0, 0], [-1, 0], [0, 0]], dtype=np.float32)

    found = nearest_neighbours(vectors)

    assert found.positions.tolist() == [[2, -1, -1], [-1, -1, -1], [0, -1, -1], [-1, -1, -1]]
    assert found.similarities.tolist() == [[-1, 0, 0], [0, 0, 0], [-1, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("count", [0, 1])
def test_a_vector_alone_has_no_neighbours(count: int) -> None:
    found = nearest_neighbours(np.ones((count, 1), dtype=np.float32))

    assert found.positions.tolist() == [[-1, -1, -1]] * count
