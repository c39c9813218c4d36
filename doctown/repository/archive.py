"""Unpack a `.zip`, `.tar.gz` or `.tgz` archive into a folder, after all of it was looked at.

The first pass reads every member's header, and decompresses a tar archive, within the limits: an archive with an
absolute name, a "..", a device, an encrypted member, or too many members or bytes is refused before anything is
written. The second pass writes the files and counts real bytes. Links are not written but returned, and nothing but
regular files and the folders they need is ever made. Of members with one name, the last counts.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Literal, NamedTuple

from doctown.errors import SourceError
from doctown.repository.entries import Entry, check_name, path_of
from doctown.repository.limits import Deadline, Limits, too_many_bytes, too_many_files

# Source code compresses to a fifth or so; zeros, by the best that deflate can, to a thousandth.
MAX_RATIO = 100
_SMALL_BYTES = 50_000_000

_CHUNK_BYTES = 1 << 16
# A tar header with its padding and the pax header before it.
_TAR_OVERHEAD_BYTES = 4_096
_MAX_TAR_HEADER_BYTES = 1 << 20
# A zip's directory entry with its name and extra fields.
_ZIP_ENTRY_BYTES = 512
_FOLDERS_PER_FILE = 4
_ENCRYPTED = 0x1
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Unpacked(NamedTuple):
    """What the archive says beside its files: the commit (GitHub and `git archive` note it) and links not written."""

    commit: str | None
    links: tuple[Entry, ...]


class _Member(NamedTuple):
    parts: tuple[str, ...]
    kind: Literal["file", "folder", "link"]
    size_bytes: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, limits: Limits) -> Unpacked:
    """Unpack an archive into an empty folder, without the one folder that all members are in. Raises SourceError."""
    is_zip = archive.name.lower().endswith(".zip")
    deadline = Deadline(limits.timeout_s)
    try:
        with archive.open("rb") as file:
            archive_bytes = os.fstat(file.fileno()).st_size
            if archive_bytes > limits.max_bytes:
                raise too_many_bytes(limits)
            members = _zip_members if is_zip else _tar_members
            found, commit = members(file, limits, deadline)
            _check(found, archive_bytes, limits)
            skip = _top_folders(found)
            if is_zip:
                _write(iter(found), folder, skip, limits, deadline)
            else:
                _write(_tar_stream(file, limits, deadline)[0], folder, skip, limits, deadline)
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeError):
        raise SourceError(f"The archive {archive.name!a} is damaged: make or download it again") from None
    except NotImplementedError:
        raise SourceError(
            f"The archive {archive.name!a} is compressed in an unusual way: make it with deflate"
        ) from None
    links = (_name(member.parts[skip:]) for member in found if member.kind == "link")
    return Unpacked(commit, tuple(Entry(name, "link") for name in sorted(set(links))))


def _check(members: list[_Member], archive_bytes: int, limits: Limits) -> None:
    """Raise SourceError if the members are too many, too large, too compressed or wrongly named."""
    total_bytes = sum(member.size_bytes for member in members)
    if sum(member.kind != "folder" for member in members) > limits.max_files:
        raise too_many_files(limits)
    if total_bytes > limits.max_bytes:
        raise too_many_bytes(limits)
    if total_bytes > max(_SMALL_BYTES, MAX_RATIO * archive_bytes):
        raise SourceError(
            f"The archive unpacks to over {MAX_RATIO} times its size, as no source code does: leave such files out"
        )
    for member in members:
        check_name(_name(member.parts))


def _write(members: Iterator[_Member], folder: Path, skip: int, limits: Limits, deadline: Deadline) -> None:
    total_bytes = 0
    for member in members:
        if member.kind != "file":
            continue
        path = path_of(folder, _name(member.parts[skip:]))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            target = path.open("wb")
        except OSError:
            raise SourceError(
                "The archive has a file whose name is too long, or is also a folder's: make it again"
            ) from None
        with target, member.open() as content:
            while chunk := content.read(_CHUNK_BYTES):
                total_bytes += len(chunk)
                if total_bytes > limits.max_bytes:
                    raise too_many_bytes(limits)
                deadline.check()
                target.write(chunk)


def _top_folders(members: list[_Member]) -> int:
    """Return 1 if all members are in one folder, as in the archives of GitHub and PyPI, else 0."""
    files = [member for member in members if member.kind != "folder"]
    tops = {member.parts[0] for member in members}
    return int(len(tops) == 1 and bool(files) and all(len(member.parts) > 1 for member in files))


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a member's name. Raises SourceError if it leads out of the folder."""
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if name.startswith("/") or "\0" in name or ".." in parts or (parts and re.match(r"[A-Za-z]:", parts[0])):
        raise SourceError("The archive has an absolute name or one with ..: make it anew from inside its folder")
    return parts


def _name(parts: tuple[str, ...]) -> bytes:
    return "/".join(parts).encode("utf-8", "surrogateescape")


class _BoundedFile:
    """The archive's file, for zipfile: its directory, which is read at once, must have a size in keeping."""

    def __init__(self, file: IO[bytes], max_read_bytes: int, limits: Limits) -> None:
        self._file = file
        self._max_read_bytes = max_read_bytes
        self._limits = limits
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > self._max_read_bytes:
            raise too_many_files(self._limits)
        return self._file.read(size)


def _zip_members(file: IO[bytes], limits: Limits, deadline: Deadline) -> tuple[list[_Member], str | None]:
    max_entries = limits.max_files * _FOLDERS_PER_FILE
    archive = zipfile.ZipFile(_BoundedFile(file, max(1 << 20, max_entries * _ZIP_ENTRY_BYTES), limits))
    if len(archive.filelist) > max_entries:
        raise too_many_files(limits)
    members = []
    for info in archive.filelist:
        deadline.check()
        # Some programs for Windows write the backslash as the separator.
        parts = _parts(info.filename.replace("\\", "/"))
        if not parts or parts[0] == "__MACOSX":
            continue
        if info.flag_bits & _ENCRYPTED:
            raise SourceError("The archive has encrypted members: make it without a password")
        kind = _zip_kind(info)
        members.append(_Member(parts, kind, info.file_size if kind == "file" else 0, _zip_opener(archive, info)))
    comment = archive.comment.decode("ascii", "replace")
    return members, comment if _COMMIT.fullmatch(comment) else None


def _zip_kind(info: zipfile.ZipInfo) -> Literal["file", "folder", "link"]:
    if info.is_dir() or info.filename.endswith("\\"):
        return "folder"
    # The upper half is a Unix mode, where the program that wrote it had one.
    form = stat.S_IFMT(info.external_attr >> 16)
    if form == stat.S_IFLNK:
        return "link"
    if form not in {0, stat.S_IFREG}:
        raise _not_a_file()
    return "file"


def _zip_opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(info)


class _BoundedStream:
    """A decompressed tar archive, for tarfile: refuses to go beyond a number of bytes, or to read long headers."""

    def __init__(self, file: IO[bytes], max_bytes: int, limits: Limits, deadline: Deadline) -> None:
        self._stream = gzip.GzipFile(fileobj=file, mode="rb")
        self._max_bytes = max_bytes
        self._limits = limits
        self._deadline = deadline

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_TAR_HEADER_BYTES:
            raise tarfile.ReadError
        data = self._stream.read(size)
        self._check(self.tell())
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or offset < 0:
            raise tarfile.ReadError
        # Chunk by chunk, so that the deadline is looked at while it decompresses.
        while offset - self.tell() > _MAX_TAR_HEADER_BYTES:
            if not self.read(_MAX_TAR_HEADER_BYTES):
                break
        self._check(offset)
        return self._stream.seek(offset)

    def tell(self) -> int:
        return self._stream.tell()

    def _check(self, offset: int) -> None:
        self._deadline.check()
        if offset > self._max_bytes:
            raise too_many_bytes(self._limits)


def _tar_members(file: IO[bytes], limits: Limits, deadline: Deadline) -> tuple[list[_Member], str | None]:
    members, archive, stream = _tar_stream(file, limits, deadline)
    found = list(members)
    # To the end, where gzip has its checksum; a tar archive ends before.
    while stream.read(_CHUNK_BYTES):
        pass
    comment = archive.pax_headers.get("comment", "")
    return found, comment if _COMMIT.fullmatch(comment) else None


def _tar_stream(
    file: IO[bytes], limits: Limits, deadline: Deadline
) -> tuple[Iterator[_Member], tarfile.TarFile, _BoundedStream]:
    file.seek(0)
    max_members = limits.max_files * _FOLDERS_PER_FILE
    stream = _BoundedStream(file, limits.max_bytes + max_members * _TAR_OVERHEAD_BYTES, limits, deadline)
    archive = tarfile.TarFile(fileobj=stream, encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]

    def members() -> Iterator[_Member]:
        for number, info in enumerate(archive, start=1):
            if number > max_members:
                raise too_many_files(limits)
            parts = _parts(info.name)
            if info.size < 0:
                raise tarfile.ReadError
            if parts:
                kind = _tar_kind(info)
                yield _Member(parts, kind, info.size if kind == "file" else 0, _tar_opener(archive, info))

    return members(), archive, stream


def _tar_kind(info: tarfile.TarInfo) -> Literal["file", "folder", "link"]:
    if info.isdir():
        return "folder"
    if info.issym() or info.islnk():
        return "link"
    if not info.isreg() or info.issparse():
        raise _not_a_file()
    return "file"


def _tar_opener(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        content = archive.extractfile(info)
        if content is None:
            raise tarfile.ReadError
        return content

    return opened


def _not_a_file() -> SourceError:
    return SourceError("The archive has a device or another member that is no plain file: leave it out")
