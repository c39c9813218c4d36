"""A client for RunPod's queue API: submits a job, gets its status, cancels it.

Adds to HTTP: the documented rate limits, retries of idempotent calls, and errors of one sentence. A submission is not
repeated after its response is lost, since the job may have been accepted. The SDK's own client is not used: it retries
on http only and cannot distinguish a rejection from a broken response. What jobs mean is defined in `engine`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import aiohttp

from generation.backoff import backoff_s
from generation.bulk.engines.runpod.settings import RunPodSettings
from generation.domain.bookkeeping import as_object, as_text, parse_json
from generation.errors import ConfigError, InputError, JobError, Unreachable

WINDOW_S = 10.0
# Calls may arrive closer together than they were sent.
WINDOW_MARGIN = 1.05
# Calls per 10 s and concurrent calls, as RunPod documents them; the concurrency of /cancel is not documented.
RATES = {"run": (1000, 200), "status": (2000, 400), "cancel": (100, 20)}

TIMEOUT_S = 30.0
# Time for which a call is retried that has had no response, or a retryable one.
RETRY_S = 300.0
FIRST_BACKOFF_S = 0.25
MAX_BACKOFF_S = 10.0


# RunPod's ids of jobs: parts of paths and of the names of markers in the store.
_JOB_ID = re.compile(r"[A-Za-z0-9._~-]{1,200}")


class Answer(NamedTuple):
    """An HTTP status and the JSON object of the response, {} where it has none.

    A page of HTML is not RunPod's API's, but that of something between.
    """

    status: int
    body: Mapping[str, Any]
    is_page: bool = False


class Rate:
    """A sliding-window rate limit with a concurrency limit.

    At most `most` calls begin in any window of WINDOW_S, and at most `most_at_once` are in flight.
    """

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
        self._slots = asyncio.Semaphore(most_at_once)
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait until a call may begin, and count it as in flight while the context is open."""
        async with self._slots:
            async with self._turn:
                if len(self._begun) == self._most:
                    await self._sleep(self._begun[0] + self._window_s - self._now_s())
                self._begun.append(self._now_s())
            yield


class RunPodApi:
    """The queue API of one endpoint."""

    def __init__(
        self, settings: RunPodSettings, session: aiohttp.ClientSession, rates: Mapping[str, Rate] | None = None
    ) -> None:
        """Use `rates` instead of RATES where given, for a clock of their own in tests."""
        self._settings = settings
        self._session = session
        self._rates = rates or {name: Rate(*rate) for name, rate in RATES.items()}

    async def submit(self, job_input: dict[str, Any], webhook: str | None) -> str:
        """Queue a job and return RunPod's id of it.

        Raises ConfigError or InputError where the job is rejected. Raises Unreachable where there was no usable
        response, with `maybe_accepted` where the job may have been queued all the same.
        """
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
                job_id = as_text(answer.body.get("id")) or ""
                if answer.status == 200 and _JOB_ID.fullmatch(job_id):  # noqa: PLR2004 - HTTP's OK
                    return job_id
                if answer.status != 429:  # noqa: PLR2004 - too many requests
                    raise self._refusal("run", answer)
                if time.monotonic() > deadline_s:
                    raise Unreachable("RunPod has refused jobs for minutes (HTTP 429): resume the run later")
            tries += 1
            await asyncio.sleep(backoff_s(tries, FIRST_BACKOFF_S, MAX_BACKOFF_S))

    async def status(self, job_id: str) -> Mapping[str, Any] | None:
        """Return the response to /status, or None where RunPod does not know the job."""
        return await self._until_answered("status", "GET", f"/status/{job_id}")

    async def cancel(self, job_id: str) -> None:
        """Cancel a job; one that has ended or is unknown is ignored."""
        await self._until_answered("cancel", "POST", f"/cancel/{job_id}")

    async def _until_answered(self, name: str, method: str, path: str) -> Mapping[str, Any] | None:
        """Make an idempotent call, with retries for RETRY_S. Return the response, or None for HTTP 404."""
        deadline_s = time.monotonic() + RETRY_S
        tries = 0
        while True:
            try:
                answer = await self._call(name, method, path)
                if answer.status == 200:  # noqa: PLR2004
                    return answer.body
                if answer.status == 404 and not answer.is_page:  # noqa: PLR2004
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
                    is_page = response.headers.get("Content-Type", "").lower().startswith("text/html")
                    return Answer(response.status, _object(await response.read()), is_page)
            except aiohttp.ClientConnectorCertificateError:
                advice = "set SSL_CERT_FILE to the certificates that this machine should trust"
                raise ConfigError(f"the certificate of RUNPOD_API_URL is not trusted: {advice}") from None
            except aiohttp.ClientConnectorError:
                raise Unreachable("RUNPOD_API_URL cannot be reached: resume the run when it can") from None
            except Exception as error:  # noqa: BLE001 - whatever an exchange raises is its own
                sentence = f"RunPod has not answered /{name} ({type(error).__name__}): resume the run later"
                raise Unreachable(sentence, maybe_accepted=True) from None

    def _refusal(self, name: str, answer: Answer) -> JobError:
        status = answer.status
        if answer.is_page and status < 500:  # noqa: PLR2004
            sentence = f"something other than RunPod's API has answered /{name} (HTTP {status}): resume the run later"
            return Unreachable(sentence, maybe_accepted=True)
        if status in {401, 403}:
            return ConfigError(f"RUNPOD_API_KEY was refused (HTTP {status}): set a key that may use the endpoint")
        if status == 404:  # noqa: PLR2004
            return ConfigError("RUNPOD_ENDPOINT_ID names no endpoint of this account (HTTP 404)")
        if status in {408, 429} or status >= 500 or status == 200:  # noqa: PLR2004
            sentence = f"RunPod has failed /{name} (HTTP {status}): resume the run later"
            return Unreachable(sentence, maybe_accepted=True)
        return InputError(f"RunPod has refused /{name} (HTTP {status})")


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        return as_object(parse_json(body))
    except ValueError:
        return {}
