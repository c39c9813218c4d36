"""Two stand-ins for Cloudflare R2 on the loopback, both over TLS: the real boto3 takes another path over plain http.

`running_moto()` is moto's S3 server, in this process, behind a door that records requests and lets them fail. It starts
fast and checks little: any signature is good. `running_miniflare()` is Cloudflare's own simulator of R2, a process of
Node: it checks signatures and refuses what R2 refuses, and has no faults to offer.

`python -m tests.loopback.s3 --port 8006` serves moto's by hand; its bucket is empty and is gone with it.

Left out: R2's limit of one write a second per key, and presigned URLs on a host name.
"""

from __future__ import annotations

import functools
import io
import json
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import boto3
import trustme
from botocore.config import Config

from tests.loopback import by_hand
from tests.support.node_packages import install_packages, node_missing
from tests.support.worker_process import running_process

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from moto.s3.models import FakeBucket, S3Backend
    from mypy_boto3_s3 import S3Client

MINIFLARE_SOURCE = Path(__file__).resolve().parent / "miniflare"
MINIFLARE_START_LIMIT_S = 30.0
_STOP_LIMIT_S = 5.0
HELD_AT_MOST_S = 60.0
TRICKLE_EVERY_S = 0.05


@dataclass(frozen=True)
class LoopbackS3:
    """Where the stand-in is and how to get in, and a look into its bucket for the test."""

    endpoint_url: str
    ca_bundle: str
    bucket: str = "results"
    access_key_id: str = "loopback-access-key-id"
    secret_access_key: str = "loopback-secret-access-key"

    def environment(self) -> dict[str, str]:
        """The settings that point the worker here; boto3 itself reads AWS_CA_BUNDLE."""
        return {
            "R2_ENDPOINT_URL": self.endpoint_url,
            "R2_BUCKET": self.bucket,
            "R2_ACCESS_KEY_ID": self.access_key_id,
            "R2_SECRET_ACCESS_KEY": self.secret_access_key,
            "R2_ACCOUNT_ID": "loopback-account",
            "AWS_CA_BUNDLE": self.ca_bundle,
        }

    def get(self, key: str) -> bytes:
        """Return the object's bytes as stored."""
        return self._own_client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def keys(self) -> list[str]:
        """The keys of the bucket, sorted."""
        pages = self._own_client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def put(self, key: str, body: bytes) -> None:
        """Store an object."""
        self._own_client.put_object(Bucket=self.bucket, Key=key, Body=body)

    @functools.cached_property
    def _own_client(self) -> S3Client:
        config = Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            region_name="auto",
            verify=self.ca_bundle or None,
            config=config,
        )


def _moto_backend() -> S3Backend:
    # Imported late: it costs most of a second, which miniflare's tests need not pay.
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]


class SeenRequest(NamedTuple):
    """A request as it arrived; the names of headers in lower case."""

    at_s: float
    method: str
    target: str
    headers: dict[str, str]


End = Literal["breaks", "stalls", "trickles"]


class Fault(NamedTuple):
    """What becomes of a request: an error, or no answer where the status is None, before or after it took effect.

    With `half`, half of the answer's body arrives; then the connection breaks, or nothing more comes, or the rest comes
    byte by byte.
    """

    status: int | None
    applied: bool
    half: End | None = None


@dataclass(frozen=True)
class MotoS3(LoopbackS3):
    """moto behind a door with faults. The test's own looks into the bucket go past the door and the network."""

    door: Door = field(kw_only=True)

    def get(self, key: str) -> bytes:
        body: bytes = self._bucket().keys[key].value
        return body

    def keys(self) -> list[str]:
        return sorted(self._bucket().keys)

    def put(self, key: str, body: bytes) -> None:
        _moto_backend().put_object(self.bucket, key, body)

    def _bucket(self) -> FakeBucket:
        return _moto_backend().get_bucket(self.bucket)

    @property
    def requests(self) -> list[SeenRequest]:
        """Every request but the test's own, in order of arrival."""
        return list(self.door.seen)

    def wait_for_requests(self, count: int, timeout_s: float) -> None:
        """Return as soon as that many requests have arrived."""
        with self.door.arrival:
            if not self.door.arrival.wait_for(lambda: len(self.door.seen) >= count, timeout_s):
                raise TimeoutError(f"{len(self.door.seen)} requests instead of {count} after {timeout_s} s")

    def fail_next(self, count: int, status: int | None = 503, *, applied: bool = False) -> None:
        """Let the next `count` requests fail: with `status`, or with a closed connection where it is None.

        `applied` lets the request take effect first, so that only its answer is lost.
        """
        self.door.faults.extend([Fault(status, applied)] * count)

    def cut_next(self, count: int) -> None:
        """Let the answers to the next `count` requests break off in the middle of their bodies."""
        self.door.faults.extend([Fault(None, applied=True, half="breaks")] * count)

    def stall(self) -> None:
        """Let every answer stop in the middle of its body, with the connection open, until `up`."""
        self.door.lasting_fault = Fault(None, applied=True, half="stalls")

    def trickle(self) -> None:
        """Let the second half of every answer's body come byte by byte, until `up`."""
        self.door.lasting_fault = Fault(None, applied=True, half="trickles")

    def down(self, status: int | None = 503) -> None:
        """Let every request fail until `up`."""
        self.door.lasting_fault = Fault(status, applied=False)

    def up(self) -> None:
        self.door.lasting_fault = None

    def slow(self, delay_s: float) -> None:
        """Hold every request back before it takes effect."""
        self.door.delay_s = delay_s

    def hold(self, part: str) -> None:
        """Hold back every PUT to a key with this part, before it takes effect, until `release`."""
        self.door.open.clear()
        self.door.held_part = part

    def release(self) -> None:
        """Let in what is held."""
        self.door.held_part = None
        self.door.open.set()

    def is_holding(self) -> bool:
        """Whether a request is held back now."""
        return self.door.holding > 0

    def is_working(self) -> bool:
        """Whether a request has not been answered yet."""
        return self.door.working > 0


class Door:
    """WSGI middleware: records each request, holds it back, lets it fail, or lets it in."""

    def __init__(self, behind: WSGIApplication) -> None:
        self.behind = behind
        self.seen: list[SeenRequest] = []
        self.arrival = threading.Condition()
        self.faults: deque[Fault] = deque()
        self.lasting_fault: Fault | None = None
        self.delay_s = 0.0
        self.held_part: str | None = None
        self.holding = 0
        self.working = 0
        self.open = threading.Event()
        self.closing = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self.arrival:
            self.seen.append(_seen(environ))
            self.working += 1
            self.arrival.notify_all()
        try:
            return self._answer(environ, start_response)
        finally:
            with self.arrival:
                self.working -= 1

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        _read_body(environ)
        self._hold(environ)
        if self.closing.wait(self.delay_s):
            return _hang_up(environ)
        fault = self._next_fault()
        if fault is None:
            return self.behind(environ, start_response)
        if fault.half:
            return self._half(fault.half, environ, start_response)
        if fault.applied:
            _discard(self.behind, environ)
        if fault.status is None:
            return _hang_up(environ)
        return _refuse(fault.status, environ, start_response)

    def _hold(self, environ: WSGIEnvironment) -> None:
        if self.held_part is None or environ["REQUEST_METHOD"] != "PUT" or self.held_part not in environ["RAW_URI"]:
            return
        with self.arrival:
            self.holding += 1
        self.open.wait(HELD_AT_MOST_S)
        with self.arrival:
            self.holding -= 1

    def _half(self, end: End, environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        body = b"".join(self.behind(environ, start_response))
        yield body[: len(body) // 2]
        if end == "stalls":
            self.closing.wait(HELD_AT_MOST_S)
        if end == "trickles":
            for place in range(len(body) // 2, len(body)):
                if self.closing.wait(TRICKLE_EVERY_S):
                    break
                yield body[place : place + 1]
        yield from _hang_up(environ)

    def _next_fault(self) -> Fault | None:
        try:
            return self.faults.popleft()
        except IndexError:
            return self.lasting_fault


def _seen(environ: WSGIEnvironment) -> SeenRequest:
    names = [name for name in environ if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")]
    headers = {name.removeprefix("HTTP_").replace("_", "-").lower(): str(environ[name]) for name in names}
    return SeenRequest(time.monotonic(), environ["REQUEST_METHOD"], environ["RAW_URI"], headers)


def _discard(application: WSGIApplication, environ: WSGIEnvironment) -> None:
    def ignore(status: str, headers: list[tuple[str, str]], error: Any = None, /) -> Any:
        return lambda _: None

    for _ in application(environ, ignore):
        pass


def _hang_up(environ: WSGIEnvironment) -> Iterable[bytes]:
    # Without this werkzeug would wait for the connection's next request. The client may be gone already.
    with suppress(OSError):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("closed on purpose")


def _read_body(environ: WSGIEnvironment) -> None:
    """Take in the whole body first: a client cut off while it still sends sees a broken TLS stream, and no answer."""
    chunked = "wsgi.input_terminated" in environ
    length_bytes = -1 if chunked else int(environ.get("CONTENT_LENGTH") or 0)
    environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length_bytes))


def _refuse(status: int, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    codes = {401: "Unauthorized", 403: "AccessDenied", 429: "TooManyRequests", 500: "InternalError"}
    code = codes.get(status, "ServiceUnavailable")
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>On purpose.</Message></Error>"
    start_response(f"{status} {HTTPStatus(status).phrase}", [("Content-Type", "application/xml")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body.encode()]


@contextmanager
def running_moto(port: int = 0, *, tls: bool = True) -> Iterator[MotoS3]:
    """Serve moto's S3, with an empty bucket, until the block ends; one at a time in a process."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    with tempfile.TemporaryDirectory(prefix="moto-") as folder:
        files = _make_tls(Path(folder)) if tls else None
        door = Door(DomainDispatcherApplication(create_backend_app))
        with _serving(door, files, port) as own_port:
            scheme = "http" if files is None else "https"
            s3 = MotoS3(f"{scheme}://127.0.0.1:{own_port}", str(files.ca_bundle) if files else "", door=door)
            _moto_backend().create_bucket(s3.bucket, "auto")
            try:
                yield s3
            finally:
                # moto keeps its buckets for the life of the process.
                _moto_backend().reset()


@contextmanager
def _serving(door: Door, tls: Tls | None, port: int) -> Iterator[int]:
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    class QuietHandler(MotoRequestHandler):
        def log(self, type: str, message: str, *args: object) -> None:
            pass

    server = make_server("127.0.0.1", port, door, threaded=True, request_handler=QuietHandler)
    if tls is not None:
        server.ssl_context = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.private_key)
        # A connection begins in a thread of its own: a client that stands still there would keep all others out.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="loopback-s3", daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        door.closing.set()
        door.open.set()
        server.shutdown()
        thread.join(_STOP_LIMIT_S)


class Tls(NamedTuple):
    """The PEM files of a server on the loopback."""

    ca_bundle: Path
    certificate: Path
    private_key: Path


def _make_tls(folder: Path) -> Tls:
    tls = Tls(folder / "ca.pem", folder / "certificate.pem", folder / "key.pem")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(tls.ca_bundle)
    tls.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(tls.private_key)
    return tls


def miniflare_missing() -> str | None:
    """Why miniflare cannot run here, for a skip; None where it can."""
    if sys.platform != "linux":
        return "miniflare's binaries are locked by hash for Linux only"
    return node_missing()


@contextmanager
def running_miniflare() -> Iterator[LoopbackS3]:
    """Serve Cloudflare's simulator of R2, with an empty bucket, until the block ends; installs it the first time."""
    package_json = install_miniflare()
    with tempfile.TemporaryDirectory(prefix="miniflare-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        tls = _make_tls(folder)
        settings = {
            "package_json": str(package_json),
            "certificate": str(tls.certificate),
            "private_key": str(tls.private_key),
            "bucket": LoopbackS3.bucket,
            "access_key_id": LoopbackS3.access_key_id,
            "secret_access_key": LoopbackS3.secret_access_key,
        }
        command = ["node", str(MINIFLARE_SOURCE / "server.mjs"), json.dumps(settings)]
        # Its buckets live in the temporary folder, which a killed process does not tidy.
        with running_process(command, {"TMPDIR": name}, folder) as process:
            ready = json.loads(process.wait_for_output("}\n", MINIFLARE_START_LIMIT_S))
            s3 = LoopbackS3(f"{ready['url']}cdn-cgi/local/r2/s3", str(tls.ca_bundle))
            try:
                yield s3
            finally:
                s3._own_client.close()


def install_miniflare() -> Path:
    """Install miniflare's packages, unless they are there; the path of its package.json."""
    return install_packages(MINIFLARE_SOURCE, "miniflare").with_name("package.json")


def main() -> None:
    arguments = by_hand.arguments_of(__doc__).parse_args()
    ends = by_hand.block_end_signals()
    with running_moto(arguments.port) as s3:
        by_hand.show(s3.endpoint_url, ("A worker, or whoever reads its results", s3.environment()))
        by_hand.wait_for_end(ends)


if __name__ == "__main__":
    main()
