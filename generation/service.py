"""The HTTP service: the worker without RunPod. The only importer of `fastapi`, `starlette` and `uvicorn`.

    python -m generation.service

`POST /generate` takes a job's input and answers with its output, or streams its events first; `GET /health` says
whether a job would run now. It translates and decides nothing about a job: `generation.job.run_job` is the job. Leaves
out TLS and accounts of its own, which belong to what stands before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import hmac
import json
import logging
import os
import re
import sys
import traceback
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from types import FrameType
from typing import Any

import anyio
import uvicorn
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from generation import contract, events
from generation.config import ServiceSettings, Settings, set_process_defaults
from generation.errors import AccountError, ConfigError, InputError, JobError, StorageError
from generation.job import Watch, ignore, run_job
from generation.readiness import Readiness, why_not_ready
from generation.report import as_json
from generation.stream import EventStream, message

log = logging.getLogger("generation.service")

# The most symbols that a job may have, at 2 KB each.
MAX_BODY_BYTES = 100_000_000

# Of the bodies that have come and are not parsed yet, all together: what a machine of 4 GB has to spare.
MAX_HELD_BYTES = 300_000_000

# Jobs run JOBS_PER_WORKER at once, since more would share the same pace and only end later; others wait, as many as
# leave most of the usual 1,024 files of a process to those that run.
MAX_WAITING = 256
RETRY_AFTER_S = 10

# Who neither sends his body nor takes his events for so long is gone, whatever his connection says.
STALLED_AFTER_S = 60.0

# Docker kills ten seconds after it has asked to stop.
STOP_AFTER_S = 7.0
CLOSE_AFTER_S = 9

# Of every library's chatter, what is worth a line.
QUIET_LOGGERS = ("httpx", "httpx2", "openai", "botocore", "urllib3", "asyncio")

STATUSES: tuple[tuple[type[JobError], int], ...] = (
    (InputError, 422),
    (AccountError, 502),
    (StorageError, 502),
    (ConfigError, 503),
)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_request_id = contextvars.ContextVar("request_id", default="-")


class Declined(HTTPException):
    """The service does not take a call, or cannot answer it; `failure` is the code beside the sentence."""

    def __init__(self, sentence: str, *, status: int, failure: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, sentence, headers)
        self.failure = failure


def _full() -> Declined:
    later = {"Retry-After": str(RETRY_AFTER_S)}
    return Declined("the service is full: send the job again later", status=503, failure="busy", headers=later)


def _stopping() -> Declined:
    later = {"Retry-After": str(RETRY_AFTER_S)}
    sentence = "the service was told to stop before the job had ended: send it again"
    return Declined(sentence, status=503, failure="stopping", headers=later)


def _fault(error: Exception) -> Declined:
    """What the caller hears of a fault that nobody foresaw; the log gets the place.

    Without the exception's own text, which may repeat what it stumbled over: source code, or a secret.
    """
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("a fault of this service: %s\n%s", type(error).__name__, where)
    sentence = f"the worker itself failed ({type(error).__name__}): see its log"
    return Declined(sentence, status=500, failure="internal")


def _problem(error: JobError | Declined) -> bytes:
    sentence = error.detail if isinstance(error, Declined) else str(error)
    return as_json({"error": sentence, "failure": error.failure})


def _answer_to(error: JobError | Declined) -> Response:
    if isinstance(error, Declined):
        return Response(_problem(error), error.status_code, error.headers, "application/json")
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    return Response(_problem(error), status, media_type="application/json")


# --- Who gets in


class Gate:
    """How many calls may be inside, how many of their jobs run, and how much of their bodies may be in memory."""

    def __init__(self, jobs_at_once: int) -> None:
        self.slots = anyio.Semaphore(jobs_at_once)
        self.held_bytes = 0
        self._calls_at_most = jobs_at_once + MAX_WAITING
        self._calls = 0

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Count a call for as long as it is inside. Raises Declined where the service is full."""
        if self._calls >= self._calls_at_most:
            raise _full()
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
            raise _full()

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


def _too_large() -> Declined:
    sentence = f"the body has more than {MAX_BODY_BYTES} bytes: split the job, or put its symbols into the bucket"
    return Declined(f"{sentence} (symbols_key)", status=413, failure="body_too_large")


def check_token(request: Request, settings: ServiceSettings) -> None:
    """Raise Declined where a token is asked for and the call does not carry it."""
    if settings.service_token is None:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    expected = settings.service_token.get_secret_value().encode()
    # As bytes: of texts, only ASCII can be compared in constant time.
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), expected):
        sentence = "Authorization must be Bearer, with the service's token"
        raise Declined(sentence, status=401, failure="bad_token", headers={"WWW-Authenticate": "Bearer"})


def check_content_type(request: Request) -> None:
    """Raise Declined where the body does not call itself JSON.

    A page of any web site may send other types without asking first, and could so spend money from within a browser.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        sentence = "Content-Type must be application/json"
        raise Declined(sentence, status=415, failure="bad_input")


async def read_body(request: Request, body: Body) -> None:
    """Read all of it. Raises Declined where it is too large or does not come, ClientDisconnect where nobody is left."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        with anyio.fail_after(STALLED_AFTER_S) as waiting:
            async for chunk in request.stream():
                body.add(chunk)
                waiting.deadline = anyio.current_time() + STALLED_AFTER_S
    except TimeoutError:
        sentence = f"no more of the body came for {STALLED_AFTER_S:g} s"
        raise Declined(sentence, status=408, failure="bad_input") from None


def wants_events(request: Request) -> bool:
    """Whether the caller accepts server-sent events."""
    accepted = request.headers.get("accept", "").split(",")
    return any(one.partition(";")[0].strip().lower() == "text/event-stream" for one in accepted)


# --- Answers


class Deferred(Response):
    """A response that is worked out while it is sent: only then does a caller who leaves or stops reading show."""

    def __init__(self, answer: Callable[[Receive, Send], Awaitable[None]]) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as ASGI calls it."""
        await self._answer(receive, send)


# nginx would otherwise keep events back until it has a page full of them.
STREAM_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class Reader:
    """Who reads a stream of events; it begins with the first thing there is to send."""

    def __init__(self, send: Send) -> None:
        self.begun = False
        self._send = send

    async def send(self, chunk: bytes, *, more: bool = True) -> None:
        """Send a piece. Raises TimeoutError where nothing is taken any more."""
        with anyio.fail_after(STALLED_AFTER_S):
            if not self.begun:
                self.begun = True
                await self._send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            await self._send({"type": "http.response.body", "body": chunk, "more_body": more})


class Service:
    """What the calls of one process share."""

    def __init__(self, settings: Settings, service_settings: ServiceSettings) -> None:
        self.settings = settings
        self.service_settings = service_settings
        self.readiness = Readiness(functools.partial(why_not_ready, settings))
        self.stopping = asyncio.Event()
        self._gate = Gate(settings.jobs_per_worker)
        self._waiting: set[asyncio.Task[Any]] = set()
        self._running: set[asyncio.Task[Any]] = set()

    async def health(self) -> Response:
        """Whether a job that came now would find its model. It asks nobody: the service looks by itself."""
        reason = self.readiness.reason
        answer = {"status": "healthy", "model": self.settings.model_name, "ready": reason is None}
        if reason is not None:
            answer["reason"] = reason
        return Response(as_json(answer), 503 if reason else 200, media_type="application/json")

    async def generate(self, request: Request) -> Response:
        """Document the symbols of a job."""
        check_token(request, self.service_settings)
        check_content_type(request)
        return Deferred(functools.partial(self._generate, request))

    async def _generate(self, request: Request, receive: Receive, send: Send) -> None:
        body = Body(self._gate)
        with self._gate.entered():
            try:
                await read_body(request, body)
                if wants_events(request):
                    await self._answer_with_events(body, receive, send)
                else:
                    await self._answer_at_the_end(body, receive, send)
            except ClientDisconnect:
                log.info("the caller left before all of the body had come")
            finally:
                body.release()

    async def _answer_at_the_end(self, body: Body, receive: Receive, send: Send) -> None:
        async with self._job(body, receive, events.print_event, ignore) as job:
            await asyncio.wait({job})
            output = _output_of(job)
        response = Response(await asyncio.to_thread(as_json, output), media_type="application/json")
        await response({"type": "http"}, receive, send)

    async def _answer_with_events(self, body: Body, receive: Receive, send: Send) -> None:
        stream, reader = EventStream(), Reader(send)
        async with self._job(body, receive, stream.emit, stream.watch) as job:
            job.add_done_callback(lambda _: stream.close())
            try:
                async for chunk in stream.messages():
                    await reader.send(chunk)
                await reader.send(await _last_message(job, begun=reader.begun), more=False)
            except TimeoutError:
                log.warning("the caller takes no more events: the connection is closed")

    @contextlib.asynccontextmanager
    async def _job(
        self, body: Body, receive: Receive, emit: events.Sink, watch: Watch
    ) -> AsyncIterator[asyncio.Task[dict[str, Any]]]:
        """The job as a task that ends with the block, or as soon as its caller is gone."""
        job = asyncio.create_task(self._run(body, emit, watch))
        gone = asyncio.create_task(_until_gone(receive))
        gone.add_done_callback(lambda _: job.cancel())
        try:
            yield job
        finally:
            gone.cancel()
            job.cancel()
            await asyncio.wait({job, gone})
            if job.cancelled() and not gone.cancelled():
                log.info("the caller left: the job was cancelled")

    async def _run(self, body: Body, emit: events.Sink, watch: Watch) -> dict[str, Any]:
        """Wait for a place and run the job there. Whatever goes wrong is a JobError or Declined."""
        me = asyncio.current_task()
        assert me is not None  # noqa: S101 - for the type checker
        if self.stopping.is_set():
            raise _stopping()
        self._waiting.add(me)
        try:
            async with self._gate.slots:
                self._waiting.discard(me)
                self._running.add(me)
                payload = await asyncio.to_thread(body.parsed)
                body.release()
                run = functools.partial(run_job, default_job_id=uuid.uuid4().hex, stopping=self.stopping)
                return await run(payload, self.settings, emit=emit, watch=watch)
        except (JobError, Declined):
            raise
        except Exception as error:  # noqa: BLE001 - the caller gets a sentence
            raise _fault(error) from None
        finally:
            self._waiting.discard(me)
            self._running.discard(me)

    async def end_jobs_when_stopping(self) -> None:
        """Told to stop: send away who waits, and end what runs when its time is up."""
        await self.stopping.wait()
        log.info("told to stop: %d jobs are running and %d are waiting", len(self._running), len(self._waiting))
        for job in self._waiting:
            job.cancel()
        await asyncio.sleep(STOP_AFTER_S)
        for job in self._running:
            job.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _output_of(job: asyncio.Task[dict[str, Any]]) -> dict[str, Any]:
    """A job's output. Who is gone hears nothing of an error, so that only a stop is left to be told."""
    if job.cancelled():
        raise _stopping()
    return job.result()


async def _last_message(job: asyncio.Task[dict[str, Any]], *, begun: bool) -> bytes:
    """The end of a stream. A fault before its beginning is raised: that has a status of HTTP's own."""
    try:
        return message("result", await asyncio.to_thread(as_json, _output_of(job)))
    except (JobError, Declined) as error:
        if not begun:
            raise
        return message("error", _problem(error))


# --- The application


class Frame:
    """Around every call: an id for it, in its log lines and its response, and an answer where something breaks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, as ASGI does it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _sane_id(scope)
        _request_id.set(request_id)
        begun = False

        async def send_with_id(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode("ascii"))]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001 - the server would log its text, and answer in another form
            fault = _fault(error)
            if not begun:
                await _answer_to(fault)(scope, receive, send_with_id)


def _sane_id(scope: Scope) -> str:
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


async def _answer_to_job_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, JobError)  # noqa: S101 - it is registered for no other
    return _answer_to(error)


async def _answer_to_http_error(_request: Request, error: Exception) -> Response:
    """What the service declines, and an unknown path or method, in the form of all errors."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for no other
    if isinstance(error, Declined):
        return _answer_to(error)
    sentence = "there is no such path here: POST /generate and GET /health are"
    if error.status_code == 405:  # noqa: PLR2004 - known by its number
        sentence = "this path does not take this method: POST /generate and GET /health are what is here"
    return _answer_to(Declined(sentence, status=error.status_code, failure="not_found", headers=error.headers))


def make_app(service: Service) -> FastAPI:
    """The application that a server runs."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(service.readiness.keep_looking())]
        tasks.append(asyncio.create_task(service.end_jobs_when_stopping()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    app = FastAPI(lifespan=lifespan, redirect_slashes=False, redoc_url=None)
    app.add_exception_handler(JobError, _answer_to_job_error)
    app.add_exception_handler(HTTPException, _answer_to_http_error)
    app.add_middleware(Frame)
    if origins := service.service_settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    app.add_api_route("/health", service.health, response_class=Response, responses=HEALTH_RESPONSES)
    app.add_api_route(
        "/generate",
        service.generate,
        methods=["POST"],
        response_class=Response,
        responses=GENERATE_RESPONSES,
        openapi_extra=GENERATE_REQUEST,
    )
    app.openapi = functools.cache(functools.partial(describe, app))  # type: ignore[method-assign]
    return app


# --- What it says of itself


def _reference(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def _error(description: str, **headers: str) -> dict[str, Any]:
    described = {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
    }
    return {"description": description, "content": {"application/json": _reference("JobFailure")}, "headers": described}


_HEALTH = {
    "Health": {
        "type": "object",
        "required": ["status", "model", "ready"],
        "additionalProperties": False,
        "properties": {
            "status": {"const": "healthy", "description": "The service answers."},
            "model": {"type": "string", "description": "The model, or `offline`."},
            "ready": {"type": "boolean", "description": "Whether a job that came now would find its model."},
            "reason": {"type": "string", "description": "Why it is not ready, in one sentence."},
        },
        "examples": [{"status": "healthy", "model": "gpt-5-nano", "ready": True}],
    }
}
HEALTH_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Ready.", "content": {"application/json": _reference("Health")}},
    503: {"description": "Alive, but not ready.", "content": {"application/json": _reference("Health")}},
}
GENERATE_REQUEST = {
    "requestBody": {"required": True, "content": {"application/json": _reference("GenerationInput")}},
    "security": [{"token": []}, {}],
}
_STREAM = (
    "With `Accept: text/event-stream`: `event:` is an event's type and `data:` the event, a GenerationEvent as JSON. "
    "Last comes `result` with the whole output, a GenerationOutput, or `error` with a JobFailure. "
    "A comment comes every 15 s where nothing else does."
)
GENERATE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": f"The job's output. {_STREAM}",
        "content": {
            "application/json": _reference("GenerationOutput"),
            "text/event-stream": {"schema": {"type": "string"}},
        },
    },
    401: _error("The token is missing or wrong.", WWW_Authenticate="Bearer"),
    408: _error("The body stopped coming."),
    413: _error(f"The body has more than {MAX_BODY_BYTES} bytes."),
    415: _error("The body does not call itself JSON."),
    422: _error("The input is wrong as a whole; the sentence names the place."),
    500: _error("A fault of the service; its log has the place."),
    502: _error("A fault of the OpenAI account, or of the results bucket."),
    503: _error("Full, stopping, or a setting is missing or wrong.", Retry_After="Seconds after which to try again."),
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description, with the contract's own schemas."""
    document = get_openapi(
        title="Doctown generation worker",
        version=str(contract.VERSION),
        description="Documents the symbols of a code base through OpenAI.",
        routes=app.routes,
    )
    components = document.setdefault("components", {})
    components["schemas"] = {**contract.openapi_components(), **_HEALTH}
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return document


# --- The process


class Server(uvicorn.Server):
    """uvicorn, which also tells the jobs that it was asked to stop."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: Any = None) -> None:  # noqa: ANN401 - as uvicorn has it
        """Serve until told to stop."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take the signal, wherever it interrupts."""
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The worker's settings. A key that is missing does not end the service: `/health` and each job say so."""
    if environ.get("OPENAI_API_KEY", "").strip():
        return Settings.from_env(environ)
    settings = Settings.from_env({**environ, "OPENAI_API_KEY": "missing"})
    return settings.model_copy(update={"openai_api_key": None})


def set_up_logging(level: str) -> None:
    """Log to standard error, each line with the id of its request; standard output is for events."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_add_request_id)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s [%(request_id)s]: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = _request_id.get()
    return True


def main() -> None:
    """Check the settings and serve until told to stop."""
    set_process_defaults(os.environ)
    try:
        settings, service_settings = read_settings(os.environ), ServiceSettings.from_env(os.environ)
    except ConfigError as error:
        sys.exit(f"generation.service: {error}")
    set_up_logging(settings.log_level)
    if service_settings.is_open_to_others:
        log.warning("SERVICE_TOKEN is not set: whoever reaches %s may spend on this account", service_settings.host)
    service = Service(settings, service_settings)
    config = uvicorn.Config(
        make_app(service),
        host=service_settings.host,
        port=service_settings.port,
        # The loop that the worker runs on too, under RunPod.
        loop="asyncio",
        ws="none",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=CLOSE_AFTER_S,
    )
    Server(config, service.stopping).run()


if __name__ == "__main__":
    main()
