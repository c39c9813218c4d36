"""Admission control: tokens, content types, body sizes and the number of concurrent requests."""

from __future__ import annotations

import contextlib
import hmac
import io
from collections.abc import Iterator
from typing import Any

import anyio
from fastapi import Request
from starlette.requests import HTTPConnection

from generation.config import ServiceSettings
from generation.intake.sources import decompressed, read_payload
from generation.service.answers import RequestRejected, service_full

# The maximum number of symbols of a job (50,000), at 2 KB each.
MAX_BODY_BYTES = 100_000_000

# Limit for all bodies that have been received but not parsed, together: what a machine with 4 GB can spare.
MAX_HELD_BYTES = 300_000_000

# JOBS_PER_WORKER jobs run at once, since more would share the same rate limit and only end later. Others wait; this
# many leave most of the usual 1,024 file descriptors of a process to the jobs that run.
MAX_WAITING = 256

# Idle timeout for reading a request body and for writing to a slow client.
IDLE_TIMEOUT_S = 60.0


class Gate:
    """Limits the requests being handled, the jobs running at once (`slots`) and the body bytes held in memory."""

    def __init__(self, jobs_at_once: int) -> None:
        self.slots = anyio.Semaphore(jobs_at_once)
        self.held_bytes = 0
        self._max_calls = jobs_at_once + MAX_WAITING
        self._calls = 0

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Count a request while the context is open. Raises RequestRejected where the service is full."""
        if self._calls >= self._max_calls:
            raise service_full()
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1


class Body:
    """A request body, whose bytes count against the gate's limit until `release`."""

    def __init__(self, gate: Gate, max_bytes: int | None = None) -> None:
        self.max_bytes = MAX_BODY_BYTES if max_bytes is None else max_bytes
        self._gate = gate
        self._bytes = bytearray()

    def add(self, chunk: bytes) -> None:
        """Append a chunk. Raises RequestRejected where this body, or all held bodies together, exceed their limit."""
        self._gate.held_bytes += len(chunk)
        self._bytes += chunk
        if len(self._bytes) > self.max_bytes:
            raise _too_large(self.max_bytes)
        if self._gate.held_bytes > MAX_HELD_BYTES:
            raise service_full()

    def parsed(self) -> Any:  # noqa: ANN401 - any JSON
        """Return the parsed body, which may be gzipped. Raises InputError where it is neither JSON nor JSON Lines.

        Values that Python accepts beyond the standard (NaN, Infinity) are left to the job's own validation.
        """
        with decompressed(io.BytesIO(self._bytes), "the body", self.max_bytes) as plain:
            return read_payload(plain, "the body")

    def release(self) -> None:
        """Drop the bytes and stop counting them. Idempotent."""
        self._gate.held_bytes -= len(self._bytes)
        self._bytes = bytearray()


def _too_large(max_bytes: int) -> RequestRejected:
    sentence = f"the body has more than {max_bytes} bytes"
    if max_bytes == MAX_BODY_BYTES:
        sentence += ": split the job, or put its symbols into the bucket (symbols_key)"
    return RequestRejected(sentence, status=413, failure="body_too_large")


def check_token(request: HTTPConnection, settings: ServiceSettings) -> None:
    """Raise RequestRejected where SERVICE_TOKEN is set and the request does not carry it."""
    if settings.service_token is None:
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    expected = settings.service_token.get_secret_value().encode()
    # As bytes: `compare_digest` accepts only ASCII strings.
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode("latin-1"), expected):
        sentence = "Authorization must be Bearer, with the service's token"
        raise RequestRejected(sentence, status=401, failure="bad_token", headers={"WWW-Authenticate": "Bearer"})


# Browsers send none of these cross-origin without a CORS preflight request; with the types that they do send, any web
# page could spend money on this account.
CONTENT_TYPES = ("application/json", "application/x-ndjson", "application/jsonl", "application/gzip")


def check_content_type(request: Request) -> None:
    """Raise RequestRejected where the content type is not JSON, JSON Lines or gzip, or the encoding is not gzip."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in CONTENT_TYPES:
        sentence = "Content-Type must be application/json"
        raise RequestRejected(sentence, status=415, failure="bad_input")
    if request.headers.get("content-encoding", "identity").strip().lower() not in {"gzip", "x-gzip", "identity"}:
        sentence = "Content-Encoding must be gzip, or left out"
        raise RequestRejected(sentence, status=415, failure="bad_input")


async def read_body(request: Request, body: Body) -> None:
    """Read the whole request body into `body`.

    Raises RequestRejected where it is too large or stops arriving, and ClientDisconnect where the client has closed the
    connection.
    """
    content_length = request.headers.get("content-length", "")
    if content_length.isdecimal() and int(content_length[:20]) > body.max_bytes:
        raise _too_large(body.max_bytes)
    try:
        with anyio.fail_after(IDLE_TIMEOUT_S) as scope:
            async for chunk in request.stream():
                body.add(chunk)
                scope.deadline = anyio.current_time() + IDLE_TIMEOUT_S
    except TimeoutError:
        sentence = f"no more of the body came for {IDLE_TIMEOUT_S:g} s"
        raise RequestRejected(sentence, status=408, failure="bad_input") from None


def wants_events(request: Request) -> bool:
    """Return whether the client accepts server-sent events."""
    accepted = request.headers.get("accept", "").split(",")
    return any(one.partition(";")[0].strip().lower() == "text/event-stream" for one in accepted)
