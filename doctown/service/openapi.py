"""The OpenAPI description of the service for repositories: its paths, the schemas of its bodies, and examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from doctown.jobs.request import RepositoryInput
from doctown.service.compute import AssembleInput, AssembleOutput, EmbedInput, EmbedOutput
from doctown.service.records import JobState
from generation.domain.limits import JOB_ID
from generation.domain.output import JobId
from generation.service import components_of, error_response_of, reference


@with_config(ConfigDict(strict=True, extra="forbid"))
class IngestAccepted(TypedDict):
    """A job that was taken."""

    job_id: JobId


@with_config(ConfigDict(strict=True, extra="forbid"))
class JobPage(TypedDict):
    """Jobs, the newest first."""

    jobs: list[JobState]
    next: Annotated[str | None, Field(description="What `before` must be for the next page; null on the last one.")]


DOCUMENTS: Mapping[str, type[Any]] = {
    "ingest": RepositoryInput,
    "accepted": IngestAccepted,
    "status": JobState,
    "jobs": JobPage,
    "embed": EmbedInput,
    "embedded": EmbedOutput,
    "assemble": AssembleInput,
    "assembled": AssembleOutput,
}

# Those that are files too: what clients of the service read.
SCHEMAS: Mapping[str, type[Any]] = {"job_status": JobState, "job_page": JobPage}

_INPUT = {
    "repository": {"url": "https://github.com/owner/repo", "ref": "main"},
    "options": {"max_cost_usd": 1.0},
}
_PROGRESS = {
    "step": 5,
    "steps": 7,
    "name": "document",
    "counts": {"fetch": {"done": 1, "total": 1}, "parse": {"done": 120, "total": 120}},
    "completed": 40,
    "failed": 0,
    "total": 812,
    "total_tokens": 16080,
    "total_cost": 0.00284,
    "elapsed_ms": 21400,
}
_STATE = {
    "job_id": "20260101T120000-0f1e2d3c4b5a6978",
    "status": "running",
    "input": {**_INPUT, "job_id": "20260101T120000-0f1e2d3c4b5a6978"},
    "created_at": "2026-01-01T12:00:00Z",
    "started_at": "2026-01-01T12:00:01Z",
    "ended_at": None,
    "executions": 1,
    "cancel_requested": False,
    "progress": _PROGRESS,
    "output": None,
    "error": None,
    "failure": None,
}
_SYMBOLS = [
    {"symbol_id": f"src/text.py::{name}", "name": name, "kind": "function", "language": "python",
     "file_path": "src/text.py", "signature": f"def {name}(title)"}
    for name in ("slugify", "publish")
]  # fmt: skip
EXAMPLES: Mapping[str, Any] = {
    "RepositoryInput": _INPUT,
    "IngestAccepted": {"job_id": _STATE["job_id"]},
    "JobState": _STATE,
    "JobPage": {"jobs": [_STATE], "next": None},
    "EmbedInput": {"texts": ["parse http headers", "read a file"]},
    "AssembleInput": {
        "symbols": _SYMBOLS,
        "edges": [{"from": "src/text.py::publish", "to": "src/text.py::slugify"}],
        "embeddings": {"src/text.py::slugify": [0.6, 0.8], "src/text.py::publish": [0.8, 0.6]},
    },
}

_JOB_ID = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string", "pattern": JOB_ID.pattern}}
_MEMBER = {
    "name": "member",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
    "example": "nodes.json",
}
_SECURITY: list[dict[str, list[str]]] = [{"token": []}, {}]
_COMMON: dict[int | str, dict[str, Any]] = {
    401: error_response_of("The token is missing or wrong.", WWW_Authenticate="Bearer"),
    429: error_response_of("Too many requests of this token.", Retry_After="Seconds after which to try again."),
    502: error_response_of("The store of jobs and packs cannot be reached."),
}
_NO_JOB: dict[int | str, dict[str, Any]] = {404: error_response_of("There is no such job, or it has no pack.")}
_BODY: dict[int | str, dict[str, Any]] = {
    408: error_response_of("The body stopped coming."),
    413: error_response_of("The body is too large."),
    415: error_response_of("The body does not call itself JSON."),
    422: error_response_of("The input is wrong; the sentence names the place."),
    500: error_response_of("A fault of the service; its log has the place."),
    503: error_response_of(
        "Full or stopping, or the embedding model is not there.", Retry_After="Seconds after which to try again."
    ),
}


def _answer(name: str, description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": reference(name)}}


def _route(
    responses: Mapping[int | str, dict[str, Any]],
    body: str | None = None,
    parameters: list[dict[str, Any]] | None = None,
    methods: tuple[str, ...] = ("GET",),
    status_code: int = 200,
) -> dict[str, Any]:
    extra: dict[str, Any] = {"security": _SECURITY}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": {"application/json": reference(body)}}
    if parameters:
        extra["parameters"] = parameters
    all_responses = {**responses, **_COMMON, **(_BODY if body else {})}
    return {
        "methods": list(methods),
        "status_code": status_code,
        "responses": all_responses,
        "openapi_extra": extra,
    }


_FILE = {"application/gzip": {"schema": {"type": "string", "format": "binary"}}}
INGEST = _route(
    {202: {**_answer("IngestAccepted", "The job was taken, or is there already under this id."),
           "headers": {"Location": {"description": "The path of its status.", "schema": {"type": "string"}}}}},
    body="RepositoryInput", methods=("POST",), status_code=202,
)  # fmt: skip
STATUS = _route({200: _answer("JobState", "The job."), **_NO_JOB}, parameters=[_JOB_ID])
EVENTS = _route(
    {
        200: {
            "description": "Server-sent events `status`, each a JobState, whenever it changes, until the job has "
            "ended; a comment every 15 s where nothing else comes. A WebSocket at /status/{job_id}/ws has the same.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **_NO_JOB,
        503: _BODY[503],
    },
    parameters=[_JOB_ID],
)
CANCEL = _route(
    {
        200: _answer("JobState", "The job has ended."),
        202: _answer("JobState", "Its end was asked for; the status says when it has come."),
        **_NO_JOB,
    },
    parameters=[_JOB_ID],
    methods=("POST",),
)
JOBS = _route(
    {200: _answer("JobPage", "A page of jobs."), 422: _BODY[422]},
    parameters=[
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}},
        {"name": "before", "in": "query", "schema": {"type": "string", "pattern": JOB_ID.pattern}},
    ],
)
DOCPACK = _route(
    {
        200: {"description": "The pack.", "content": _FILE},
        206: {"description": "The ranges that were asked for (RFC 9110).", "content": _FILE},
        416: {"description": "The pack has no such range.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **_NO_JOB,
        410: error_response_of("A later job of the repository has replaced the pack."),
    },
    parameters=[_JOB_ID],
)
MEMBER = _route(
    {
        200: {
            "description": "The member's bytes.",
            "content": {"application/json": {"schema": {}}, "text/plain": {"schema": {"type": "string"}}},
        },
        **_NO_JOB,
        410: error_response_of("A later job of the repository has replaced the pack."),
    },
    parameters=[_JOB_ID, _MEMBER],
)
EMBED = _route({200: _answer("EmbedOutput", "A vector for each text.")}, body="EmbedInput", methods=("POST",))
ASSEMBLE = _route(
    {200: _answer("AssembleOutput", "Graph, clusters and contexts.")}, body="AssembleInput", methods=("POST",)
)


def describe_service(app: FastAPI, *, describe: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Return the OpenAPI document; `describe` is that of the worker's service."""
    components = components_of(DOCUMENTS)
    for name, example in EXAMPLES.items():
        components[name]["examples"] = [example]
    components["Health"] = _health()
    return describe(app, "Doctown", "Turns repositories into documentation packs.", components)


def _health() -> dict[str, Any]:
    reason = {"type": "string", "description": "Why it is not ready, in one sentence."}
    ready = {"type": "boolean", "description": "Whether a job that came now could run."}
    part = {
        "type": "object",
        "required": ["ready"],
        "additionalProperties": False,
        "properties": {"ready": {"type": "boolean"}, "reason": reason},
    }
    parts = dict.fromkeys(("model", "store", "embedding_model", "git", "jobs"), part)
    return {
        "type": "object",
        "required": ["status", "model", "ready", "parts"],
        "additionalProperties": False,
        "properties": {
            "status": {"const": "healthy", "description": "The service answers."},
            "model": {"type": "string", "description": "The model, or `offline`."},
            "ready": ready,
            "reason": reason,
            "parts": {
                "type": "object",
                "required": list(parts),
                "additionalProperties": False,
                "properties": parts,
                "description": "What a job needs, each with its reason where it is not ready.",
            },
        },
        "examples": [
            {
                "status": "healthy",
                "model": "gpt-5-nano",
                "ready": True,
                "parts": {name: {"ready": True} for name in parts},
            }
        ],
    }
