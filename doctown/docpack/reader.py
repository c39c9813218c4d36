"""Reads a pack and believes nothing: the archive, the checksums, the types and the references are looked at.

What an archive could do to its reader is limited before it is done: sizes are refused by the headers that announce
them, and nothing is ever unpacked to a disk. Leaves out the vectors' format (`embeddings`) and what the documents of a
pack must agree on (`rules`).
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import from_json

from doctown.docpack.embeddings import embeddings_path, read_vectors
from doctown.docpack.pack import Pack
from doctown.docpack.rules import check_pack, check_pages
from doctown.docpack.schema import (
    CLUSTERS,
    DOCUMENTS,
    FORMAT,
    FORMAT_VERSION,
    GRAPH,
    MANIFEST,
    MAX_HEADER_BYTES,
    MAX_MEMBER_BYTES,
    MAX_MEMBERS,
    MAX_UNPACKED_BYTES,
    NAMED_MEMBERS,
    NODES,
    SOURCE_MAP,
    Manifest,
    MemberInfo,
    Repository,
    first_problem,
    is_file_path,
)
from doctown.errors import PackError
from doctown.machine import collector_paused

BLOCK_BYTES = 64 << 10
# What tarfile, gzip and zlib raise at damaged archives; OverflowError and ValueError come from numbers in headers.
DAMAGES = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError)

Source: TypeAlias = "Path | BinaryIO"


class Limits(NamedTuple):
    """What a reader takes."""

    members: int = MAX_MEMBERS
    member_bytes: int = MAX_MEMBER_BYTES
    unpacked_bytes: int = MAX_UNPACKED_BYTES


LIMITS = Limits()


class _LimitedGzip(gzip.GzipFile):
    """A gzipped stream that gives no more than it is allowed to: no header can announce a gigabyte of headers."""

    allowed = MAX_HEADER_BYTES + BLOCK_BYTES
    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        if self.taken > self.allowed:
            message = f"the headers of a member are larger than {MAX_HEADER_BYTES} bytes."
            raise PackError(message)
        return data


def open_pack(source: Source, limits: Limits = LIMITS) -> Pack:
    """Return the pack, with every checksum, type and reference looked at. Raise PackError, in one sentence.

    `source` is a file, or a binary stream that need not be seekable. Unknown keys of JSON objects are left out: a later
    writer of the same format version may add some. The vectors beside the pack are not looked at.
    """
    with _named(source) as stream:
        return read_stream(stream, limits)


def read_stream(stream: BinaryIO, limits: Limits = LIMITS) -> Pack:
    """Do what `open_pack` does, but raise PackError with the problem alone, without a name before it."""
    documents: dict[str, Any] = {}
    with _problems(), collector_paused():
        for name, data in _documents(stream, limits):
            documents[name] = _parse(name, data)
    pack = Pack(
        manifest=documents[MANIFEST],
        nodes=documents[NODES]["nodes"],
        edges=documents[GRAPH]["edges"],
        clusters=documents[CLUSTERS],
        source_map=documents[SOURCE_MAP],
    )
    check_pack(pack)
    check_pages(pack)
    return pack


def read_manifest(source: Source, limits: Limits = LIMITS) -> Manifest:
    """Return the manifest alone, which is the first member: nothing behind it is read. Raise PackError."""
    with _named(source) as stream, _problems():
        name, data = next(_documents(stream, limits))
        manifest: Manifest = _parse(name, data)
        return manifest


def read_member(path: Path, name: str, limits: Limits = LIMITS) -> bytes | None:
    """Return a member of a pack, or None where it has none of this name. Raise PackError, also where it is damaged."""
    with _named(path) as stream, _problems(), _unpacked(stream) as (unpacked, tar):
        expected: dict[str, MemberInfo] = {}
        for member, read in _members(tar, unpacked, limits):
            if member.name == MANIFEST:
                data = read.read()
                expected = _parse(MANIFEST, data)["members"]
                if name == MANIFEST:
                    return data
                if name not in expected:
                    return None
            elif member.name == name:
                data = read.read()
                _check_whole(member, hashlib.sha256(data).hexdigest(), expected[name])
                return data
    return None


def read_embeddings(path: Path) -> NDArray[np.float32] | None:
    """Return the vectors beside the pack, one row for each node, or None where it has none. Raise PackError."""
    info = read_manifest(path)["embeddings"]
    return None if info is None else read_vectors(embeddings_path(path).with_name(info["file"]), info)


def open_previous(path: Path, repository: Repository) -> Pack:
    """Return an earlier pack of the repository. Raise PackError where it is another's, or cannot be read."""
    pack = open_pack(path)
    if not same_repository(pack.manifest["repository"], repository):
        message = (
            f"{path} documents the repository {pack.manifest['repository']['name']!r}, not {repository['name']!r}: "
            "name a pack of the same repository, or none."
        )
        raise PackError(message)
    return pack


def same_repository(one: Repository, other: Repository) -> bool:
    """Return whether two packs are of one repository: by address where both have one, else by name."""
    from doctown.repository import identity

    if one["url"] is not None and other["url"] is not None:
        return identity(one["url"]) == identity(other["url"])
    return one["name"] == other["name"]


@contextmanager
def _named(source: Source) -> Iterator[BinaryIO]:
    """Open what is given, and put its name before whatever is wrong with it."""
    name = str(source) if isinstance(source, Path) else "The pack"
    try:
        with ExitStack() as stack:
            yield stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
    except PackError as error:
        message = f"{name} cannot be read: {error}"
        raise PackError(message) from None
    except OSError as error:
        message = f"{name} cannot be read: {error.strerror}."
        raise PackError(message) from None


@contextmanager
def _problems() -> Iterator[None]:
    """Say in a sentence what the libraries say of a broken stream or archive."""
    try:
        yield
    except DAMAGES:
        message = "it is no .docpack, or it is damaged or cut off."
        raise PackError(message) from None
    except OSError as error:
        message = f"{error.strerror or 'the stream is broken'}."
        raise PackError(message) from None


@contextmanager
def _unpacked(stream: BinaryIO) -> Iterator[tuple[_LimitedGzip, tarfile.TarFile]]:
    with (
        _LimitedGzip(fileobj=stream, mode="rb") as unpacked,
        tarfile.open(fileobj=unpacked, mode="r|", bufsize=BLOCK_BYTES, encoding="utf-8") as tar,
    ):
        yield unpacked, tar


def _documents(stream: BinaryIO, limits: Limits) -> Iterator[tuple[str, bytes]]:
    """Yield the JSON documents, the manifest first; look at the place, size and SHA-256 of every member."""
    expected: dict[str, MemberInfo] = {}
    seen: set[str] = set()
    with _unpacked(stream) as (unpacked, tar):
        for place, (member, read) in enumerate(_members(tar, unpacked, limits)):
            _check_place(member.name, place, seen, expected)
            seen.add(member.name)
            if member.name == MANIFEST:
                data = read.read()
                expected = _parse(MANIFEST, data)["members"]
                yield MANIFEST, data
            elif member.name in (NODES, GRAPH, CLUSTERS, SOURCE_MAP):
                data = read.read()
                _check_whole(member, hashlib.sha256(data).hexdigest(), expected[member.name])
                yield member.name, data
            else:
                _check_whole(member, _digest(read), expected[member.name])
        unpacked.allowed = unpacked.taken + 3 * BLOCK_BYTES
        # tarfile has read on to the end of a block: what is left there is in its own stream only.
        _check_end({*NAMED_MEMBERS, *expected} - seen, cast("BinaryIO", tar.fileobj))


def _check_place(name: str, place: int, seen: set[str], expected: dict[str, MemberInfo]) -> None:
    if name in seen:
        message = f"it has two members with the name {name!r}."
        raise PackError(message)
    if place < len(NAMED_MEMBERS) and name != NAMED_MEMBERS[place]:
        message = f"its member {place + 1} should be {NAMED_MEMBERS[place]}, and is {name!r}."
        raise PackError(message)
    if place and name not in expected:
        message = f"its manifest does not name the member {name!r}."
        raise PackError(message)


def _check_whole(member: tarfile.TarInfo, digest: str, expected: MemberInfo) -> None:
    if member.size != expected["bytes"] or digest != expected["sha256"]:
        message = f"the member {member.name!r} is not the one that the manifest describes: bytes or SHA-256 differ."
        raise PackError(message)


def _check_end(missing: set[str], rest: BinaryIO) -> None:
    if missing:
        message = f"its member {min(missing)!r} is missing."
        raise PackError(message)
    # Behind the last member there are zeros up to the end of a block. Reading on, gzip looks at its own checksum.
    zeros = rest.read(2 * BLOCK_BYTES)
    if len(zeros) == 2 * BLOCK_BYTES or zeros.strip(b"\0"):
        message = "something follows its last member."
        raise PackError(message)


def _members(
    tar: tarfile.TarFile, unpacked: _LimitedGzip, limits: Limits
) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """Yield the members, safe ones only: regular files with relative names, within the limits."""
    total = 0
    for place, member in enumerate(iter(tar.next, None)):
        if place >= limits.members:
            message = f"it has more than {limits.members} members."
            raise PackError(message)
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse is not None:
            message = f"the member {member.name!r} is no regular file."
            raise PackError(message)
        if not is_file_path(member.name):
            message = f"the name of the member {member.name!r} is no relative path without '..'."
            raise PackError(message)
        total += member.size
        if not 0 <= member.size <= limits.member_bytes or total > limits.unpacked_bytes:
            message = f"the member {member.name!r} is too large: {member.size} bytes, {total} with those before it."
            raise PackError(message)
        unpacked.allowed = tar.offset + BLOCK_BYTES
        # Python before 3.13 keeps every member that it has seen.
        tar.members.clear()  # type: ignore[attr-defined]
        yield member, cast("BinaryIO", tar.extractfile(member))
        unpacked.allowed = tar.offset + MAX_HEADER_BYTES + BLOCK_BYTES


def _digest(data: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := data.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _parse(name: str, data: bytes) -> Any:  # noqa: ANN401 -- the document's type goes by its name
    if name == MANIFEST:
        _check_version(data)
    try:
        if b"NaN" in data or b"Infinity" in data:
            # Most often in a text. As numbers they are no JSON, but in keys that it ignores pydantic lets them pass.
            from_json(data, allow_inf_nan=False)
        return DOCUMENTS[name.removesuffix(".json")].validate_json(data, extra="ignore")
    except ValidationError as error:
        message = f"{name}: {first_problem(error)}."
        raise PackError(message) from None
    except ValueError as error:
        message = f"{name} is no JSON: {error}."
        raise PackError(message) from None


def _check_version(data: bytes) -> None:
    try:
        manifest = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        message = f"{MANIFEST} is no JSON: {error}."
        raise PackError(message) from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        message = f"{MANIFEST} does not say that it is the format {FORMAT!r}."
        raise PackError(message)
    version = manifest.get("format_version")
    if type(version) is int and version > FORMAT_VERSION:
        message = (
            f"it has the format version {version}, and this program reads versions up to {FORMAT_VERSION}: "
            "use a newer program, or build the pack anew."
        )
        raise PackError(message)
