"""The error tree, and the translation of the API's refusals.

    DoctownError
    ├── JobError             the job cannot run, or cannot go on: one sentence that says what to do
    │   ├── ConfigError      a setting is missing or wrong
    │   ├── InputError       the payload as a whole is invalid
    │   ├── AccountError     key, quota, permission, model or its server: every further request would fail the same way
    │   ├── Stopped          its deadline, its spend cap, or the worker is being stopped: what is done is kept
    │   │   ├── Taken        another process works on the same bulk run
    │   │   └── LeaseLost    another process has taken over, or may have
    │   ├── Unreachable      RunPod's API does not answer a bulk run
    │   └── StorageError     the results store cannot be read or written
    └── RequestError         one request to the model has not produced a summary
        ├── SlowDown         flow control (429 rate limit, 503 not now): wait; costs no attempt
        │   └── Unavailable  the server cannot be reached, or is not ready
        ├── Transient        time-out, broken connection, 5xx, unusable answer: costs an attempt
        ├── ContextTooLong   the prompt exceeds the model's context
        ├── CutOff           the answer reached the token limit
        └── Rejected         refusal, content filter, bad request: a retry cannot help

Messages are written by this project: they never repeat a text of the API or of a payload, which could contain source
code or a part of a key. Leaves out: the SDK's exception classes, which `model.client` reduces to the `Refusal` that
`meaning_of` accepts.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
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
    """Key, quota, permission, model or its server: every further request would fail for the same reason."""

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


def disk_error(what: str, error: OSError) -> StorageError:
    """Return the error for data that this machine's disk cannot take, because it is full or for another reason."""
    return StorageError(f"{what} cannot be kept on this machine's disk ({error.strerror or type(error).__name__})")


@contextlib.contextmanager
def kept_on_disk(what: str) -> Iterator[None]:
    """Translate the OSErrors of a block that only writes `what` to local files. Raises StorageError."""
    try:
        yield
    except OSError as error:
        raise disk_error(what, error) from None


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


class Unavailable(SlowDown):
    """The server cannot be reached, or is not ready.

    `overloaded` says that it replied (503), so that it may still answer other requests.
    """

    failure = "server_unavailable"


class Transient(RequestError):
    """A retryable fault: the same request may succeed later.

    `may_be_outage` says that the whole server may have gone away, and not only this exchange have failed: a connection
    that broke, or a gateway without a server behind it.
    """

    failure = "server_error"

    def __init__(
        self,
        message: str,
        *,
        failure: str | None = None,
        usage: Usage = NO_USAGE,
        retry_after_s: float | None = None,
        may_be_outage: bool = False,
    ) -> None:
        super().__init__(message, failure=failure, usage=usage)
        self.retry_after_s = retry_after_s
        self.may_be_outage = may_be_outage


class ContextTooLong(RequestError):
    """The prompt, or the prompt and the completion cap together, exceed the model's context.

    `context_tokens` and `prompt_tokens` are the server's own sizes, where it gave them.
    """

    failure = "context_too_long"

    def __init__(
        self,
        message: str,
        *,
        usage: Usage = NO_USAGE,
        context_tokens: int | None = None,
        prompt_tokens: int | None = None,
    ) -> None:
        super().__init__(message, usage=usage)
        self.context_tokens = context_tokens
        self.prompt_tokens = prompt_tokens


class CutOff(RequestError):
    """The answer reached the completion limit before its end."""

    failure = "answer_cut_off"


class Rejected(RequestError):
    """The model or the API does not answer this request, and a retry would not change that."""

    failure = "rejected"


def request_outcome(error: DoctownError) -> str:
    """Return how a request to the model has ended, by what it has raised: one of `figures.job.REQUEST_OUTCOMES`."""
    if isinstance(error, SlowDown):
        if error.overloaded:
            return "server_error"
        return "connection" if isinstance(error, Unavailable) else "rate_limited"
    if isinstance(error, Transient):
        known = {"timeout": "timeout", "connection": "connection", "bad_answer": "unusable"}
        return known.get(error.failure, "server_error")
    if isinstance(error, RequestError):
        return "unusable" if error.usage.total_tokens else "rejected"
    return "account" if isinstance(error, AccountError) else "cancelled"


_WORD = re.compile(r"[A-Za-z0-9_.\[\]-]{1,80}")

# How OpenAI, Azure, vLLM, llama.cpp, Ollama, OpenRouter, LM Studio, SGLang and TGI say that a request is too long.
_TOO_LONG = re.compile(
    r"(?:maximum|available|configured|model's) (?:context|sequence|model|input) (?:length|size|window|limit)"
    r"|(?:exceed|longer than|larger than|too large|too long|overflow)[^.]{0,80}\bcontext\b"
    r"|\bcontext (?:length|size|window)\b[^.]{0,60}(?:exceed|overflow|too (?:small|large|long))"
    r"|\bcontext length of only\b|prompt is too long|input tokens exceed|input token count|`?max_new_tokens`? must be",
    re.IGNORECASE,
)
_NUMBER = r"(\d[\d,]{0,11})"
_CONTEXT_SIZES = [
    re.compile(pattern.replace("N", _NUMBER), re.IGNORECASE)
    for pattern in (
        r"(?:context|model|sequence) (?:length|size|window)(?: is| of|:)?(?: only)? ?\(?N\b",
        r"configured limit of N\b",
        r"> N maximum",
        r"\bN maximum context",
        r"must be <= N\b",
        r"tokens allowed \(N\b",
    )
]
_PROMPT_SIZES = [
    re.compile(pattern.replace("N", _NUMBER), re.IGNORECASE)
    for pattern in (
        r"resulted in N tokens",
        r"\bN in the messages",
        r"\bN (?:of text )?input",
        r"\bN tokens (?:from|in) the input",
        r"request \(N tokens",
        r"(?:prompt|input) \((?:length )?N\b",
        r"prompt is too long: N\b",
        r"prompt contains N\b",
        r"given: N `inputs`",
        r"token count \(N\b",
    )
]
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_NO_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})


class Refusal(NamedTuple):
    """An HTTP error of the API: its status, the error object's `code`, `message` and `param`, and the requested model.

    `advice` is what to do about a 404 where that is known, `kind` the error object's `type`. `from_api` is False
    where the body is not the API's JSON, so that something between may have answered. The sizes are in tokens.
    """

    status: int
    code: str | None
    message: str
    param: str | None
    retry_after_s: float | None
    model: str
    advice: str | None = None
    kind: str | None = None
    from_api: bool = True
    context_tokens: int | None = None
    prompt_tokens: int | None = None

    @property
    def codes(self) -> frozenset[str | None]:
        """Return the words that say what has happened: servers write them as `code` or as `type`."""
        return frozenset({self.code, self.kind})

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
    return _slow_down(refusal) or _not_of_the_api(refusal) or _account_fault(refusal) or _request_fault(refusal)


def _not_of_the_api(refusal: Refusal) -> RequestError | None:
    """Return what a client error without the API's JSON means: a firewall or a proxy answered this one request."""
    if refusal.from_api or refusal.status >= 500 or refusal.status in {408, 409}:
        return None
    advice = "if it stays so, check OPENAI_BASE_URL and what is between"
    return Transient(f"something other than the API answered (HTTP {refusal.status}): {advice}")


def _account_fault(refusal: Refusal) -> AccountError | None:
    status, model, label = (refusal.status, refusal.model, refusal.label)
    if status == 401:
        return AccountError(f"OPENAI_API_KEY was refused ({label}): set a valid key", "key_refused")
    if status == 402 or refusal.codes & _NO_QUOTA_CODES:
        advice = "add credit or raise its budget, then send the job again"
        return AccountError(f"the account has no quota left ({label}): {advice}", "no_quota")
    if status == 403:
        advice = "check the project's permissions and region"
        return AccountError(f"this key may not use the model {model} ({label}): {advice}", "not_permitted")
    if status == 404:
        advice = refusal.advice or "set MODEL_NAME to a model of this server, and check OPENAI_BASE_URL"
        return AccountError(f"the model {model} is not available ({label}): {advice}", "model_not_found")
    if refusal.codes & {"unsupported_parameter", "unsupported_value"}:
        name = refusal.param if refusal.param and _WORD.fullmatch(refusal.param) else "a parameter"
        advice = "check MODEL_NAME, REASONING_EFFORT and TEMPERATURE"
        message = f"the model {model} does not take {name} as this worker sends it ({label}): {advice}"
        return AccountError(message, "unsupported_parameter")
    return None


def _slow_down(refusal: Refusal) -> RequestError | None:
    status, label = refusal.status, refusal.label
    if refusal.codes & _NO_QUOTA_CODES:
        return None
    if status == 429 and refusal.message.startswith("Request too large"):
        # The code is that of an ordinary rate limit; only the wording says that waiting will not help.
        message = f"the request alone exceeds the account's limit of tokens a minute ({label}): lower MAX_PROMPT_TOKENS"
        return Rejected(message, failure="request_too_large")
    if status == 429:
        overloaded = bool(refusal.codes & {"slow_down", "server_is_overloaded"})
        message = f"the server asks for a slower pace ({label})"
        return SlowDown(message, retry_after_s=refusal.retry_after_s, overloaded=overloaded)
    if status == 503:
        # A proxy without a server behind it and a server that loads its model both answer 503.
        message = f"the server is overloaded or not ready ({label})"
        return Unavailable(message, retry_after_s=refusal.retry_after_s, overloaded=True)
    return None


def _request_fault(refusal: Refusal) -> RequestError:
    status, label = refusal.status, refusal.label
    if refusal.codes & _CONTEXT_CODES or _TOO_LONG.search(refusal.message):
        settings = "lower MAX_PROMPT_TOKENS or MAX_COMPLETION_TOKENS"
        return ContextTooLong(
            f"the request exceeds the context of {refusal.model} ({label}): {settings}",
            context_tokens=refusal.context_tokens or _size(_CONTEXT_SIZES, refusal.message),
            prompt_tokens=refusal.prompt_tokens or _size(_PROMPT_SIZES, refusal.message),
        )
    if refusal.codes & {"content_filter", "content_policy_violation"}:
        return Rejected(f"the API's content filter stopped the request ({label})", failure="content_filter")
    if status in {408, 409} or status >= 500:
        gateway = status in {502, 504}
        return Transient(f"the server failed ({label})", retry_after_s=refusal.retry_after_s, may_be_outage=gateway)
    return Rejected(f"the API refused the request ({label})", failure="bad_request")


def _size(patterns: list[re.Pattern[str]], message: str) -> int | None:
    """Return the first size, in tokens, that a message gives in one of these forms."""
    found = next((match for pattern in patterns if (match := pattern.search(message))), None)
    return int(found[1].replace(",", "")) if found else None
