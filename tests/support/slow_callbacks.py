"""Find what keeps an event loop from other work: callbacks that use more CPU time than they may.

As asyncio's own detection of slow callbacks (`slow_callback_duration`), but in CPU time of the loop's thread: on a busy
machine, or beside threads that hold the interpreter, the time on the clock says nothing. Garbage collection is left
out: it is off meanwhile, since a full one takes longer in a test process than in a worker.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest


class SlowCallback(NamedTuple):
    """A callback of a loop, and the CPU time that it used."""

    cpu_s: float
    what: str


@contextmanager
def slow_callbacks(limit_s: float) -> Iterator[list[SlowCallback]]:
    """Yield a list to which every callback is added that uses more CPU time than `limit_s`."""
    found: list[SlowCallback] = []
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began_s = time.thread_time()
        run(handle)
        cpu_s = time.thread_time() - began_s
        if cpu_s > limit_s:
            callback = getattr(handle, "_callback", None)
            found.append(SlowCallback(cpu_s, repr(getattr(callback, "__self__", callback))[:300]))

    gc.disable()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio.Handle, "_run", timed)
            yield found
    finally:
        gc.enable()
