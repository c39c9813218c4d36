"""TF-IDF over words: weights worked out by hand, and what their projection keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from doctown.embedding.words import DIMENSIONS, tf_idf, word_vectors


def test_weights_are_those_worked_out_by_hand() -> None:
    """Two texts. "file" is in both: 1 + ln(3/3) = 1; "read" and "draw" in one: 1 + ln(3/2); twice: times 1 + ln 2."""
    rare, twice = 1 + math.log(3 / 2), 1 + math.log(2)

    rows = tf_idf(["readFile", "draw draw_file"])

    assert rows.vocabulary == ("read", "file", "draw")
    assert rows.starts.tolist() == [0, 2, 4]
    assert rows.columns.tolist() == [0, 1, 2, 1]
    first, second = math.hypot(rare, 1), math.hypot(rare * twice, 1)
    assert rows.weights == pytest.approx([rare / first, 1 / first, rare * twice / second, 1 / second])


def test_vectors_are_of_length_one_and_of_zeros_without_words() -> None:
    vectors = word_vectors(["read the file", "", "...", "x"])

    assert vectors.dtype == np.float32
    assert vectors.shape == (4, DIMENSIONS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 0, 1], abs=1e-6)
    assert word_vectors([]).shape == (0, DIMENSIONS)
    assert not word_vectors(["", ""]).any()


def test_the_projection_keeps_similarities() -> None:
    """Over 1,200 texts (more than one block) the cosines are those of the exact weights, with an error below six
    standard errors of 1 / sqrt(256), and within one on average."""
    texts = [
        f"word{number % 40} word{number % 7} term{number % 13} {'common ' * (number % 3)}" for number in range(1_200)
    ]
    rows = tf_idf(texts)
    exact = np.zeros((len(texts), len(rows.vocabulary)), dtype=np.float32)
    exact[np.repeat(np.arange(len(texts)), np.diff(rows.starts)), rows.columns] = rows.weights

    vectors = word_vectors(texts)

    errors = np.abs(vectors @ vectors.T - exact @ exact.T)
    assert errors.max() < 6 / 16
    assert errors.mean() < 1 / 16


def test_equal_texts_have_equal_vectors_and_the_order_of_texts_does_not_matter() -> None:
    texts = ["read a file", "draw a circle", "read a file"]

    vectors = word_vectors(texts)

    assert np.array_equal(vectors[0], vectors[2])
    assert word_vectors(texts[::-1]) == pytest.approx(vectors[::-1], abs=1e-6)
