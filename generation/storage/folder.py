"""Storage in a local folder, for local runs and tests."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from generation.errors import StorageError
from generation.storage.base import Stored, delete_each
from generation.storage.threads import Parameters, Result, in_storage_thread

# Files that are being written: no documents yet.
_TEMPORARY_PREFIX = ".writing-"

# Attempts to make a file in a folder that another process removes meanwhile because it was empty.
_MAX_FOLDER_ATTEMPTS = 100


class FolderStorage:
    """Documents as files of a folder. A key that points outside the folder raises StorageError.

    The folder corresponds to the bucket's `results/`: the key `results/job.json` is the file `job.json`.
    """

    bucket: str | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def open(self, key: str) -> BinaryIO:
        return await self._run("read from", key, self._path(key).open, "rb")

    async def read(self, key: str) -> Stored | None:
        return await self._run("read from", key, _read_whole, self._path(key))

    async def exists(self, key: str) -> bool:
        return await self._run("read from", key, self._path(key).is_file)

    async def write(self, key: str, body: bytes) -> None:
        await self._run("written to", key, _write_whole, self._path(key), body)

    async def append(self, key: str, body: bytes) -> None:
        """Append to a document, which need not exist, and wait until it is on disk. A failure may leave a part."""
        await self._run("written to", key, _append, self._path(key), body)

    async def put_if_match(self, key: str, body: bytes, version: str | None) -> bool:
        return await self._run("written to", key, _replace_whole, self._path(key), body, version)

    async def list_keys(self, prefix: str) -> list[str]:
        return await self._run("read from", prefix, _keys_below, self._path(prefix), prefix)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete documents, and folders that become empty."""
        await delete_each(self._delete, keys)

    async def _delete(self, key: str) -> None:
        await self._run("removed from", key, self._remove, self._path(key))

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or another process was faster
            for folder in path.relative_to(self._folder).parents[:-1]:
                (self._folder / folder).rmdir()

    def url(self, key: str) -> str | None:
        """Return None: who reads an output may be on another machine, for which a path means nothing."""

    async def _run(
        self,
        verb: str,
        key: str,
        call: Callable[Parameters, Result],
        *args: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Result:
        try:
            return await in_storage_thread(call, *args, **named)
        except OSError as error:
            raise StorageError(f"{key} cannot be {verb} RESULTS_DIR ({_reason(error)})") from None

    def _path(self, key: str) -> Path:
        if key.startswith("/"):  # an absolute path inside of the folder would be another name of a key
            raise StorageError("the key leads out of RESULTS_DIR: it must name a file inside")
        try:
            path = (self._folder / key.removeprefix("results/")).resolve()
        except (OSError, RuntimeError, ValueError):  # a symbolic link to itself, or an invalid file name
            raise StorageError("the key names no file that RESULTS_DIR can have") from None
        if not path.is_relative_to(self._folder):
            raise StorageError("the key leads out of RESULTS_DIR: it must name a file inside")
        return path


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _read_whole(path: Path) -> Stored | None:
    try:
        with path.open("rb") as file:
            return Stored(file.read(), _version(file.fileno()))
    except FileNotFoundError:
        return None


def _version(file: int | Path) -> str:
    """Return a version made of inode, modification time and size: files are replaced, never written in place."""
    status = os.stat(file)  # noqa: PTH116 - of an open file too
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def _keys_below(folder: Path, prefix: str) -> list[str]:
    keys = []
    for parent, _, names in os.walk(folder, onerror=_raise_unless_missing):
        place = Path(parent).relative_to(folder)
        keys += [prefix + (place / name).as_posix() for name in names if not name.startswith(_TEMPORARY_PREFIX)]
    return sorted(keys)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


@contextlib.contextmanager
def _new_file(path: Path, body: bytes) -> Iterator[Path]:
    """Yield a complete temporary file next to `path`; remove it afterwards unless it was renamed."""
    handle, name = _temporary_file_in(path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        # mkstemp makes the file readable for its owner only; results are for everyone who may read the folder.
        Path(name).chmod(0o644)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _temporary_file_in(folder: Path) -> tuple[int, str]:
    """Make a file in a folder, and the folder, which other processes remove while it is empty."""
    for _ in range(_MAX_FOLDER_ATTEMPTS - 1):
        # FileExistsError: it was there when mkdir tried, and removed before mkdir looked whether it is a folder.
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            return _first_file_in(folder)
    return _first_file_in(folder)


def _first_file_in(folder: Path) -> tuple[int, str]:
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.mkstemp(dir=folder, prefix=_TEMPORARY_PREFIX)


def _write_whole(path: Path, body: bytes) -> None:
    """Write a file atomically: a reader sees the old content or the new content, never a part."""
    with _new_file(path, body) as file:
        file.replace(path)


def _append(path: Path, body: bytes) -> None:
    with _open_to_append(path) as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _open_to_append(path: Path) -> BinaryIO:
    for _ in range(_MAX_FOLDER_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            return path.open("ab")
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


def _replace_whole(path: Path, body: bytes, version: str | None) -> bool:
    with _new_file(path, body) as file, _locked(path.parent):
        try:
            present = _version(path)
        except FileNotFoundError:
            present = None
        if present != version:
            return False
        file.replace(path)
        return True


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock (flock) on the folder, against other conditional writes in it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
