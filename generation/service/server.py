"""Serve an application until a signal asks the process to stop. The only importer of `uvicorn`."""

from __future__ import annotations

import asyncio
import logging
from types import FrameType
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI

from generation.config import ServiceSettings
from generation.logs import set_up_logging
from generation.service.web import current_request_id

CLOSE_AFTER_S = 9

LINE = "%(levelname)s %(name)s [%(request_id)s]: %(message)s"


class Server(uvicorn.Server):
    """A uvicorn server that also sets `stopping` when it receives a signal to stop."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: Any = None) -> None:  # noqa: ANN401 - as uvicorn has it
        """Serve until a signal asks the process to stop."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Pass the signal to uvicorn and set `stopping` in the event loop's thread."""
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = current_request_id.get()
    return True


def set_up_service_logging(level: str) -> None:
    """Set up logging so that each line has the id of the request that it is about."""
    set_up_logging(level, LINE, _add_request_id)


def serve(
    app: FastAPI,
    settings: ServiceSettings,
    stopping: asyncio.Event,
    ws: Literal["none", "websockets-sansio"] = "none",
) -> None:
    """Serve until a signal asks the process to stop; `stopping` is set then."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        # The same event loop as under RunPod.
        loop="asyncio",
        ws=ws,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=CLOSE_AFTER_S,
    )
    Server(config, stopping).run()
