"""The pump, on a clock that costs no time: what it sends, how often, and that nothing comes after its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from generation.config import Settings
from generation.domain.limits import MAX_PROGRESS_SYMBOLS
from generation.domain.outcome import Documented, Failed, Outcome
from generation.domain.usage import Usage
from generation.reporting.progress import INTERVAL_S, ProgressPump
from generation.results.report import Report
from tests.conftest import invented_time_loop, run_on_invented_time

SETTINGS = Settings.from_env({"MODEL_NAME": "offline"})


class Receiver:
    """Takes updates as RunPod's API would, `takes_s` each, and notes when each began and ended."""

    def __init__(self, takes_s: float = 0.0, fails: Callable[[int], bool] = lambda _: False) -> None:
        self.takes_s = takes_s
        self.fails = fails
        self.snapshots: list[Any] = []
        self.began_s: list[float] = []
        self.ended_s: list[float] = []

    async def send(self, snapshot: Any) -> None:
        place = len(self.began_s)
        self.began_s.append(invented_time_loop().time())
        await asyncio.sleep(self.takes_s)
        self.ended_s.append(invented_time_loop().time())
        if self.fails(place):
            raise OSError("planted")
        self.snapshots.append(snapshot)

    def completed(self) -> list[int]:
        return [snapshot["payload"]["completed"] for snapshot in self.snapshots]


class Job:
    """A job whose outcomes are folded as run_job folds them."""

    def __init__(self, pump: ProgressPump, total: int) -> None:
        self._pump = pump
        self._report = Report("j1", SETTINGS, total, invented_time_loop().time)
        self._done = 0

    def complete(self, *, fails: bool = False) -> None:
        place, self._done = self._done, self._done + 1
        outcome: Outcome = Documented(
            place, f"s{place}", f"Summary {place}.", Usage(input_tokens=10), content_hash=f"c{place}"
        )
        if fails:
            outcome = Failed(place, f"s{place}", None, "rejected", "no")
        self._report.add(outcome)
        self._pump.observe("j1", outcome, self._report.totals)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_on_invented_time(main())


def test_a_snapshot_is_what_the_contract_says() -> None:
    """An update has the type, the job's id, the totals as they stand and the symbols documented since the last one."""
    receiver = Receiver()

    async def main() -> None:
        pump = ProgressPump(receiver.send)
        job = Job(pump, total=3)
        job.complete()
        job.complete(fails=True)
        await pump.close()

    run(main)

    assert receiver.snapshots == [
        {
            "type": "generation.progress.v1",
            "job_id": "j1",
            "payload": {
                "completed": 1,
                "failed": 1,
                "total": 3,
                "total_tokens": 10,
                "total_cost": 0.0,
                "elapsed_ms": 0,
                "symbols": [
                    {
                        "symbol_id": "s0",
                        "summary": "Summary 0.",
                        "tokens_used": 10,
                        "source": "model",
                        "content_hash": "c0",
                    }
                ],
            },
        }
    ]
    json.dumps(receiver.snapshots, allow_nan=False).encode("utf-8")


@pytest.mark.parametrize("takes_s", [0.0, 0.1, 3.0])
def test_updates_are_few_in_order_one_at_a_time_and_the_last_tells_all(takes_s: float) -> None:
    """500 outcomes in 5 s become a few updates, each newer than the one before, no two under way or close together."""
    receiver = Receiver(takes_s)

    async def main() -> None:
        pump = ProgressPump(receiver.send)
        job = Job(pump, total=500)
        for _ in range(500):
            job.complete()
            await asyncio.sleep(0.01)
        await pump.close()

    run(main)

    completed = receiver.completed()
    assert completed == sorted(set(completed))
    assert completed[-1] == 500
    assert 2 <= len(completed) <= 5.0 / INTERVAL_S + 2
    gaps = [begun - ended for ended, begun in zip(receiver.ended_s, receiver.began_s[1:], strict=False)]
    assert min(gaps) >= INTERVAL_S - 1e-6


def test_the_latest_wins() -> None:
    """While one update is under way any number of outcomes become one update more, of the newest state."""
    receiver = Receiver(takes_s=10.0)

    async def main() -> None:
        pump = ProgressPump(receiver.send)
        job = Job(pump, total=100)
        job.complete()
        await asyncio.sleep(1.0)
        for _ in range(99):
            job.complete()
        await pump.close()

    run(main)

    assert receiver.completed() == [1, 100]


def test_each_summary_is_sent_once_and_the_newest_where_there_are_too_many() -> None:
    """Over all updates each symbol is shown once; of more than 50 in one update the newest 50 are."""
    receiver = Receiver()

    async def main() -> None:
        pump = ProgressPump(receiver.send)
        job = Job(pump, total=130)
        for count in (10, 5, 115):
            for _ in range(count):
                job.complete()
            await asyncio.sleep(1.0)
        await pump.close()

    run(main)

    shown = [[symbol["symbol_id"] for symbol in one["payload"]["symbols"]] for one in receiver.snapshots]
    assert MAX_PROGRESS_SYMBOLS == 50
    places = (range(10), range(10, 15), range(80, 130))
    assert shown == [[f"s{place}" for place in some] for some in places]


def test_an_outcome_after_a_pause_is_sent() -> None:
    """A pump that had nothing to do wakes up again, as often as there is something new."""
    receiver = Receiver()

    async def main() -> None:
        pump = ProgressPump(receiver.send)
        job = Job(pump, total=3)
        for _ in range(3):
            job.complete()
            await asyncio.sleep(60.0)
        assert receiver.completed() == [1, 2, 3]
        await pump.close()

    run(main)

    assert receiver.completed() == [1, 2, 3]


@pytest.mark.parametrize("takes_s", [0.0, 5.0])
def test_nothing_is_under_way_after_close_and_nothing_follows(takes_s: float) -> None:
    """When close returns, the newest state has arrived, and however long one waits no update comes after it."""
    receiver = Receiver(takes_s)

    async def main() -> None:
        pump = ProgressPump(receiver.send)
        job = Job(pump, total=2)
        job.complete()
        await asyncio.sleep(takes_s / 2)
        job.complete()
        await pump.close()
        assert len(receiver.ended_s) == len(receiver.began_s)
        begun = len(receiver.began_s)
        await asyncio.sleep(3_600.0)
        assert len(receiver.began_s) == begun

    run(main)

    assert receiver.completed()[-1] == 2


def test_closing_a_pump_that_saw_nothing_sends_nothing() -> None:
    """A job that fails before its first outcome ends without an update, also where it is closed twice."""
    receiver = Receiver()

    async def main() -> None:
        pump = ProgressPump(receiver.send)
        await pump.close()
        await pump.close()
        await pump.abandon()

    run(main)

    assert receiver.began_s == []


def test_an_abandoned_pump_waits_for_what_is_under_way_and_sends_no_more() -> None:
    """A job that fails waits for the update under way, which could come after the result, and drops the rest."""
    receiver = Receiver(takes_s=5.0)

    async def main() -> None:
        pump = ProgressPump(receiver.send)
        job = Job(pump, total=3)
        job.complete()
        await asyncio.sleep(1.0)
        job.complete()
        await pump.abandon()
        assert receiver.completed() == [1]
        await asyncio.sleep(3_600.0)

    run(main)

    assert receiver.completed() == [1]


def test_a_job_that_is_cancelled_while_it_closes_lets_the_update_under_way_arrive() -> None:
    """A cancellation that comes while close waits ends the waiting and not the update, which abandon then waits for."""
    receiver = Receiver(takes_s=5.0)

    async def main() -> None:
        pump = ProgressPump(receiver.send)
        Job(pump, total=2).complete()
        closing = asyncio.create_task(pump.close())
        await asyncio.sleep(1.0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        assert closing.cancelled()
        await pump.abandon()
        assert len(receiver.ended_s) == len(receiver.began_s) == 1

    run(main)

    assert receiver.completed() == [1]


def test_a_lost_update_costs_neither_the_job_nor_the_next_update(caplog: pytest.LogCaptureFixture) -> None:
    """Where sending fails the pump goes on, the next update's totals tell all, and the log has no more than a type."""
    receiver = Receiver(fails=lambda place: place in {0, 2})

    async def main() -> None:
        pump = ProgressPump(receiver.send)
        job = Job(pump, total=4)
        for _ in range(4):
            job.complete()
            await asyncio.sleep(1.0)
        await pump.close()

    run(main)

    assert receiver.completed() == [2, 4]
    assert [record.getMessage() for record in caplog.records] == ["a progress update was lost (OSError)"] * 2


def test_a_last_update_that_fails_does_not_fail_the_job() -> None:
    """Closing a pump whose last update cannot be sent returns as if it could."""
    receiver = Receiver(fails=lambda _: True)

    async def main() -> None:
        pump = ProgressPump(receiver.send)
        Job(pump, total=1).complete()
        await pump.close()

    run(main)

    assert receiver.snapshots == []
    assert len(receiver.began_s) == 1


def test_the_clock_and_the_sleep_of_others_can_be_used() -> None:
    """The interval and the way to wait are parameters: a sleep that only notes shows each wait."""
    waits: list[float] = []
    receiver = Receiver()

    async def no_sleep(delay_s: float) -> None:
        waits.append(delay_s)
        await asyncio.sleep(0)

    async def main() -> None:
        pump = ProgressPump(receiver.send, interval_s=2.0, sleep=no_sleep)
        job = Job(pump, total=2)
        job.complete()
        await pump.close()
        job.complete()
        await pump.close()

    run(main)

    assert receiver.completed() == [1, 2]
    assert waits[0] == 0.0
    assert waits[1] == pytest.approx(2.0, abs=0.01)
