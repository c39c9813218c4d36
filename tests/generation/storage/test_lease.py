"""The lease of a run, by coordinators on different machines, on invented time: minutes cost nothing."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from pathlib import Path

import pytest

from generation.storage import lease as lease_module
from generation.storage.folder import FolderStorage
from generation.storage.lease import POLL_INTERVAL_S, TTL_S, lease
from tests.conftest import invented_time_loop
from tests.support.stores import on_invented_time

MACHINE: ContextVar[str] = ContextVar("MACHINE")


@pytest.fixture(autouse=True)
def _machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each task of a test is on the machine that it says."""
    monkeypatch.setattr(lease_module, "_machine", MACHINE.get)


class Run:
    """A run and what becomes of it: who entered and left, and when, and what was told to those who wait."""

    def __init__(self, folder: Path) -> None:
        self.storage = FolderStorage(folder)
        self.told: list[str] = []
        self.times_s: dict[str, tuple[float, float]] = {}

    async def hold(self, machine: str, takes_s: float) -> None:
        MACHINE.set(machine)
        now_s = invented_time_loop().time
        async with lease(self.storage, "run", self.told.append, now_s):
            entered_s = now_s()
            await asyncio.sleep(takes_s)
            self.times_s[machine] = (entered_s, now_s())


async def one_after_the_other(run: Run, first_s: float) -> None:
    """Coordinator a enters and stays for so long; b comes a second later."""
    first = asyncio.create_task(run.hold("a", first_s))
    await asyncio.sleep(1.0)
    await asyncio.gather(first, asyncio.create_task(run.hold("b", 1.0)))


def test_a_lease_is_renewed_while_it_is_held(tmp_path: Path) -> None:
    """A coordinator that holds a run for many times the lease's length keeps another one out until it ends."""
    run = Run(tmp_path)
    on_invented_time(one_after_the_other(run, 10 * TTL_S))
    assert run.times_s["b"][0] >= run.times_s["a"][1]


def test_who_waits_says_so_once_and_enters_when_the_other_has_left(tmp_path: Path) -> None:
    """A lease that is released is taken at the next look, without waiting for its end."""
    run = Run(tmp_path)
    on_invented_time(one_after_the_other(run, 5.0))
    assert run.times_s["b"][0] - run.times_s["a"][1] <= POLL_INTERVAL_S + 0.1
    assert len(run.told) == 1
    assert "another coordinator" in run.told[0]


def test_a_lease_whose_holder_died_runs_out(tmp_path: Path) -> None:
    """A holder that is gone without a word is waited for until its lease has run out, and no longer."""
    run = Run(tmp_path)

    async def main() -> float:
        MACHINE.set("dead")
        now_s = invented_time_loop().time
        await run.storage.write("bulk/run/lease.json", lease_module._body(now_s()))
        died_s = now_s()
        await asyncio.create_task(run.hold("b", 1.0))
        return run.times_s["b"][0] - died_s

    assert TTL_S < on_invented_time(main()) <= TTL_S + POLL_INTERVAL_S + 0.1


def test_nothing_is_left_of_a_lease_that_was_released(tmp_path: Path) -> None:
    """When the block ends the store has no lease of the run any more."""
    run = Run(tmp_path)
    on_invented_time(run.hold("a", 100.0))
    assert list(tmp_path.iterdir()) == []
