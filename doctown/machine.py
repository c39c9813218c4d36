"""What the machine gives a computation: cores, memory under the container's limit, a pause of the garbage collector.

Linux; guesses elsewhere.
"""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

UNKNOWN_MEMORY_BYTES = 4_000_000_000

_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)
_FILE_CACHE = re.compile(r"^inactive_file (\d+)$", re.MULTILINE)


Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_on_cores(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return function(item) for each item, computed on one thread for each core; for functions that live in numpy.

    Matrix products use the thread they are in and no other. Their own threads wait for each other by spinning, which on
    a busy machine took fifty times as long as the products. It also makes results independent of the number of cores.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(function, items))


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking millions of records, none of which is in a cycle, again and again.

    It walks all of them when a quarter as many objects are new: half of the time of a run in which nothing has changed.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def free_memory_bytes(root: Path = Path("/")) -> int:
    """Return the memory that can still be taken: of the machine, or what a cgroup (version 2) leaves of its limit.

    `root` is where /proc and /sys are.
    """
    available = _AVAILABLE.search(_read(root / "proc/meminfo"))
    free = int(available[1]) * 1_024 if available else UNKNOWN_MEMORY_BYTES
    group = root / "sys/fs/cgroup"
    limit, used = _read(group / "memory.max").strip(), _read(group / "memory.current").strip()
    if limit.isdigit() and used.isdigit():
        # Cached files count as used, and are given up before the limit hurts.
        cached = _FILE_CACHE.search(_read(group / "memory.stat"))
        free = min(free, int(limit) - int(used) + (int(cached[1]) if cached else 0))
    return free


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # no such file on this system
        return ""
