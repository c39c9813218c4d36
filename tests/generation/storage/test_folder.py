"""What only a folder does: it appends, and several processes write to it conditionally."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from pathlib import Path

import pytest

from generation.errors import StorageError
from generation.storage import folder as folder_module
from generation.storage.folder import FolderStorage

KEY = "checkpoints/job/log.jsonl"


def test_what_is_appended_comes_after_what_is_there(tmp_path: Path) -> None:
    """The document is made where there is none, with its folders, and grows by each part."""

    async def main() -> bytes:
        storage = FolderStorage(tmp_path / "new")
        for part in (b"one\n", b"two\n"):
            await storage.append(KEY, part)
        stored = await storage.read(KEY)
        assert stored is not None
        return stored.body

    assert asyncio.run(main()) == b"one\ntwo\n"


def test_what_was_appended_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is flushed to disk with the file that has it: a machine that loses its power loses none of them."""
    sizes: list[int] = []
    flush = os.fsync

    def fsync(file: int) -> None:
        flush(file)
        sizes.append(os.fstat(file).st_size)

    monkeypatch.setattr(os, "fsync", fsync)

    async def main() -> None:
        for part in (b"one\n", b"three\n"):
            await FolderStorage(tmp_path).append(KEY, part)

    asyncio.run(main())
    assert sizes == [4, 10]


def test_what_cannot_be_appended_is_one_sentence(tmp_path: Path) -> None:
    """A file in the place of the folder is an error that names the key."""
    (tmp_path / "checkpoints").touch()
    with pytest.raises(StorageError, match=f"{KEY} cannot be written to RESULTS_DIR"):
        asyncio.run(FolderStorage(tmp_path).append(KEY, b"x"))


def test_of_two_conditional_writes_at_once_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that has looked at the version has the folder to itself until it has written."""
    both_have_looked = threading.Barrier(2)
    version_of = folder_module._version

    def look(path: int | Path) -> str:
        version = version_of(path)
        if isinstance(path, Path):
            # Without a lock both come here before either writes; with it, the other one waits outside.
            with contextlib.suppress(threading.BrokenBarrierError):
                both_have_looked.wait(timeout=0.5)
        return version

    async def main() -> list[bool]:
        storage = FolderStorage(tmp_path)
        await storage.write(KEY, b"{}")
        stored = await storage.read(KEY)
        assert stored is not None
        monkeypatch.setattr(folder_module, "_version", look)
        return await asyncio.gather(*(storage.put_if_match(KEY, body, stored.version) for body in (b"1", b"2")))

    assert sorted(asyncio.run(main())) == [False, True]
