"""The records of jobs in the store: a bucket that all processes of the service share, or a folder.

    jobs/{job_id}.json         the record, changed by conditional writes only
    jobs/open/{job_id}         a marker, there until the job has ended: what a process looks for that has nothing to do
    jobs/leases/{job_id}.json  the lease of the process that runs it

The marker is written before the record and removed after its last change, so a job that is known is never forgotten.
Who finds a marker without a record, since its job is about to be written, removes it: both sides look again afterwards.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import cast

from doctown.service.records import JobState, is_open
from generation import Storage, StorageError

PREFIX = "jobs/"
OPEN_PREFIX = f"{PREFIX}open/"
MAX_CONFLICTS = 50
READS_AT_ONCE = 16

Change = Callable[[JobState], JobState | None]


def record_key(job_id: str) -> str:
    """Return the key of a job's record."""
    return f"{PREFIX}{job_id}.json"


def lease_key(job_id: str) -> str:
    """Return the key of the lease of the process that runs a job."""
    return f"{PREFIX}leases/{job_id}.json"


class JobStore:
    """The jobs of all processes that share a store. Every method raises StorageError where it cannot be reached."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    async def create(self, state: JobState) -> bool:
        """Add a job; return False where there is one of this id already."""
        job_id = state["job_id"]
        if await self.storage.exists(record_key(job_id)):
            return False
        await self.storage.write(OPEN_PREFIX + job_id, b"{}")
        is_new = await self.storage.put_if_match(record_key(job_id), _body(state), None)
        if not await self.storage.exists(OPEN_PREFIX + job_id):
            await self._mark_if_open(job_id)
        return is_new

    async def read(self, job_id: str) -> JobState | None:
        """Return a job, or None where there is none of this id."""
        stored = await self.storage.read(record_key(job_id))
        return None if stored is None else cast("JobState", json.loads(stored.body))

    async def change(self, job_id: str, change: Change) -> tuple[JobState | None, bool]:
        """Change a job. Return it as it then is, and whether it was changed; `change` returns None to leave it."""
        for _ in range(MAX_CONFLICTS):
            stored = await self.storage.read(record_key(job_id))
            if stored is None:
                return None, False
            state = cast("JobState", json.loads(stored.body))
            changed = change(state)
            if changed is None:
                return state, False
            if await self.storage.put_if_match(record_key(job_id), _body(changed), stored.version):
                return changed, True
        raise StorageError(f"{record_key(job_id)} is changed by others faster than it can be written")

    async def open_ids(self) -> list[str]:
        """Return the ids of the jobs that have not ended, the oldest first where they are ids of this service."""
        return [key.removeprefix(OPEN_PREFIX) for key in await self.storage.list_keys(OPEN_PREFIX)]

    async def close(self, job_id: str) -> None:
        """Remove the marker of a job that has ended, or that has no record."""
        await self.storage.delete([OPEN_PREFIX + job_id])
        await self._mark_if_open(job_id)

    async def _mark_if_open(self, job_id: str) -> None:
        state = await self.read(job_id)
        if state is not None and is_open(state):
            await self.storage.write(OPEN_PREFIX + job_id, b"{}")

    async def page(self, limit: int, before: str | None) -> tuple[list[JobState], str | None]:
        """Return up to `limit` jobs by descending id, from the one before `before` on, and the last id if more follow.

        Ids that the service has given begin with the time: the newest job is the first.
        """
        names = [key.removeprefix(PREFIX) for key in await self.storage.list_keys(PREFIX)]
        ids = sorted((name.removesuffix(".json") for name in names if "/" not in name), reverse=True)
        following = [one for one in ids if before is None or one < before]
        gate = asyncio.Semaphore(READS_AT_ONCE)

        async def read(job_id: str) -> JobState | None:
            async with gate:
                return await self.read(job_id)

        states = await asyncio.gather(*map(read, following[:limit]))
        last = following[limit - 1] if len(following) > limit else None
        return [state for state in states if state is not None], last


def _body(state: JobState) -> bytes:
    return json.dumps(state, ensure_ascii=False, allow_nan=False).encode()
