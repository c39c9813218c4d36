"""Answers to callers who stop to read them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from doctown.service import app


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("kind", ["pack", "events"])
def test_a_caller_who_takes_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, spec_version: str
) -> None:
    """The copy of a pack is removed, and a follower's place is free, though the caller never leaves."""
    monkeypatch.setattr(app, "IDLE_TIMEOUT_S", 0.01)
    held = tmp_path / "answer"
    held.mkdir()
    (held / "a.docpack").write_bytes(b"pack")

    async def events() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b": keep-alive"
        finally:
            (held / "a.docpack").unlink()
            held.rmdir()

    async def never(*_: object) -> Any:
        await asyncio.Event().wait()

    async def run() -> None:
        response: Response = (
            app.TemporaryFileResponse(held / "a.docpack") if kind == "pack" else app.EventResponse(events())
        )
        scope = {"type": "http", "method": "GET", "headers": [], "asgi": {"spec_version": spec_version}}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await never()

        await response(scope, never, send)

    asyncio.run(run())
    assert not held.exists()
