"""The HTTP service for repositories. Any process answers for any job: all that it knows of jobs is in the store.

`POST /ingest` writes a job into the store, which one of the processes runs; `GET /status/{job_id}` reads it there, at
once, as server-sent events or through a WebSocket. `GET /docpacks/{job_id}` returns the pack. `POST /embed` and
`POST /assemble` compute at once. `POST /generate`, `GET /results`, `/health`, `/metrics` and `/stats` are the worker's
(`generation.service`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import json
import logging
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI, Request, WebSocket
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from doctown.docpack.reader import read_member
from doctown.embedding import EmbeddingSettings
from doctown.embedding.model import MODEL_FILE
from doctown.errors import DoctownError, ModelError, PackError
from doctown.jobs import parse_repository_job, run_repository_job
from doctown.jobs.run import Caches
from doctown.parsing.cache import Cache, default_folder
from doctown.repository import Network
from doctown.service import compute, openapi, records
from doctown.service.pack_files import PackFiles
from doctown.service.rate import RateLimit
from doctown.service.records import JobState, is_open
from doctown.service.runner import Runner, utc_now
from doctown.service.settings import RepositoryServiceSettings
from doctown.service.store import JobStore
from generation import InputError, JobError, Settings, StorageError, open_storage
from generation.domain.limits import JOB_ID
from generation.service import IDLE_TIMEOUT_S, RequestRejected, Service, add_routes, describe, message, new_app

log = logging.getLogger("doctown.service")

# How often a stream looks at a job, and how long it may be silent: proxies close an idle connection after 30 s or so.
LOOK_INTERVAL_S = 1.0
KEEP_ALIVE_S = 15.0
MAX_OPEN_JOBS = 1_000
# All patterns that a job may have, of letters of two bytes. Its record, which has them, is written again and again.
MAX_INPUT_BYTES = 4_000_000
# Each looks at the store once in LOOK_INTERVAL_S.
MAX_FOLLOWERS = 256
MAX_PAGE = 200
PAGE = 50
# A build has no time limit of its own here: RunPod's, the default, is that of an execution there.
DEADLINE_S = 7 * 24 * 3600.0
STORE_CHECK_INTERVAL_S = 30.0
STOPPING = "the service was told to stop: send the request again, another process answers it"


class TemporaryFileResponse(FileResponse):
    """A file, or ranges of it, whose folder is removed however the answer ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file and remove its folder (ASGI)."""
        try:
            await _answer(super().__call__, scope, receive, send)
        finally:
            shutil.rmtree(Path(self.path).parent, ignore_errors=True)


class EventResponse(StreamingResponse):
    """Server-sent events, which end where the caller takes no more of them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events (ASGI)."""
        await _answer(super().__call__, scope, receive, send)


async def _answer(response: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a response; give up a caller who takes nothing of it for IDLE_TIMEOUT_S, and holds its place and files."""

    async def send_in_time(message: Message) -> None:
        with anyio.fail_after(IDLE_TIMEOUT_S):
            await send(message)

    try:
        await response(scope, receive, send_in_time)
    except (TimeoutError, ClientDisconnect):  # Starlette takes the one for the other
        log.warning("the caller takes no more of the answer: the connection is closed")


class JobService:
    """The state that all requests of the process share; `worker` is what it has in common with the worker's service."""

    def __init__(
        self, settings: Settings, service_settings: RepositoryServiceSettings, environ: Mapping[str, str]
    ) -> None:
        self.worker = Service(settings, service_settings)
        self.service_settings = service_settings
        self.stopping = self.worker.stopping
        self.storage = open_storage(settings)
        self.store = JobStore(self.storage)
        self.packs = PackFiles(self.storage)
        self._settings = settings
        self._embedding = EmbeddingSettings.from_env(environ)
        self._network = Network.from_env(environ)
        self._rate = RateLimit(service_settings.requests_per_minute)
        self._computing = asyncio.Semaphore(max(1, settings.jobs_per_worker))
        self._store_reason: str | None = None
        self._followers = 0
        if "deadline_s" not in settings.model_fields_set:
            settings = settings.model_copy(update={"deadline_s": DEADLINE_S})
        folder = default_folder()
        execute = functools.partial(
            run_repository_job,
            settings=settings,
            environ=environ,
            caches=Caches(Cache(folder), folder),
        )
        self.runner = Runner(self.store, execute, self.worker.figures, settings.jobs_per_worker, self.stopping)

    def warn(self, warnings: Sequence[str]) -> None:
        """Log what is worth knowing at the start."""
        for warning in warnings:
            log.warning("%s", warning)
        if self.service_settings.is_open_to_others:
            log.warning(
                "SERVICE_TOKEN is not set: anybody who reaches %s may spend on this account", self.service_settings.host
            )

    # Jobs

    async def ingest(self, request: Request) -> Response:
        """Take a job and answer with its id; a job whose id is known already is not begun again."""
        self._admit(request)
        payload = await self.worker.json_body(request, MAX_INPUT_BYTES)
        job = parse_repository_job(payload, new_job_id())
        if job.git is not None:
            self._check_host(job.git.url)
        if self.stopping.is_set():
            raise RequestRejected(STOPPING, status=503, failure="stopping", headers={"Retry-After": "1"})
        if len(await self.store.open_ids()) >= MAX_OPEN_JOBS:
            sentence = f"{MAX_OPEN_JOBS} jobs are waiting: send the job again later"
            raise RequestRejected(sentence, status=503, failure="busy", headers={"Retry-After": "60"})
        given = payload["input"] if isinstance(payload.get("input"), dict) else payload
        # A key of null counts as left out, whatever its name is.
        given = {key: value for key, value in given.items() if value is not None}
        await self.store.create(records.queued(job.job_id, {**given, "job_id": job.job_id}, utc_now()))
        self.runner.wake()
        location = {"Location": f"/status/{job.job_id}"}
        return _json({"job_id": job.job_id}, status=202, headers=location)

    async def status(self, request: Request) -> Response:
        """Return where a job stands, as its record has it."""
        self._admit(request)
        return _json(await self._known_job(request))

    async def status_events(self, request: Request) -> Response:
        """Stream a job's status, whenever it changes, until the job has ended."""
        self._admit(request)
        first = await self._known_job(request)
        self._check_followers()
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return EventResponse(self._events(first), headers=headers, media_type="text/event-stream")

    async def status_socket(self, socket: WebSocket) -> None:
        """Send a job's status through a WebSocket, whenever it changes, until the job has ended."""
        try:
            self._check_socket(socket)
            first = await self._known_job(socket)
            self._check_followers()
        except RequestRejected as error:
            await socket.close(1008, error.detail)
            return
        except StorageError as error:
            await socket.close(1011, _close_reason(error))
            return
        protocol = "bearer" if "bearer" in socket.scope["subprotocols"] else None
        await socket.accept(subprotocol=protocol)
        sending = asyncio.create_task(self._send_changes(socket, first))
        left = asyncio.create_task(_until_left(socket))
        try:
            await asyncio.wait({sending, left}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            left.cancel()
            await asyncio.wait({sending, left})

    async def _send_changes(self, socket: WebSocket, first: JobState) -> None:
        try:
            async with contextlib.aclosing(self._changes(first)) as changes:
                async for state in changes:
                    if state is not None:
                        await socket.send_text(_as_text(state))
            await socket.close()
        except StorageError as error:
            await socket.close(1011, _close_reason(error))
        except WebSocketDisconnect:
            log.info("the reader of a job's status has left")

    async def cancel(self, request: Request) -> Response:
        """Ask for the end of a job, wherever it runs."""
        self._admit(request)
        job_id = _job_id(request)
        state, _ = await self.store.change(job_id, lambda found: records.cancel_asked(found, utc_now()))
        if state is None:
            raise _no_job()
        if not is_open(state):
            await self.store.close(job_id)
        return _json(state, status=202 if is_open(state) else 200)

    async def jobs(self, request: Request) -> Response:
        """Return a page of jobs, the newest first."""
        self._admit(request)
        limit, before = request.query_params.get("limit", str(PAGE)), request.query_params.get("before")
        if not (limit.isascii() and limit.isdigit() and 0 < len(limit) < 4 and 0 < int(limit) <= MAX_PAGE):  # noqa: PLR2004
            raise InputError(f"limit must be a whole number from 1 to {MAX_PAGE}")
        if before is not None and not JOB_ID.fullmatch(before):
            raise InputError("before must be the id of a job")
        states, following = await self.store.page(int(limit), before)
        return _json({"jobs": states, "next": following})

    # Packs

    async def docpack(self, request: Request) -> Response:
        """Return a job's pack, or ranges of it."""
        self._admit(request)
        state, pack = await self._pack(request)
        headers = {"ETag": f'"{pack["sha256"]}"'}
        path = await self._copied(state, pack)
        return TemporaryFileResponse(path, headers=headers, media_type="application/gzip", filename=path.name)

    async def docpack_member(self, request: Request) -> Response:
        """Return one member of a job's pack, such as nodes.json or pages/….md."""
        self._admit(request)
        state, pack = await self._pack(request)
        name = request.path_params["member"]
        path = await self._copied(state, pack)
        try:
            data = await asyncio.to_thread(read_member, path, name)
        except PackError as error:
            raise RequestRejected(str(error), status=502, failure="bad_pack") from None
        finally:
            await asyncio.to_thread(shutil.rmtree, path.parent, ignore_errors=True)
        if data is None:
            raise RequestRejected("the pack has no member of this name", status=404, failure="not_found")
        kind = "application/json" if name.endswith(".json") else "text/plain; charset=utf-8"
        return Response(data, media_type=kind, headers={"X-Content-Type-Options": "nosniff"})

    # What is computed at once

    async def embed(self, request: Request) -> Response:
        """Return a vector for each text."""
        return await self._compute(request, compute.EmbedInput, lambda given: compute.embed(given, self._embedding))

    async def assemble(self, request: Request) -> Response:
        """Return the graph, the clusters and the contexts of symbols."""
        return await self._compute(request, compute.AssembleInput, compute.assemble)

    async def _compute(self, request: Request, model: type[Any], function: Callable[[Any], Any]) -> Response:
        self._admit(request)
        # A caller who waits holds the bytes that came, which are bounded, and not what they become.
        async with self.worker.body(request) as body, self._computing:
            given = await asyncio.to_thread(lambda: compute.parse(model, body.parsed()))
            try:
                return _json(await asyncio.to_thread(function, given))
            except ModelError as error:
                raise RequestRejected(str(error), status=503, failure=error.failure) from None
            except DoctownError as error:
                raise InputError(str(error)) from None

    # Health

    async def health(self) -> Response:
        """Return whether jobs could run now, and which part is not ready, each with its reason."""
        reasons = {
            "model": self.worker.readiness.reason,
            "store": self._store_reason,
            "embedding_model": self._embedding_reason(),
            "git": None if shutil.which("git") else "there is no git command on the PATH: install git",
            "jobs": STOPPING if self.stopping.is_set() else None,
        }
        parts = {
            name: {"ready": True} if reason is None else {"ready": False, "reason": reason}
            for name, reason in reasons.items()
        }
        wrong = [reason for reason in reasons.values() if reason is not None]
        answer = {"status": "healthy", "model": self.worker.model_name, "ready": not wrong, "parts": parts}
        if wrong:
            answer["reason"] = wrong[0]
        return _json(answer, status=503 if wrong else 200)

    def _embedding_reason(self) -> str | None:
        if (self._embedding.model_path / MODEL_FILE).exists():
            return None
        return f"there is no {MODEL_FILE} in EMBEDDING_MODEL_PATH: run `make setup`, or set the path"

    async def watch_store(self) -> None:
        """Look again and again whether jobs could be written."""
        while True:
            try:
                key = f"jobs/checks/{secrets.token_hex(8)}"
                await self.storage.write(key, b"{}")
                await self.storage.delete([key])
                self._store_reason = None
            except StorageError as error:
                self._store_reason = str(error)
            await asyncio.sleep(STORE_CHECK_INTERVAL_S)

    # Helpers

    def _admit(self, connection: HTTPConnection) -> None:
        """Raise RequestRejected where the token is wrong, or its requests are too many."""
        self.worker.check_token(connection)
        self._count(connection.headers.get("authorization", ""), connection)

    def _count(self, token: str, connection: HTTPConnection) -> None:
        has_token = self.service_settings.service_token is not None
        caller = token if has_token else (connection.client.host if connection.client else "")
        wait_s = self._rate.wait_s(hashlib.sha256(caller.encode("latin-1", "replace")).hexdigest())
        if wait_s > 0:
            limit = self.service_settings.requests_per_minute
            raise RequestRejected(
                f"more than {limit} requests a minute: send it again later",
                status=429,
                failure="too_many_requests",
                headers={"Retry-After": str(int(wait_s) + 1)},
            )

    def _check_followers(self) -> None:
        if self._followers >= MAX_FOLLOWERS:
            sentence = f"{MAX_FOLLOWERS} callers follow jobs here already: ask for the status, or come again later"
            raise RequestRejected(sentence, status=503, failure="busy", headers={"Retry-After": "10"})

    def _check_socket(self, socket: WebSocket) -> None:
        """Raise RequestRejected as `_admit`, and where another site's page opens the socket: no preflight protects it.

        Browsers send no Authorization header with a WebSocket: `bearer` and the token may be its subprotocols instead.
        """
        origin = socket.headers.get("origin")
        allowed = self.service_settings.origins
        if origin is not None and origin not in allowed and "*" not in allowed:
            raise RequestRejected("this site's pages may not call the service", status=403, failure="bad_token")
        offered = socket.scope["subprotocols"]
        if len(offered) == 2 and offered[0] == "bearer":  # noqa: PLR2004 - the word and the token
            header = (b"authorization", f"Bearer {offered[1]}".encode("latin-1"))
            socket.scope["headers"] = [*socket.scope["headers"], header]
            self._admit(HTTPConnection(socket.scope))
        else:
            self._admit(socket)

    def _check_host(self, url: str) -> None:
        try:
            self._network.check_url(url)
        except DoctownError as error:
            raise InputError(f"input.repository.url: {error}") from None

    async def _known_job(self, connection: HTTPConnection) -> JobState:
        state = await self.store.read(_job_id(connection))
        if state is None:
            raise _no_job()
        return state

    async def _changes(self, first: JobState) -> AsyncGenerator[JobState | None, None]:
        """Yield the job's state when it has changed, and None after KEEP_ALIVE_S without, until it has ended."""
        self._followers += 1
        try:
            state, told_s = first, time.monotonic()
            yield state
            while is_open(state) and not self.stopping.is_set():
                await asyncio.sleep(LOOK_INTERVAL_S)
                found = await self.store.read(first["job_id"])
                if found is not None and found != state:
                    state, told_s = found, time.monotonic()
                    yield state
                elif time.monotonic() - told_s >= KEEP_ALIVE_S:
                    told_s = time.monotonic()
                    yield None
        finally:
            self._followers -= 1

    async def _events(self, first: JobState) -> AsyncIterator[bytes]:
        try:
            async with contextlib.aclosing(self._changes(first)) as changes:
                async for state in changes:
                    yield b": keep-alive\n\n" if state is None else message("status", _as_text(state).encode())
        except JobError as error:
            yield message("error", _as_text({"error": str(error), "failure": error.failure}).encode())

    async def _pack(self, request: Request) -> tuple[JobState, Mapping[str, Any]]:
        """Return a job and the pointer to its pack. Raise RequestRejected where it has none."""
        state = await self._known_job(request)
        output: Mapping[str, Any] = state["output"] or {}
        pack = output.get("docpack")
        if not isinstance(pack, dict):
            sentence = "the job has not ended" if is_open(state) else "the job has no pack"
            raise RequestRejected(f"{sentence}: see its status", status=404, failure="not_found")
        return state, pack

    async def _copied(self, state: JobState, pack: Mapping[str, Any]) -> Path:
        """Return a copy of a job's pack, in a folder that is to be removed. Raise RequestRejected where it is gone."""
        path = await self.packs.copy(pack["key"], pack["sha256"])
        if path is None:
            sentence = f"the pack of job {state['job_id']} was replaced by that of a later job of its repository"
            raise RequestRejected(sentence, status=410, failure="not_found")
        return path


def new_job_id() -> str:
    """Return a new id, which begins with the time: ids in their order are jobs in their order."""
    return f"{utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(8)}"


def make_app(service: JobService) -> FastAPI:
    """Return the ASGI application."""
    background = (*service.worker.background, service.runner.run, service.watch_store, service.packs.close_at_the_end)
    app = new_app(service.service_settings, background, functools.partial(openapi.describe_service, describe=describe))
    for path, function, described in (
        ("/ingest", service.ingest, openapi.INGEST),
        ("/status/{job_id}", service.status, openapi.STATUS),
        ("/status/{job_id}/events", service.status_events, openapi.EVENTS),
        ("/cancel/{job_id}", service.cancel, openapi.CANCEL),
        ("/jobs", service.jobs, openapi.JOBS),
        ("/docpacks/{job_id}", service.docpack, openapi.DOCPACK),
        ("/docpacks/{job_id}/{member:path}", service.docpack_member, openapi.MEMBER),
        ("/embed", service.embed, openapi.EMBED),
        ("/assemble", service.assemble, openapi.ASSEMBLE),
    ):
        app.add_api_route(path, function, response_class=Response, **described)
    app.add_api_websocket_route("/status/{job_id}/ws", service.status_socket)
    add_routes(app, service.worker, service.health)
    return app


async def _until_left(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _job_id(connection: HTTPConnection) -> str:
    job_id: str = connection.path_params["job_id"]
    if not JOB_ID.fullmatch(job_id) or not job_id.strip("."):
        raise _no_job()
    return job_id


def _no_job() -> RequestRejected:
    return RequestRejected("there is no job of this id", status=404, failure="not_found")


def _json(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(_as_text(document).encode(), status, headers, "application/json")


def _as_text(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def _close_reason(error: StorageError) -> str:
    """Return the sentence as the frame that closes a WebSocket can have it: in 123 bytes (RFC 6455, section 5.5)."""
    return str(error).encode()[:123].decode(errors="ignore")
