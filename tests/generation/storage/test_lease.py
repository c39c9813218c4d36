"""Leases, by holders that do not know of each other, on invented time: minutes cost nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from generation.errors import LeaseLost, StorageError
from generation.storage import lease as lease_module
from generation.storage.base import Storage, Stored
from generation.storage.folder import FolderStorage
from generation.storage.lease import (
    LOOKS_PER_TTL,
    MAX_TTL_S,
    RENEWALS_PER_TTL,
    Lease,
    LeaseSighting,
    lease,
    lease_if_free,
)
from tests.conftest import invented_time_loop
from tests.loopback.s3 import MotoS3
from tests.support.contexts import SEED
from tests.support.stores import on_invented_time, opened

KEY = "checkpoints/job/lease.json"
TTL_S = 15.0
LOOK_S = TTL_S / LOOKS_PER_TTL
# More than a look, and what invented time takes for each turn of the loop.
SOON_S = LOOK_S + 0.1


class Store(FolderStorage):
    """A holder's own way to the folder: it can be cut off, and its conditional writes can be slow."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.is_away = False
        self.is_refusing = False
        self.before_write: Callable[[], Awaitable[None]] | None = None
        self.after_write: Callable[[], Awaitable[None]] | None = None

    def _check(self) -> None:
        if self.is_away or self.is_refusing:
            raise StorageError("away", retryable=not self.is_refusing)

    async def read(self, key: str) -> Stored | None:
        self._check()
        return await super().read(key)

    async def put_if_match(self, key: str, body: bytes, version: str | None) -> bool:
        self._check()
        if self.before_write:
            await self.before_write()
        written = await super().put_if_match(key, body, version)
        if self.after_write:
            await self.after_write()
        return written

    async def delete(self, keys: object) -> None:
        self._check()
        await super().delete(keys)  # type: ignore[arg-type]


def now_s() -> float:
    return invented_time_loop().time()


@contextlib.asynccontextmanager
async def held(storage: Storage, *, ttl_s: float = TTL_S, cancel_when_lost: bool = True) -> AsyncIterator[Lease]:
    async with lease(storage, KEY, ttl_s=ttl_s, cancel_when_lost=cancel_when_lost) as it:
        yield it


async def hold_for(storage: Storage, seconds: float, ttl_s: float = TTL_S) -> tuple[float, float]:
    """Hold the lease for so long, and return when it was entered and left."""
    async with held(storage, ttl_s=ttl_s):
        entered_s = now_s()
        await asyncio.sleep(seconds)
        return entered_s, now_s()


async def left_by_a_dead_holder(folder: Path, ttl_s: float = TTL_S) -> None:
    """What a holder leaves behind that was killed on another machine."""
    body = {"token": "dead", "ttl_s": ttl_s, "machine": "elsewhere", "process": "1 1", "renewal": 1}
    await FolderStorage(folder).write(KEY, json.dumps(body).encode())


# Holding and waiting.


def test_a_lease_is_renewed_while_it_is_held(tmp_path: Path) -> None:
    """A holder keeps another one out for many times the TTL, until it ends."""

    async def main() -> None:
        first = asyncio.create_task(hold_for(Store(tmp_path), 10 * TTL_S))
        await asyncio.sleep(1.0)
        second = await hold_for(Store(tmp_path), 1.0)
        assert 0 <= second[0] - (await first)[1] <= SOON_S

    on_invented_time(main())


def test_who_waits_is_told_once(tmp_path: Path) -> None:
    """`on_wait` is called once where another holds the lease, and not where nobody does."""

    async def main() -> None:
        told: list[float] = []
        async with lease(Store(tmp_path), KEY, on_wait=lambda: told.append(now_s())):
            assert told == []
            waiting = asyncio.create_task(wait(told))
            await asyncio.sleep(3 * TTL_S)
            assert len(told) == 1
        await waiting
        assert len(told) == 1

    async def wait(told: list[float]) -> None:
        async with lease(Store(tmp_path), KEY, on_wait=lambda: told.append(now_s())):
            pass

    on_invented_time(main())


def test_nothing_is_left_of_a_lease_that_was_released(tmp_path: Path) -> None:
    """When the block ends, by itself or by an error, there is no lease any more."""

    async def main() -> None:
        await hold_for(Store(tmp_path), 4 * TTL_S)
        with pytest.raises(ValueError, match="of the block"):
            async with held(Store(tmp_path)):
                raise ValueError("of the block")

    on_invented_time(main())
    assert list(tmp_path.rglob("*.json")) == []


def test_a_cancelled_holder_releases(tmp_path: Path) -> None:
    """A cancellation from outside stays one, and the next holder need not wait."""

    async def main() -> None:
        holder = asyncio.create_task(hold_for(Store(tmp_path), 1_000.0))
        await asyncio.sleep(1.0)
        holder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holder
        cancelled_s = now_s()
        assert (await hold_for(Store(tmp_path), 0.0))[0] - cancelled_s <= 0.1

    on_invented_time(main())


# Holders that are gone.


@pytest.mark.parametrize(("holders_ttl_s", "waits_s"), [(TTL_S, TTL_S), (40.0, 40.0), (2.0, TTL_S), (1e9, MAX_TTL_S)])
def test_a_lease_whose_holder_died_elsewhere_runs_out(tmp_path: Path, holders_ttl_s: float, waits_s: float) -> None:
    """A holder that is gone without a word is waited for during the longer of both TTLs, and no longer."""

    async def main() -> float:
        await left_by_a_dead_holder(tmp_path, holders_ttl_s)
        began_s = now_s()
        return (await hold_for(Store(tmp_path), 1.0))[0] - began_s

    assert waits_s <= on_invented_time(main()) <= waits_s + SOON_S


def test_a_lease_that_changes_is_no_dead_ones(tmp_path: Path) -> None:
    """The TTL counts from the last change that was seen, and not from the first look."""

    async def main() -> float:
        waiting = asyncio.create_task(hold_for(Store(tmp_path), 0.0))
        for _ in range(5):
            await left_by_a_dead_holder(tmp_path)
            await asyncio.sleep(0.9 * TTL_S)
        assert not waiting.done()
        last_s = now_s() - 0.9 * TTL_S
        return (await waiting)[0] - last_s

    async def after_the_first() -> float:
        await left_by_a_dead_holder(tmp_path)
        return await main()

    assert TTL_S <= on_invented_time(after_the_first()) <= TTL_S + SOON_S


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"token": "x", "ttl_s": "long"}', b"\xff"])
def test_a_document_that_is_no_lease_runs_out(tmp_path: Path, body: bytes) -> None:
    """What nobody can read keeps nobody out for longer than a TTL."""

    async def main() -> float:
        await FolderStorage(tmp_path).write(KEY, body)
        began_s = now_s()
        return (await hold_for(Store(tmp_path), 0.0))[0] - began_s

    assert TTL_S <= on_invented_time(main()) <= TTL_S + SOON_S


HOLD = """
import asyncio, sys
from pathlib import Path
from generation.storage.folder import FolderStorage
from generation.storage.lease import lease
async def main():
    async with lease(FolderStorage(Path(sys.argv[1])), sys.argv[2]):
        print("held", flush=True)
        await asyncio.sleep(1000)
asyncio.run(main())
"""


def test_a_process_of_this_machine_is_waited_for_until_it_ends(tmp_path: Path) -> None:
    """While it lives, the TTL counts; once it was killed, its lease is taken at the next look."""

    async def main(process: subprocess.Popen[bytes]) -> None:
        began_s = now_s()
        waiting = asyncio.create_task(hold_for(Store(tmp_path), 0.0))
        await asyncio.sleep(TTL_S / 2)
        assert not waiting.done()
        process.kill()
        process.wait()
        assert (await waiting)[0] - began_s <= TTL_S / 2 + SOON_S

    command = [sys.executable, "-c", HOLD, str(tmp_path), KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        on_invented_time(main(process))


@pytest.mark.parametrize(
    ("changed", "waits"),
    [({}, True), ({"machine": "elsewhere"}, True), ({"machine": ""}, True), ({"process": ""}, True)],
    ids=["itself", "elsewhere", "no machine", "no process"],
)
def test_only_a_process_that_has_certainly_ended_is_not_waited_for(
    tmp_path: Path, changed: dict[str, str], waits: bool
) -> None:
    """This very process is alive, and of one elsewhere, or that has not said which it is, nothing is known."""
    took_s = on_invented_time(time_to_take_from(tmp_path, changed))
    assert (took_s >= TTL_S) is waits


def test_a_pid_that_was_given_away_again_is_not_its_holder(tmp_path: Path) -> None:
    """A process with the PID of the holder and another start time is another process."""
    pid = lease_module._process("self").split()[0]
    assert pid == "self"
    ours = lease_module._process(str(_own_pid()))
    assert on_invented_time(time_to_take_from(tmp_path, {"process": f"{ours}9"})) < SOON_S


def _own_pid() -> int:
    return int(Path("/proc/self").resolve().name)


async def time_to_take_from(folder: Path, changed: dict[str, str]) -> float:
    """How long a lease is waited for that this process wrote, with these changes, and does not renew."""
    body = {
        "token": "x",
        "ttl_s": TTL_S,
        "machine": lease_module._machine(),
        "process": lease_module._process(_own_pid()),
    }
    await FolderStorage(folder).write(KEY, json.dumps({**body, **changed}).encode())
    began_s = now_s()
    return (await hold_for(Store(folder), 0.0))[0] - began_s


# Leases that are lost.


def test_a_holder_cut_off_for_a_ttl_is_cancelled_before_another_enters(tmp_path: Path) -> None:
    """It is told so, and when its store is back it neither overwrites nor deletes the lease of who came after it."""

    async def main() -> None:
        store = Store(tmp_path)
        left_s = asyncio.create_task(cut_off(store))
        await asyncio.sleep(1.0)
        other = asyncio.create_task(hold_for(Store(tmp_path), 5 * TTL_S))
        with pytest.raises(LeaseLost, match="could not be renewed for 15 s"):
            await left_s
        third = await hold_for(store, 0.0)
        entered_s, ended_s = await other
        assert ended[0] <= entered_s
        assert ended_s <= third[0]

    async def cut_off(store: Store) -> None:
        async with held(store):
            store.is_away = True
            try:
                await asyncio.sleep(1_000.0)
            finally:
                ended.append(now_s())
                # What it still has to do ends after the other has entered.
                await asyncio.sleep(3.0)
                store.is_away = False

    ended: list[float] = []

    on_invented_time(main())


def test_a_short_outage_costs_nothing(tmp_path: Path) -> None:
    """A store that is away for less than what is left of the TTL is not noticed."""

    async def main() -> None:
        store = Store(tmp_path)
        async with held(store) as it:
            for _ in range(5):
                store.is_away = True
                await asyncio.sleep(TTL_S * (1 - 2 / RENEWALS_PER_TTL))
                store.is_away = False
                await asyncio.sleep(TTL_S)
                assert it.is_held

    on_invented_time(main())


@pytest.mark.parametrize("taken", [True, False], ids=["taken", "deleted"])
def test_a_lease_that_another_has_or_nobody_is_lost(tmp_path: Path, taken: bool) -> None:
    """A holder that finds another's lease, or none, at its next renewal is cancelled, and leaves that one alone."""

    async def lose() -> None:
        async with held(Store(tmp_path)):
            if taken:
                await left_by_a_dead_holder(tmp_path)
            else:
                await FolderStorage(tmp_path).delete([KEY])
            await asyncio.sleep(TTL_S / RENEWALS_PER_TTL + 0.1)
            raise AssertionError("not cancelled")

    async def main() -> bytes | None:
        with pytest.raises(LeaseLost, match="held by another process"):
            await lose()
        stored = await FolderStorage(tmp_path).read(KEY)
        return stored.body if stored else None

    left = on_invented_time(main())
    assert (left is not None and b"dead" in left) is taken


def test_a_holder_that_was_frozen_knows_at_once(tmp_path: Path) -> None:
    """After a minute in which the process did not run it does not count as holder, and its next wait is its last."""

    async def main() -> None:
        async with held(Store(tmp_path)) as it:
            assert it.is_held
            invented_time_loop().now_s += 60.0
            assert not it.is_held
            await asyncio.sleep(0.001)
            raise AssertionError("not cancelled")

    with pytest.raises(LeaseLost):
        on_invented_time(main())


def test_the_ttl_counts_from_the_start_of_a_renewal(tmp_path: Path) -> None:
    """A renewal that arrives at once and is answered late was seen by others before the holder hears of it."""

    async def main() -> None:
        store = Store(tmp_path)
        async with held(store, cancel_when_lost=False) as it:

            async def answer_late() -> None:
                written_s.append(now_s())
                store.is_away = True
                await asyncio.sleep(0.9 * TTL_S / RENEWALS_PER_TTL)

            store.after_write = answer_late
            await asyncio.sleep(TTL_S)
            assert len(written_s) == 1
            await asyncio.sleep(written_s[0] + TTL_S - now_s())
            assert not it.is_held

    written_s: list[float] = []
    on_invented_time(main())


def test_time_outs_of_the_block_are_its_own(tmp_path: Path) -> None:
    """A TimeoutError that the block raises is not taken for the loss of the lease."""

    async def main() -> None:
        async with held(Store(tmp_path)):
            async with asyncio.timeout(1.0):
                await asyncio.sleep(10.0)

    with pytest.raises(TimeoutError):
        on_invented_time(main())


def test_a_renewal_that_arrives_late_loses_nothing(tmp_path: Path) -> None:
    """A write that was given up as hanging and arrives later has changed the version, and the holder goes on."""

    async def main() -> None:
        store = Store(tmp_path)
        async with held(store) as it:

            async def hang() -> None:
                store.before_write = None
                stored = await FolderStorage(tmp_path).read(KEY)
                assert stored is not None
                late.append(asyncio.create_task(arrive(stored)))
                await asyncio.sleep(1_000.0)

            async def arrive(stored: Stored) -> None:
                await asyncio.sleep(1.1 * TTL_S / RENEWALS_PER_TTL)
                body = json.dumps({**json.loads(stored.body), "renewal": 99}).encode()
                await FolderStorage(tmp_path).put_if_match(KEY, body, stored.version)

            late: list[asyncio.Task[None]] = []
            store.before_write = hang
            await asyncio.sleep(5 * TTL_S)
            assert len(late) == 1
            assert it.is_held

    on_invented_time(main())


# A block that is not cancelled.


def test_an_outage_is_waited_out_by_who_confirms(tmp_path: Path) -> None:
    """Not cancelled, a holder waits in `confirm` while its lease is in doubt, and goes on when it could be renewed."""

    async def main() -> None:
        store = Store(tmp_path)
        async with held(store, cancel_when_lost=False) as it:
            await it.confirm()
            store.is_away = True
            await asyncio.sleep(2 * TTL_S)
            assert not it.is_held
            confirmed = asyncio.create_task(it.confirm())
            await asyncio.sleep(2 * TTL_S)
            assert not confirmed.done()
            store.is_away = False
            await asyncio.wait_for(confirmed, 2 * TTL_S / RENEWALS_PER_TTL)
            assert it.is_held
        assert await FolderStorage(tmp_path).read(KEY) is None

    on_invented_time(main())


def test_who_confirms_is_told_that_another_has_the_lease(tmp_path: Path) -> None:
    """Where another process has taken the lease meanwhile, every `confirm` raises."""

    async def main() -> None:
        store = Store(tmp_path)
        async with held(store, cancel_when_lost=False) as it:
            store.is_away = True
            other = asyncio.create_task(hold_for(Store(tmp_path), 10 * TTL_S))
            await asyncio.sleep(3 * TTL_S)
            confirmed = [asyncio.create_task(it.confirm()) for _ in range(2)]
            store.is_away = False
            for one in (*confirmed, it.confirm()):
                with pytest.raises(LeaseLost, match="held by another process"):
                    await one
        await other

    on_invented_time(main())


# The store while one waits.


def test_a_store_that_is_away_before_anybody_was_seen_is_an_error(tmp_path: Path) -> None:
    """Who cannot read the lease at all is told so: whether to go on without is not the lease's to decide."""

    async def main() -> None:
        store = Store(tmp_path)
        store.is_away = True
        async with held(store):
            raise AssertionError("entered")

    with pytest.raises(StorageError):
        on_invented_time(main())


def test_an_outage_while_one_waits_opens_no_door(tmp_path: Path) -> None:
    """Where another holder was seen, a store that is away is waited for too; one that refuses for good is an error."""

    async def main() -> None:
        store = Store(tmp_path)
        async with held(Store(tmp_path)):
            waiting = asyncio.create_task(hold_for(store, 0.0))
            await asyncio.sleep(2.0)
            store.is_away = True
            await asyncio.sleep(5 * TTL_S)
            assert not waiting.done()
            store.is_away = False
            await asyncio.sleep(5 * TTL_S)
            assert not waiting.done()
            store.is_refusing = True
            with pytest.raises(StorageError):
                await waiting

    on_invented_time(main())


# All together.


def test_never_are_two_inside_whatever_the_store_does(tmp_path: Path) -> None:
    """Four holders on one key, each cut off at random, with writes that are slow or come late: one at a time."""
    chance = random.Random(SEED)  # noqa: S311 - no secret
    inside: set[int] = set()
    entered: list[int] = []

    async def disturb(store: Store) -> None:
        while True:
            await asyncio.sleep(chance.uniform(0, 2 * TTL_S))
            store.is_away = True
            await asyncio.sleep(chance.uniform(0, 2 * TTL_S))
            store.is_away = False

    async def slow() -> None:
        await asyncio.sleep(chance.choice([0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 7.0]))

    async def work(number: int) -> None:
        store = Store(tmp_path)
        store.before_write = store.after_write = slow
        disturbing = asyncio.create_task(disturb(store))
        while now_s() < 11_000.0:
            with contextlib.suppress(LeaseLost, StorageError):
                async with held(store):
                    try:
                        assert inside == set()
                        inside.add(number)
                        entered.append(number)
                        await asyncio.sleep(chance.uniform(0, 3 * TTL_S))
                    finally:
                        inside.discard(number)
            await asyncio.sleep(chance.uniform(0, TTL_S))
        disturbing.cancel()

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(4)))

    on_invented_time(main())
    assert set(entered) == set(range(4)), f"seed {SEED}"


def test_a_bucket_has_one_holder_too(moto: MotoS3) -> None:
    """In the bucket as in a folder: the second enters when the first has left, and nothing remains."""

    async def hold(number: int) -> None:
        async with lease(storage, KEY, ttl_s=30.0):
            order.append(number)
            await asyncio.sleep(0)
            order.append(number)

    async def main() -> None:
        async with lease(storage, KEY, ttl_s=30.0) as it:
            others = [asyncio.create_task(hold(number)) for number in range(2)]
            await it._renew(10.0)
            assert it.is_held
            assert json.loads(moto.get(KEY))["renewal"] == 2
            assert order == []
        await asyncio.gather(*others)

    order: list[int] = []
    with opened(moto) as storage:
        asyncio.run(main())
    assert order in ([0, 0, 1, 1], [1, 1, 0, 0])
    assert moto.keys() == []


# Taking what is free, without waiting.


def test_a_free_lease_is_taken_at_once_and_another_holders_is_only_seen(tmp_path: Path) -> None:
    """Who asks without waiting gets the lease that nobody has, and of another's what was seen of it."""

    async def main() -> None:
        async with lease_if_free(Store(tmp_path), KEY) as first:
            assert isinstance(first, Lease)
            before_s = now_s()
            async with lease_if_free(Store(tmp_path), KEY) as second:
                assert isinstance(second, LeaseSighting)
            assert now_s() - before_s < LOOK_S
        async with lease_if_free(Store(tmp_path), KEY) as third:
            assert isinstance(third, Lease)

    on_invented_time(main())


def test_an_abandoned_lease_is_free_once_it_was_seen_for_its_ttl(tmp_path: Path) -> None:
    """What was seen before counts; a lease that is renewed meanwhile is never free."""

    async def main() -> None:
        await left_by_a_dead_holder(tmp_path)
        store, seen = Store(tmp_path), None
        looked_s = []
        while True:
            async with lease_if_free(store, KEY, seen, ttl_s=TTL_S) as found:
                if isinstance(found, Lease):
                    break
                seen = found
            looked_s.append(now_s())
            await asyncio.sleep(TTL_S / 3)
        assert TTL_S <= now_s() - looked_s[0] <= TTL_S + SOON_S

    on_invented_time(main())


def test_a_lease_that_is_renewed_is_never_free(tmp_path: Path) -> None:
    """A holder that lives keeps it, however often others look and however long."""

    async def main() -> None:
        seen = None
        async with held(Store(tmp_path)):
            for _ in range(20):
                async with lease_if_free(Store(tmp_path), KEY, seen, ttl_s=TTL_S) as found:
                    assert isinstance(found, LeaseSighting)
                    seen = found
                await asyncio.sleep(TTL_S / 2)

    on_invented_time(main())


def test_a_loop_that_is_torn_down_releases_its_leases(tmp_path: Path) -> None:
    """Where an interruption ends the loop with all its tasks at once, a lease is released all the same."""
    storage = FolderStorage(tmp_path)

    async def interrupt() -> None:
        raise KeyboardInterrupt

    async def hold() -> None:
        async with lease(storage, KEY, ttl_s=TTL_S):
            assert await storage.exists(KEY)
            await asyncio.create_task(interrupt())

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(hold())
    assert not asyncio.run(storage.exists(KEY))
