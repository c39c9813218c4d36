"""The HTTP service: the worker without RunPod. Only this package imports `fastapi`, `starlette` and `uvicorn`.

    python -m generation.service

`POST /generate` takes a job's input and returns its output, optionally after a stream of its events;
`GET /results/{job_id}` returns what a job has stored; `GET /health` reports whether a job could run now; `GET /metrics`
and `GET /stats` have the figures of the process. The service only adapts `generation.job.run_job` to HTTP. TLS and user
accounts are left to a reverse proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from typing import Any

import anyio
from fastapi import FastAPI, Request
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from generation.config import ServiceSettings, Settings
from generation.domain.catalogue import utc_today
from generation.domain.limits import JOB_ID
from generation.domain.output import JobOutput, PlannedOutput
from generation.errors import InputError, JobError
from generation.figures.job import JobFigures
from generation.figures.process import ProcessFigures
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
from generation.service.answers import RequestRejected, error_body, internal_error, service_stopping
from generation.service.openapi import (
    GENERATE_REQUEST,
    GENERATE_RESPONSES,
    HEALTH_RESPONSES,
    METRICS_RESPONSES,
    RESULTS_REQUEST,
    RESULTS_RESPONSES,
    STATS_RESPONSES,
    describe,
)
from generation.service.readiness import Readiness, why_not_ready
from generation.service.stream import EventStream, message
from generation.service.web import Background, new_app
from generation.storage import open_storage
from generation.storage.keys import results_key

log = logging.getLogger("generation.service")

# Docker sends SIGKILL ten seconds after SIGTERM.
STOP_AFTER_S = 7.0


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
        self.figures = ProcessFigures()
        self._waiting: set[asyncio.Task[Any]] = set()
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def background(self) -> tuple[Background, ...]:
        """Return what runs as long as the service does."""
        return (self.readiness.keep_checking, self.end_jobs_when_stopping)

    @property
    def model_name(self) -> str:
        """Return the model of jobs that name none."""
        return self.settings.as_of(self._today()).model_name

    async def health(self) -> Response:
        """Return whether a job submitted now could use its model, as of the latest background check."""
        reason = self.readiness.reason
        answer = {"status": "healthy", "model": self.model_name, "ready": reason is None}
        if reason is not None:
            answer["reason"] = reason
        return Response(as_json(answer), 503 if reason else 200, media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        """Return the figures of this process in Prometheus' format."""
        check_token(request, self.service_settings)
        from generation.service.metrics import CONTENT_TYPE, metrics_text

        return Response(metrics_text(self.figures), media_type=CONTENT_TYPE)

    async def stats(self, request: Request) -> Response:
        """Return the figures of this process as JSON."""
        check_token(request, self.service_settings)
        return Response(as_json(self.figures.record()), media_type="application/json")

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

    async def json_body(self, request: Request, max_bytes: int) -> Any:  # noqa: ANN401 - any JSON
        """Return the JSON of a request's body, which has so many bytes at most. Raise RequestRejected or InputError."""
        async with self.body(request, max_bytes) as body:
            return await asyncio.to_thread(body.parsed)

    @contextlib.asynccontextmanager
    async def body(self, request: Request, max_bytes: int | None = None) -> AsyncIterator[Body]:
        """Yield a request's body; while the block runs, it counts against the gate's limits. Raise RequestRejected."""
        check_content_type(request)
        body = Body(self._gate, max_bytes)
        with self._gate.entered():
            try:
                await read_body(request, body)
                yield body
            except ClientDisconnect:
                raise RequestRejected("the body did not come whole", status=408, failure="bad_input") from None
            finally:
                body.release()

    def check_token(self, connection: HTTPConnection) -> None:
        """Raise RequestRejected where SERVICE_TOKEN is set and the request does not carry it."""
        check_token(connection, self.service_settings)

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
            with self.figures.waiting():
                await self._gate.slots.acquire()
            try:
                self._waiting.discard(this_task)
                self._running.add(this_task)
                with self.figures.job("symbols") as (figures, status):
                    return await self._run_counted(body, emit, watch, figures, status)
            finally:
                self._gate.slots.release()
        finally:
            self._waiting.discard(this_task)
            self._running.discard(this_task)

    async def _run_counted(
        self, body: Body, emit: events.Sink, watch: Watch, figures: JobFigures, status: list[str]
    ) -> Output:
        try:
            payload = await asyncio.to_thread(body.parsed)
            body.release()
            run = functools.partial(run_job, default_job_id=uuid.uuid4().hex, stopping=self.stopping)
            output = await run(payload, self.settings, emit=emit, watch=watch, today=self._today, figures=figures)
        except (JobError, RequestRejected) as error:
            status.append("error")
            figures.failures["job", error.failure] += 1
            if isinstance(error, JobError) and not isinstance(error, InputError):
                self.readiness.check_now()
            raise
        except Exception as error:  # noqa: BLE001 - the client gets one sentence
            status.append("error")
            figures.failures["job", "internal"] += 1
            raise internal_error(error) from None
        status.append(output["status"])
        if output.get("failed_count"):
            self.readiness.check_now()
        return output

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


def make_app(service: Service) -> FastAPI:
    """Return the ASGI application."""
    app = new_app(service.service_settings, service.background, describe)
    add_routes(app, service, service.health)
    return app


def add_routes(app: FastAPI, service: Service, health: Callable[[], Awaitable[Response]]) -> None:
    """Add the worker's routes to an application; `health` answers for all that it has."""
    app.add_api_route("/health", health, response_class=Response, responses=HEALTH_RESPONSES)
    app.add_api_route("/health", health, methods=["HEAD"], include_in_schema=False)
    app.add_api_route("/metrics", service.metrics, response_class=Response, responses=METRICS_RESPONSES)
    app.add_api_route("/stats", service.stats, response_class=Response, responses=STATS_RESPONSES)
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
