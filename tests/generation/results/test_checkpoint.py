"""What is paid for is saved while a job runs: soon, once, and under keys that nobody else writes."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.domain.catalogue import find_model
from generation.domain.finding import Finding, Findings
from generation.domain.outcome import Documented, Outcome
from generation.domain.usage import NO_USAGE, Usage, cost_usd
from generation.errors import StorageError
from generation.results import checkpoint as checkpoint_module
from generation.results.checkpoint import (
    APPEND_AGE_S,
    MAX_HOLD_UP_S,
    MAX_PAUSE_S,
    MAX_UNSAVED,
    WRITE_USD,
    Checkpoint,
    new_run,
    read_segments,
)
from generation.results.records import stored_record
from generation.storage.base import Storage, Stored
from generation.storage.folder import FolderStorage
from generation.storage.keys import prefix_of
from generation.storage.lease import JOB_TTL_S, RENEWALS_PER_TTL
from tests.loopback.s3 import MotoS3
from tests.support.stores import (
    JOB_ID,
    PREFIX,
    RUN_A,
    RUN_B,
    Gate,
    GatedBucket,
    away,
    cost,
    documented,
    failed,
    on_invented_time,
    opened,
    save_run,
    saved_by_run,
    segments_in,
)

ids = [f"s{position}" for position in range(1_000)]


def started(storage: Storage, outcomes: int, run: str = RUN_A) -> Checkpoint:
    checkpoint = Checkpoint(storage, JOB_ID, run)
    for position in range(outcomes):
        checkpoint.add(documented(position))
    return checkpoint


def refusing(*writes: int) -> Gate:
    """These writes of a store fail."""

    async def gate(write: int) -> None:
        if write in writes:
            raise StorageError("away", retryable=True)

    return gate


# When segments are written.


@pytest.mark.parametrize(
    ("outcomes", "after_s", "sizes"),
    [(4, 0.4, []), (4, 0.6, [4]), (5, 0.1, [5]), (250, 0.1, [250]), (1, 0.4, []), (1, 0.6, [1])],
)
def test_a_segment_is_due_at_five_outcomes_or_after_half_a_second(
    outcomes: int, after_s: float, sizes: list[int], tmp_path: Path
) -> None:
    """Five outcomes are saved at once, fewer when they are half a second old."""

    async def main() -> list[list[str]]:
        checkpoint = started(GatedBucket(tmp_path), outcomes)
        await asyncio.sleep(after_s)
        segments = await segments_in(GatedBucket(tmp_path))
        await checkpoint.save(None)
        return segments

    assert [len(one) for one in on_invented_time(main())] == sizes


def test_few_outcomes_wait_for_others_where_a_write_costs_more_than_they_are_worth(tmp_path: Path) -> None:
    """At list price, four cheap outcomes are not written by themselves however old they are; a dear one is."""
    prices = find_model("gpt-5-nano").pricing

    async def main() -> list[list[str]]:
        storage = GatedBucket(tmp_path)
        checkpoint = Checkpoint(storage, JOB_ID, RUN_A, prices)
        for position in range(4):
            checkpoint.add(documented(position))
        await asyncio.sleep(600.0)
        assert storage.writes == 0
        checkpoint.add(documented(4, tokens=100_000))
        await asyncio.sleep(0.1)
        checkpoint.add(documented(5))
        await asyncio.sleep(0.6)
        return await segments_in(storage)

    assert on_invented_time(main()) == [ids[:5], ids[5:6]]


# Of the 320 symbols of docs/operations.md.
TYPICAL = Usage(input_tokens=494, output_tokens=47, requests=1)
READ_USD = 0.36e-6


@pytest.mark.parametrize("per_second", [0.2, 2.0, 10.0, 50.0])
def test_writes_cost_less_than_a_hundredth_of_what_they_save(per_second: float, tmp_path: Path) -> None:
    """However fast outcomes come, the writes of their segments cost under 1 % of them at the default model's price."""
    prices = find_model("gpt-5-nano").pricing
    symbols = 300

    async def main() -> float:
        async def slow(_write: int) -> None:
            await asyncio.sleep(0.1)

        storage = GatedBucket(tmp_path, slow)
        checkpoint = Checkpoint(storage, JOB_ID, RUN_A, prices)
        for position in range(symbols):
            checkpoint.add(replace(documented(position), usage=TYPICAL))
            await asyncio.sleep(1 / per_second)
        await checkpoint.save(None)
        return storage.writes * WRITE_USD

    share = on_invented_time(main()) / (symbols * cost_usd(TYPICAL, prices))
    assert share < 0.009
    # A renewal of the lease is a write and a read.
    lease_usd = symbols / per_second / (JOB_TTL_S / RENEWALS_PER_TTL) * (WRITE_USD + READ_USD)
    if per_second >= 10.0:
        assert share + lease_usd / (symbols * cost_usd(TYPICAL, prices)) < 0.01


def test_each_segment_has_what_came_since_the_one_before(tmp_path: Path) -> None:
    """Outcomes that come one by one are in one segment each half second, each once and in their order."""

    async def main() -> list[list[str]]:
        storage = GatedBucket(tmp_path)
        checkpoint = Checkpoint(storage, JOB_ID, RUN_A)
        for position in range(12):
            checkpoint.add(documented(position))
            await asyncio.sleep(0.125)
        await checkpoint.save(None)
        return await segments_in(storage)

    segments = on_invented_time(main())
    assert [one for segment in segments for one in segment] == ids[:12]
    assert 3 <= len(segments) <= 4


def test_outcomes_that_come_during_a_write_are_in_the_next_segment(tmp_path: Path) -> None:
    """A slow write holds up nobody: what comes meanwhile is neither lost nor saved twice."""

    async def slow(_write: int) -> None:
        await asyncio.sleep(5)

    async def main() -> list[list[str]]:
        storage = GatedBucket(tmp_path, slow)
        checkpoint = started(storage, 100)
        await asyncio.sleep(1)
        checkpoint.add(documented(100))
        await asyncio.sleep(10)
        assert await checkpoint.save(None) == 0
        return await segments_in(storage)

    assert on_invented_time(main()) == [ids[:100], ids[100:101]]


@pytest.mark.parametrize(
    ("outcome", "saved"),
    [
        (documented(0), True),
        (Documented(0, "s0", "Free.", source="model"), True),
        (failed(0, tokens=10), True),
        (documented(0, source="offline"), False),
        (documented(0, source="offline", checks=Findings((), (Finding("prose", hard=True, reason="No."),))), True),
        (documented(0, source="previous"), False),
        (failed(0, tokens=0), False),
    ],
)
def test_what_costs_nothing_is_not_saved(outcome: Outcome, saved: bool, tmp_path: Path) -> None:
    """What a model was asked for is saved, a rejected summary and a billed failure too; the rest is made again."""

    async def main() -> list[list[str]]:
        await save_run(GatedBucket(tmp_path), RUN_A, [outcome])
        return await segments_in(GatedBucket(tmp_path))

    assert on_invented_time(main()) == ([["s0"]] if saved else [])


# A store that is away.


def test_a_store_that_is_away_gets_the_outcomes_later_and_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be saved is kept and saved when the store is back, each outcome once; the log says so once."""
    folder = tmp_path / "store"

    async def main() -> list[list[str]]:
        storage = GatedBucket(folder)
        with away(folder):
            checkpoint = started(storage, 3)
            await asyncio.sleep(9)
        checkpoint.add(documented(3))
        await asyncio.sleep(60)
        segments = await segments_in(storage)
        assert await checkpoint.save(None) == 0
        assert await segments_in(storage) == segments
        return segments

    with caplog.at_level(logging.WARNING):
        assert on_invented_time(main()) == [ids[:4]]
    assert len(caplog.records) == 1


def test_a_late_write_never_replaces_a_later_one(tmp_path: Path) -> None:
    """A write that was given up and arrives all the same, after another, has a key of its own and costs nothing."""

    async def main() -> dict[str, dict[str, Usage]]:
        async def gives_up(write: int) -> None:
            if write == 0:
                late.append(asyncio.create_task(arrive_late()))
                raise StorageError("no answer", retryable=True)

        async def arrive_late() -> None:
            await asyncio.sleep(10)
            body = "".join(json.dumps(stored_record(documented(position))) + "\n" for position in range(2))
            await GatedBucket(tmp_path).write(f"{PREFIX}{RUN_A}-000000.jsonl", body.encode())

        late: list[asyncio.Task[None]] = []
        checkpoint = started(GatedBucket(tmp_path, gives_up), 2)
        await asyncio.sleep(0.8)
        checkpoint.add(documented(2))
        assert await checkpoint.save(None) == 0
        await asyncio.gather(*late)
        assert await segments_in(GatedBucket(tmp_path)) == [ids[:2], ids[:3]]
        runs = await saved_by_run(GatedBucket(tmp_path))
        return {run: {symbol_id: record.usage for symbol_id, record in one.items()} for run, one in runs.items()}

    assert on_invented_time(main()) == {RUN_A: dict.fromkeys(ids[:3], cost(100))}


STEPS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([0.0, 0.5, 2.5])), max_size=6)


@given(STEPS, st.sets(st.integers(0, 8)))
def test_whenever_writes_fail_all_is_saved_in_the_end(steps: list[tuple[int, float]], refused: set[int]) -> None:
    """Outcomes in any bursts, and any of the writes refused: what is read is what was added, and each cost once."""

    async def main(folder: Path) -> None:
        storage = GatedBucket(folder, refusing(*refused))
        checkpoint, added = Checkpoint(storage, JOB_ID, RUN_A), 0
        for count, pause_s in steps:
            for position in range(added, added + count):
                checkpoint.add(documented(position, tokens=position + 1))
            added += count
            await asyncio.sleep(pause_s)
        await asyncio.sleep(600)
        assert await checkpoint.save(None) == 0
        records = (await saved_by_run(storage)).get(RUN_A, {})
        assert {symbol_id: one.usage.input_tokens for symbol_id, one in records.items()} == {
            f"s{position}": position + 1 for position in range(added)
        }
        assert sum(len(one) for one in await segments_in(storage)) == added

    with tempfile.TemporaryDirectory() as name:
        on_invented_time(main(Path(name)))


@pytest.mark.parametrize("has_ended", [False, True], ids=["running", "ended"])
def test_a_store_that_is_away_for_a_day_is_tried_until_it_is_back(tmp_path: Path, has_ended: bool) -> None:
    """More than 1,024 failed attempts end no saver, of a job or after it: a power of two of that size is no float."""

    async def main() -> list[list[str]]:
        storage = GatedBucket(tmp_path, refusing(*range(1_100)))
        checkpoint = started(storage, 3)
        if has_ended:
            assert await checkpoint.save(None) == 3
        await asyncio.sleep(1_200 * MAX_PAUSE_S)
        assert storage.writes == 1_101
        return await segments_in(storage)

    assert on_invented_time(main()) == [ids[:3]]


# What a kill may cost.


async def request_all(checkpoint: Checkpoint, symbols: int, at_once: int, at_risk: list[int]) -> None:
    """Request so many symbols with so many workers, a second each, and note what a kill would cost at any moment."""
    left, requested = list(range(symbols)), set[int]()

    async def work() -> None:
        while left:
            async with checkpoint.requested(1):
                if not left:
                    return
                position = left.pop()
                requested.add(position)
                at_risk.append(len(requested) + len(checkpoint._unsaved))
                await asyncio.sleep(1.0)
            requested.discard(position)
            checkpoint.add(documented(position))

    await asyncio.gather(*(work() for _ in range(at_once)))


@pytest.mark.parametrize("write_s", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("at_once", [3, 10, 100])
def test_a_kill_costs_what_is_requested_and_five_more(at_once: int, write_s: float, tmp_path: Path) -> None:
    """Requests wait for a slow bucket where they would put more at risk, and otherwise for nothing."""

    async def main() -> float:
        async def slow(_write: int) -> None:
            await asyncio.sleep(write_s)

        loop = asyncio.get_running_loop()
        began_s = loop.time()
        checkpoint = Checkpoint(GatedBucket(tmp_path, slow), JOB_ID, RUN_A, max_requested=at_once)
        await request_all(checkpoint, 10 * at_once, at_once, at_risk)
        took_s = loop.time() - began_s
        assert await checkpoint.save(None) == 0
        return took_s

    at_risk: list[int] = []
    took_s = on_invented_time(main())
    assert max(at_risk) <= at_once + MAX_UNSAVED
    assert took_s < 10.0 * (1.1 + 2 * write_s)
    assert sorted(one for segment in asyncio.run(segments_in(FolderStorage(tmp_path))) for one in segment) == sorted(
        ids[: 10 * at_once]
    )


@pytest.mark.parametrize("is_hanging", [True, False])
def test_a_store_that_hangs_or_fails_holds_up_no_requests(is_hanging: bool, tmp_path: Path) -> None:
    """A job goes on at its pace where nothing can be saved: once it has noticed, no request waits for the store."""

    async def main() -> float:
        async def gate(_write: int) -> None:
            if is_hanging:
                await asyncio.Event().wait()
            raise StorageError("away", retryable=True)

        loop = asyncio.get_running_loop()
        began_s = loop.time()
        checkpoint = Checkpoint(GatedBucket(tmp_path, gate), JOB_ID, RUN_A, max_requested=10)
        await request_all(checkpoint, 300, 10, [])
        return loop.time() - began_s

    assert on_invented_time(main()) < 30.0 + 3 * MAX_HOLD_UP_S


# In a folder.


def test_a_folder_has_each_outcome_at_once(tmp_path: Path) -> None:
    """An outcome is on disk in a moment, whatever a write to a bucket costs; all are in one file until the job ends."""

    async def main() -> list[list[str]]:
        storage = FolderStorage(tmp_path)
        checkpoint = Checkpoint(storage, JOB_ID, RUN_A, find_model("gpt-5-nano").pricing)
        for position in range(8):
            checkpoint.add(documented(position))
            await asyncio.sleep(1.1 * APPEND_AGE_S)
            assert await segments_in(storage) == [ids[: position + 1]]
        for position in range(8, 12):
            checkpoint.add(documented(position))
        assert await checkpoint.save(None) == 0
        return await segments_in(storage)

    assert on_invented_time(main()) == [ids[:8], ids[8:12]]


def test_half_a_line_that_a_full_disk_left_spoils_no_other(tmp_path: Path) -> None:
    """After a write that came to half its end, the next one begins a file, and every outcome is read once."""

    class Full(FolderStorage):
        appends = 0

        async def append(self, key: str, body: bytes) -> None:
            self.appends += 1
            if self.appends == 2:
                await super().append(key, body[: len(body) // 2])
                raise StorageError("No space left on device")
            await super().append(key, body)

    async def main() -> None:
        storage = Full(tmp_path)
        checkpoint = Checkpoint(storage, JOB_ID, RUN_A)
        for position in range(4):
            checkpoint.add(documented(position))
            await asyncio.sleep(0.1)
        await asyncio.sleep(60.0)
        assert await checkpoint.save(None) == 0
        assert list((await saved_by_run(storage))[RUN_A]) == ids[:4]

    on_invented_time(main())


def test_a_folder_that_is_removed_under_way_is_made_again(tmp_path: Path) -> None:
    """Where somebody removes the folder, what comes afterwards is saved all the same."""

    async def main() -> list[list[str]]:
        storage = FolderStorage(tmp_path / "store")
        checkpoint = started(storage, 1)
        await asyncio.sleep(0.1)
        shutil.rmtree(tmp_path / "store")
        checkpoint.add(documented(1))
        await asyncio.sleep(0.1)
        return await segments_in(storage)

    assert on_invented_time(main()) == [ids[1:2]]


# The end of a job.


def test_save_does_not_wait_for_outcomes_to_grow_old(tmp_path: Path) -> None:
    """At the end what there is is saved at once."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        assert await started(GatedBucket(tmp_path), 5).save(10) == 0
        assert await segments_in(GatedBucket(tmp_path)) == [ids[:5]]
        return loop.time() - started_s

    assert on_invented_time(main()) < 0.1


def test_save_ends_within_its_time_and_says_what_is_not_saved(tmp_path: Path) -> None:
    """With a store that never answers, `save` returns after its seconds, with the number of outcomes at stake."""

    async def never(_write: int) -> None:
        await asyncio.Event().wait()

    async def main() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        return await started(GatedBucket(tmp_path, never), 5).save(3.0), loop.time() - started_s

    unsaved, took_s = on_invented_time(main())
    assert unsaved == 5
    assert 3.0 <= took_s < 3.1


def test_save_tries_a_store_that_refuses_once_and_ends(tmp_path: Path) -> None:
    """With a store that is away for good, `save` does not try for ever, with or without a limit."""

    async def main() -> tuple[int, int]:
        storage = GatedBucket(tmp_path, refusing(*range(100)))
        return await started(storage, 5).save(None), storage.writes

    assert on_invented_time(main()) == (5, 1)


def test_what_save_has_given_up_is_tried_on(tmp_path: Path) -> None:
    """A job whose store comes back after its end has its outcomes saved all the same, while the process lives."""

    async def main() -> list[list[str]]:
        storage = GatedBucket(tmp_path, refusing(0, 1, 2))
        assert await started(storage, 5).save(3.0) == 5
        await asyncio.sleep(120)
        return await segments_in(storage)

    assert on_invented_time(main()) == [ids[:5]]


def test_a_write_under_way_outlives_who_waits_for_it(tmp_path: Path) -> None:
    """Where a job is cancelled while it saves, the write that has begun still arrives whole."""

    async def slow(_write: int) -> None:
        await asyncio.sleep(5)

    async def main() -> list[list[str]]:
        storage = GatedBucket(tmp_path, slow)
        saving = asyncio.create_task(started(storage, 5).save(60))
        await asyncio.sleep(1)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
        await asyncio.sleep(5)
        return await segments_in(storage)

    assert on_invented_time(main()) == [ids[:5]]


def test_a_cancelled_save_leaves_no_task_behind(tmp_path: Path) -> None:
    """What waits for a failure ends with who waits, so that a loop closes without a pending task."""

    async def never(_write: int) -> None:
        await asyncio.Event().wait()

    async def main() -> set[str]:
        saving = asyncio.create_task(started(GatedBucket(tmp_path, never), 5).save(None))
        await asyncio.sleep(1)
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        await asyncio.sleep(0)
        return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}

    assert on_invented_time(main()) == {"checkpoint"}


def test_drop_removes_the_runs_own_segments_and_no_others(tmp_path: Path) -> None:
    """Once its content is elsewhere a run's segments go, those of a write under way too; another run's stay."""

    async def slow(write: int) -> None:
        await asyncio.sleep(5 if write == 1 else 0)

    async def main() -> list[str]:
        await save_run(GatedBucket(tmp_path), RUN_B, [documented(7)])
        storage = GatedBucket(tmp_path, slow)
        checkpoint = started(storage, 100)
        await asyncio.sleep(1)
        checkpoint.add(documented(100))
        await asyncio.sleep(3)
        assert storage.writes == 2
        await checkpoint.drop()
        await asyncio.sleep(60)
        return await storage.list_keys(PREFIX)

    assert on_invented_time(main()) == [f"{PREFIX}{RUN_B}-000000.jsonl"]


def test_the_bucket_holds_a_run_until_it_is_dropped(moto: MotoS3) -> None:
    """In the bucket too: segments are read back as they were saved, and gone after `drop`."""

    async def main() -> None:
        checkpoint = await save_run(storage, RUN_A, [documented(0), documented(1)], [failed(2)])
        assert moto.keys() == [f"{PREFIX}{RUN_A}-{number:06}.jsonl" for number in range(2)]
        records = sorted((await saved_by_run(storage))[RUN_A].values(), key=lambda one: one.symbol_id)
        assert [one.outcome(place) for place, one in enumerate(records)] == [documented(0), documented(1), failed(2)]
        await checkpoint.drop()
        assert moto.keys() == []

    with opened(moto) as storage:
        asyncio.run(main())


def test_a_bucket_that_is_away_loses_nothing(moto: MotoS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments that the bucket refuses are kept, and are in it after the next time that it takes one."""
    monkeypatch.setattr(checkpoint_module, "SEGMENT_AGE_S", 0.01)

    async def main() -> None:
        moto.fail_next(2)
        checkpoint = started(storage, 5)
        while await checkpoint.save(30):
            pass
        assert list((await saved_by_run(storage))[RUN_A]) == ids[:5]
        assert moto.keys() == [f"{PREFIX}{RUN_A}-000002.jsonl"]

    with opened(moto) as storage:
        asyncio.run(main())


# Keys.


def test_runs_have_names_of_their_own_and_later_ones_larger() -> None:
    """A thousand starts in a row have a thousand names, in the order in which they began."""
    runs = [new_run() for _ in range(1_000)]
    assert len(set(runs)) == 1_000
    assert runs == sorted(runs)


def test_two_runs_of_one_job_do_not_touch_each_other(tmp_path: Path) -> None:
    """Two workers that run one job side by side: each keeps all of its own, also when the other ends first."""

    async def main() -> None:
        storage = FolderStorage(tmp_path)
        runs = {run: Checkpoint(storage, JOB_ID, run) for run in (RUN_A, RUN_B)}
        for position in range(100):
            for run, checkpoint in runs.items():
                checkpoint.add(documented(position, tokens=1 if run == RUN_A else 2))
            await asyncio.sleep(0.05)
        for checkpoint in runs.values():
            assert await checkpoint.save(None) == 0
        saved = await saved_by_run(storage)
        for run, tokens in ((RUN_A, 1), (RUN_B, 2)):
            assert {one.usage for one in saved[run].values()} == {cost(tokens)}
            assert set(saved[run]) == set(ids[:100])
        await runs[RUN_A].drop()
        assert await saved_by_run(storage) == {RUN_B: saved[RUN_B]}

    on_invented_time(main())


def test_jobs_whose_names_begin_alike_are_apart(tmp_path: Path) -> None:
    """`job-1` sees nothing of `job-10`."""

    async def main() -> list[str]:
        checkpoint = Checkpoint(FolderStorage(tmp_path), f"{JOB_ID}0", RUN_A)
        checkpoint.add(documented(0))
        await checkpoint.save(None)
        return await FolderStorage(tmp_path).list_keys(prefix_of(JOB_ID))

    assert on_invented_time(main()) == []


# Reading.


class SlowToBegin(FolderStorage):
    """A folder that answers the last of several reads first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._delay_s = 100.0

    async def read(self, key: str) -> Stored | None:
        self._delay_s -= 1.0
        await asyncio.sleep(self._delay_s)
        return await super().read(key)


def test_records_come_in_the_order_of_their_segments(tmp_path: Path) -> None:
    """Whichever read is answered first, a run's records are in the order in which they were saved."""

    async def main() -> list[str]:
        storage = SlowToBegin(tmp_path)
        await save_run(storage, RUN_A, *([documented(position)] for position in range(4)))
        segments = await read_segments(storage, await storage.list_keys(PREFIX), {})
        return list(segments.runs[RUN_A])

    assert on_invented_time(main()) == ["s0", "s1", "s2", "s3"]


def test_what_is_included_elsewhere_is_not_read_again(tmp_path: Path) -> None:
    """Up to the number that a results document names, a run's segments are passed over, and counted on from there."""

    async def main() -> None:
        storage = FolderStorage(tmp_path)
        await save_run(storage, RUN_A, *([documented(position)] for position in range(4)))
        await save_run(storage, RUN_B, [documented(9)])
        keys = await storage.list_keys(PREFIX)
        segments = await read_segments(storage, keys, {RUN_A: 2, "older": 5})
        assert {run: list(records) for run, records in segments.runs.items()} == {RUN_A: ["s2", "s3"], RUN_B: ["s9"]}
        assert segments.included == {RUN_A: 4, RUN_B: 1, "older": 5}
        assert segments.keys == keys
        assert not segments.vanished

    asyncio.run(main())


def test_segments_that_vanish_are_told_of(tmp_path: Path) -> None:
    """A segment that was listed and is gone is no error, and whoever reads is told; what is there is read."""

    async def main() -> None:
        storage = FolderStorage(tmp_path)
        await save_run(storage, RUN_A, [documented(0)], [documented(1)])
        keys = await storage.list_keys(PREFIX)
        await storage.delete(keys[:1])
        segments = await read_segments(storage, keys, {})
        assert segments.vanished
        assert list(segments.runs[RUN_A]) == ["s1"]

    asyncio.run(main())


@pytest.mark.parametrize("broken", [b"", b"{", b'{"symbol_id": "s', b"\xff\xfe", b"[" * 100_000, b"null", b"7", b"{}"])
def test_broken_lines_are_left_out(broken: bytes, tmp_path: Path) -> None:
    """A line that is no record takes none of its neighbours with it."""

    async def main() -> list[str]:
        storage = FolderStorage(tmp_path)
        good = [json.dumps(stored_record(documented(position))).encode() for position in (0, 1)]
        await storage.write(f"{PREFIX}{RUN_A}-000000.jsonl", b"\n".join([good[0], broken, good[1], b""]))
        return list((await saved_by_run(storage))[RUN_A])

    assert asyncio.run(main()) == ["s0", "s1"]


def test_a_summary_with_every_kind_of_line_break_is_one_line(tmp_path: Path) -> None:
    """What a text holds never splits its record: breaks that are not \\n are breaks to some readers too."""
    text = "One\n two\r\n three\u2028 four\u0085 five\x0b six\x1c."

    async def main() -> str | None:
        await save_run(FolderStorage(tmp_path), RUN_A, [documented(0, summary=text)])
        return (await saved_by_run(FolderStorage(tmp_path)))[RUN_A]["s0"].summary

    assert asyncio.run(main()) == text


def test_other_files_beside_segments_are_passed_over(tmp_path: Path) -> None:
    """What somebody else has put there is not read, not counted, and not among what is removed later."""

    async def main() -> None:
        storage = FolderStorage(tmp_path)
        await save_run(storage, RUN_A, [documented(0)])
        for name in ("notes.txt", f"{RUN_A}.jsonl", f"{RUN_A}-000001.jsonl.bak", "x-000000.jsonl"):
            await storage.write(f"{PREFIX}{name}", json.dumps(stored_record(documented(5))).encode())
        segments = await read_segments(storage, await storage.list_keys(PREFIX), {})
        assert segments.keys == [f"{PREFIX}{RUN_A}-000000.jsonl"]
        assert list(segments.runs[RUN_A]) == ["s0"]

    asyncio.run(main())


def test_a_failure_that_cost_something_is_read_with_what_it_cost(tmp_path: Path) -> None:
    """What was billed for symbols without a summary is saved too."""

    async def main() -> Usage:
        await save_run(FolderStorage(tmp_path), RUN_A, [failed(0, tokens=70), failed(1, tokens=0)])
        records = (await saved_by_run(FolderStorage(tmp_path)))[RUN_A]
        return sum((one.usage for one in records.values()), NO_USAGE)

    assert asyncio.run(main()) == cost(70)
