"""The calls of RunPod's queue API that a caller of an endpoint needs: submit a job, look at it, cancel it.

Adds to HTTP: the documented rates, further tries where a call may be repeated, and errors in one sentence. A call that
submits is never repeated here: an answer that is lost may have been a job accepted. Leaves out the SDK's own client,
which retries on http only and cannot tell a refusal from a broken answer, and what jobs mean (`runpod_engine`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import aiohttp

from generation.backoff import backoff_s
from generation.bulk.engines.runpod.settings import RunPodSettings
from generation.errors import ConfigError, InputError, JobError, Unreachable

WINDOW_S = 10.0
# Arrivals are closer together than departures now and then.
WINDOW_MARGIN = 1.05
# Calls in 10 s and calls at once, as documented; for cancelling the second is not.
RATES = {"run": (1000, 200), "status": (2000, 400), "cancel": (100, 20)}

TIMEOUT_S = 30.0
# So long a call is repeated whose answer says to come again, or that had none.
RETRY_S = 300.0
FIRST_BACKOFF_S = 0.25
MAX_BACKOFF_S = 10.0


class Answer(NamedTuple):
    """An HTTP status and the JSON object that came with it; {} where none did."""

    status: int
    body: dict[str, Any]


class Rate:
    """At most so many calls begin in any window, and so many are under way."""

    def __init__(
        self,
        most: int,
        most_at_once: int,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._begun: deque[float] = deque(maxlen=most)
        self._most = most
        self._window_s = WINDOW_S * WINDOW_MARGIN
        self._now_s = now_s
        self._sleep = sleep
        self._places = asyncio.Semaphore(most_at_once)
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for one call, waited for."""
        async with self._places:
            async with self._turn:
                if len(self._begun) == self._most:
                    await self._sleep(self._begun[0] + self._window_s - self._now_s())
                self._begun.append(self._now_s())
            yield


class RunPodApi:
    """An endpoint as its callers know it."""

    def __init__(
        self, settings: RunPodSettings, session: aiohttp.ClientSession, rates: Mapping[str, Rate] | None = None
    ) -> None:
        """`rates` go before RATES: for a clock of their own."""
        self._settings = settings
        self._session = session
        self._rates = rates or {name: Rate(*rate) for name, rate in RATES.items()}

    async def submit(self, job_input: dict[str, Any], webhook: str | None) -> str:
        """Queue a job; the result is RunPod's id of it. Raises Unreachable where that is not certain."""
        body = {"input": job_input, "webhook": webhook} if webhook else {"input": job_input}
        deadline_s = time.monotonic() + RETRY_S
        tries = 0
        while True:
            try:
                answer = await self._call("run", "POST", "/run", body)
            except Unreachable as error:
                if error.maybe_accepted or time.monotonic() > deadline_s:
                    raise
            else:
                if answer.status == 200 and isinstance(answer.body.get("id"), str):  # noqa: PLR2004 - HTTP's OK
                    return str(answer.body["id"])
                if answer.status != 429:  # noqa: PLR2004 - too many requests
                    raise self._refusal("run", answer)
                if time.monotonic() > deadline_s:
                    raise Unreachable("RunPod has refused jobs for minutes (HTTP 429): resume the run later")
            tries += 1
            await asyncio.sleep(backoff_s(tries, FIRST_BACKOFF_S, MAX_BACKOFF_S))

    async def status(self, job_id: str) -> dict[str, Any] | None:
        """What is known of a job; None where it is unknown."""
        return await self._until_answered("status", "GET", f"/status/{job_id}")

    async def cancel(self, job_id: str) -> None:
        """Cancel a job; one that has ended, or is unknown, stays as it is."""
        await self._until_answered("cancel", "POST", f"/cancel/{job_id}")

    async def _until_answered(self, name: str, method: str, path: str) -> dict[str, Any] | None:
        """Call until there is an answer: these may be repeated."""
        deadline_s = time.monotonic() + RETRY_S
        tries = 0
        while True:
            try:
                answer = await self._call(name, method, path)
                if answer.status == 200:  # noqa: PLR2004
                    return answer.body
                if answer.status == 404:  # noqa: PLR2004
                    return None
                fault = self._refusal(name, answer)
                if not isinstance(fault, Unreachable):
                    raise fault
            except Unreachable as error:
                fault = error
            if time.monotonic() > deadline_s:
                raise fault
            tries += 1
            await asyncio.sleep(backoff_s(tries, FIRST_BACKOFF_S, MAX_BACKOFF_S))

    async def _call(self, name: str, method: str, path: str, body: object = None) -> Answer:
        url = self._settings.endpoint_url + path
        headers = {"Authorization": f"Bearer {self._settings.runpod_api_key.get_secret_value()}"}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with self._rates[name].place():
            try:
                async with self._session.request(method, url, json=body, headers=headers, timeout=timeout) as response:
                    return Answer(response.status, _object(await response.read()))
            except aiohttp.ClientConnectorError:
                raise Unreachable("RUNPOD_API_URL cannot be reached: resume the run when it can") from None
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                sentence = f"RunPod has not answered /{name} ({type(error).__name__}): resume the run later"
                raise Unreachable(sentence, maybe_accepted=True) from None

    def _refusal(self, name: str, answer: Answer) -> JobError:
        status = answer.status
        if status in {401, 403}:
            return ConfigError(f"RUNPOD_API_KEY was refused (HTTP {status}): set a key that may use the endpoint")
        if status == 404:  # noqa: PLR2004
            return ConfigError("RUNPOD_ENDPOINT_ID names no endpoint of this account (HTTP 404)")
        if status in {408, 429} or status >= 500 or status == 200:  # noqa: PLR2004
            sentence = f"RunPod has failed /{name} (HTTP {status}): resume the run later"
            return Unreachable(sentence, maybe_accepted=True)
        return InputError(f"RunPod has refused /{name} (HTTP {status})")


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
