"""The lease of a job: one run of it at a time buys summaries, although others may have been given the same job.

RunPod can deliver a job again while its first worker still runs it. The second run waits here until the first has
ended, finds its results, and answers with them; or it takes over what is left when the lease runs out. Leaves out: how
a lease works (`storage.lease`), and what a run finds of the earlier ones (`reuse`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from generation.errors import Stopped, StorageError
from generation.storage import lease as leases
from generation.storage.base import Storage
from generation.storage.keys import job_lease_key

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobLease:
    """A job's lease; `held` is None for a job that needs none, or gets none since the store is away (`fault`)."""

    held: leases.Lease | None = None
    fault: StorageError | None = None

    @property
    def is_lost(self) -> bool:
        """Whether another run has taken over."""
        return self.held is not None and self.held.is_lost

    async def confirm(self, ending: asyncio.Event) -> None:
        """Wait while another run may have taken over, or until the job is `ending`. Raise LeaseLost if one has.

        To be called before each request. A store that is away for longer than the TTL delays the requests, and no
        more: what is in flight goes on.
        """
        if self.held is None or self.held.is_held:
            return
        waits = [asyncio.create_task(self.held.confirm()), asyncio.create_task(ending.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            confirmed, _ = await asyncio.gather(*waits, return_exceptions=True)
        if isinstance(confirmed, Stopped):
            raise confirmed


@contextlib.asynccontextmanager
async def job_lease(
    storage: Storage, job_id: str, stopping: asyncio.Event, deadline_s: float, stopped: Stopped
) -> AsyncIterator[JobLease]:
    """Hold the lease of a job while the block runs, after any other run of the job has ended.

    While it waits, raise Stopped where `stopping` is set, and `stopped` at `deadline_s` of the loop's clock. Where the
    store is away from the beginning, the block runs without a lease: a job must not depend on the store.
    """
    watching: list[asyncio.Task[None]] = []

    def on_wait() -> None:
        log.info("job %s: another run of it is at work, or was a moment ago: waiting for it", job_id)
        limit.reschedule(deadline_s)
        watching.append(asyncio.create_task(_end_at(stopping, limit)))

    key = job_lease_key(job_id)
    lease = leases.lease(storage, key, ttl_s=leases.JOB_TTL_S, on_wait=on_wait, cancel_when_lost=False)
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(None) as limit:
                held = JobLease(await stack.enter_async_context(lease))
        except StorageError as error:
            log.warning("job %s: a second run of it would not be noticed: %s", job_id, error)
            held = JobLease(fault=error)
        except TimeoutError:
            raise (Stopped("the worker was told to stop") if stopping.is_set() else stopped) from None
        finally:
            for task in watching:
                task.cancel()
        yield held


async def _end_at(stopping: asyncio.Event, limit: asyncio.Timeout) -> None:
    await stopping.wait()
    limit.reschedule(asyncio.get_running_loop().time())
