"""The error tree, and the translation of the API's refusals.

    DoctownError
    ├── JobError             the job cannot run, or cannot go on: one sentence that says what to do
    │   ├── ConfigError      a setting is missing or wrong
    │   ├── InputError       the payload as a whole is invalid
    │   ├── AccountError     key, quota, permission or model: every further request would fail in the same way
    │   ├── Stopped          its deadline, its spend cap, or the worker is being stopped: what is done is kept
    │   │   ├── Taken        another process works on the same bulk run
    │   │   └── LeaseLost    another process has taken over, or may have
    │   ├── Unreachable      RunPod's API does not answer a bulk run
    │   └── StorageError     the results store cannot be read or written
    └── RequestError         one request to the model has not produced a summary
        ├── SlowDown         flow control (429 rate limit, 503 overloaded): wait; costs no attempt
        ├── Transient        time-out, broken connection, 5xx, unusable answer: costs an attempt
        ├── ContextTooLong   the prompt exceeds the model's context
        ├── CutOff           the answer reached the token limit
        └── Rejected         refusal, content filter, bad request: a retry cannot help

Messages are written by this project: they never repeat a text of the API or of a payload, which could contain source
code or a part of a key. Leaves out: the SDK's exception classes, which `model.client` reduces to the `Refusal` that
`meaning_of` accepts.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from generation.domain.outcome import Outcome
from generation.domain.usage import NO_USAGE, Usage


class DoctownError(Exception):
    """Base class of all errors that this project raises on purpose."""


class JobError(DoctownError):
    """The job cannot run or go on. `str(error)` is one sentence for the caller; `failure` is its code.

    `partial_outcomes` are the outcomes of the symbols whose request met the error, if any of them had cost something.
    """

    failure = "job_failed"
    partial_outcomes: tuple[Outcome, ...] = ()

    def __init__(self, message: str, failure: str | None = None) -> None:
        super().__init__(message)
        self.failure = failure or type(self).failure


class ConfigError(JobError):
    """A setting is missing or invalid; the message names it and never shows its value."""

    failure = "bad_setting"


class InputError(JobError):
    """The payload is wrong as a whole; the message names the place."""

    failure = "bad_input"


class AccountError(JobError):
    """Key, quota, permission or model: every further request would be refused for the same reason."""

    failure = "account"


class Stopped(JobError):
    """The job ends early and can be resumed: what is done is kept, and no further request is sent."""

    failure = "worker_stopping"


class Taken(Stopped):
    """Another process works on the same bulk run."""

    failure = "run_taken"


class LeaseLost(Stopped):
    """The lease of a job or a bulk run could not be renewed in time: another process has it, or may take it."""

    failure = "lease_lost"


class Unreachable(JobError):
    """RunPod's API does not answer, or asks to try again later.

    `maybe_accepted` says that a job may have been queued although no answer confirmed it.
    """

    failure = "runpod"

    def __init__(self, message: str, failure: str | None = None, *, maybe_accepted: bool = False) -> None:
        super().__init__(message, failure)
        self.maybe_accepted = maybe_accepted


class StorageError(JobError):
    """The results store cannot be read or written; the message names the key, never a credential.

    `retryable` says that the store is unavailable or busy, so that the same call may succeed later.
    """

    failure = "storage"

    def __init__(self, message: str, failure: str | None = None, *, retryable: bool = False) -> None:
        super().__init__(message, failure)
        self.retryable = retryable


class RequestError(DoctownError):
    """One request has not produced a summary.

    `failure` is the code with which a symbol fails if no other attempt is made; `usage` is what the API billed for the
    attempt.
    """

    failure = "request_failed"

    def __init__(self, message: str, *, failure: str | None = None, usage: Usage = NO_USAGE) -> None:
        super().__init__(message)
        self.failure = failure or type(self).failure
        self.usage = usage


class SlowDown(RequestError):
    """The server asks for a slower pace; `retry_after_s` is its own word on how long, where it gave one.

    `overloaded` distinguishes an overloaded server from an account that has reached its rate limit.
    """

    failure = "rate_limited"

    def __init__(self, message: str, *, retry_after_s: float | None = None, overloaded: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.overloaded = overloaded


class Transient(RequestError):
    """A retryable fault: the same request may succeed later."""

    failure = "server_error"

    def __init__(
        self, message: str, *, failure: str | None = None, usage: Usage = NO_USAGE, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, failure=failure, usage=usage)
        self.retry_after_s = retry_after_s


class ContextTooLong(RequestError):
    """The prompt exceeds the model's context."""

    failure = "context_too_long"


class CutOff(RequestError):
    """The answer reached the completion limit before its end."""

    failure = "answer_cut_off"


class Rejected(RequestError):
    """The model or the API does not answer this request, and a retry would not change that."""

    failure = "rejected"


_WORD = re.compile(r"[A-Za-z0-9_.\[\]-]{1,80}")


class Refusal(NamedTuple):
    """An HTTP error of the API: its status, the error object's `code`, `message` and `param`, and the requested model.

    `advice` is what to do about a model that has been shut down.
    """

    status: int
    code: str | None
    message: str
    param: str | None
    retry_after_s: float | None
    model: str
    advice: str | None = None

    @property
    def label(self) -> str:
        """Return the part that may be shown: the status, and the code if it looks like one."""
        shown = self.code if self.code and _WORD.fullmatch(self.code) else ""
        return f"HTTP {self.status} {shown}".rstrip()


def meaning_of(refusal: Refusal) -> DoctownError:
    """Return the error of this project for a refusal of the API.

    The distinctions are OpenAI's error codes (https://platform.openai.com/docs/guides/error-codes): 429 is both the
    rate limit (wait) and an account without quota (final), distinguished by `code`.
    """
    return _account_fault(refusal) or _slow_down(refusal) or _request_fault(refusal)


def _account_fault(refusal: Refusal) -> AccountError | None:
    status, code, model, label = (refusal.status, refusal.code, refusal.model, refusal.label)
    if status == 401:
        return AccountError(f"OPENAI_API_KEY was refused ({label}): set a valid key", "key_refused")
    if code in {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}:
        advice = "add credit or raise its budget, then send the job again"
        return AccountError(f"the OpenAI account has no quota left ({label}): {advice}", "no_quota")
    if status == 403:
        advice = "check the project's permissions and region"
        return AccountError(f"this key may not use the model {model} ({label}): {advice}", "not_permitted")
    if status == 404:
        advice = refusal.advice or "set MODEL_NAME to a model of this server"
        return AccountError(f"the model {model} is not available ({label}): {advice}", "model_not_found")
    if code in {"unsupported_parameter", "unsupported_value"}:
        name = refusal.param if refusal.param and _WORD.fullmatch(refusal.param) else "a parameter"
        advice = "check MODEL_NAME and REASONING_EFFORT"
        message = f"the model {model} does not take {name} as this worker sends it ({label}): {advice}"
        return AccountError(message, "unsupported_parameter")
    return None


def _slow_down(refusal: Refusal) -> RequestError | None:
    status, code, label = refusal.status, refusal.code, refusal.label
    if status == 429 and refusal.message.startswith("Request too large"):
        # The code is that of an ordinary rate limit; only the wording says that waiting will not help.
        message = f"the request alone exceeds the account's limit of tokens a minute ({label}): lower MAX_PROMPT_TOKENS"
        return Rejected(message, failure="request_too_large")
    overloaded = code in {"slow_down", "server_is_overloaded"}
    if status == 429 or (status == 503 and overloaded):
        message = f"the server asks for a slower pace ({label})"
        return SlowDown(message, retry_after_s=refusal.retry_after_s, overloaded=overloaded)
    return None


def _request_fault(refusal: Refusal) -> RequestError:
    status, code, label = refusal.status, refusal.code, refusal.label
    if code == "context_length_exceeded":
        return ContextTooLong(f"the prompt exceeds the context of {refusal.model} ({label}): lower MAX_PROMPT_TOKENS")
    if code in {"content_filter", "content_policy_violation"}:
        return Rejected(f"the API's content filter stopped the request ({label})", failure="content_filter")
    if status in {408, 409} or status >= 500:
        return Transient(f"the server failed ({label})", retry_after_s=refusal.retry_after_s)
    return Rejected(f"the API refused the request ({label})", failure="bad_request")
