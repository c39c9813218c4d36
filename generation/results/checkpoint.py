"""Checkpoints: the outcomes of a job, saved while it runs, so that a restart does not pay for them again.

Outcomes are appended as segments of JSON Lines under `checkpoints/{job_id}/`, like a write-ahead log. In a bucket each
segment has its own key, since R2 cannot append and accepts one write per second and key. A run is one start of a job;
its segments are numbered from 0, and a results document records for each run how many of its segments are merged into
it. Which outcomes a job may reuse is decided in `reuse`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

from generation.backoff import max_backoff_s
from generation.domain.catalogue import FREE, Pricing
from generation.domain.outcome import Documented, Outcome
from generation.domain.usage import NO_USAGE, cost_usd
from generation.errors import StorageError
from generation.results.records import StoredRecord, read_records, stored_record
from generation.storage.base import Storage
from generation.storage.folder import FolderStorage
from generation.storage.keys import prefix_of

log = logging.getLogger(__name__)

# A kill loses at most what is in flight and this many outcomes besides: that many make a segment.
MAX_UNSAVED = 5
# In a folder, fewer outcomes are appended after this time: each by itself, but for servers that answer at once, where a
# thread and an fsync for each outcome would be a tenth of the CPU time.
APPEND_AGE_S = 0.02
# In a bucket, fewer outcomes make a segment once they are this old, where that is cheap enough: R2 bills a write
# (Class A) $4.50 per million, and a segment of five costs 0.9 % of what gpt-5-nano bills for them (docs/operations.md).
SEGMENT_AGE_S = 0.5
WRITE_USD = 4.5e-6
MAX_WRITES_SHARE = 0.008
# A store that takes longer than this, or fails, holds up no requests.
MAX_HOLD_UP_S = 1.0

# Outcomes that are made into JSON in the loop: a millisecond.
MAX_INLINE = 50

# Maximum pause between attempts to save while the store fails.
MAX_PAUSE_S = 30.0

# Segments read concurrently when a job restarts.
_MAX_CONCURRENT_READS = 16

_SEGMENT_NAME = re.compile(r"(?P<run>\d{20}-[0-9a-f]{8})-(?P<number>\d{6})\.jsonl")

EVERY_SEGMENT = 1_000_000

# Per run: the number of leading segments that are already merged (an exclusive upper bound).
Included = Mapping[str, int]


def new_run() -> str:
    """Return a unique name for this run; names of later runs sort after it."""
    return f"{time.time_ns():020}-{os.urandom(4).hex()}"


class Checkpoint:
    """Saves the outcomes of one run in a background task.

    `pricing` tells which writes to a bucket are worth their price. At most `max_requested` symbols are requested at
    once.
    """

    def __init__(
        self, storage: Storage, job_id: str, run: str, pricing: Pricing = FREE, max_requested: int = 1_000_000
    ) -> None:
        self._storage = storage
        self._folder = storage if isinstance(storage, FolderStorage) else None
        self._prefix = prefix_of(job_id)
        self._run = run
        self._pricing = pricing
        self._max_at_risk = max_requested + MAX_UNSAVED
        self._requested = 0
        self._segments = 0
        self._can_append = False
        self._unsaved: list[Outcome] = []
        self._writing = 0
        self._paid_usd = 0.0
        self._writes_usd = 0.0
        self._due = asyncio.Event()
        self._end = asyncio.Event()
        self._failed = asyncio.Event()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_slow = False
        self._saver: asyncio.Task[None] | None = None
        self._has_warned = False

    def add(self, outcome: Outcome) -> None:
        """Add an outcome to the next segment, without blocking. Outcomes that cost nothing are not saved."""
        if isinstance(outcome, Documented):
            asked = outcome.source == "model" or outcome.is_rejected
        else:
            asked = outcome.usage != NO_USAGE
        if not asked:
            return
        self._unsaved.append(outcome)
        self._paid_usd += cost_usd(outcome.usage, self._pricing)
        if len(self._unsaved) - self._writing >= MAX_UNSAVED:
            self._due.set()
        if self._saver is None or self._saver.done():
            self._saver = asyncio.create_task(self._save_segments(), name="checkpoint")

    @contextlib.asynccontextmanager
    async def requested(self, symbols: int) -> AsyncIterator[None]:
        """Count so many symbols as requested while the block runs, and as unsaved afterwards if they are added.

        Wait first while `max_requested` + MAX_UNSAVED symbols are requested or unsaved, so that a kill costs no more
        than those; but not for a store that fails or takes longer than MAX_HOLD_UP_S.
        """
        while self._requested + len(self._unsaved) + symbols > self._max_at_risk and not self._is_slow:
            room = asyncio.get_running_loop().create_future()
            self._waiting.append(room)
            await room
        self._requested += symbols
        try:
            yield
        finally:
            self._requested -= symbols
            self._wake(1)

    async def save(self, timeout_s: float | None) -> int:
        """Save the remaining outcomes and return how many are still unsaved after `timeout_s` or the first failure.

        The background task retries the unsaved ones with exponential backoff for as long as the process lives: another
        run may need them. Does not raise StorageError.
        """
        self._end.set()
        self._due.set()
        self._failed.clear()
        if self._saver is not None:
            failed = asyncio.create_task(self._failed.wait())
            try:
                # Unlike asyncio.wait_for, this does not cancel the saver, which may be in the middle of a write.
                await asyncio.wait([self._saver, failed], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                failed.cancel()
        return len(self._unsaved)

    async def drop(self) -> None:
        """Delete the run's segments, whose content has been stored elsewhere, after a write in flight has finished."""
        self._unsaved.clear()
        await self.save(timeout_s=None)
        await remove(self._storage, [self._key(number) for number in range(self._segments)])

    def _key(self, number: int) -> str:
        return f"{self._prefix}{self._run}-{number:06}.jsonl"

    async def _save_segments(self) -> None:
        failures = 0
        while self._unsaved:
            await self._pause(failures)
            if self._unsaved:
                failures = 0 if await self._save_segment() else failures + 1

    async def _pause(self, failures: int) -> None:
        """Wait until a segment is due, or back off after failures. Once the job has ended, wait only after failures."""
        if self._end.is_set():
            await asyncio.sleep(max_backoff_s(failures, SEGMENT_AGE_S, MAX_PAUSE_S) if failures else 0.0)
        elif failures:
            await _wait(self._end, max_backoff_s(failures, SEGMENT_AGE_S, MAX_PAUSE_S))
        elif not await _wait(self._due, APPEND_AGE_S if self._folder else SEGMENT_AGE_S) and not self._is_cheap():
            await self._due.wait()
        self._due.clear()

    def _is_cheap(self) -> bool:
        """Return whether a write of few outcomes keeps the price of all writes in proportion to what was paid."""
        free = self._folder is not None or self._pricing == FREE
        return free or self._writes_usd + WRITE_USD <= MAX_WRITES_SHARE * self._paid_usd

    async def _save_segment(self) -> bool:
        """Write all unsaved outcomes as one segment. Return False where that fails; they then remain unsaved."""
        self._writing = count = len(self._unsaved)
        # A thread costs more than a few lines of JSON.
        some = self._unsaved[:count]
        body = _as_lines(some) if count <= MAX_INLINE else await asyncio.to_thread(_as_lines, some)
        slow = asyncio.get_running_loop().call_later(MAX_HOLD_UP_S, self._hold_up_nobody)
        try:
            await self._write(body)
        except StorageError as error:
            if not self._has_warned:
                log.warning("a part of the job is not saved yet: %s", error)
            self._has_warned = True
            self._failed.set()
            self._hold_up_nobody()
            return False
        finally:
            slow.cancel()
            self._writing = 0
        self._is_slow = False
        del self._unsaved[:count]
        self._wake(len(self._waiting))
        return True

    async def _write(self, body: bytes) -> None:
        """Append to the segment in a folder; write the next segment in a bucket. Raises StorageError."""
        # A number is not used again after a failure: that write may still arrive, or may have left half a line behind.
        if not self._can_append or self._end.is_set():
            self._segments += 1
        self._can_append = False
        key = self._key(self._segments - 1)
        if self._folder:
            await self._folder.append(key, body)
            self._can_append = True
        else:
            self._writes_usd += WRITE_USD
            await self._storage.write(key, body)

    def _hold_up_nobody(self) -> None:
        self._is_slow = True
        self._wake(len(self._waiting))

    def _wake(self, requests: int) -> None:
        """Let so many waiting requests look again whether there is room for them."""
        for _ in range(min(requests, len(self._waiting))):
            room = self._waiting.popleft()
            if not room.done():
                room.set_result(None)


async def _wait(event: asyncio.Event, timeout_s: float) -> bool:
    """Return whether the event was set in time."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)
    return event.is_set()


def _as_lines(outcomes: list[Outcome]) -> bytes:
    return b"".join(json.dumps(stored_record(outcome)).encode() + b"\n" for outcome in outcomes)


@dataclass(slots=True)
class Segments:
    """The contents of a job's segments: `runs` maps a run to its records by symbol id.

    `included` counts the segments of each run that were read now or merged before. `vanished` is True where another
    run deleted some of the segments before they could be read.
    """

    keys: list[str] = field(default_factory=list)
    included: dict[str, int] = field(default_factory=dict)
    runs: dict[str, dict[str, StoredRecord]] = field(default_factory=dict)
    vanished: bool = False


async def read_segments(storage: Storage, keys: Iterable[str], included: Included) -> Segments:
    """Read the segments under these keys, except those that `included` covers. Raises StorageError."""
    segments = Segments(included=dict(included))
    slots = asyncio.Semaphore(_MAX_CONCURRENT_READS)

    async def read(key: str) -> dict[str, StoredRecord] | None:
        async with slots:
            stored = await storage.read(key)
        if stored is None:
            return None
        return {record.symbol_id: record for record in read_records(_lines(stored.body))}

    wanted: list[tuple[str, str]] = []
    for key in keys:
        if match := _SEGMENT_NAME.fullmatch(key.rpartition("/")[2]):
            run, number = match["run"], int(match["number"])
            segments.keys.append(key)
            segments.included[run] = max(segments.included.get(run, 0), number + 1)
            if number >= included.get(run, 0):
                wanted.append((run, key))
    # In the order of the keys, not of the responses.
    for (run, _), records in zip(wanted, await asyncio.gather(*(read(key) for _, key in wanted)), strict=True):
        if records is None:
            segments.vanished = True
        else:
            # The same symbol can occur twice in one run, where a write that was given up arrived after all.
            segments.runs.setdefault(run, {}).update(records)
    return segments


def _lines(body: bytes) -> list[object]:
    lines: list[object] = []
    for line in body.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            lines.append(json.loads(line))
    return lines


async def remove(storage: Storage, keys: Iterable[str]) -> None:
    """Delete segments. Log a StorageError: the results list them as merged, so that they only take up space."""
    try:
        await storage.delete(keys)
    except StorageError as error:
        log.warning("segments of a finished job stay where they are: %s", error)
