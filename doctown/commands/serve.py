"""`doctown serve`: the HTTP service for repositories, as `python -m doctown.service`."""

import argparse
from collections.abc import Mapping

from doctown.errors import ConfigError
from generation import ConfigError as WorkerConfigError

SUMMARY = "Serve repositories over HTTP: ingest, status, packs."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--host", help="address to listen on (default: HOST, or 0.0.0.0)")
    parser.add_argument("--port", help="port to listen on (default: PORT, or 3000)")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Serve until asked to stop. Raise ConfigError."""
    # Only here: the web framework takes half a second.
    from doctown.service.__main__ import run as serve

    given = {name: value for name, value in (("HOST", options.host), ("PORT", options.port)) if value is not None}
    try:
        serve({**environ, **given}, [])
    except WorkerConfigError as error:
        raise ConfigError(str(error)) from None
