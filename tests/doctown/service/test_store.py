"""The records and markers of jobs in a store that several processes share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from doctown.service import records
from doctown.service.runner import Runner, utc_now
from doctown.service.store import OPEN_PREFIX, JobStore, record_key
from generation import JobError, ProcessFigures
from generation.storage.folder import FolderStorage
from tests.support.waiting import wait_until

JOB = "job"


class PausingStorage(FolderStorage):
    """A store that waits before one kind of call, until it may go on, and tells of the removal of the marker."""

    def __init__(self, folder: Path, paused: str = "") -> None:
        super().__init__(folder)
        self.paused = paused
        self.arrived, self.may_go_on, self.removed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def _pause(self, call: str) -> None:
        if call == self.paused:
            self.arrived.set()
            await self.may_go_on.wait()

    async def put_if_match(self, key: str, body: bytes, version: str | None) -> bool:
        if key == record_key(JOB):
            await self._pause("write of the record")
        return await super().put_if_match(key, body, version)

    async def delete(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        if keys == [OPEN_PREFIX + JOB]:
            await self._pause("removal of the marker")
        await super().delete(keys)
        if keys == [OPEN_PREFIX + JOB]:
            self.removed.set()


async def look_for_jobs(storage: PausingStorage) -> None:
    """Look for free jobs as a process does that has room for one; there is none with a record that it could run."""

    async def execute(*_: object, **__: object) -> None:
        raise AssertionError("no job is there to be run")

    stopping = asyncio.Event()
    runner = Runner(JobStore(storage), execute, ProcessFigures(), 1, stopping)  # type: ignore[arg-type]
    running = asyncio.create_task(runner.run())
    await storage.removed.wait()
    stopping.set()
    await running


@pytest.mark.parametrize("paused", ["write of the record", "removal of the marker"])
def test_a_job_is_not_forgotten_while_it_is_taken(tmp_path: Path, paused: str) -> None:
    """A process that sees a marker before its record removes it, whether the record comes later or just before."""

    async def run() -> tuple[list[str], str]:
        pausing, other = PausingStorage(tmp_path, paused), PausingStorage(tmp_path)
        state = records.queued(JOB, {}, utc_now())
        if paused == "write of the record":
            task: asyncio.Task[object] = asyncio.create_task(JobStore(pausing).create(state))
            await pausing.arrived.wait()
            await look_for_jobs(other)
        else:
            task = asyncio.create_task(JobStore(pausing).close(JOB))
            await pausing.arrived.wait()
            assert await JobStore(other).create(state)
        pausing.may_go_on.set()
        await task
        found = await JobStore(other).read(JOB)
        assert found is not None
        return await JobStore(other).open_ids(), found["status"]

    assert asyncio.run(run()) == ([JOB], "queued")


@pytest.mark.parametrize(
    ("free_gb", "at_once"),
    [((0.4,), 1), ((2.5,), 2), ((2.5, 0.9), 1), ((64,), 4)],
    ids=["less than one", "two", "the first takes more", "more than is asked for"],
)
def test_a_build_begins_where_memory_is_left_for_it(tmp_path: Path, free_gb: tuple[float, ...], at_once: int) -> None:
    """So many begin as fit, one at least; the next one's status says what it waits for, and it begins when one ends."""
    may_end = asyncio.Event()
    looks = iter(free_gb)
    last_gb = free_gb[-1]

    async def execute(*_: object, **__: object) -> None:
        await may_end.wait()
        raise JobError("it has ended", "bad_input")

    def free_bytes() -> int:
        return int(1e9 * next(looks, last_gb))

    def shown() -> list[tuple[str, str | None]]:
        found = [json.loads((tmp_path / record_key(f"job-{number}")).read_bytes()) for number in range(4)]
        return [(state["status"], state.get("waits_for")) for state in found]

    async def run() -> None:
        store, stopping = JobStore(FolderStorage(tmp_path)), asyncio.Event()
        for number in range(4):
            await store.create(records.queued(f"job-{number}", {}, utc_now()))
        runner = Runner(store, execute, ProcessFigures(), 4, stopping, free_bytes=free_bytes)  # type: ignore[arg-type]
        running = asyncio.create_task(runner.run())
        waiting = [("queued", "memory"), *[("queued", None)] * 3]
        expected = [*[("running", None)] * at_once, *waiting[: 4 - at_once]]
        await asyncio.to_thread(wait_until, lambda: shown() == expected, "the builds that fit")
        may_end.set()
        await asyncio.to_thread(wait_until, lambda: shown() == [("failed", None)] * 4, "the end of all")
        stopping.set()
        await running

    asyncio.run(run())
