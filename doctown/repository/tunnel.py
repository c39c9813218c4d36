"""An HTTP proxy on the loopback through which git reaches the hosts of a `Network`, and nothing else.

Git connects by itself, and follows redirects by itself. So it is given a proxy: for each connection the proxy resolves
the host's name once, checks the host and all its addresses, and connects to an address that it has checked. It takes
`CONNECT` only (RFC 9110, section 9.3.6), so what passes is TLS between git and the host, whose certificate git
verifies. Leaves out: limits on time and size, which are those of the fetch; when git ends, its connections do.
"""

from __future__ import annotations

import re
import selectors
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from doctown.errors import SourceError
from doctown.repository.network import Network

CONNECT_TIMEOUT_S = 10.0
# Longer than a server may think about a fetch; the fetch's own limit is usually reached before.
IDLE_TIMEOUT_S = 600.0
_MAX_HEAD_BYTES = 8_192
_CHUNK_BYTES = 65_536
_POLL_S = 0.02

_CONNECT = re.compile(rb"CONNECT (\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5}) HTTP/1\.[01]\r\n")


@dataclass
class Tunnel:
    """A running proxy: its URL, and why it refused connections, in their order."""

    url: str
    refusals: list[SourceError] = field(default_factory=list)


@contextmanager
def open_tunnel(network: Network) -> Iterator[Tunnel]:
    """Run a proxy to the network's hosts until the block ends."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.network = network
        server.tunnel = Tunnel(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(_POLL_S,), daemon=True)
        thread.start()
        try:
            yield server.tunnel
        finally:
            server.shutdown()
            server.end_connections()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    network: Network
    tunnel: Tunnel

    def __init__(self, address: tuple[str, int], handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(address, handler)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    @contextmanager
    def counted(self, connection: socket.socket) -> Iterator[None]:
        """Know a connection while the block runs, so that it can be ended from outside."""
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)

    def end_connections(self) -> None:
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: that one side breaks off is git's to tell."""


class _Handler(socketserver.BaseRequestHandler):
    server: _Server
    request: socket.socket

    def handle(self) -> None:
        with self.server.counted(self.request):
            self.request.settimeout(CONNECT_TIMEOUT_S)
            try:
                outside = self._connect()
            except SourceError as refusal:
                self.server.tunnel.refusals.append(refusal)
                self.request.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            if outside is None:
                self.request.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with outside, self.server.counted(outside):
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _relay(self.request, outside)

    def _connect(self) -> socket.socket | None:
        """Return a connection to where the client wants, None where nothing answers. Raises SourceError if refused."""
        match = _CONNECT.match(self._read_head())
        if match is None:
            raise SourceError("The repository leads to a URL that is not https: it is not fetched from there")
        host, port = match[1].decode().strip("[]").lower(), int(match[2])
        for address in self.server.network.addresses(host, port):
            with suppress(OSError):
                # An address, not a name: nothing is resolved here again.
                return socket.create_connection((address, port), timeout=CONNECT_TIMEOUT_S)
        return None

    def _read_head(self) -> bytes:
        """Return the request's line and headers; a client sends nothing after them before it has an answer."""
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _MAX_HEAD_BYTES:
            chunk = self.request.recv(_MAX_HEAD_BYTES - len(head))
            if not chunk:
                break
            head += chunk
        return head


def _relay(inside: socket.socket, outside: socket.socket) -> None:
    """Pass on what each side sends to the other, until one has ended or nothing has come for IDLE_TIMEOUT_S."""
    with selectors.DefaultSelector() as selector:
        for one, other in ((inside, outside), (outside, inside)):
            one.settimeout(IDLE_TIMEOUT_S)
            selector.register(one, selectors.EVENT_READ, other)
        while ready := selector.select(IDLE_TIMEOUT_S):
            for key, _ in ready:
                source = key.fileobj
                assert isinstance(source, socket.socket)  # noqa: S101 - for the type checker
                chunk = source.recv(_CHUNK_BYTES)
                if not chunk:
                    return
                key.data.sendall(chunk)
