"""TF-IDF vectors of words, for where no model is there: cheap, deterministic, and never downloaded.

Against all-MiniLM-L6-v2 they find the same file and call edges as well at a hundredth of the cost, and are behind in
matching descriptions to code. The vectors of all words are projected to 256 dimensions by random signs (Achlioptas
2003), which keeps four fifths of the three nearest neighbours at 37,000 symbols; a truncated SVD of the 2,048 commonest
words keeps two fifths and takes longer, as rare words are what tells symbols apart.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from doctown.embedding.text import split_words

DIMENSIONS = 256
BLOCK_ROWS = 512


class SparseRows(NamedTuple):
    """A sparse matrix in compressed rows: row i has `weights[starts[i]:starts[i + 1]]` in the columns `columns[...]`.

    Column j is the word `vocabulary[j]`.
    """

    starts: NDArray[np.intp]
    columns: NDArray[np.intp]
    weights: NDArray[np.float32]
    vocabulary: tuple[str, ...]


def word_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return a unit vector for each text, of shape (len(texts), 256); zeros for a text without words.

    The cosine of two of them is that of their rows of `tf_idf`, with a standard error of at most .07.
    """
    rows = tf_idf(texts)
    signs = _signs(rows.vocabulary)
    vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
    filled = np.flatnonzero(np.diff(rows.starts))
    for block in np.split(filled, range(BLOCK_ROWS, len(filled), BLOCK_ROWS)):
        if len(block):
            entries = slice(rows.starts[block[0]], rows.starts[block[-1] + 1])
            signed = signs[rows.columns[entries]] * rows.weights[entries, np.newaxis]
            vectors[block] = np.add.reduceat(signed, rows.starts[block] - entries.start, axis=0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    return vectors


def tf_idf(texts: Sequence[str]) -> SparseRows:
    """Return the weights of the words in each text, rows of length one.

    The weight of a word is (1 + ln count) * (1 + ln((1 + texts) / (1 + texts with the word))), before the row is
    brought to length one: sublinear counts and smoothed frequencies, as in scikit-learn's TfidfVectorizer.
    """
    column_of: dict[str, int] = {}
    starts, columns, counts = [0], [], []
    for text in texts:
        for word, count in Counter(split_words(text)).items():
            columns.append(column_of.setdefault(word, len(column_of)))
            counts.append(count)
        starts.append(len(columns))
    in_column = np.array(columns, dtype=np.intp)
    texts_with = np.bincount(in_column, minlength=len(column_of))
    rarity = 1 + np.log((1 + len(texts)) / (1 + texts_with))
    weights = (1 + np.log(np.array(counts, dtype=np.float64))) * rarity[in_column]
    in_row = np.repeat(np.arange(len(texts)), np.diff(starts))
    lengths = np.sqrt(np.bincount(in_row, weights**2, minlength=len(texts)))
    weights /= lengths[in_row]
    return SparseRows(np.array(starts, dtype=np.intp), in_column, weights.astype(np.float32), tuple(column_of))


def _signs(vocabulary: Sequence[str]) -> NDArray[np.int8]:
    """Return a row of 1 and -1 for each word, that depends on the word alone: the bits of its SHAKE-128."""
    encoded = (word.encode(errors="surrogatepass") for word in vocabulary)
    digests = b"".join(hashlib.shake_128(word).digest(DIMENSIONS // 8) for word in encoded)
    bits = np.unpackbits(np.frombuffer(digests, dtype=np.uint8)).reshape(len(vocabulary), DIMENSIONS)
    return bits.astype(np.int8) * 2 - 1
