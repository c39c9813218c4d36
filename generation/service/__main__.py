"""The service's process: `python -m generation.service`."""

from __future__ import annotations

import logging
import os
import sys

import generation
from generation.command_line import CommandParser, add_address_arguments, prepare_environment
from generation.config import ServiceSettings, Settings
from generation.domain.catalogue import utc_today
from generation.errors import ConfigError
from generation.service.app import Service, make_app
from generation.service.server import serve, set_up_service_logging

log = logging.getLogger("generation.service")


def parser() -> CommandParser:
    """Return the parser of the command line."""
    result = CommandParser(
        prog="python -m generation.service",
        description="Serve POST /generate, GET /results/{job_id} and GET /health. "
        "Settings are environment variables, or lines of .env: docs/settings.md has them all.",
        epilog="example: MODEL_NAME=offline python -m generation.service --host 127.0.0.1 --port 8080",
    )
    add_address_arguments(result, ServiceSettings)
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
    set_up_service_logging(settings.log_level)
    for warning in (*warnings, *settings.model_warnings(utc_today())):
        log.warning("%s", warning)
    if service_settings.is_open_to_others:
        log.warning("SERVICE_TOKEN is not set: anybody who reaches %s may spend on this account", service_settings.host)
    service = Service(settings, service_settings)
    serve(make_app(service), service_settings, service.stopping)


if __name__ == "__main__":
    main()
