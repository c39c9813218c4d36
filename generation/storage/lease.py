"""Leases in the store: at most one process at a time holds a key, whatever the key stands for (a job, a bulk run).

    async with lease(storage, job_lease_key("job-1")):
        ...  # cancelled as soon as the lease is lost; the block then raises LeaseLost

A lease is a small document, written only by conditional writes. Its holder renews it three times per time to live
(TTL). Whoever finds it waits, and takes it over once its version has not changed for the TTL on the waiting process's
own monotonic clock: wall clocks are never compared, so a clock that is wrong does no harm. The holder counts the TTL
from the start of its last successful renewal, which is earlier than anybody can have seen it, so it stops before
another may start. A renewal whose condition holds proves that nobody else has held the lease since.

A holder that has ended on this machine is not waited for: the lease names its process, by boot, PID namespace, PID and
start time. Source: C. Gray and D. Cheriton, Leases (SOSP 1989). Leaves out: what a holder does about writes of its own
that arrive after it has lost the lease. Results and states are written conditionally for that reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

from generation.errors import LeaseLost, StorageError
from generation.storage.base import Storage, Stored

# After a kill on another machine, this is what the next run of the job waits.
JOB_TTL_S = 15.0
# A coordinator may be busy for seconds, and a minute without the store should not end a run of hours.
RUN_TTL_S = 60.0

# Renewals per TTL; looks at another's lease, and attempts after a renewal that failed.
RENEWALS_PER_TTL = 3
LOOKS_PER_TTL = 15
MAX_LOOK_INTERVAL_S = 1.0
# A lease that another program wrote must not keep everybody out for ever.
MAX_TTL_S = 600.0


def _ignore() -> None:
    """Do nothing: the default of `on_wait`."""


def lease(
    storage: Storage,
    key: str,
    *,
    ttl_s: float = JOB_TTL_S,
    on_wait: Callable[[], None] = _ignore,
    cancel_when_lost: bool = True,
) -> contextlib.AbstractAsyncContextManager[Lease]:
    """Hold the lease of `key` while the block runs: wait for it, renew it, and release it at the end.

    Where another process holds it, call `on_wait` once and wait for as long as that takes; bound the waiting with
    `asyncio.timeout`, or cancel it. All users of a key should give the same `ttl_s`.

    The lease is lost where another process has taken it, where somebody has deleted it, and for as long as it could not
    be renewed for `ttl_s`. The block is then cancelled and LeaseLost raised in place of the cancellation. With
    `cancel_when_lost=False` it goes on: it must call `Lease.confirm` before each step that only a holder may take.

    Raise StorageError where the store cannot be read or written before any other holder was seen, and later where it
    refuses for good. A store that is away while the block runs, or at its end, raises nothing.
    """
    return Lease(storage, key, ttl_s).hold(on_wait, cancel_when_lost=cancel_when_lost)


class LeaseSighting(NamedTuple):
    """A lease that another process holds: the version that was seen first, and when, by the loop's clock."""

    stored: Stored
    since_s: float


@contextlib.asynccontextmanager
async def lease_if_free(
    storage: Storage, key: str, seen: LeaseSighting | None = None, *, ttl_s: float = JOB_TTL_S
) -> AsyncIterator[Lease | LeaseSighting]:
    """Hold the lease of `key` while the block runs, as `lease` does, if nobody else has it now; never wait for it.

    Yield the lease, or what was seen of another's. To be told of that the next time (`seen`), by the same event loop,
    is what lets an abandoned lease be taken over once it has been seen for its TTL. Raise as `lease` does.
    """
    held = Lease(storage, key, ttl_s)
    sighting = await held.look(seen)
    if sighting is not None:
        yield sighting
        return
    async with held.kept(cancel_when_lost=True):
        yield held


class Lease:
    """A lease that this process holds, or held until it was lost. Made by `lease`."""

    def __init__(self, storage: Storage, key: str, ttl_s: float) -> None:
        self.key = key
        self.is_lost = False
        self._storage = storage
        self._ttl_s = ttl_s
        self._token = os.urandom(16).hex()
        self._writes = 0
        self._until_s = 0.0
        self._is_over = asyncio.Event()
        self._has_changed = asyncio.Event()
        self._limit: asyncio.Timeout | None = None

    @contextlib.asynccontextmanager
    async def hold(self, on_wait: Callable[[], None], *, cancel_when_lost: bool) -> AsyncIterator[Lease]:
        """Acquire, renew and release the lease, as `lease` says."""
        await self._acquire(on_wait)
        async with self.kept(cancel_when_lost=cancel_when_lost):
            yield self

    @contextlib.asynccontextmanager
    async def kept(self, *, cancel_when_lost: bool) -> AsyncIterator[None]:
        """Renew the lease, which was acquired, while the block runs, and release it."""
        renewing = asyncio.create_task(self._keep_renewing(), name=f"lease of {self.key}")
        try:
            async with self._cancelling_when_lost() if cancel_when_lost else contextlib.nullcontext():
                yield
        finally:
            self._is_over.set()
            try:
                # Not cancelled: a renewal under way must not arrive after the lease is deleted. A loop that is closed
                # cancels all tasks, this one too; its end is then no reason to keep the lease.
                await asyncio.wait([renewing])
            finally:
                renewing.cancel()
            if not renewing.cancelled():
                renewing.result()
            await self._release()

    @property
    def is_held(self) -> bool:
        """Whether nobody else can have the lease now: it was renewed within its TTL."""
        return not self.is_lost and _now_s() < self._until_s

    async def confirm(self) -> None:
        """Return once the lease is certainly held: at once where it is, else when it could be renewed again.

        Raise LeaseLost once another process has it.
        """
        while not self.is_held:
            if self.is_lost:
                raise self.error()
            self._has_changed.clear()
            await self._has_changed.wait()

    def error(self) -> LeaseLost:
        """Return the error that says that the lease is lost."""
        if self.is_lost:
            return LeaseLost(f"{self.key} is held by another process, which goes on with the work")
        return LeaseLost(f"{self.key} could not be renewed for {self._ttl_s:g} s, so another process may go on")

    async def _acquire(self, on_wait: Callable[[], None]) -> None:
        seen: LeaseSighting | None = None
        while True:
            try:
                sighting = await self.look(seen)
                if sighting is None:
                    return
                if seen is None:
                    on_wait()
                seen = sighting
            except StorageError as error:
                # Another holder was seen: to go on without the lease would be to work beside it.
                if seen is None or not error.retryable:
                    raise
            await asyncio.sleep(_look_interval_s(self._ttl_s))

    async def look(self, seen: LeaseSighting | None) -> LeaseSighting | None:
        """Acquire the lease if it is free, and return None; else return what is there, and since when it is `seen`."""
        while True:
            stored = await self._storage.read(self.key)
            if stored is not None and not _has_ended(stored) and not self._is_expired(stored, seen):
                is_same = seen is not None and seen.stored.version == stored.version
                return seen if is_same else LeaseSighting(stored, _now_s())
            if await self._write(stored):
                return None

    def _is_expired(self, stored: Stored, seen: LeaseSighting | None) -> bool:
        """Return whether the version that was seen first is still there after the TTL."""
        if seen is None or seen.stored.version != stored.version:
            return False
        return _now_s() - seen.since_s >= max(self._ttl_s, _holder(stored).ttl_s)

    async def _keep_renewing(self) -> None:
        interval_s = self._ttl_s / RENEWALS_PER_TTL
        pause_s = interval_s
        while not self._is_over.is_set() and not self.is_lost:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_over.wait(), pause_s)
                return
            pause_s = interval_s if await self._renew(interval_s) else _look_interval_s(self._ttl_s)

    async def _renew(self, timeout_s: float) -> bool:
        """Write the lease anew if it is still this holder's. Return False where that fails or hangs."""
        with contextlib.suppress(StorageError, TimeoutError):
            async with asyncio.timeout(timeout_s):
                stored = await self._storage.read(self.key)
                if stored is not None and _holder(stored).token == self._token:
                    # False: an earlier renewal, given up as hanging, has arrived after all; the next look shows it.
                    return await self._write(stored)
                self._lose()
        return False

    async def _write(self, stored: Stored | None) -> bool:
        """Write the lease in place of the version that was read. Return False where that has changed."""
        started_s = _now_s()
        self._writes += 1
        body = _body(_Holder(self._token, self._ttl_s, _machine(), _process(os.getpid())), self._writes)
        if not await self._storage.put_if_match(self.key, body, stored.version if stored else None):
            return False
        self._until_s = started_s + self._ttl_s
        self._has_changed.set()
        if self._limit and not self._limit.expired():
            self._limit.reschedule(self._until_s)
        return True

    def _lose(self) -> None:
        self.is_lost = True
        self._has_changed.set()
        if self._limit and not self._limit.expired():
            self._limit.reschedule(_now_s())

    @contextlib.asynccontextmanager
    async def _cancelling_when_lost(self) -> AsyncIterator[None]:
        """Cancel the block when the lease is lost, and raise LeaseLost in place of the cancellation."""
        try:
            async with asyncio.timeout_at(self._until_s) as limit:
                self._limit = limit
                try:
                    yield
                finally:
                    self._limit = None
        except TimeoutError:
            if limit.expired():
                raise self.error() from None
            raise

    async def _release(self) -> None:
        """Delete the lease, if it is certain that nobody else takes it over before it is gone."""
        interval_s = self._ttl_s / RENEWALS_PER_TTL
        if not self.is_lost and self._until_s - _now_s() < interval_s:
            await self._renew(interval_s)
        if self.is_held:
            with contextlib.suppress(StorageError, TimeoutError):
                async with asyncio.timeout_at(self._until_s):
                    await self._storage.delete([self.key])


def _look_interval_s(ttl_s: float) -> float:
    return min(MAX_LOOK_INTERVAL_S, ttl_s / LOOKS_PER_TTL)


def _now_s() -> float:
    """Return the loop's time, which is monotonic."""
    return asyncio.get_running_loop().time()


class _Holder(NamedTuple):
    """Who holds a lease: a random token, the TTL in seconds, the machine and the process ("" where it is unknown)."""

    token: str = ""
    ttl_s: float = 0.0
    machine: str = ""
    process: str = ""


def _body(holder: _Holder, number: int) -> bytes:
    """Return the document of a lease; `number` makes that of each renewal different, and so its version."""
    return json.dumps({**holder._asdict(), "renewal": number}).encode()


def _holder(stored: Stored) -> _Holder:
    """Return the holder of a lease that was read; that of an unreadable document has no token and no TTL."""
    try:
        record = json.loads(stored.body)
        ttl_s = min(max(0.0, float(record["ttl_s"])), MAX_TTL_S)
        return _Holder(str(record["token"]), ttl_s, str(record["machine"]), str(record["process"]))
    except (ValueError, KeyError, TypeError):
        return _Holder()


def _has_ended(stored: Stored) -> bool:
    """Return whether the holder was a process of this machine that has ended."""
    holder = _holder(stored)
    if not holder.process or not holder.machine or holder.machine != _machine():
        return False
    return _process(holder.process.partition(" ")[0]) != holder.process


def _machine() -> str:
    """Return host name, boot and PID namespace, among which a PID and a start time name one process; "" if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _process(pid: int | str) -> str:
    """Return the PID and start time of a living process; "" where there is none, or only a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""
    # proc_pid_stat(5): after the name in parentheses, the state is field 3 and the start time field 22.
    fields = status.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else f"{pid} {fields[19]}"
