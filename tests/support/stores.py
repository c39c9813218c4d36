"""What tests of saved outcomes share: outcomes that have cost something, stores and what befalls them, threads at once.

`on_invented_time` is `run_on_invented_time` for code that uses threads: what would go to one is done on the spot.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from generation.config import Settings
from generation.domain.context import SymbolContext
from generation.domain.outcome import Documented, Failed, Outcome, Symbol
from generation.domain.usage import Usage
from generation.results.checkpoint import Checkpoint, read_segments
from generation.results.records import StoredRecord
from generation.results.report import Report, as_json
from generation.storage import open_storage, r2, threads
from generation.storage.base import Storage
from generation.storage.folder import FolderStorage
from generation.storage.keys import results_key
from generation.storage.r2 import R2Storage
from tests.conftest import run_on_invented_time
from tests.loopback.s3 import LoopbackS3
from tests.support.contexts import context

JOB_ID = "job-1"
PREFIX = f"checkpoints/{JOB_ID}/"
# In the form of new_run(); the first began first.
RUN_A, RUN_B, RUN_C = (f"{number:020}-{number:08x}" for number in (1, 2, 3))
SETTINGS = Settings.from_env({"OPENAI_API_KEY": "key", "STORAGE_RETRY_S": "0"})

Result = TypeVar("Result")


def symbol(position: int) -> Symbol:
    return Symbol(position, SymbolContext(**context(f"f{position}", symbol_id=f"s{position}")))


def cost(tokens: int) -> Usage:
    """What one request of so many tokens is billed."""
    return Usage(input_tokens=tokens, requests=1)


def documented(position: int, tokens: int = 100, content_hash: str = "same", **fields: Any) -> Documented:
    summary = fields.pop("summary", f"Summary {position}.")
    return Documented(position, f"s{position}", summary, cost(tokens), content_hash=content_hash, **fields)


def failed(position: int, failure: str = "timeout", tokens: int = 100, content_hash: str = "same") -> Failed:
    usage = cost(tokens) if tokens else Usage()
    return Failed(position, f"s{position}", "a.py", failure, "a sentence", usage, content_hash)


def report_of(outcomes: Sequence[Outcome], included: Mapping[str, int] | None = None) -> Report:
    report = Report(JOB_ID, SETTINGS, len(outcomes), lambda: 0.0)
    for outcome in outcomes:
        report.add(outcome)
    report.included = included or {}
    return report


def document_of(outcomes: Sequence[Outcome], included: Mapping[str, int] | None = None) -> bytes:
    return as_json(report_of(outcomes, included).document())


async def save_run(storage: Storage, run: str, *segments: Sequence[Outcome]) -> Checkpoint:
    """What a run leaves behind that is killed once these segments are saved."""
    checkpoint = Checkpoint(storage, JOB_ID, run)
    for outcomes in segments:
        for outcome in outcomes:
            checkpoint.add(outcome)
        assert await checkpoint.save(None) == 0
    return checkpoint


async def stored_document(storage: Storage) -> dict[str, Any]:
    stored = await storage.read(results_key(JOB_ID))
    assert stored is not None
    document: dict[str, Any] = json.loads(stored.body)
    return document


async def saved_by_run(
    storage: Storage, included: Mapping[str, int] | None = None
) -> dict[str, dict[str, StoredRecord]]:
    keys = await storage.list_keys(PREFIX)
    return (await read_segments(storage, keys, included or {})).runs


async def segments_in(storage: Storage) -> list[list[str]]:
    """The ids in each segment, in the order of the keys."""
    bodies = [await storage.read(key) for key in await storage.list_keys(PREFIX)]
    return [[json.loads(line)["symbol_id"] for line in one.body.splitlines()] for one in bodies if one]


Gate = Callable[[int], Coroutine[Any, Any, None]]


async def _open_gate(_write: int) -> None:
    pass


class GatedFolder(FolderStorage):
    """A folder that writes and appends when `gate` lets it: what that awaits holds a write up, what it raises ends it.

    `gate` is told how many writes came before.
    """

    def __init__(self, folder: Path, gate: Gate = _open_gate) -> None:
        super().__init__(folder)
        self._gate = gate
        self.writes = 0

    async def write(self, key: str, body: bytes) -> None:
        await self._pass_gate()
        await super().write(key, body)

    async def append(self, key: str, body: bytes) -> None:
        await self._pass_gate()
        await super().append(key, body)

    async def _pass_gate(self) -> None:
        self.writes += 1
        await self._gate(self.writes - 1)


class GatedBucket:
    """A bucket whose objects are files, with a gate: unlike a folder it cannot append."""

    bucket: str | None = "bucket"

    def __init__(self, folder: Path, gate: Gate = _open_gate) -> None:
        self._files = GatedFolder(folder, gate)
        self.open, self.read, self.write = self._files.open, self._files.read, self._files.write
        self.put_if_match, self.list_keys = self._files.put_if_match, self._files.list_keys
        self.delete, self.url, self.exists = self._files.delete, self._files.url, self._files.exists

    @property
    def writes(self) -> int:
        return self._files.writes


@contextmanager
def away(folder: Path) -> Iterator[None]:
    """A file stands in the place of a store's folder: nothing can be read there or written."""
    elsewhere = folder.with_name(f"{folder.name}-elsewhere")
    folder.mkdir(exist_ok=True)
    folder.rename(elsewhere)
    folder.touch()
    try:
        yield
    finally:
        folder.unlink()
        elsewhere.rename(folder)


@contextmanager
def opened(s3: LoopbackS3) -> Iterator[R2Storage]:
    """The bucket as the worker opens it, which gives up at once where the bucket is away."""
    environment = {**s3.environment(), "MODEL_NAME": "offline", "STORAGE_RETRY_S": "0"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_CA_BUNDLE", environment["AWS_CA_BUNDLE"])
        storage = open_storage(Settings.from_env(environment))
        assert isinstance(storage, R2Storage)
        yield storage
        close_clients(storage)


def close_clients(*storages: R2Storage) -> None:
    """Close the connections of these storages once no call that was given up uses one any more."""
    threads.storage_threads().shutdown()
    threads.storage_threads.cache_clear()
    for storage in storages:
        storage._client().close()
    r2._shared_client.cache_clear()


class _AtOnce(ThreadPoolExecutor):
    """Does what goes to a thread on the spot: a thread takes time of its own, which invented time does not wait for."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args, **named))
        except Exception as error:  # noqa: BLE001 - as a thread does: whoever awaits it gets it
            future.set_exception(error)
        return future


def on_invented_time(main: Coroutine[Any, Any, Result]) -> Result:
    async def with_threads() -> Result:
        asyncio.get_running_loop().set_default_executor(_AtOnce())
        return await main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "storage_threads", _AtOnce)
        return run_on_invented_time(with_threads())
