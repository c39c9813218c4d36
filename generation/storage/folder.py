"""Documents as files of a folder, for local runs and tests."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from generation.errors import StorageError
from generation.storage.base import Stored
from generation.storage.r2 import Parameters, Result


class FolderStorage:
    """Documents as files of a folder; no key leads out of it.

    The folder stands for the bucket's `results/`: `results/job.json` is its `job.json`.
    """

    bucket: str | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def open(self, key: str) -> BinaryIO:
        """As Storage says."""
        return await self._run("read from", key, self._path(key).open, "rb")

    async def read(self, key: str) -> Stored | None:
        """As Storage says."""
        return await self._run("read from", key, _read_whole, self._path(key))

    async def write(self, key: str, body: bytes) -> None:
        """As Storage says."""
        await self._run("written to", key, _write_whole, self._path(key), body)

    async def put_if_match(self, key: str, body: bytes, version: str | None) -> bool:
        """As Storage says."""
        return await self._run("written to", key, _replace_whole, self._path(key), body, version)

    async def list_keys(self, prefix: str) -> list[str]:
        """As Storage says."""
        names = await self._run("read from", prefix, _names_in, self._path(prefix))
        return [prefix + name for name in names]

    async def delete(self, keys: Iterable[str]) -> None:
        """As Storage says; a folder that becomes empty goes too."""
        for key in keys:
            path = self._path(key)
            await self._run("removed from", key, path.unlink, missing_ok=True)
            with contextlib.suppress(OSError):
                for folder in path.relative_to(self._folder).parents[:-1]:
                    (self._folder / folder).rmdir()

    def url(self, key: str) -> str | None:
        """As Storage says."""
        return self._path(key).as_uri()

    async def _run(
        self,
        verb: str,
        key: str,
        call: Callable[Parameters, Result],
        *args: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Result:
        try:
            return await asyncio.to_thread(call, *args, **named)
        except OSError as error:
            raise StorageError(f"{key} cannot be {verb} RESULTS_DIR ({_reason(error)})") from None

    def _path(self, key: str) -> Path:
        try:
            path = (self._folder / key.removeprefix("results/")).resolve()
        except (OSError, RuntimeError, ValueError):  # a link to itself, a name that no file can have
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
    """Of a file: it is never written in place, so that each document that stands there is a file of its own."""
    status = os.stat(file)  # noqa: PTH116 - of an open file too
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def _new_file(path: Path, body: bytes) -> Iterator[Path]:
    """A whole file beside a path, ready to take its place; removed afterwards where it has not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        # mkstemp gives the file to its owner alone; results are for whoever may read the folder.
        Path(name).chmod(0o644)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _write_whole(path: Path, body: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    with _new_file(path, body) as file:
        file.replace(path)


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
    """Keep other processes out that replace a document of the same folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
