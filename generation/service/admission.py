"""Which calls are admitted: tokens, content types, body sizes, and how many at once."""

from __future__ import annotations

import contextlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import anyio
from fastapi import Request

from generation.config import ServiceSettings
from generation.errors import InputError
from generation.service.answers import RequestRejected, service_full

# The most symbols that a job may have, at 2 KB each.
MAX_BODY_BYTES = 100_000_000

# Of the bodies that have come and are not parsed yet, all together: what a machine of 4 GB has to spare.
MAX_HELD_BYTES = 300_000_000

# Jobs run JOBS_PER_WORKER at once, since more would share the same pace and only end later; others wait, as many as
# leave most of the usual 1,024 files of a process to those that run.
MAX_WAITING = 256

# Who neither sends his body nor takes his events for so long is gone, whatever his connection says.
IDLE_TIMEOUT_S = 60.0


class Gate:
    """How many calls may be inside, how many of their jobs run, and how much of their bodies may be in memory."""

    def __init__(self, jobs_at_once: int) -> None:
        self.slots = anyio.Semaphore(jobs_at_once)
        self.held_bytes = 0
        self._max_calls = jobs_at_once + MAX_WAITING
        self._calls = 0

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Count a call for as long as it is inside. Raises Declined where the service is full."""
        if self._calls >= self._max_calls:
            raise service_full()
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1


class Body:
    """A call's body, counted until it is parsed."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._bytes = bytearray()

    def add(self, chunk: bytes) -> None:
        """Take a piece in. Raises Declined where it is too much, for one body or for all together."""
        self._gate.held_bytes += len(chunk)
        self._bytes += chunk
        if len(self._bytes) > MAX_BODY_BYTES:
            raise _too_large()
        if self._gate.held_bytes > MAX_HELD_BYTES:
            raise service_full()

    def parsed(self) -> Any:  # noqa: ANN401 - any JSON
        """The value that it holds. What JSON does not know and Python does (NaN) is left to the job's own parsing."""
        try:
            return json.loads(self._bytes.decode("utf-8"))
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno}"
            raise InputError(f"the body is not JSON: {place} is where it goes wrong") from None
        except ValueError:
            raise InputError("the body is not JSON in UTF-8") from None
        except RecursionError:
            raise InputError("the body is nested too deeply") from None

    def release(self) -> None:
        """Let go of it; once is enough, and more than once does no harm."""
        self._gate.held_bytes -= len(self._bytes)
        self._bytes = bytearray()


def _too_large() -> RequestRejected:
    sentence = f"the body has more than {MAX_BODY_BYTES} bytes: split the job, or put its symbols into the bucket"
    return RequestRejected(f"{sentence} (symbols_key)", status=413, failure="body_too_large")


def check_token(request: Request, settings: ServiceSettings) -> None:
    """Raise Declined where a token is asked for and the call does not carry it."""
    if settings.service_token is None:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    expected = settings.service_token.get_secret_value().encode()
    # As bytes: of texts, only ASCII can be compared in constant time.
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), expected):
        sentence = "Authorization must be Bearer, with the service's token"
        raise RequestRejected(sentence, status=401, failure="bad_token", headers={"WWW-Authenticate": "Bearer"})


def check_content_type(request: Request) -> None:
    """Raise Declined where the body does not call itself JSON.

    A page of any web site may send other types without asking first, and could so spend money from within a browser.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        sentence = "Content-Type must be application/json"
        raise RequestRejected(sentence, status=415, failure="bad_input")


async def read_body(request: Request, body: Body) -> None:
    """Read all of it. Raises Declined where it is too large or does not come, ClientDisconnect where nobody is left."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        with anyio.fail_after(IDLE_TIMEOUT_S) as waiting:
            async for chunk in request.stream():
                body.add(chunk)
                waiting.deadline = anyio.current_time() + IDLE_TIMEOUT_S
    except TimeoutError:
        sentence = f"no more of the body came for {IDLE_TIMEOUT_S:g} s"
        raise RequestRejected(sentence, status=408, failure="bad_input") from None


def wants_events(request: Request) -> bool:
    """Whether the caller accepts server-sent events."""
    accepted = request.headers.get("accept", "").split(",")
    return any(one.partition(";")[0].strip().lower() == "text/event-stream" for one in accepted)
