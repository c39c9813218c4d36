"""A lease in the store, so that a run has one coordinator at a time: two would submit every shard twice.

The lease expires TTL_S seconds after its last renewal. A process that finds an unexpired lease waits for it to expire,
or takes it over at once where its holder was a process on this machine that has ended. It is acquired by a conditional
write and renewed unconditionally: a holder that cannot reach the store for longer than TTL_S does not notice that it
has lost the lease. Clocks must agree to within TTL_S.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from generation.errors import StorageError
from generation.storage.base import Storage, Stored

TTL_S = 60.0
RENEW_INTERVAL_S = 15.0
POLL_INTERVAL_S = 2.0


@contextlib.asynccontextmanager
async def lease(
    storage: Storage, run_name: str, notify: Callable[[str], None], clock_s: Callable[[], float] = time.time
) -> AsyncIterator[None]:
    """Hold the lease of a run while the context is open.

    Where another coordinator holds it, pass one sentence to `notify`, once, and wait. `clock_s` returns the time in
    seconds since the epoch, on which all coordinators of a run must agree. Raises StorageError where the lease cannot
    be acquired.
    """
    key = f"bulk/{run_name}/lease.json"
    await _take(storage, key, notify, clock_s)
    renewing = asyncio.create_task(_renew(storage, key, clock_s))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        with contextlib.suppress(StorageError):
            await storage.delete([key])


async def _take(storage: Storage, key: str, notify: Callable[[str], None], clock_s: Callable[[], float]) -> None:
    has_notified = False
    while True:
        stored = await storage.read(key)
        if stored is None or _is_expired(stored, clock_s()):
            if await storage.put_if_match(key, _body(clock_s()), stored.version if stored else None):
                return
            continue
        if not has_notified:
            notify(f"another coordinator is at work on this run, or was until {TTL_S:.0f} s ago: waiting for it")
            has_notified = True
        await asyncio.sleep(POLL_INTERVAL_S)


async def _renew(storage: Storage, key: str, clock_s: Callable[[], float]) -> None:
    while True:
        await asyncio.sleep(RENEW_INTERVAL_S)
        # Ignored here: while the store is unavailable, the run itself fails on its next access.
        with contextlib.suppress(StorageError):
            await storage.write(key, _body(clock_s()))


def _body(now_s: float) -> bytes:
    holder = {"machine": _machine(), "pid": os.getpid(), "until_s": now_s + TTL_S}
    return json.dumps(holder).encode()


def _machine() -> str:
    """Return the host name and the boot id: host names are not unique, and process ids start again at boot."""
    started = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()} {started.read_text(encoding='ascii').strip() if started.exists() else ''}"


def _is_expired(stored: Stored, now_s: float) -> bool:
    try:
        holder: dict[str, Any] = json.loads(stored.body)
        if float(holder["until_s"]) < now_s:
            return True
        return holder["machine"] == _machine() and not _is_alive(int(holder["pid"]))
    except (ValueError, KeyError, TypeError):
        return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return pid != os.getpid()
