"""OpenAI's Files and Batches APIs, with every call retried until it succeeds, is rejected or the outage is too long.

Adds to the SDK: one retry layer that outlasts an outage; exactly-once creation of a batch, by searching for it (by its
metadata) before the call is repeated; and files that are streamed from and to disk. What the files contain is defined
in `rows`, and when a batch is submitted in `engine`.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple, TypeVar

import httpx2
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay

from generation.backoff import backoff_s
from generation.config import Settings
from generation.domain.bookkeeping import as_list, as_object, as_text, count_in, object_in
from generation.domain.usage import NO_USAGE, Usage
from generation.errors import (
    AccountError,
    Rejected,
    RequestError,
    SlowDown,
    Stopped,
    Transient,
    kept_on_disk,
    meaning_of,
)
from generation.model.client import shared_client_and_limiter, translated
from generation.model.codec import error_inside, read_reply

ENDPOINT = "/v1/chat/completions"
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})

# Elsewhere a 404 means that the model does not exist; here it is the file or the batch.
NOT_FOUND = "model_not_found"

# For a file of 200 MB, including the server's validation of it.
TRANSFER_TIMEOUT_S = 600.0
PAGE = 100
# Searches for a batch whose creation had an unknown result, before it is created again.
MAX_LOOKUPS = 3
# Maximum difference between this machine's clock and the server's.
MAX_CLOCK_SKEW_S = 24 * 3600

Result = TypeVar("Result")
Listed = TypeVar("Listed", "Batch", "_File")


@dataclass(frozen=True, slots=True)
class Delays:
    """Waiting times in seconds.

    `first_s` and `most_s` are the first and the maximum interval between polls and between retries. `outage_s` is how
    long a call is retried. `queue_s` is how long the account's queue may stay full without a batch of this run in it.
    """

    first_s: float = 5.0
    most_s: float = 120.0
    outage_s: float = 3_600.0
    queue_s: float = 26 * 3_600.0


@dataclass(frozen=True, slots=True)
class Batch:
    """The fields of a batch that are used here. `billed` is NO_USAGE where the server does not report it.

    `codes` are the error codes of a batch that failed as a whole, and `rows_done` counts the rows that have an answer,
    whether a result or an error.
    """

    id: str
    status: str
    created_at: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    codes: tuple[str, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)
    rows_done: int = 0
    billed: Usage = NO_USAGE

    @property
    def has_ended(self) -> bool:
        """Whether the batch has reached a final status."""
        return self.status in ENDED


def read_batch(value: object) -> Batch | None:
    """Return the batch in a JSON value, None where it has no id or no status; everything else may be anything."""
    fields = as_object(value)
    batch_id, status = as_text(fields.get("id")), as_text(fields.get("status"))
    if batch_id is None or status is None:
        return None
    counts, errors = object_in(fields, "request_counts"), object_in(fields, "errors")
    return Batch(
        batch_id,
        status,
        count_in(fields, "created_at") or 0,
        as_text(fields.get("output_file_id")),
        as_text(fields.get("error_file_id")),
        tuple(code for one in as_list(errors.get("data")) if (code := as_text(as_object(one).get("code")))),
        as_object(fields.get("metadata")),
        sum(count_in(counts, name) or 0 for name in ("completed", "failed")),
        _billed(object_in(fields, "usage")),
    )


def _billed(usage: Mapping[str, Any]) -> Usage:
    read, written = (count_in(usage, f"{kind}_tokens") or 0 for kind in ("input", "output"))
    cached = count_in(object_in(usage, "input_tokens_details"), "cached_tokens") or 0
    reasoning = count_in(object_in(usage, "output_tokens_details"), "reasoning_tokens") or 0
    return Usage(read, min(cached, read), written, min(reasoning, written))


class _File(NamedTuple):
    id: str
    filename: str | None


def _read_file(value: object) -> _File | None:
    fields = as_object(value)
    file_id = as_text(fields.get("id"))
    return _File(file_id, as_text(fields.get("filename"))) if file_id else None


class BatchApi:
    """The batches of one account.

    Methods raise AccountError where the API rejects a call, and Stopped where it has been unavailable for `outage_s`.
    """

    def __init__(self, settings: Settings, waits: Delays) -> None:
        self._settings = settings
        self._waits = waits
        self._client, _ = shared_client_and_limiter(settings)

    async def upload(self, name: str, file: BinaryIO, *, is_new: bool) -> str:
        """Upload a file and return its id. Files of the same name from earlier attempts are deleted first."""
        tries = 0

        async def attempt() -> str:
            nonlocal tries
            tries += 1
            if tries > 1 or not is_new:
                for leftover in await self._files_named(name):
                    await self.delete_file(leftover)
            file.seek(0)
            with translated(self._settings):
                made = await self._client.files.with_raw_response.create(
                    file=(name, file), purpose="batch", timeout=TRANSFER_TIMEOUT_S
                )
            return self._read(_read_file, made.content).id

        return await self._call("the upload of a file of requests", attempt)

    async def delete_file(self, file_id: str) -> None:
        """Delete a file. Ignore a failure: the file stays until it expires."""
        try:
            with translated(self._settings):
                await self._client.delete(f"/files/{file_id}", cast_to=httpx2.Response)
        except (RequestError, AccountError):
            return

    async def create(self, file_id: str, metadata: Mapping[str, str], since_s: float, *, is_new: bool) -> Batch:
        """Create a batch exactly once: where it may exist already, search for it by its metadata first.

        `since_s` (seconds since the epoch) is a time before which it cannot have been created.
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
            return self._read(read_batch, reply.content)

        return await self._call("a batch", attempt)

    async def find(self, metadata: Mapping[str, str], since_s: float) -> Batch | None:
        """Return the batch with this metadata created since `since_s`, or None."""
        return await self._call("the list of batches", functools.partial(self._look_for, metadata, since_s))

    async def look(self, batch_id: str) -> Batch:
        """Return the present state of a batch."""

        async def attempt() -> Batch:
            return self._read(read_batch, await self._get(f"/batches/{batch_id}"))

        return await self._call(f"the batch {batch_id}", attempt)

    async def cancel(self, batch_id: str) -> bool:
        """Request the cancellation of a batch and return whether the server knows it.

        A rejection is ignored: the batch may have ended already.
        """
        try:
            with translated(self._settings):
                await self._client.post(f"/batches/{batch_id}/cancel", cast_to=httpx2.Response)
        except RequestError:
            return True
        except AccountError as error:
            if error.failure != NOT_FOUND:
                raise
            return False
        return True

    async def download(self, file_id: str, into: BinaryIO) -> bool:
        """Replace the content of `into`, a file on disk, by that of a file of the API, and rewind it.

        Return False, and leave it empty, where the API has the file no longer. Raise StorageError where the disk is
        full.
        """

        async def attempt() -> bool:
            into.seek(0)
            into.truncate()
            try:
                with translated(self._settings):
                    content = self._client.files.with_streaming_response.content(file_id, timeout=TRANSFER_TIMEOUT_S)
                    async with content as reply:
                        async for chunk in reply.iter_bytes():
                            with kept_on_disk("the answers of a batch"):
                                into.write(chunk)
            except AccountError as error:
                if error.failure != NOT_FOUND:
                    raise
                return False
            return True

        is_there = await self._call(f"the file {file_id}", attempt)
        with kept_on_disk("the answers of a batch"):
            into.seek(0)
        return is_there

    async def _call(self, what: str, call: Callable[[], Awaitable[Result]]) -> Result:
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
            if error.failure != NOT_FOUND:
                raise
            raise unknown(what) from None

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        server_wait_s = error.retry_after_s if isinstance(error, SlowDown | Transient) else None
        return server_wait_s or backoff_s(state.attempt_number, self._waits.first_s, self._waits.most_s)

    async def _get(self, path: str, params: Mapping[str, object] | None = None) -> bytes:
        with translated(self._settings):
            reply = await self._client.get(path, cast_to=httpx2.Response, options={"params": dict(params or {})})
        content: bytes = reply.content
        return content

    def _read(self, read: Callable[[object], Result | None], body: bytes) -> Result:
        """Return what `read` makes of the JSON in a body.

        Raise what the error inside it means, or Transient where it is not what was asked for.
        """
        reply = read_reply(body)
        if (value := read(reply)) is not None:
            return value
        if refusal := error_inside(reply, self._settings):
            raise meaning_of(refusal)
        raise Transient("the server's reply is not in a known form", failure="bad_answer")

    async def _look_for(self, metadata: Mapping[str, str], since_s: float) -> Batch | None:
        """Search up to MAX_LOOKUPS times: the server may still be processing a creation whose connection broke."""
        for look in range(MAX_LOOKUPS):
            if look:
                await asyncio.sleep(self._waits.first_s)
            if found := await self._in_list(metadata, since_s):
                return found
        return None

    async def _in_list(self, metadata: Mapping[str, str], since_s: float) -> Batch | None:
        async for batch in self._listed("/batches", {"limit": PAGE}, read_batch):  # the newest first
            if metadata.items() <= batch.metadata.items():
                return batch
            if batch.created_at and batch.created_at < since_s - MAX_CLOCK_SKEW_S:
                return None
        return None

    async def _files_named(self, name: str) -> list[str]:
        listed = self._listed("/files", {"purpose": "batch", "limit": 10_000}, _read_file)
        return [file.id async for file in listed if file.filename == name]

    async def _listed(
        self, path: str, params: Mapping[str, object], read: Callable[[object], Listed | None]
    ) -> AsyncIterator[Listed]:
        """Yield the entries of all pages of a list. An entry that cannot be read is left out."""
        cursors: set[str] = set()
        cursor: dict[str, object] = {}
        while True:
            page = self._read(_read_page, await self._get(path, {**params, **cursor}))
            entries = [entry for value in as_list(page["data"]) if (entry := read(value))]
            for entry in entries:
                yield entry
            # Without an id that is new, the next page would be this one again.
            if page.get("has_more") is not True or not entries or entries[-1].id in cursors:
                return
            cursors.add(entries[-1].id)
            cursor = {"after": entries[-1].id}


def _read_page(value: object) -> Mapping[str, Any] | None:
    page = as_object(value)
    return page if isinstance(page.get("data"), list) else None


def unknown(what: str) -> AccountError:
    """Return the error for a file or a batch that the server does not know."""
    advice = "use the key that began the run, and a server that has OpenAI's Batch API"
    return AccountError(f"{what} is not known to the server (HTTP 404): {advice}", "not_permitted")
