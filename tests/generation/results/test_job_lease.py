"""The lease of a job, as a job uses it: who waits, for how long, and what a lease in doubt holds up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from generation.errors import LeaseLost, Stopped, StorageError
from generation.results.job_lease import JobLease, job_lease
from generation.storage.base import Stored
from generation.storage.folder import FolderStorage
from generation.storage.keys import job_lease_key
from generation.storage.lease import JOB_TTL_S
from tests.conftest import invented_time_loop
from tests.support.stores import JOB_ID, on_invented_time

DEADLINE = Stopped("its deadline has passed", "deadline_exceeded")


class Store(FolderStorage):
    is_away = False

    async def read(self, key: str) -> Stored | None:
        if self.is_away:
            raise StorageError("away", retryable=True)
        return await super().read(key)


def now_s() -> float:
    return invented_time_loop().time()


async def hold_for(folder: Path, seconds: float) -> None:
    async with job_lease(FolderStorage(folder), JOB_ID, asyncio.Event(), now_s() + 1e6, DEADLINE):
        await asyncio.sleep(seconds)


@pytest.mark.parametrize(
    ("stops_after_s", "deadline_s", "failure"),
    [(7.0, 1e6, "worker_stopping"), (1e6, 7.0, "deadline_exceeded")],
    ids=["stopped", "deadline"],
)
def test_who_waits_for_another_run_ends_in_time(
    tmp_path: Path, stops_after_s: float, deadline_s: float, failure: str
) -> None:
    """A run that waits ends when its worker must stop and at its deadline, and the other's lease stays."""

    async def main() -> float:
        other = asyncio.create_task(hold_for(tmp_path, 100.0))
        await asyncio.sleep(1.0)
        stopping = asyncio.Event()
        asyncio.get_running_loop().call_later(stops_after_s, stopping.set)
        began_s = now_s()
        with pytest.raises(Stopped) as stopped:
            await enter(stopping, began_s + deadline_s)
        assert stopped.value.failure == failure
        took_s = now_s() - began_s
        assert not other.done()
        await other
        return took_s

    async def enter(stopping: asyncio.Event, deadline_s: float) -> None:
        async with job_lease(FolderStorage(tmp_path), JOB_ID, stopping, deadline_s, DEADLINE):
            raise AssertionError("entered")

    assert 7.0 <= on_invented_time(main()) < 7.1


def test_where_nobody_else_is_at_work_a_run_begins_at_any_rate(tmp_path: Path) -> None:
    """A deadline that has passed and a worker that stops are for the job to tell: it may have results already."""

    async def main() -> JobLease:
        stopping = asyncio.Event()
        stopping.set()
        async with job_lease(FolderStorage(tmp_path), JOB_ID, stopping, now_s() - 1.0, DEADLINE) as held:
            return held

    held = on_invented_time(main())
    assert held.held is not None
    assert not held.is_lost


def test_a_store_that_is_away_at_the_start_stops_no_job(tmp_path: Path) -> None:
    """Without a store there is no lease, the reason is told, and nothing is in doubt."""

    async def main() -> JobLease:
        store = Store(tmp_path)
        store.is_away = True
        async with job_lease(store, JOB_ID, asyncio.Event(), now_s() + 1e6, DEADLINE) as held:
            await held.confirm(asyncio.Event())
            return held

    held = on_invented_time(main())
    assert held.held is None
    assert str(held.fault) == "away"
    assert not held.is_lost


def test_a_lease_in_doubt_holds_requests_up_until_it_is_renewed(tmp_path: Path) -> None:
    """Requests wait while the store is away for longer than the TTL, and go on when it is back."""

    async def main() -> None:
        store = Store(tmp_path)
        async with job_lease(store, JOB_ID, asyncio.Event(), now_s() + 1e6, DEADLINE) as held:
            store.is_away = True
            await held.confirm(asyncio.Event())
            await asyncio.sleep(2 * JOB_TTL_S)
            confirming = asyncio.create_task(held.confirm(asyncio.Event()))
            await asyncio.sleep(2 * JOB_TTL_S)
            assert not confirming.done()
            store.is_away = False
            await asyncio.wait_for(confirming, JOB_TTL_S)

    on_invented_time(main())


def test_a_job_that_ends_waits_for_no_lease(tmp_path: Path) -> None:
    """At the job's end its requests wait no more, although the lease is still in doubt; they are refused elsewhere."""

    async def main() -> None:
        store, ending = Store(tmp_path), asyncio.Event()
        async with job_lease(store, JOB_ID, asyncio.Event(), now_s() + 1e6, DEADLINE) as held:
            store.is_away = True
            await asyncio.sleep(2 * JOB_TTL_S)
            confirming = asyncio.create_task(held.confirm(ending))
            await asyncio.sleep(1.0)
            ending.set()
            await asyncio.wait_for(confirming, 0.1)

    on_invented_time(main())


def test_a_run_whose_job_was_taken_over_starts_no_request(tmp_path: Path) -> None:
    """Where another run has the lease, `confirm` raises, also for those that were waiting in doubt."""

    async def main() -> None:
        store = Store(tmp_path)
        async with job_lease(store, JOB_ID, asyncio.Event(), now_s() + 1e6, DEADLINE) as held:
            store.is_away = True
            await asyncio.sleep(2 * JOB_TTL_S)
            confirming = asyncio.create_task(held.confirm(asyncio.Event()))
            await FolderStorage(tmp_path).write(job_lease_key(JOB_ID), b"{}")
            store.is_away = False
            with pytest.raises(LeaseLost):
                await confirming
            with pytest.raises(LeaseLost):
                await held.confirm(asyncio.Event())
            assert held.is_lost

    on_invented_time(main())
