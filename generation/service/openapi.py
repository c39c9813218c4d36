"""The OpenAPI description of the service."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

import generation
from generation.contract.export import openapi_components
from generation.domain.limits import JOB_ID
from generation.service.admission import MAX_BODY_BYTES


def reference(name: str) -> dict[str, Any]:
    """Return the content of a body whose schema is a component."""
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def error_response_of(description: str, **headers: str) -> dict[str, Any]:
    """Return the description of an error response; `headers` are its own, with underscores, and what they mean."""
    described = {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
    }
    return {"description": description, "content": {"application/json": reference("JobFailure")}, "headers": described}


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
    200: {"description": "Ready.", "content": {"application/json": reference("Health")}},
    503: {"description": "Alive, but not ready.", "content": {"application/json": reference("Health")}},
}
GENERATE_REQUEST = {
    "requestBody": {"required": True, "content": {"application/json": reference("GenerationInput")}},
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
            "application/json": reference("GenerationOutput"),
            "text/event-stream": {"schema": {"type": "string"}},
        },
    },
    401: error_response_of("The token is missing or wrong.", WWW_Authenticate="Bearer"),
    408: error_response_of("The body stopped coming."),
    413: error_response_of(f"The body has more than {MAX_BODY_BYTES} bytes."),
    415: error_response_of("The body does not call itself JSON, JSON Lines or gzip."),
    422: error_response_of("The input is wrong as a whole; the sentence names the place."),
    500: error_response_of("A fault of the service; its log has the place."),
    502: error_response_of("A fault of the OpenAI account, or of the results bucket."),
    503: error_response_of(
        "Full, stopping, or a setting is missing or wrong.", Retry_After="Seconds after which to try again."
    ),
}

METRICS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The figures of this process, in Prometheus' text format.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    },
    401: error_response_of("The token is missing or wrong.", WWW_Authenticate="Bearer"),
}
STATS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The same as JSON.", "content": {"application/json": reference("Stats")}},
    401: METRICS_RESPONSES[401],
}

_JOB_ID = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string", "pattern": JOB_ID.pattern}}
RESULTS_REQUEST = {"parameters": [_JOB_ID], "security": [{"token": []}, {}]}
RESULTS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The results document.", "content": {"application/json": reference("ResultsDocument")}},
    401: error_response_of("The token is missing or wrong.", WWW_Authenticate="Bearer"),
    404: error_response_of("No job of this ID has stored its results."),
    502: error_response_of("The results cannot be read from where they are stored."),
}


def describe(
    app: FastAPI,
    title: str = "Doctown generation worker",
    description: str = "Documents the symbols of a code base through OpenAI.",
    components: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the OpenAPI document, with the schemas of `generation.contract` and further `components`."""
    document = get_openapi(title=title, version=generation.__version__, description=description, routes=app.routes)
    found = document.setdefault("components", {})
    found["schemas"] = {**openapi_components(), **_HEALTH, **components}
    found["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return document
