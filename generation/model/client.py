"""Share one OpenAI client per account and one limiter per model in a process, and translate the SDK's exceptions.

Leaves out: requests and how they are repaired (`documenter`), and the wire format (`codec`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import httpx2
import openai

from generation.config import Settings, check_environment
from generation.domain.bookkeeping import as_list, as_object
from generation.errors import (
    AccountError,
    ConfigError,
    CutOff,
    DoctownError,
    Refusal,
    Rejected,
    SlowDown,
    Transient,
    Unavailable,
    meaning_of,
)
from generation.model.codec import is_error_of_api, lacks_version, read_refusal, read_reply
from generation.model.limiter import Limiter
from generation.model.window import (
    LLAMA_CPP,
    OLLAMA,
    ContextWindow,
    context_in_entry,
    context_in_props,
    context_in_show,
    default_window,
    model_in_list,
)

OPENAI_URL = "https://api.openai.com/v1"

CONNECT_TIMEOUT_S = 5.0
REACH_TIMEOUT_S = 5.0

# Replies of a gateway, or of a server that is still starting.
NO_SERVER_STATUSES = frozenset({502, 503, 504})


@dataclass(slots=True)
class _Account:
    client: openai.AsyncOpenAI
    limiters: dict[str, Limiter]
    windows: dict[str, ContextWindow] = field(default_factory=dict)


_accounts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str | None, str], _Account]]
_accounts = weakref.WeakKeyDictionary()


def shared_client_and_limiter(settings: Settings) -> tuple[openai.AsyncOpenAI, Limiter]:
    """Return the running loop's client for this server and key, and its limiter for this model.

    A client belongs to the event loop in which it was created, and the RunPod SDK runs two loops in a row. A background
    task closes the client when `asyncio.run` cancels the loop's remaining tasks.
    """
    account = _account(settings)
    if settings.model_name not in account.limiters:
        account.limiters[settings.model_name] = Limiter(settings.max_concurrent_requests, settings.request_timeout_s)
    return account.client, account.limiters[settings.model_name]


def _account(settings: Settings) -> _Account:
    accounts = _accounts.setdefault(asyncio.get_running_loop(), {})
    key = (settings.openai_base_url, settings.openai_api_key.get_secret_value() if settings.openai_api_key else "")
    if key not in accounts:
        client = _new_client(settings, key)
        accounts[key] = _Account(client, {})
        close_task = asyncio.create_task(_close_at_end_of_loop(client), name="keeper of the OpenAI client")
        _close_tasks.add(close_task)
        close_task.add_done_callback(_close_tasks.discard)
    return accounts[key]


def _new_client(settings: Settings, key: tuple[str | None, str]) -> openai.AsyncOpenAI:
    """Return a client. Raise ConfigError where the environment that the SDK reads itself is wrong."""
    try:
        client = openai.AsyncOpenAI(
            api_key=key[1],
            base_url=key[0],
            max_retries=0,
            timeout=openai.Timeout(settings.request_timeout_s, connect=CONNECT_TIMEOUT_S),
            http_client=openai.DefaultAioHttpClient(),
        )
    except Exception as error:  # noqa: BLE001 - whatever the libraries raise, the environment is its cause
        names = "SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY"
        raise ConfigError(f"the OpenAI client cannot be made ({type(error).__name__}): check {names}") from None
    check_environment({"OPENAI_ORG_ID": client.organization or "", "OPENAI_PROJECT_ID": client.project or ""})
    return client


# The loop keeps only weak references to its tasks.
_close_tasks: set[asyncio.Task[None]] = set()


async def _close_at_end_of_loop(client: openai.AsyncOpenAI) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await client.close()


async def shared_window(settings: Settings) -> ContextWindow:
    """Return the context of the job's model, which all jobs of the loop share; an unlisted one is asked of its server.

    A server that is away or tells nothing is asked again by the next job.
    """
    client, _ = shared_client_and_limiter(settings)
    windows = _account(settings).windows
    if settings.model_name not in windows:
        window = default_window(settings)
        if not settings.model.listed:
            told = await _told_context(client, settings)
            if told is None:
                return window
            window.tokens = told
        windows[settings.model_name] = window
    return windows[settings.model_name]


async def _told_context(client: openai.AsyncOpenAI, settings: Settings) -> int | None:
    """Ask vLLM, OpenRouter, llama.cpp or Ollama for the context of the model; None where it is not told."""
    entry = model_in_list(await _probe(client, "models"), settings.model_name)
    if size := context_in_entry(entry):
        return size
    root = str(client.base_url).rstrip("/").removesuffix("/v1")
    if entry.get("owned_by") == OLLAMA:
        return context_in_show(await _probe(client, f"{root}/api/show", {"model": settings.model_name}))
    return context_in_props(await _probe(client, f"{root}/props"))


async def probe_model(settings: Settings) -> str | None:
    """Return why the model cannot be used now, or None.

    Requests the model's entry in the server's list of models, which is free.
    """
    client, _ = shared_client_and_limiter(settings)
    entry = await _probe(client, f"models/{quote(settings.model_name, safe='')}")
    if isinstance(entry, openai.NotFoundError):
        return await _why_not_in_list(client, entry, settings)
    return _why_not(entry, settings)


async def _probe(client: openai.AsyncOpenAI, path: str, body: object = None) -> object:
    """Return the JSON of a free reply, None where it has none, or the exception that the exchange raises."""
    options: Any = {"timeout": REACH_TIMEOUT_S}
    call = functools.partial(client.post, body=body) if body else client.get
    try:
        reply = await call(path, cast_to=httpx2.Response, options=options)
    except Exception as error:  # noqa: BLE001 - whatever an exchange raises is its own
        return error
    return read_reply(reply.content)


def _why_not(reply: object, settings: Settings) -> str | None:
    """Return why a reply of `_probe` says that completions would fail, or None."""
    if isinstance(reply, Exception):
        error = translate(reply, settings)
        is_limited = isinstance(reply, openai.RateLimitError) and isinstance(error, SlowDown)
        return None if is_limited or _may_not_read_list(reply, settings) else str(error)
    if not isinstance(reply, dict):
        return f"OPENAI_BASE_URL leads to something that is not the API{_ask_for_v1(settings)}"
    return None


def server_address(settings: Settings) -> str:
    """Return the server's URL as it may be shown: without a query, which could hold a key."""
    parts = urlsplit(settings.openai_base_url or OPENAI_URL)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


async def is_server_down(client: openai.AsyncOpenAI) -> bool:
    """Return whether nothing answers at the server's address, or only a gateway without a server behind it.

    Requests the list of models, which is free. Any other reply, a rejection too, comes from a server that is there.
    """
    try:
        await client.get("/models", cast_to=httpx2.Response, options={"timeout": REACH_TIMEOUT_S})
    except openai.APIStatusError as error:
        return error.status_code in NO_SERVER_STATUSES
    except openai.APIConnectionError:
        return True
    except Exception:  # noqa: BLE001 - a reply that cannot be read comes from a server that is there
        return False
    return False


def _is_unreached(error: BaseException) -> bool:
    """Return whether no connection was established, so that the server has never seen the request.

    A certificate or a TLS version that does not fit is a reply of a server that is there.
    """
    cause = error.__cause__ or error.__context__
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return not isinstance(cause, aiohttp.ClientSSLError)
    return cause is not None and _is_unreached(cause)


async def _why_not_in_list(client: openai.AsyncOpenAI, missing: Exception, settings: Settings) -> str | None:
    """Return why a model without an entry of its own cannot be used, by the list of all models, or None.

    Not every server has such entries, and llama.cpp and Azure answer to names that they do not list.
    """
    reply = await _probe(client, "models")
    if isinstance(reply, openai.NotFoundError):
        return f"OPENAI_BASE_URL leads to no list of models (HTTP 404){_ask_for_v1(settings)}"
    reason = _why_not(reply, settings)
    if reason or settings.model.listed:
        return reason or str(translate(missing, settings))
    entries = [as_object(entry) for entry in as_list(as_object(reply).get("data"))]
    is_free = client.base_url.host.endswith(".azure.com") or any(one.get("owned_by") == LLAMA_CPP for one in entries)
    if is_free or not entries or model_in_list(reply, settings.model_name):
        return None
    return f"the server does not list the model {settings.model_name}: set MODEL_NAME to one that it lists"


def _ask_for_v1(settings: Settings) -> str:
    """Return a question for an address that looks as if its end had been forgotten."""
    return ": has its /v1 been forgotten?" if lacks_version(settings) else ": check it"


def _may_not_read_list(error: Exception, settings: Settings) -> bool:
    """Return whether a restricted key may not read the list of models, which says nothing about completions."""
    return isinstance(error, openai.APIStatusError) and "Missing scopes" in _refusal(error, settings).message


def _connection_broke(error: BaseException) -> bool:
    """Return whether a timeout is a broken connection, which the SDK's aiohttp transport reports as a timeout."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, aiohttp.ClientConnectionError):
        return not isinstance(cause, asyncio.TimeoutError)
    return cause is not None and _connection_broke(cause)


def _refusal(error: openai.APIStatusError, settings: Settings) -> Refusal:
    reply = read_reply(error.response.content)
    wait_s = retry_after_s(error.response.headers)
    return read_refusal(reply, error.status_code, settings, wait_s, from_api=is_error_of_api(reply))


def translate(error: Exception, settings: Settings) -> DoctownError:  # noqa: PLR0911 - one line a class
    """Return this project's error for an exception of an HTTP exchange; the exception's own message is dropped."""
    if isinstance(error, openai.LengthFinishReasonError):
        return CutOff("the answer was cut off by the token limit: raise MAX_COMPLETION_TOKENS")
    if isinstance(error, openai.ContentFilterFinishReasonError):
        return Rejected("the content filter stopped the answer", failure="content_filter")
    if isinstance(error, openai.APIStatusError):
        return meaning_of(_refusal(error, settings))
    if _has_cause(error, ssl.SSLCertVerificationError):
        advice = "set SSL_CERT_FILE to the certificates that this machine should trust, or check OPENAI_BASE_URL"
        return AccountError(f"the certificate of the model's server is not trusted: {advice}", "bad_setting")
    if _is_unreached(error):
        return Unavailable(f"the server at {server_address(settings)} cannot be reached")
    if isinstance(error, openai.APITimeoutError) and not _connection_broke(error):
        return Transient("no answer came in time", failure="timeout")
    if isinstance(error, openai.APIConnectionError) or not isinstance(error, openai.OpenAIError):
        return Transient("the connection to the server failed", failure="connection", may_be_outage=True)
    if isinstance(error, openai.APIError):
        return Transient("the server's reply is not a completion", failure="bad_answer")
    return AccountError(f"the OpenAI client cannot be used ({type(error).__name__}): check OPENAI_API_KEY")


def _has_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    return error is not None and (isinstance(error, kind) or _has_cause(error.__cause__ or error.__context__, kind))


@contextlib.contextmanager
def translated(settings: Settings) -> Iterator[None]:
    """Translate whatever the exchange inside the block raises, also while a reply is streamed."""
    try:
        yield
    except DoctownError:
        raise
    except Exception as error:  # noqa: BLE001 - the SDK does not translate all that its transport raises
        raise translate(error, settings) from None


def retry_after_s(headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float | None:
    """Return the seconds that `retry-after-ms` or `retry-after` asks for; None if they are absent or senseless.

    `retry-after` is a number of seconds or a date (RFC 9110, 10.2.3), which counts from the server's own `date`.
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(KeyError, ValueError):
            seconds = float(headers[name]) * unit_s
            if 0 <= seconds < float("inf"):
                return seconds
    at, sent = _date_in(headers, "retry-after"), _date_in(headers, "date")
    if at is None or (wait_s := (at - (sent or now())).total_seconds()) <= 0:
        return None
    return wait_s


def _date_in(headers: Mapping[str, str], name: str) -> datetime | None:
    """Return the date in a header, in any of the three forms that HTTP allows."""
    try:
        date = parsedate_to_datetime(headers[name])
    except (KeyError, ValueError, TypeError, OverflowError, IndexError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
