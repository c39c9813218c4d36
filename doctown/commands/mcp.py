"""`doctown mcp PACK|FOLDER`: packs as tools for agents, by the Model Context Protocol."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from doctown.commands.options import MAX_PORT, staleness_of
from doctown.errors import ConfigError
from generation import whole_number

SUMMARY = "Serve packs to agents by the Model Context Protocol (needs the extra `mcp`)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("packs", type=Path, metavar="PACK|FOLDER", help="a pack, or a folder of packs")
    parser.add_argument("--source", metavar="FOLDER", help="the repository of the pack, for the tool `stale`")
    parser.add_argument("--http", action="store_true", help="serve streamable HTTP at /mcp instead of stdio")
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1; there is no login")
    parser.add_argument("--port", type=whole_number(MAX_PORT), default=8009, metavar="N", help="default: 8009")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Run the command until its client leaves, or it is interrupted. Raise DoctownError."""
    from doctown.mcp.library import Library

    library = Library(options.packs, None if options.source is None else staleness_of(options.source, environ))
    if len(library.paths) == 1:
        library.get()  # a pack that cannot be read is refused at once
    try:
        from doctown.mcp.server import make_server
    except ImportError:
        message = "the package mcp is not installed: pip install 'doctown[mcp]', or pip install mcp."
        raise ConfigError(message) from None
    server = make_server(library)
    if options.http:
        _check_address(options.host, options.port)
        print(f"doctown: serving at http://{options.host}:{options.port}/mcp", file=sys.stderr)  # noqa: T201
        server.run("streamable-http", host=options.host, port=options.port)
    else:
        server.run("stdio")


def _check_address(host: str, port: int) -> None:
    """Raise ConfigError where nothing can listen at an address; the SDK's server would print a traceback."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address, family=family).close()
    except (OSError, UnicodeError) as error:
        reason = (getattr(error, "strerror", None) or "it is no address").partition(" (")[0]
        message = f"{host}:{port} cannot be used: {reason}; name another with --host and --port."
        raise ConfigError(message) from None
