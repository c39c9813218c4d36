"""The process that serves: `python -m generation.service`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

import uvicorn

from generation.config import ServiceSettings, Settings, set_process_defaults
from generation.errors import ConfigError
from generation.logs import set_up_logging
from generation.service.app import Service, current_request_id, make_app

log = logging.getLogger("generation.service")

CLOSE_AFTER_S = 9

LINE = "%(levelname)s %(name)s [%(request_id)s]: %(message)s"


class Server(uvicorn.Server):
    """uvicorn, which also tells the jobs that it was asked to stop."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: Any = None) -> None:  # noqa: ANN401 - as uvicorn has it
        """Serve until told to stop."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take the signal, wherever it interrupts."""
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The worker's settings. A key that is missing does not end the service: `/health` and each job say so."""
    if environ.get("OPENAI_API_KEY", "").strip():
        return Settings.from_env(environ)
    settings = Settings.from_env({**environ, "OPENAI_API_KEY": "missing"})
    return settings.model_copy(update={"openai_api_key": None})


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = current_request_id.get()
    return True


def main() -> None:
    """Check the settings and serve until told to stop."""
    set_process_defaults(os.environ)
    try:
        settings, service_settings = read_settings(os.environ), ServiceSettings.from_env(os.environ)
    except ConfigError as error:
        sys.exit(f"generation.service: {error}")
    set_up_logging(settings.log_level, LINE, _add_request_id)
    if service_settings.is_open_to_others:
        log.warning("SERVICE_TOKEN is not set: whoever reaches %s may spend on this account", service_settings.host)
    service = Service(settings, service_settings)
    config = uvicorn.Config(
        make_app(service),
        host=service_settings.host,
        port=service_settings.port,
        # The loop that the worker runs on too, under RunPod.
        loop="asyncio",
        ws="none",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=CLOSE_AFTER_S,
    )
    Server(config, service.stopping).run()


if __name__ == "__main__":
    main()
