"""What every HTTP service of the project has around its routes: request ids, errors, CORS, background tasks."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import re
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from generation.config import ServiceSettings
from generation.errors import JobError
from generation.service.answers import RequestRejected, error_response, internal_error

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
current_request_id = contextvars.ContextVar("request_id", default="-")

Background = Callable[[], Coroutine[Any, Any, None]]


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


async def _handle_http_error(app: FastAPI, _request: Request, error: Exception) -> Response:
    """Return a rejected request, an unknown path or an unknown method in the format of all errors."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for no other
    if isinstance(error, RequestRejected):
        return error_response(error)
    sentence = f"there is no such path here: there are {_paths(app)}"
    if error.status_code == 405:  # noqa: PLR2004 - known by its number
        sentence = f"this path does not take this method: there are {_paths(app)}"
    return error_response(
        RequestRejected(sentence, status=error.status_code, failure="not_found", headers=error.headers)
    )


def _paths(app: FastAPI) -> str:
    """Return the methods and paths of the description, as a list for people."""
    found = [f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods]
    return ", ".join(found)


def new_app(
    settings: ServiceSettings, background: Sequence[Background], describe: Callable[[FastAPI], dict[str, Any]]
) -> FastAPI:
    """Return an application without routes; `background` runs as long as it does, `describe` returns its OpenAPI."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(run()) for run in background]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    # As FastAPI, but GET /docs loads its scripts from here, and not from another site.
    app = FastAPIOffline(lifespan=lifespan, redirect_slashes=False, redoc_url=None, static_url="/docs/static")
    app.add_exception_handler(JobError, _handle_job_error)
    app.add_exception_handler(HTTPException, functools.partial(_handle_http_error, app))
    app.add_middleware(RequestIdMiddleware)
    if origins := settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["Authorization", "Content-Type", "Range", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After", "Content-Range", "ETag"],
        )
    app.openapi = functools.cache(functools.partial(describe, app))  # type: ignore[method-assign]
    return app
