"""A loopback git server: the real `git http-backend` behind Python's HTTP server, and what can go wrong.

The first part of a path says how the repository behind it is served:

    /open/NAME       to everyone
    /private/NAME    with basic authentication, whose password is PASSWORD; else 401
    /hangs/NAME      nothing is answered until the server ends
    /endless/NAME    as /open, but a fetch brings a pack whose first object never ends
    /moved/NAME      302 to `moved_to` + /private/NAME
    /sent/NAME       302 to `sent_to`, whatever that is

    with running_git_server(folder) as server:
        subprocess.run(["git", "clone", f"{server.url}/open/demo"], check=True)

With `tls` it is behind https, and `ca_bundle` is the file of the authority that vouches for it.

By hand: `python -m tests.loopback.git_http FOLDER`, where FOLDER holds repositories.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import os
import socket
import ssl
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import trustme

PASSWORD = "loopback-token-of-tests"
_BLOB = 3
_CHUNK = os.urandom(60_000)


class Request(NamedTuple):
    """A request's path, and its Authorization header."""

    path: str
    authorization: str | None


@dataclass
class GitServer:
    """A server in a thread; `requests` are those that came, in their order."""

    folder: Path
    url: str = ""
    moved_to: str = ""
    sent_to: str = ""
    ca_bundle: str = ""
    requests: list[Request] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    git: GitServer

    def shutdown_request(self, request: Any) -> None:
        # GnuTLS takes an answer for cut off that ends without a notice.
        if isinstance(request, ssl.SSLSocket):
            with suppress(OSError):
                request.settimeout(1)
                request = request.unwrap()
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: that a client breaks off is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self._body())

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self, body: bytes) -> None:
        git = self.server.git
        git.requests.append(Request(self.path, self.headers.get("Authorization")))
        kind, _, rest = self.path.lstrip("/").partition("/")
        if kind == "hangs":
            git.ended.wait()
        elif kind == "moved":
            self.send_response(302)
            self.send_header("Location", f"{git.moved_to}/private/{rest}")
            self.end_headers()
        elif kind == "sent":
            self.send_response(302)
            self.send_header("Location", git.sent_to)
            self.end_headers()
        elif kind == "private" and not self._is_authorized():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
        elif kind == "endless" and b"command=fetch" in body:
            self._send_endless_pack()
        elif kind in {"open", "private", "endless"}:
            self._run_backend("/" + rest, body)
        else:
            self.send_error(404)

    def _is_authorized(self) -> bool:
        scheme, _, credentials = (self.headers.get("Authorization") or "").partition(" ")
        with suppress(binascii.Error):
            return scheme == "Basic" and base64.b64decode(credentials).partition(b":")[2] == PASSWORD.encode()
        return False

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _run_backend(self, path: str, body: bytes) -> None:
        parts = urlsplit(path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_PROJECT_ROOT": str(self.server.git.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type") or "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
        }
        reply = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
        head, _, content = reply.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _send_endless_pack(self) -> None:
        """Send the beginning of a pack, whose first object has 2^42 bytes that do not compress."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-result")
        self.end_headers()
        self.wfile.write(_packet(b"packfile\n"))
        self.wfile.write(
            _packet(b"\x01PACK" + (2).to_bytes(4, "big") + (1).to_bytes(4, "big") + _object_header(1 << 42))
        )
        deflate = zlib.compressobj(0)
        with suppress(OSError):
            while not self.server.git.ended.is_set():
                data = deflate.compress(_CHUNK)
                for start in range(0, len(data), 60_000):
                    self.wfile.write(_packet(b"\x01" + data[start : start + 60_000]))


def _packet(data: bytes) -> bytes:
    return b"%04x" % (len(data) + 4) + data


def _object_header(size: int) -> bytes:
    """Return the header of a blob in a pack (gitformat-pack)."""
    byte, size = _BLOB << 4 | size & 15, size >> 4
    header = bytearray()
    while size:
        header.append(byte | 128)
        byte, size = size & 127, size >> 7
    return bytes([*header, byte])


@contextmanager
def running_git_server(folder: Path, port: int = 0, *, tls: bool = False) -> Iterator[GitServer]:
    """Serve the repositories in a folder on the loopback until the block ends."""
    git = GitServer(folder)
    with _Server(("127.0.0.1", port), _Handler) as server, ExitStack() as stack:
        server.git = git
        git.url = f"http://127.0.0.1:{server.server_address[1]}"
        if tls:
            server.socket, git.ca_bundle = _behind_tls(server.socket, stack)
            git.url = git.url.replace("http:", "https:")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield git
        finally:
            git.ended.set()
            server.shutdown()
            thread.join()


def _behind_tls(listening: socket.socket, stack: ExitStack) -> tuple[ssl.SSLSocket, str]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost", "*.example.org").configure_cert(context)
    bundle = stack.enter_context(authority.cert_pem.tempfile())
    # The handshake belongs to the connection's own thread: a client that stops in it must not hold up the others.
    return context.wrap_socket(listening, server_side=True, do_handshake_on_connect=False), bundle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with repositories")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    with running_git_server(arguments.folder.resolve(), arguments.port) as server:
        print(server.url, flush=True)
        with suppress(KeyboardInterrupt):
            sys.stdin.read()


if __name__ == "__main__":
    main()
