"""One coordinator of a run at a time: a lease in the store, renewed while it is held.

Two at once would submit every shard twice. Who finds a lease waits until it runs out, or takes it at once where its
holder was a process of this machine that has ended. Leaves out clocks that disagree by more than a lease lasts.
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
    storage: Storage, run_name: str, tell: Callable[[str], None], clock_s: Callable[[], float] = time.time
) -> AsyncIterator[None]:
    """Hold a run while this is open; wait for another coordinator, and say so, where there is one.

    `clock_s` tells the time in seconds since the epoch, which all coordinators of a run must agree on.
    """
    key = f"bulk/{run_name}/lease.json"
    await _take(storage, key, tell, clock_s)
    renewing = asyncio.create_task(_renew(storage, key, clock_s))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        with contextlib.suppress(StorageError):
            await storage.delete([key])


async def _take(storage: Storage, key: str, tell: Callable[[str], None], clock_s: Callable[[], float]) -> None:
    has_told = False
    while True:
        stored = await storage.read(key)
        if stored is None or _is_expired(stored, clock_s()):
            if await storage.put_if_match(key, _body(clock_s()), stored.version if stored else None):
                return
            continue
        if not has_told:
            tell(f"another coordinator is at work on this run, or was until {TTL_S:.0f} s ago: waiting for it")
            has_told = True
        await asyncio.sleep(POLL_INTERVAL_S)


async def _renew(storage: Storage, key: str, clock_s: Callable[[], float]) -> None:
    while True:
        await asyncio.sleep(RENEW_INTERVAL_S)
        # A store that is away ends the run by what else it cannot do.
        with contextlib.suppress(StorageError):
            await storage.write(key, _body(clock_s()))


def _body(now_s: float) -> bytes:
    holder = {"machine": _machine(), "pid": os.getpid(), "until_s": now_s + TTL_S}
    return json.dumps(holder).encode()


def _machine() -> str:
    """This machine, since it was started: a name alone may be that of many."""
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
