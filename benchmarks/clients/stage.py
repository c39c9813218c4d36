"""What every client under test does around its run: read the task, get ready, wait for the word, report.

A client's process gets its task as JSON in its first argument. It says `ready` on standard output when all is
imported, then runs once for each line it gets on standard input, and reports each run as a line of JSON. So
preparation is never measured, and the CPU time and memory that a report tells are those of one client alone. Standard
library only.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

API_KEY = "sk-loopback"
MODEL = "gpt-5-nano"


@dataclass(frozen=True)
class Task:
    """What a client is to do. `requests` and `payload` are files; the limits are for those that have to be told."""

    base_url: str
    requests: str = ""
    payload: str = ""
    width: int = 100
    warm: bool = False
    with_runpod: bool = False
    peer: str = ""
    requests_per_min: float | None = None
    tokens_per_min: float | None = None

    def bodies(self) -> list[dict[str, Any]]:
        """The prebuilt requests, in order."""
        return [json.loads(line) for line in Path(self.requests).read_text(encoding="utf-8").splitlines()]

    def as_json(self) -> str:
        return json.dumps(asdict(self))


# One run: how many symbols got a summary, or several numbers by name.
Run = Callable[[], Awaitable[int | Mapping[str, float]]]
Prepare = Callable[[Task], Awaitable[Run]]


def perform(prepare: Prepare) -> None:
    """Be a client's process, until standard input ends."""
    reports = sys.stdout
    # What a client prints (the worker its events) is really written, but is no report.
    with Path(os.devnull).open("w", encoding="utf-8") as sys.stdout:
        asyncio.run(_perform(prepare, Task(**json.loads(sys.argv[1])), reports))


async def _perform(prepare: Prepare, task: Task, reports: IO[str]) -> None:
    run = await prepare(task)
    _say(reports, {"ready": True})
    while await asyncio.to_thread(sys.stdin.readline):
        _say(reports, await _measured(run))


def _say(reports: IO[str], numbers: Mapping[str, float]) -> None:
    reports.write(json.dumps(numbers) + "\n")
    reports.flush()


async def _measured(run: Run) -> dict[str, float]:
    started_s, started_cpu_s = time.perf_counter(), cpu_s()
    result = await run()
    seconds, used_cpu_s = time.perf_counter() - started_s, cpu_s() - started_cpu_s
    numbers = {"documented": result} if isinstance(result, int) else result
    return {"seconds": seconds, "cpu_s": used_cpu_s, "peak_rss_bytes": peak_rss_bytes(), **numbers}


def cpu_s() -> float:
    """CPU time of this process so far, all of its threads included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_rss_bytes() -> int:
    """The most memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    # Elsewhere than on Linux; there getrusage would also count what the parent held when it started this process.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
