"""OpenAI's Files and Batches, as far as a run needs them: a call is made until it is carried out or refused.

Adds to the SDK: one retry layer that outlasts an outage; the creation of a batch, which is the one call that must not
be carried out twice and is therefore looked for before it is tried again; and files that are read and written on disk.
Leaves out: what is in the files (`rows`), and when a batch is due (`engine`).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

import httpx2
from pydantic import BaseModel, ConfigDict, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay

from generation.backoff import backoff_s
from generation.config import Settings
from generation.domain.usage import NO_USAGE, Usage
from generation.errors import AccountError, Rejected, RequestError, SlowDown, Stopped, Transient
from generation.model.client import shared_client_and_limiter, translated

ENDPOINT = "/v1/chat/completions"
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})

# Of 200 MB, and of the server's check of them.
TRANSFER_TIMEOUT_S = 600.0
PAGE = 100
# A batch whose creation was not heard of is looked for so often before it is created again.
MAX_LOOKUPS = 3
# Between this machine's clock and the server's, at most.
MAX_CLOCK_SKEW_S = 24 * 3600

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds: between two looks at the batches at first and at most, for which a call is tried, and for which a
    queue may stay full that holds nothing of this run.
    """

    first_s: float = 5.0
    most_s: float = 120.0
    outage_s: float = 3_600.0
    queue_s: float = 26 * 3_600.0


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class _File(_Answer):
    id: str
    filename: str = ""


class _Files(_Answer):
    data: tuple[_File, ...]
    has_more: bool = False


class _Fault(_Answer):
    code: str | None = None


class _Faults(_Answer):
    data: tuple[_Fault, ...] | None = None


class _Cached(_Answer):
    cached_tokens: int = 0


class _Reasoning(_Answer):
    reasoning_tokens: int = 0


class _BatchUsage(_Answer):
    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_details: _Cached | None = None
    output_tokens_details: _Reasoning | None = None


class _Counts(_Answer):
    completed: int = 0
    failed: int = 0


class Batch(_Answer):
    """As much of a batch as is read here."""

    id: str
    status: str
    created_at: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Faults | None = None
    metadata: Mapping[str, str] | None = None
    request_counts: _Counts | None = None
    usage: _BatchUsage | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in ENDED

    @property
    def codes(self) -> tuple[str, ...]:
        """Why it failed as a whole."""
        faults = (self.errors.data if self.errors else None) or ()
        return tuple(fault.code for fault in faults if fault.code)

    @property
    def rows_done(self) -> int:
        """How many rows have an answer, good or bad."""
        return self.request_counts.completed + self.request_counts.failed if self.request_counts else 0

    @property
    def billed(self) -> Usage:
        """What the account was billed for all of it, where that is told."""
        if self.usage is None:
            return NO_USAGE
        cached, reasoning = self.usage.input_tokens_details, self.usage.output_tokens_details
        return Usage(
            self.usage.input_tokens,
            cached.cached_tokens if cached else 0,
            self.usage.output_tokens,
            reasoning.reasoning_tokens if reasoning else 0,
        )


class _Batches(_Answer):
    data: tuple[Batch, ...]
    has_more: bool = False


class BatchApi:
    """The batches of one account.

    Every method raises AccountError where the API refuses, and Stopped where it stays away.
    """

    def __init__(self, settings: Settings, waits: Delays) -> None:
        self._settings = settings
        self._waits = waits
        self._client, _ = shared_client_and_limiter(settings)

    async def upload(self, name: str, file: BinaryIO, *, is_new: bool) -> str:
        """Upload a file and return its id. What earlier tries have left behind under its name is removed first."""
        tries = 0

        async def attempt() -> str:
            nonlocal tries
            tries += 1
            if tries > 1 or not is_new:
                for left_behind in await self._files_named(name):
                    await self.delete_file(left_behind)
            file.seek(0)
            with translated(self._settings):
                made = await self._client.files.create(file=(name, file), purpose="batch", timeout=TRANSFER_TIMEOUT_S)
            # Whatever is no file object has no id: the SDK makes an object of any answer.
            if not isinstance(file_id := getattr(made, "id", None), str):
                raise Transient("the server's reply is no file", failure="bad_answer")
            return file_id

        return await self._insist("the upload of a file of requests", attempt)

    async def delete_file(self, file_id: str) -> None:
        """Remove a file; one that cannot be removed stays until it expires."""
        try:
            with translated(self._settings):
                await self._client.delete(f"/files/{file_id}", cast_to=httpx2.Response)
        except (RequestError, AccountError):
            return

    async def create(self, file_id: str, metadata: Mapping[str, str], since_s: float, *, is_new: bool) -> Batch:
        """Create a batch, once: where it may be there already it is looked for by its metadata.

        `since_s` is the time before which nobody can have tried.
        """
        tries = 0

        async def attempt() -> Batch:
            nonlocal tries
            tries += 1
            if (tries > 1 or not is_new) and (found := await self._look_for(metadata, since_s)):
                return found
            body = {"input_file_id": file_id, "endpoint": ENDPOINT, "completion_window": "24h", "metadata": metadata}
            with translated(self._settings):
                reply = await self._client.post("/batches", cast_to=httpx2.Response, body=body)
            return _read(reply.content, Batch)

        return await self._insist("a batch", attempt)

    async def find(self, metadata: Mapping[str, str], since_s: float) -> Batch | None:
        """The batch with this metadata, where one was created since then."""
        return await self._insist("the list of batches", functools.partial(self._look_for, metadata, since_s))

    async def look(self, batch_id: str) -> Batch:
        """How far a batch is."""
        return await self._insist(f"the batch {batch_id}", functools.partial(self._get, f"/batches/{batch_id}", Batch))

    async def cancel(self, batch_id: str) -> None:
        """Ask for a batch to be cancelled; one that has ended meanwhile is no error."""
        try:
            with translated(self._settings):
                await self._client.post(f"/batches/{batch_id}/cancel", cast_to=httpx2.Response)
        except RequestError:
            return

    async def download(self, file_id: str, into: BinaryIO) -> None:
        """Write a file's content, whole, into an empty file on disk."""

        async def attempt() -> None:
            into.seek(0)
            into.truncate()
            with translated(self._settings):
                content = self._client.files.with_streaming_response.content(file_id, timeout=TRANSFER_TIMEOUT_S)
                async with content as reply:
                    async for chunk in reply.iter_bytes():
                        into.write(chunk)

        await self._insist(f"the file {file_id}", attempt)
        into.seek(0)

    async def _insist(self, what: str, call: Callable[[], Awaitable[Result]]) -> Result:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((SlowDown, Transient)),
            stop=stop_after_delay(self._waits.outage_s),
            wait=self._wait_s,
            reraise=True,
        )
        try:
            return await retrying(call)
        except Rejected as error:
            raise AccountError(f"{what}: {error}", "bad_request") from None
        except RequestError as error:
            away = f"{what} cannot be had for {self._waits.outage_s:g} s now ({error})"
            raise Stopped(f"{away}: what is done is kept, resume the run later", error.failure) from None
        except AccountError as error:
            # Of the SDK's refusals a 404 means a model elsewhere; here it is the thing that was asked for.
            if error.failure != "model_not_found":
                raise
            advice = "use the key that began the run, and a server that has OpenAI's Batch API"
            raise AccountError(f"{what} is not known to the server (HTTP 404): {advice}", "not_permitted") from None

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        told_s = error.retry_after_s if isinstance(error, SlowDown | Transient) else None
        return told_s or backoff_s(state.attempt_number, self._waits.first_s, self._waits.most_s)

    async def _get(self, path: str, form: type[Model], params: Mapping[str, object] | None = None) -> Model:
        with translated(self._settings):
            reply = await self._client.get(path, cast_to=httpx2.Response, options={"params": dict(params or {})})
        return _read(reply.content, form)

    async def _look_for(self, metadata: Mapping[str, str], since_s: float) -> Batch | None:
        """Look several times: the server may still be busy with a creation whose connection broke."""
        for look in range(MAX_LOOKUPS):
            if look:
                await asyncio.sleep(self._waits.first_s)
            if found := await self._in_list(metadata, since_s):
                return found
        return None

    async def _in_list(self, metadata: Mapping[str, str], since_s: float) -> Batch | None:
        next_state: dict[str, object] = {}
        while True:
            page = await self._get("/batches", _Batches, {"limit": PAGE, **next_state})
            for batch in page.data:  # the newest first
                if metadata.items() <= (batch.metadata or {}).items():
                    return batch
                if batch.created_at < since_s - MAX_CLOCK_SKEW_S:
                    return None
            if not page.has_more or not page.data:
                return None
            next_state = {"after": page.data[-1].id}

    async def _files_named(self, name: str) -> list[str]:
        found: list[str] = []
        next_state: dict[str, object] = {}
        while True:
            page = await self._get("/files", _Files, {"purpose": "batch", "limit": 10_000, **next_state})
            found += [file.id for file in page.data if file.filename == name]
            if not page.has_more or not page.data:
                return found
            next_state = {"after": page.data[-1].id}


Model = TypeVar("Model", bound=_Answer)


def _read(body: bytes, form: type[Model]) -> Model:
    try:
        return form.model_validate_json(body)
    except ValidationError:
        raise Transient("the server's reply is not in a known form", failure="bad_answer") from None
