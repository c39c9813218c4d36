"""The process of the service for repositories: `python -m doctown.service`, or `doctown serve`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from doctown.errors import ConfigError as DoctownConfigError
from doctown.service.settings import RepositoryServiceSettings
from generation import CommandParser, ConfigError, Settings, __version__, add_address_arguments, prepare_environment
from generation.domain.catalogue import utc_today


def parser() -> CommandParser:
    """Return the parser of the command line."""
    result = CommandParser(
        prog="python -m doctown.service",
        description="Serve POST /ingest and the other paths of the service for repositories. "
        "Settings are environment variables, or lines of .env: docs/settings.md has them all.",
        epilog="example: MODEL_NAME=offline python -m doctown.service --host 127.0.0.1 --port 3000",
    )
    add_address_arguments(result, RepositoryServiceSettings)
    result.add_argument("--version", action="version", version=f"doctown {__version__}")
    return result


def run(given: Mapping[str, str], warnings: Sequence[str]) -> None:
    """Serve until asked to stop, with the settings of a mapping. Raise ConfigError where one is wrong."""
    from doctown.jobs.work_folder import remove_abandoned
    from doctown.service.app import JobService, make_app
    from generation.service import serve, set_up_service_logging

    settings = Settings.from_env(given)
    # A missing key does not stop the service: `/health` and every job report it.
    settings.as_of(utc_today()).require_usable_model(needs_key=False)
    service_settings = RepositoryServiceSettings.from_env(given)
    service = JobService(settings, service_settings, given)
    set_up_service_logging(settings.log_level)
    remove_abandoned(Path(tempfile.gettempdir()))
    service.warn([*warnings, *settings.model_warnings(utc_today())])
    serve(make_app(service), service_settings, service.stopping, ws="websockets-sansio")


def main() -> None:
    """Read the settings and serve until asked to stop. Exit with one sentence where a setting is wrong."""
    arguments = {name.upper(): value for name, value in vars(parser().parse_args()).items() if value is not None}
    warnings = prepare_environment(os.environ)
    try:
        run({**os.environ, **arguments}, warnings)
    except (ConfigError, DoctownConfigError) as error:
        sys.exit(f"doctown.service: {error}")


if __name__ == "__main__":
    main()
