"""The file of vectors beside a pack, `NAME.embeddings.bin`: a head of 24 bytes and the numbers, little-endian.

Leaves out which model made the vectors: the pack's manifest says it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from doctown.docpack.schema import EMBEDDINGS_SUFFIX, PACK_SUFFIX, EmbeddingsInfo, Node
from doctown.errors import PackError

HEAD = struct.Struct("<8s4I")
MAGIC = b"DOCEMBED"
VERSION = 1
FLOAT32 = 0
ROWS_AT_ONCE = 4096


class Vectors(NamedTuple):
    """Vectors of symbols and the model that made them: row `i` of `matrix`, (rows, dimensions), is that of `ids[i]`."""

    ids: Sequence[str]
    matrix: NDArray[np.float32]
    model: str
    model_sha256: str | None


def embeddings_path(pack: Path) -> Path:
    """Return the path of the vectors of `NAME.docpack`. Raise PackError where it has another suffix."""
    if pack.suffix != PACK_SUFFIX or pack.name == PACK_SUFFIX:
        message = f"{pack} should be a name that ends in {PACK_SUFFIX}."
        raise PackError(message)
    return pack.with_name(pack.name.removesuffix(PACK_SUFFIX) + EMBEDDINGS_SUFFIX)


def write_vectors(file: BinaryIO, name: str, vectors: Vectors, nodes: Sequence[Node]) -> EmbeddingsInfo:
    """Write the vectors in the order of the nodes, zeros where a node has none, and return what the manifest says.

    Raise PackError where ids and rows differ in number, an id is no node's or there twice, or a number is not finite.
    """
    matrix = np.asarray(vectors.matrix, dtype="<f4")
    if matrix.ndim != 2 or len(matrix) != len(vectors.ids) or matrix.shape[1] == 0:  # noqa: PLR2004 -- rows, columns
        message = f"the vectors have the shape {matrix.shape}, and there are {len(vectors.ids)} ids for them."
        raise PackError(message)
    rows = {symbol_id: row for row, symbol_id in enumerate(vectors.ids)}
    stray = rows.keys() - {node["id"] for node in nodes}
    if stray or len(rows) != len(vectors.ids):
        problem = f"no symbol has the id {min(stray)!r}" if stray else "a symbol has two"
        message = f"there is a vector too many: {problem}."
        raise PackError(message)
    if not np.isfinite(matrix).all():
        message = "the vectors have a number that is not finite."
        raise PackError(message)
    digest = hashlib.sha256()
    dimensions = int(matrix.shape[1])
    for block in (HEAD.pack(MAGIC, VERSION, len(nodes), dimensions, FLOAT32), *_blocks(matrix, rows, nodes)):
        digest.update(block)
        file.write(block)
    return {
        "file": name,
        "sha256": digest.hexdigest(),
        "model": vectors.model,
        "model_sha256": vectors.model_sha256,
        "dimensions": dimensions,
        "dtype": "float32",
        "rows": len(nodes),
        "metric": "cosine",
    }


def _blocks(matrix: NDArray[np.float32], rows: dict[str, int], nodes: Sequence[Node]) -> Iterator[bytes]:
    for start in range(0, len(nodes), ROWS_AT_ONCE):
        part = nodes[start : start + ROWS_AT_ONCE]
        block = np.zeros((len(part), matrix.shape[1]), dtype="<f4")
        for place, node in enumerate(part):
            row = rows.get(node["id"])
            if row is not None:
                block[place] = matrix[row]
        yield block.tobytes()


def read_vectors(path: Path, info: EmbeddingsInfo) -> NDArray[np.float32]:
    """Return the vectors, (rows, dimensions), after looking at head, size and SHA-256. Raise PackError."""
    size = HEAD.size + 4 * info["rows"] * info["dimensions"]
    try:
        with path.open("rb") as file:
            if path.stat().st_size != size:
                message = f"{path} has {path.stat().st_size} bytes, and the pack says {size}."
                raise PackError(message)
            head = file.read(HEAD.size)
            numbers = np.fromfile(file, dtype="<f4")
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}."
        raise PackError(message) from None
    if head != HEAD.pack(MAGIC, VERSION, info["rows"], info["dimensions"], FLOAT32):
        message = f"{path} does not begin as the vectors of this pack do."
        raise PackError(message)
    digest = hashlib.sha256(head)
    digest.update(numbers.data)
    if digest.hexdigest() != info["sha256"]:
        message = f"{path} has another SHA-256 than the pack says: it belongs to another build."
        raise PackError(message)
    return numbers.reshape(info["rows"], info["dimensions"]).astype(np.float32, copy=False)
