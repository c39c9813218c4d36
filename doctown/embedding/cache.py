"""Vectors that were computed before, by model and text, in one SQLite file that many processes may use.

A cache only saves time: what it cannot read is computed again, and what it cannot write is logged and left. Texts are
kept as SHA-256 only. Each vector carries a checksum, as SQLite has none; a damaged file is removed. Deleting the file
is the way to empty it, at any time. Left out: a limit of its size (1.7 kB a vector).
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from doctown.embedding.model import EmbeddingModel, Progress, Vectors

FILE_NAME = "vectors-1.sqlite3"  # the number changes with the format
LOCK_TIMEOUT_S = 30
KEYS_AT_ONCE = 500
BATCHES_BETWEEN_WRITES = 512  # on CPU 1,024 texts, some 13 s of work that a kill can cost

_TABLE = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
_CHECKSUM_BYTES = 4

log = logging.getLogger(__name__)


def embed_cached(
    model: EmbeddingModel,
    texts: Sequence[str],
    folder: Path | None,
    progress: Progress | None = None,
    found: Callable[[int], None] = lambda _: None,
) -> Vectors:
    """Return what `model.embed(texts)` would, taking what the folder's cache has, and adding to it what it had not.

    Without a folder nothing is kept. `progress` is called with (distinct texts done, distinct texts), `found` once with
    how many of them the cache has.
    """
    if folder is None:
        return model.embed(texts, progress)
    distinct = list(dict.fromkeys(texts))
    known = read_vectors(folder, model, distinct)
    found(len(known))
    missing = [text for text in distinct if text not in known]
    step = model.batch_size * BATCHES_BETWEEN_WRITES
    for start in range(0, len(missing), step):
        some = missing[start : start + step]
        vectors = model.embed(some, _shifted(progress, len(known), len(distinct)))
        new = dict(zip(some, vectors, strict=True))
        write_vectors(folder, model, new)
        known |= new
    if progress is not None:
        progress(len(distinct), len(distinct))
    if not texts:
        return np.zeros((0, model.dimensions), dtype=np.float32)
    return np.stack([known[text] for text in texts])


def read_vectors(folder: Path, model: EmbeddingModel, texts: Sequence[str]) -> dict[str, Vectors]:
    """Return the vectors that the cache has for the texts; a missing or damaged cache has none."""
    path = folder / FILE_NAME
    if not path.exists():
        return {}
    text_of = {_key(model, text): text for text in texts}
    keys = list(text_of)
    found: dict[str, Vectors] = {}
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT_S)) as database:
            for start in range(0, len(keys), KEYS_AT_ONCE):
                some = keys[start : start + KEYS_AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = database.execute(f"SELECT key, CAST(vector AS BLOB) FROM vectors WHERE key IN ({marks})", some)  # noqa: S608
                vectors = {text_of[key]: _unpack(packed, model.dimensions) for key, packed in rows}
                found |= {text: vector for text, vector in vectors.items() if vector is not None}
    except sqlite3.Error as error:
        _give_up(path, error)
    return found


def write_vectors(folder: Path, model: EmbeddingModel, vectors: Mapping[str, Vectors]) -> None:
    """Add the vectors of these texts, all or none."""
    path = folder / FILE_NAME
    rows = [(_key(model, text), _pack(vector)) for text, vector in vectors.items()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT_S)) as database, database:
            database.execute(_TABLE)
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
    except (sqlite3.Error, OSError) as error:
        _give_up(path, error)


def _give_up(path: Path, error: Exception) -> None:
    """Log why the cache is of no use; remove a file that is damaged."""
    log.warning("The cache of embeddings %s is not used: %s", path, error)
    # A fault of the surroundings (locked, full, read only) is an OperationalError; the file itself is in order.
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        path.unlink(missing_ok=True)


def _key(model: EmbeddingModel, text: str) -> bytes:
    return hashlib.sha256(f"{model.sha256}\n{text}".encode(errors="surrogatepass")).digest()


def _pack(vector: Vectors) -> bytes:
    numbers = vector.astype("<f4").tobytes()
    return numbers + zlib.crc32(numbers).to_bytes(_CHECKSUM_BYTES, "little")


def _unpack(packed: bytes, dimensions: int) -> Vectors | None:
    numbers, checksum = packed[:-_CHECKSUM_BYTES], packed[-_CHECKSUM_BYTES:]
    if len(numbers) != 4 * dimensions or zlib.crc32(numbers) != int.from_bytes(checksum, "little"):
        return None
    return np.frombuffer(numbers, dtype="<f4").astype(np.float32)


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    return None if progress is None else lambda done, _: progress(before + done, total)
