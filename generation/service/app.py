"""The HTTP service: the worker without RunPod. Only this package imports `fastapi`, `starlette` and `uvicorn`.

    python -m generation.service

`POST /generate` takes a job's input and returns its output, optionally after a stream of its events;
`GET /results/{job_id}` returns what a job has stored; `GET /health` reports whether a job could run now. The service
only adapts `generation.job.run_job` to HTTP. TLS and user accounts are left to a reverse proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
import re
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from typing import Any

import anyio
from fastapi import FastAPI, Request
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from generation.config import ServiceSettings, Settings
from generation.domain.catalogue import utc_today
from generation.domain.limits import JOB_ID
from generation.domain.output import JobOutput, PlannedOutput
from generation.errors import InputError, JobError
from generation.job import Watch, ignore, run_job
from generation.reporting import events
from generation.results.report import as_json
from generation.service.admission import (
    IDLE_TIMEOUT_S,
    Body,
    Gate,
    check_content_type,
    check_token,
    read_body,
    wants_events,
)
from generation.service.answers import RequestRejected, error_body, error_response, internal_error, service_stopping
from generation.service.openapi import (
    GENERATE_REQUEST,
    GENERATE_RESPONSES,
    HEALTH_RESPONSES,
    RESULTS_REQUEST,
    RESULTS_RESPONSES,
    describe,
)
from generation.service.readiness import Readiness, why_not_ready
from generation.service.stream import EventStream, message
from generation.storage import open_storage
from generation.storage.keys import results_key

log = logging.getLogger("generation.service")

# Docker sends SIGKILL ten seconds after SIGTERM.
STOP_AFTER_S = 7.0

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
current_request_id = contextvars.ContextVar("request_id", default="-")


Output = JobOutput | PlannedOutput


class Deferred(Response):
    """A response produced while it is sent, with access to `receive`, so that a client's disconnection is noticed."""

    def __init__(self, answer: Callable[[Receive, Send], Awaitable[None]]) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Produce and send the response (ASGI)."""
        await self._answer(receive, send)


# x-accel-buffering: nginx would otherwise buffer events until a page is full.
STREAM_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class EventWriter:
    """Writes a stream of events to a client; sends the response headers with the first chunk."""

    def __init__(self, send: Send) -> None:
        self.begun = False
        self._send = send

    async def send(self, chunk: bytes, *, more: bool = True) -> None:
        """Send a chunk. Raises TimeoutError where the client has not read for IDLE_TIMEOUT_S."""
        with anyio.fail_after(IDLE_TIMEOUT_S):
            if not self.begun:
                self.begun = True
                await self._send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            await self._send({"type": "http.response.body", "body": chunk, "more_body": more})


class Service:
    """The state that all requests of the process share."""

    def __init__(
        self, settings: Settings, service_settings: ServiceSettings, today: Callable[[], date] = utc_today
    ) -> None:
        # The caller may have no other way to the results: its answer has every symbol, whatever its size.
        self.settings = settings.model_copy(update={"max_output_bytes": sys.maxsize})
        self.service_settings = service_settings
        self.readiness = Readiness(functools.partial(why_not_ready, settings, today))
        self._today = today
        self.stopping = asyncio.Event()
        self._gate = Gate(settings.jobs_per_worker)
        self._waiting: set[asyncio.Task[Any]] = set()
        self._running: set[asyncio.Task[Any]] = set()

    async def health(self) -> Response:
        """Return whether a job submitted now could use its model, as of the latest background check."""
        reason = self.readiness.reason
        model = self.settings.as_of(self._today()).model_name
        answer = {"status": "healthy", "model": model, "ready": reason is None}
        if reason is not None:
            answer["reason"] = reason
        return Response(as_json(answer), 503 if reason else 200, media_type="application/json")

    async def results(self, request: Request) -> Response:
        """Return the results document of a job, such as one whose answer was lost on its way."""
        check_token(request, self.service_settings)
        job_id = request.path_params["job_id"]
        is_job_id = JOB_ID.fullmatch(job_id) and job_id.strip(".")
        stored = await open_storage(self.settings).read(results_key(job_id)) if is_job_id else None
        if stored is None:
            sentence = "no job of this ID has stored its results: send it again, at no cost for what it has done"
            raise RequestRejected(sentence, status=404, failure="not_found")
        return Response(stored.body, media_type="application/json")

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
                    await self._respond_with_events(body, receive, send)
                else:
                    await self._respond_with_output(body, receive, send)
            except ClientDisconnect:
                log.info("the caller left before all of the body had come")
            finally:
                body.release()

    async def _respond_with_output(self, body: Body, receive: Receive, send: Send) -> None:
        async with self._job(body, receive, events.print_event, ignore) as job:
            await asyncio.wait({job})
            output = _output_of(job)
        response = Response(await asyncio.to_thread(as_json, output), media_type="application/json")
        await response({"type": "http"}, receive, send)

    async def _respond_with_events(self, body: Body, receive: Receive, send: Send) -> None:
        stream, writer = EventStream(), EventWriter(send)
        async with self._job(body, receive, stream.emit, stream.watch) as job:
            job.add_done_callback(lambda _: stream.close())
            try:
                async for chunk in stream.messages():
                    await writer.send(chunk)
                await writer.send(await _last_message(job, begun=writer.begun), more=False)
            except TimeoutError:
                log.warning("the caller takes no more events: the connection is closed")

    @contextlib.asynccontextmanager
    async def _job(
        self, body: Body, receive: Receive, emit: events.Sink, watch: Watch
    ) -> AsyncIterator[asyncio.Task[Output]]:
        """Run the job as a task that is cancelled when the block ends or the client disconnects."""
        job = asyncio.create_task(self._run(body, emit, watch))
        disconnected = asyncio.create_task(_wait_for_disconnect(receive))
        disconnected.add_done_callback(lambda _: job.cancel())
        try:
            yield job
        finally:
            disconnected.cancel()
            job.cancel()
            await asyncio.wait({job, disconnected})
            if job.cancelled() and not disconnected.cancelled():
                log.info("the caller left: the job was cancelled")

    async def _run(self, body: Body, emit: events.Sink, watch: Watch) -> Output:
        """Wait for a free slot and run the job. Every failure is raised as JobError or RequestRejected."""
        this_task = asyncio.current_task()
        assert this_task is not None  # noqa: S101 - for the type checker
        if self.stopping.is_set():
            raise service_stopping()
        self._waiting.add(this_task)
        try:
            async with self._gate.slots:
                self._waiting.discard(this_task)
                self._running.add(this_task)
                payload = await asyncio.to_thread(body.parsed)
                body.release()
                run = functools.partial(run_job, default_job_id=uuid.uuid4().hex, stopping=self.stopping)
                output = await run(payload, self.settings, emit=emit, watch=watch, today=self._today)
                if output.get("failed_count"):
                    self.readiness.check_now()
                return output
        except (JobError, RequestRejected) as error:
            if isinstance(error, JobError) and not isinstance(error, InputError):
                self.readiness.check_now()
            raise
        except Exception as error:  # noqa: BLE001 - the client gets one sentence
            raise internal_error(error) from None
        finally:
            self._waiting.discard(this_task)
            self._running.discard(this_task)

    async def end_jobs_when_stopping(self) -> None:
        """Once `stopping` is set, cancel waiting jobs at once and running jobs after STOP_AFTER_S."""
        await self.stopping.wait()
        log.info("told to stop: %d jobs are running and %d are waiting", len(self._running), len(self._waiting))
        for job in self._waiting:
            job.cancel()
        await asyncio.sleep(STOP_AFTER_S)
        for job in self._running:
            job.cancel()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _output_of(job: asyncio.Task[Output]) -> Output:
    """Return a finished job's output, or raise its error.

    A cancelled job raises `service_stopping`: the other cause, a client that has disconnected, gets no response.
    """
    if job.cancelled():
        raise service_stopping()
    return job.result()


async def _last_message(job: asyncio.Task[Output], *, begun: bool) -> bytes:
    """Return the last message of a stream. Before the first chunk, raise an error instead: it gets an HTTP status."""
    try:
        return message("result", await asyncio.to_thread(as_json, _output_of(job)))
    except (JobError, RequestRejected) as error:
        if not begun:
            raise
        return message("error", error_body(error))


class RequestIdMiddleware:
    """Gives each request an id, for log lines and the response, and turns unexpected exceptions into responses."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on to the application (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _valid_request_id(scope)
        current_request_id.set(request_id)
        begun = False

        async def send_with_id(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode("ascii"))]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001 - uvicorn would log its message and respond in another format
            fault = internal_error(error)
            if not begun:
                await error_response(fault)(scope, receive, send_with_id)


def _valid_request_id(scope: Scope) -> str:
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


async def _handle_job_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, JobError)  # noqa: S101 - it is registered for no other
    return error_response(error)


async def _handle_http_error(_request: Request, error: Exception) -> Response:
    """Return a rejected request, an unknown path or an unknown method in the format of all errors."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for no other
    if isinstance(error, RequestRejected):
        return error_response(error)
    here = "POST /generate, GET /results/{job_id} and GET /health are"
    sentence = f"there is no such path here: {here}"
    if error.status_code == 405:  # noqa: PLR2004 - known by its number
        sentence = f"this path does not take this method: {here} what is here"
    return error_response(
        RequestRejected(sentence, status=error.status_code, failure="not_found", headers=error.headers)
    )


def make_app(service: Service) -> FastAPI:
    """Return the ASGI application."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(service.readiness.keep_checking())]
        tasks.append(asyncio.create_task(service.end_jobs_when_stopping()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    # As FastAPI, but GET /docs loads its scripts from here, and not from another site.
    app = FastAPIOffline(lifespan=lifespan, redirect_slashes=False, redoc_url=None, static_url="/docs/static")
    app.add_exception_handler(JobError, _handle_job_error)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_middleware(RequestIdMiddleware)
    if origins := service.service_settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    app.add_api_route("/health", service.health, response_class=Response, responses=HEALTH_RESPONSES)
    app.add_api_route("/health", service.health, methods=["HEAD"], include_in_schema=False)
    app.add_api_route(
        "/results/{job_id}",
        service.results,
        response_class=Response,
        responses=RESULTS_RESPONSES,
        openapi_extra=RESULTS_REQUEST,
    )
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
