"""Errors as HTTP responses."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.responses import Response

from generation.errors import AccountError, ConfigError, InputError, JobError, Stopped, StorageError
from generation.results.report import as_json

log = logging.getLogger("generation.service")


RETRY_AFTER_S = 10

STATUSES: tuple[tuple[type[JobError], int], ...] = (
    (InputError, 422),
    (AccountError, 502),
    (StorageError, 502),
    (ConfigError, 503),
    (Stopped, 503),
    (JobError, 500),
)


class RequestRejected(HTTPException):
    """The service rejects a request or cannot complete it; `failure` is the error code of the response."""

    def __init__(self, sentence: str, *, status: int, failure: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, sentence, headers)
        self.failure = failure


def service_full() -> RequestRejected:
    """Return the error for a request that arrives while the service is full (HTTP 503)."""
    later = {"Retry-After": str(RETRY_AFTER_S)}
    return RequestRejected("the service is full: send the job again later", status=503, failure="busy", headers=later)


def service_stopping() -> RequestRejected:
    """Return the error for a request that cannot be finished because the service is stopping (HTTP 503)."""
    later = {"Retry-After": str(RETRY_AFTER_S)}
    sentence = "the service was told to stop before the job had ended: send it again"
    return RequestRejected(sentence, status=503, failure="stopping", headers=later)


def internal_error(error: Exception) -> RequestRejected:
    """Return the error for an unexpected exception (HTTP 500), and log its traceback.

    Neither contains the exception's message, which may hold source code or a secret.
    """
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("a fault of this service: %s\n%s", type(error).__name__, where)
    sentence = f"the worker itself failed ({type(error).__name__}): see its log"
    return RequestRejected(sentence, status=500, failure="internal")


def error_body(error: JobError | RequestRejected) -> bytes:
    """Return the JSON body that all error responses share."""
    sentence = error.detail if isinstance(error, RequestRejected) else str(error)
    return as_json({"error": sentence, "failure": error.failure})


def error_response(error: JobError | RequestRejected) -> Response:
    """Return an error as an HTTP response."""
    if isinstance(error, RequestRejected):
        return Response(error_body(error), error.status_code, error.headers, "application/json")
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    return Response(error_body(error), status, media_type="application/json")
