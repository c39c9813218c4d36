"""Serves a folder on the loopback, to this machine's browser alone.

A web page elsewhere could give its own name the address 127.0.0.1 and read what is served there: requests that name
another host are refused. Leaves out what is in the folder.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from doctown.errors import ConfigError

LOOPBACK = "127.0.0.1"
HOSTS = {LOOPBACK, "localhost"}
HEADERS = {
    # As the page's own, and what only a header can say.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The next pack may be at the same port.
    "Cache-Control": "no-store",
}
# What an operating system says of file names may be wrong, and browsers would then run no script.
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}
MAX_IDLE_S = 60


class _Handler(SimpleHTTPRequestHandler):
    """Answers GET and HEAD with files, no folder with a list of them."""

    protocol_version = "HTTP/1.1"
    extensions_map = MEDIA_TYPES
    timeout = MAX_IDLE_S

    def send_head(self) -> Any:  # noqa: ANN401 - as its base
        if self._host() not in HOSTS:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "This server answers for 127.0.0.1 and localhost only")
            return None
        return super().send_head()

    def _host(self) -> str | None:
        try:
            return urlsplit(f"//{self.headers.get('Host', '')}").hostname
        except ValueError:
            return None

    def list_directory(self, path: object) -> None:  # noqa: ARG002 - as its base
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base
        """Say nothing: the terminal belongs to the command."""


class _Server(ThreadingHTTPServer):
    """A server whose visitors may leave in the middle of an answer: who reloads a page does."""

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as its base
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def folder_server(folder: Path, port: int) -> Iterator[ThreadingHTTPServer]:
    """Yield a server of a folder on the loopback that listens; port 0 is a free one. Raise ConfigError."""
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        server = _Server((LOOPBACK, port), handler)
    except OSError as error:
        raise ConfigError(f"port {port} cannot be used: {error.strerror}; name another with --port.") from None
    with server:
        yield server
