"""Copies of packs on this machine, so that a range or a member of one does not cost the whole of it again.

A pack is fetched from the store and hashed once, and kept under its SHA-256; those that were asked for longest ago make
room. An answer gets a hard link in a folder of its own, so that it is whole though its pack makes room. All of it is in
a work folder, which goes with the process.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from doctown.jobs.work_folder import work_folder
from generation import Storage

MAX_KEPT_BYTES = 1_000_000_000
COPY_BYTES = 1 << 20


class PackFiles:
    """The copies of one process, of `max_bytes` together."""

    def __init__(self, storage: Storage, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._storage = storage
        self._max_bytes = max_bytes
        self._sizes_bytes: OrderedDict[str, int] = OrderedDict()  # by SHA-256, the one asked for longest ago first
        self._stack = ExitStack()
        self._work: Path | None = None

    async def close_at_the_end(self) -> None:
        """Remove all copies once the task is cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            self._stack.close()

    async def copy(self, key: str, sha256: str) -> Path | None:
        """Return a copy of a pack, in a folder that the caller removes; None where the store has another pack there.

        A pack that was removed from the store is not to be had, though a copy is there. Raise StorageError.
        """
        is_there = await self._storage.exists(key)
        path = Path(tempfile.mkdtemp(prefix="answer-", dir=self._folder())) / key.rpartition("/")[2]
        try:
            if is_there and sha256 in self._sizes_bytes:
                os.link(self._kept(sha256), path)
                self._sizes_bytes.move_to_end(sha256)
                return path
            with await self._storage.open(key) as file:
                digest = await asyncio.to_thread(_copy, file, path)
        except BaseException:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        if digest != sha256:
            shutil.rmtree(path.parent, ignore_errors=True)
            return None
        self._keep(path, sha256)
        return path

    def _keep(self, path: Path, sha256: str) -> None:
        size_bytes = path.stat().st_size
        if sha256 in self._sizes_bytes or size_bytes > self._max_bytes:
            return
        os.link(path, self._kept(sha256))
        self._sizes_bytes[sha256] = size_bytes
        while sum(self._sizes_bytes.values()) > self._max_bytes:
            self._kept(self._sizes_bytes.popitem(last=False)[0]).unlink()

    def _kept(self, sha256: str) -> Path:
        return self._folder() / "packs" / sha256

    def _folder(self) -> Path:
        if self._work is None:
            self._work = self._stack.enter_context(work_folder())
            (self._work / "packs").mkdir()
        return self._work


def _copy(file: BinaryIO, path: Path) -> str:
    """Copy a file and return its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as copied:
        while block := file.read(COPY_BYTES):
            digest.update(block)
            copied.write(block)
    return digest.hexdigest()
