"""What every test starts from: the process's environment, one seed for all chance, and time that costs none.

`run_on_invented_time` runs a coroutine on a loop whose clock stands still while something happens and jumps to the next
timer when nothing does: hours pass in milliseconds, and the same way each time.
"""

from __future__ import annotations

import asyncio
import os
import selectors
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest

from generation.config import set_process_defaults
from generation.prompts.tokens import TokenCounter, load_counter
from tests.loopback.s3 import (
    LoopbackS3,
    MotoS3,
    miniflare_missing,
    running_miniflare,
    running_moto,
)
from tests.support.contexts import SEED
from tests.support.loaded_once import load_once

# Before any module of tests is imported, and with it the libraries that read the environment when they are.
set_process_defaults(os.environ)
load_once()

hypothesis.settings.register_profile("repository", derandomize=True, deadline=None, max_examples=60, database=None)
hypothesis.settings.load_profile("repository")

Result = TypeVar("Result")

# What a turn of a real loop takes at least; without it, a wait that is lost in rounding would never end.
TURN_S = 1e-6


def pytest_sessionstart(session: pytest.Session) -> None:
    # Written here since `-q` leaves out what pytest_report_header returns.
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"random seed: {SEED}; hypothesis: derandomized")


# The files that take longest, the longest first. pytest-xdist hands files out in this order, so that none of these is
# left to the end, when the other processes have nothing to do.
LONG_FILES = (
    "tests/test_faults.py",
    "tests/generation/storage/test_storage.py",
    "tests/test_newcomer.py",
    "tests/generation/bulk/test_batch.py",
    "tests/generation/bulk/test_runpod.py",
    "tests/test_install.py",
    "tests/generation/service/test_service.py",
    "tests/test_resume.py",
    "tests/doctown/service/test_pods.py",
    "tests/doctown/jobs/test_run.py",
    "tests/doctown/test_build.py",
    "tests/test_typescript_client.py",
    "tests/generation/test_event_loop.py",
    "tests/doctown/bulk/test_bulk.py",
    "tests/doctown/site/test_browser_pages.py",
    "tests/test_sveltekit_example.py",
    "tests/doctown/test_main.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {file: rank for rank, file in enumerate(LONG_FILES)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0], len(ranks)))


# What tests have found out, as lines of tables; shown when all have ended.
TABLES: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in TABLES:
        terminalreporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    # Of pytest-xdist: what a process that runs tests hands to the one that reports.
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tables"] = TABLES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    TABLES.extend(getattr(node, "workeroutput", {}).get("tables", ()))


@pytest.fixture(scope="session")
def counter() -> TokenCounter:
    return load_counter("o200k_base", Path(os.environ["TIKTOKEN_CACHE_DIR"]))


MINIFLARE_MISSING = miniflare_missing()
needs_miniflare = pytest.mark.skipif(MINIFLARE_MISSING is not None, reason=str(MINIFLARE_MISSING))


@pytest.fixture(scope="module")
def miniflare() -> Iterator[LoopbackS3]:
    with running_miniflare() as s3:
        yield s3


@pytest.fixture
def moto() -> Iterator[MotoS3]:
    with running_moto() as s3:
        yield s3


@pytest.fixture(params=["moto", pytest.param("miniflare", marks=needs_miniflare)])
def either(request: pytest.FixtureRequest) -> LoopbackS3:
    s3: LoopbackS3 = request.getfixturevalue(request.param)
    return s3


class InventedTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: where it would, its clock jumps."""

    def __init__(self) -> None:
        self.now_s = 10_000.0
        self.timers: list[asyncio.TimerHandle] = []
        self.turns = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now_s

    # typeshed ties `args` to `callback` by a type variable that Python 3.10 does not have.
    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = super().call_at(when, callback, *args, context=context)
        self.timers.append(handle)
        return handle

    def live_timers(self) -> int:
        """How many timers are set, of those that have neither rung nor been cancelled."""
        return sum(not timer.cancelled() and timer.when() > self.now_s for timer in self.timers)


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: InventedTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing is due and no timer is set: the loop would wait for ever")
        self._loop.turns += 1
        self._loop.now_s += max(timeout, TURN_S)
        return super().select(0)


def run_on_invented_time(main: Coroutine[Any, Any, Result]) -> Result:
    """As asyncio.run, on an InventedTimeLoop."""
    loop = InventedTimeLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(_end(asyncio.all_tasks(loop)))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def invented_time_loop() -> InventedTimeLoop:
    """The running loop, for tests that look at its clock and its timers."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, InventedTimeLoop)
    return loop
