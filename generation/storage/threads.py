"""Threads of their own for storage calls, which block.

asyncio's default threads are few (six on two cores) and shared by all jobs of a process: a store that does not answer
would take them up, and parsing and JSON of every job would wait. There are as many as connections to the bucket.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

MAX_THREADS = 32

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@functools.cache
def storage_threads() -> ThreadPoolExecutor:
    """Return the process's threads for storage calls; each starts when it is first needed."""
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="storage")


# A forked process has a copy of the pool but none of its threads.
os.register_at_fork(after_in_child=storage_threads.cache_clear)


async def in_storage_thread(
    call: Callable[Parameters, Result], *args: Parameters.args, **named: Parameters.kwargs
) -> Result:
    """Run a call in a storage thread. If this is cancelled, a call that has begun goes on in its thread."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(storage_threads(), functools.partial(call, *args, **named))
