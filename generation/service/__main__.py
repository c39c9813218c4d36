"""The service's process: `python -m generation.service`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from types import FrameType
from typing import Any

import uvicorn

import generation
from generation.command_line import CommandParser, prepare_environment
from generation.config import ServiceSettings, Settings
from generation.domain.catalogue import utc_today
from generation.errors import ConfigError
from generation.logs import set_up_logging
from generation.service.app import Service, current_request_id, make_app

log = logging.getLogger("generation.service")

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


def parser() -> CommandParser:
    """Return the parser of the command line."""
    result = CommandParser(
        prog="python -m generation.service",
        description="Serve POST /generate, GET /results/{job_id} and GET /health. "
        "Settings are environment variables, or lines of .env: docs/settings.md has them all.",
        epilog="example: MODEL_NAME=offline python -m generation.service --host 127.0.0.1 --port 8080",
    )
    fields = ServiceSettings.model_fields
    for name in ("host", "port"):
        described = f"{fields[name].description} (default: {name.upper()}, or {fields[name].default})"
        result.add_argument(f"--{name}", help=described)
    result.add_argument("--version", action="version", version=f"doctown {generation.__version__}")
    return result


def main() -> None:
    """Read the settings and serve until asked to stop. Exit with one sentence where a setting is wrong."""
    arguments = {name.upper(): value for name, value in vars(parser().parse_args()).items() if value is not None}
    warnings = prepare_environment(os.environ)
    try:
        settings = Settings.from_env(os.environ)
        # A missing key does not stop the service: `/health` and every job report it.
        settings.as_of(utc_today()).require_usable_model(needs_key=False)
        service_settings = ServiceSettings.from_env({**os.environ, **arguments})
    except ConfigError as error:
        sys.exit(f"generation.service: {error}")
    set_up_logging(settings.log_level, LINE, _add_request_id)
    for warning in (*warnings, *settings.model_warnings(utc_today())):
        log.warning("%s", warning)
    if service_settings.is_open_to_others:
        log.warning("SERVICE_TOKEN is not set: whoever reaches %s may spend on this account", service_settings.host)
    service = Service(settings, service_settings)
    config = uvicorn.Config(
        make_app(service),
        host=service_settings.host,
        port=service_settings.port,
        # The same event loop as under RunPod.
        loop="asyncio",
        ws="none",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=CLOSE_AFTER_S,
    )
    Server(config, service.stopping).run()


if __name__ == "__main__":
    main()
