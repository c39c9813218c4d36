"""Writes a pack: the same records give the same bytes, and only a pack that its reader has taken gets its name.

The members are written into a spool first, since the manifest stands before them and names their hashes. Leaves out
what the pages say (`markdown`) and how a pack is made of a build's records (`pack`).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from doctown.docpack.embeddings import Vectors, embeddings_path, read_vectors, write_vectors
from doctown.docpack.markdown import llms_text, pages, readme
from doctown.docpack.pack import Pack, index_pack
from doctown.docpack.reader import read_stream
from doctown.docpack.rules import check_pack, created_time
from doctown.docpack.schema import (
    CLUSTERS,
    DOCUMENTS,
    GRAPH,
    LLMS,
    MANIFEST,
    NODES,
    README,
    SOURCE_MAP,
    Edge,
    EmbeddingsInfo,
    Manifest,
    MemberInfo,
    Node,
    first_problem,
)
from doctown.errors import PackError

COMPRESSION_LEVEL = 6
COPY_BYTES = 1 << 20
END_OF_ARCHIVE = bytes(2 * tarfile.BLOCKSIZE)
NODE: TypeAdapter[Node] = TypeAdapter(Node)
EDGE: TypeAdapter[Edge] = TypeAdapter(Edge)


class PackFile(NamedTuple):
    """A pack that has been written: where it is, and how to know it."""

    path: Path
    size_bytes: int
    sha256: str
    embeddings_path: Path | None
    manifest: Manifest


def write_pack(pack: Pack, path: Path, vectors: Vectors | None = None) -> PackFile:
    """Write `NAME.docpack`, and `NAME.embeddings.bin` beside it where there are vectors, over what was there before.

    Both are complete, read back and synced to the disk under other names before they get these. The manifest's
    `members` and `embeddings` are worked out anew. Raise PackError where the pack contradicts itself or cannot be
    written; what was there before is still there then, and nothing else is.
    """
    beside = embeddings_path(path)
    try:
        for taken in (path, beside):
            if taken.is_dir():
                message = f"{taken} is a folder: name a file."
                raise PackError(message)
        return _write_files(pack, path, beside, vectors)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}."
        raise PackError(message) from None


def _write_files(pack: Pack, path: Path, beside: Path, vectors: Vectors | None) -> PackFile:
    with ExitStack() as stack:
        archive = stack.enter_context(_new_file(path.parent))
        info = None
        if vectors is not None:
            numbers = stack.enter_context(_new_file(path.parent))
            info = write_vectors(numbers, beside.name, vectors, pack.nodes)
            _sync(numbers)
            read_vectors(Path(numbers.name), info)
        manifest = _write_archive(archive, pack, info, path.parent)
        _sync(archive)
        _read_back(archive, path)
        digest = file_digest(archive)
        if info is not None:
            Path(numbers.name).replace(beside)
        written = PackFile(path, archive.tell(), digest, None if info is None else beside, manifest)
        Path(archive.name).replace(path)
    if info is None:
        beside.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return written


@contextmanager
def _new_file(folder: Path) -> Iterator[BinaryIO]:
    """Yield a new file, which is removed at the end where it has not got another name."""
    temporary = folder / f".docpack-{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("x+b") as file:
            yield file
    finally:
        temporary.unlink(missing_ok=True)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the new names last: a file's own sync does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_back(archive: BinaryIO, path: Path) -> None:
    archive.seek(0)
    try:
        read_stream(archive)
    except PackError as error:
        message = f"{path} is not written, as its reader refuses it: {error}"
        raise PackError(message) from None


def file_digest(file: BinaryIO) -> str:
    """Return the SHA-256 of a file, which is at its end afterwards."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(COPY_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _write_archive(archive: BinaryIO, pack: Pack, info: EmbeddingsInfo | None, folder: Path) -> Manifest:
    """Write the archive and return its manifest. The spool holds what follows on the manifest and the two texts."""
    draft = replace(pack, manifest=_typed("manifest", {**pack.manifest, "embeddings": info, "members": {}}))
    commit, created = draft.manifest["repository"]["commit"], created_time(draft.manifest["created_at"])
    changed_s = max(created, 0) if commit is not None else 0
    with tempfile.TemporaryFile(dir=folder) as spool:
        members: dict[str, MemberInfo] = {}
        for name, data in _documents(draft):
            members[name] = _add_member(spool, name, data, changed_s)
        check_pack(draft)
        index = index_pack(draft)
        texts = {README: readme(draft).encode(), LLMS: llms_text(draft, index).encode()}
        for name, page in pages(draft, index):
            members[name] = _add_member(spool, name, page.encode(), changed_s)
        head = io.BytesIO()
        before = {name: _add_member(head, name, data, changed_s) for name, data in texts.items()}
        manifest: Manifest = {**draft.manifest, "members": {**before, **members}}
        with gzip.GzipFile("", "wb", COMPRESSION_LEVEL, archive, mtime=0) as compressed:
            _add_member(compressed, MANIFEST, _json(manifest, MANIFEST) + b"\n", changed_s)
            compressed.write(head.getvalue())
            spool.seek(0)
            shutil.copyfileobj(spool, compressed, COPY_BYTES)
            compressed.write(END_OF_ARCHIVE)
    return manifest


def _add_member(file: BinaryIO | gzip.GzipFile, name: str, data: bytes, changed_s: int) -> MemberInfo:
    """Append a member to a tar archive: mode 0644, owner 0, and the given time, in seconds since 1970."""
    header = tarfile.TarInfo(name)
    header.size, header.mtime = len(data), changed_s
    file.write(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
    file.write(data)
    file.write(bytes(-len(data) % tarfile.BLOCKSIZE))
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _documents(pack: Pack) -> Iterator[tuple[str, bytes]]:
    yield NODES, _json_lines("nodes", NODE, pack.nodes)
    yield GRAPH, _json_lines("edges", EDGE, pack.edges)
    yield CLUSTERS, _json(_typed("clusters", pack.clusters), CLUSTERS) + b"\n"
    yield SOURCE_MAP, _json(_typed("source_map", pack.source_map), SOURCE_MAP) + b"\n"


def _json_lines(key: str, adapter: TypeAdapter[Any], records: Sequence[Node] | Sequence[Edge]) -> bytes:
    """Return a document of one list, a record a line. Records become text one by one: a copy of all would be large."""
    out = io.BytesIO(f'{{"{key}":['.encode())
    out.seek(0, io.SEEK_END)
    for place, record in enumerate(records):
        where = f"{key}[{place}]"
        try:
            text = _json(adapter.validate_python(record), where)
        except ValidationError as error:
            message = f"{where}.{first_problem(error)}."
            raise PackError(message) from None
        out.write(b",\n" if place else b"\n")
        out.write(text)
    out.write(b"\n]}\n")
    return out.getvalue()


def _typed(name: str, value: object) -> Any:  # noqa: ANN401 -- the document's type goes by its name
    """Return a document with its keys in their order, each of the right type."""
    try:
        return DOCUMENTS[name].validate_python(value)
    except ValidationError as error:
        message = f"{name}.json: {first_problem(error)}."
        raise PackError(message) from None


def _json(value: object, where: str) -> bytes:
    """Return compact JSON in UTF-8; numbers that are not finite have been refused by the types."""
    try:
        return to_json(value)
    except PydanticSerializationError:
        message = f"{where} has a text with half of a surrogate pair, which is no Unicode."
        raise PackError(message) from None
