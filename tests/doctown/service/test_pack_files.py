"""Copies of packs: fetched once, bounded, and never those of another version than was asked for."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path

import pytest

from doctown.service.pack_files import PackFiles
from generation import Settings, StorageError, open_storage

PACKS = {f"docpacks/o/{name}/{name}.docpack": name.encode() * 100 for name in ("a", "b", "c")}
A, B, C = PACKS


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def test_a_pack_is_fetched_once_and_makes_room_without_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy serves though the store has another pack by now, until two others were asked for; no file stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "work"))
    (tmp_path / "work").mkdir()
    storage = open_storage(Settings.from_env({"RESULTS_DIR": str(tmp_path / "store")}))
    files = PackFiles(storage, max_bytes=200)

    async def body_of(key: str) -> bytes | None:
        path = await files.copy(key, sha256(PACKS[key]))
        return None if path is None else path.read_bytes()

    async def scenario() -> None:
        closing = asyncio.create_task(files.close_at_the_end())
        for key, body in PACKS.items():
            await storage.write(key, body)
        first = await files.copy(A, sha256(PACKS[A]))
        assert first is not None
        for key, body in PACKS.items():
            assert await body_of(key) == body
            await storage.write(key, b"another pack")
        assert first.read_bytes() == PACKS[A]
        assert [await body_of(key) for key in (B, C, A)] == [PACKS[B], PACKS[C], None]
        await storage.delete([B])
        with pytest.raises(StorageError):
            await body_of(B)
        closing.cancel()
        await asyncio.wait([closing])

    asyncio.run(scenario())
    assert list((tmp_path / "work").iterdir()) == []
