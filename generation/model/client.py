"""One OpenAI client and one limiter a process for each account and model, and what the SDK's exceptions mean here.

Leaves out: requests and their remedies (`documenter`), and the wire format (`codec`).
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import aiohttp
import httpx2
import openai

from generation.config import Settings
from generation.domain.catalogue import shutdown_advice
from generation.errors import AccountError, CutOff, DoctownError, Refusal, Rejected, SlowDown, Transient, meaning_of
from generation.model.limiter import Limiter

CONNECT_TIMEOUT_S = 5.0
REACH_TIMEOUT_S = 5.0


@dataclass(slots=True)
class _Account:
    client: openai.AsyncOpenAI
    limiters: dict[str, Limiter]


_accounts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str | None, str], _Account]]
_accounts = weakref.WeakKeyDictionary()


def shared_client_and_limiter(settings: Settings) -> tuple[openai.AsyncOpenAI, Limiter]:
    """The running loop's one client for this server and key, and its one limiter for this model.

    Clients belong to the loop they were made in, and the RunPod SDK runs two in a row. A task that lives as long as the
    loop closes the client when `asyncio.run` cancels what is left.
    """
    accounts = _accounts.setdefault(asyncio.get_running_loop(), {})
    key = (settings.openai_base_url, settings.openai_api_key.get_secret_value() if settings.openai_api_key else "")
    if key not in accounts:
        client = openai.AsyncOpenAI(
            api_key=key[1],
            base_url=key[0],
            max_retries=0,
            timeout=openai.Timeout(settings.request_timeout_s, connect=CONNECT_TIMEOUT_S),
            http_client=openai.DefaultAioHttpClient(),
        )
        accounts[key] = _Account(client, {})
        keeper = asyncio.create_task(_close_with_the_loop(client), name="keeper of the OpenAI client")
        _keepers.add(keeper)
        keeper.add_done_callback(_keepers.discard)
    account = accounts[key]
    if settings.model_name not in account.limiters:
        account.limiters[settings.model_name] = Limiter(settings.max_concurrent_requests, settings.request_timeout_s)
    return account.client, account.limiters[settings.model_name]


# The loop holds its tasks weakly.
_keepers: set[asyncio.Task[None]] = set()


async def _close_with_the_loop(client: openai.AsyncOpenAI) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await client.close()


async def probe_model(settings: Settings) -> str | None:
    """Why the model cannot be asked now, or None. It asks for the model's entry in the server's list, which is free."""
    client, _ = shared_client_and_limiter(settings)
    try:
        await client.models.retrieve(settings.model_name, timeout=REACH_TIMEOUT_S)
    except openai.OpenAIError as error:
        translated = translate(error, settings)
        return None if _is_inconclusive(error, settings) or isinstance(translated, SlowDown) else str(translated)
    return None


def _is_inconclusive(error: openai.OpenAIError, settings: Settings) -> bool:
    """Whether a refusal of the list says nothing of completions.

    Not every server with OpenAI's API has such entries, and a restricted key may use a model and not read the list.
    """
    if isinstance(error, openai.NotFoundError):
        return not settings.model.listed
    return isinstance(error, openai.APIStatusError) and "Missing scopes" in _refusal(error, settings).message


def _connection_broke(error: BaseException) -> bool:
    """Whether a time-out is none: the SDK's aiohttp transport calls every broken connection a time-out to connect."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, aiohttp.ClientConnectionError):
        return not isinstance(cause, asyncio.TimeoutError)
    return cause is not None and _connection_broke(cause)


def _refusal(error: openai.APIStatusError, settings: Settings) -> Refusal:
    said = error.body.get("message") if isinstance(error.body, dict) else None
    return Refusal(
        error.status_code,
        error.code,
        said if isinstance(said, str) else "",
        error.param,
        _retry_after_s(error.response.headers),
        settings.model_name,
        shutdown_advice(settings.model),
    )


def translate(error: openai.OpenAIError, settings: Settings) -> DoctownError:  # noqa: PLR0911 - one line a class
    """What an exception of the SDK means here; its own text is left behind."""
    if isinstance(error, openai.LengthFinishReasonError):
        return CutOff("the answer was cut off by the token limit: raise MAX_COMPLETION_TOKENS")
    if isinstance(error, openai.ContentFilterFinishReasonError):
        return Rejected("the content filter stopped the answer", failure="content_filter")
    if isinstance(error, openai.APITimeoutError) and not _connection_broke(error):
        return Transient("no answer came in time", failure="timeout")
    if isinstance(error, openai.APIStatusError):
        return meaning_of(_refusal(error, settings))
    if isinstance(error, openai.APIConnectionError):
        return Transient("the connection to the server failed", failure="connection")
    if isinstance(error, openai.APIError):
        return Transient("the server's reply is not a completion", failure="bad_answer")
    return AccountError(f"the OpenAI client cannot be used ({type(error).__name__}): check OPENAI_API_KEY")


@contextlib.contextmanager
def translated(settings: Settings) -> Iterator[None]:
    """Calls of the client in here raise this project's errors, also while a reply is read piece by piece."""
    try:
        yield
    except openai.OpenAIError as error:
        raise translate(error, settings) from None
    except httpx2.HTTPError:
        raise Transient("the connection to the server failed", failure="connection") from None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of `retry-after-ms` or `retry-after`; None where they are absent or make no sense."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(KeyError, ValueError):
            seconds = float(headers[name]) * unit_s
            if 0 <= seconds < float("inf"):
                return seconds
    return None
