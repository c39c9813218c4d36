"""Checkpoints: the outcomes of a job, saved while it runs, so that a restart does not pay for them again.

Outcomes are appended as segments of JSON Lines under `checkpoints/{job_id}/`, like a write-ahead log. Each segment has
its own key, since R2 accepts one write per second and key. A run is one start of a job; its segments are numbered from
0, and a results document records for each run how many of its segments are merged into it. Which outcomes a job may
reuse is decided in `reuse`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from generation.backoff import max_backoff_s
from generation.domain.outcome import Documented, Outcome
from generation.domain.usage import NO_USAGE
from generation.errors import StorageError
from generation.results.records import StoredRecord, read_records, stored_record
from generation.storage.base import Storage
from generation.storage.keys import prefix_of

log = logging.getLogger(__name__)

# A kill loses at most the outcomes that are not in a segment yet: SEGMENT_SYMBOLS symbols, or SEGMENT_AGE_S seconds. At
# two seconds, a ten minute job makes 300 writes, which cost a seventh of a cent. The first segments are small, and stay
# small while another run of the job is active, since runs discover each other by their segments.
SEGMENT_SYMBOLS = 100
FIRST_SEGMENT_SYMBOLS = 10
SEGMENT_AGE_S = 2.0

# Maximum pause between attempts to save while the store fails.
MAX_PAUSE_S = 30.0

# Segments read concurrently when a job restarts.
_MAX_CONCURRENT_READS = 16

_SEGMENT_NAME = re.compile(r"(?P<run>\d{20}-[0-9a-f]{8})-(?P<number>\d{6})\.jsonl")

EVERY_SEGMENT = 1_000_000


def run_name_of(key: str) -> str:
    """Return the name of the run that wrote a segment, or "" where the key is not a segment's."""
    match = _SEGMENT_NAME.fullmatch(key.rpartition("/")[2])
    return match["run"] if match else ""


# Per run: the number of leading segments that are already merged (an exclusive upper bound).
Included = Mapping[str, int]


def new_run() -> str:
    """Return a unique name for this run; names of later runs sort after it."""
    return f"{time.time_ns():020}-{os.urandom(4).hex()}"


async def _has_no_peers() -> bool:
    return False


class Checkpoint:
    """Saves the outcomes of one run in a background task.

    `after_save` is awaited after each saved segment while the job runs, and returns whether another run of the job is
    active.
    """

    def __init__(
        self, storage: Storage, job_id: str, run: str, after_save: Callable[[], Awaitable[bool]] = _has_no_peers
    ) -> None:
        self._storage = storage
        self._prefix = prefix_of(job_id)
        self._run = run
        self._after_save = after_save
        self._segments = 0
        self._segment_symbols = FIRST_SEGMENT_SYMBOLS
        self._unsaved: list[Outcome] = []
        self._due = asyncio.Event()
        self._end = asyncio.Event()
        self._failed = asyncio.Event()
        self._saver: asyncio.Task[None] | None = None
        self._has_warned = False

    def add(self, outcome: Outcome) -> None:
        """Add an outcome to the next segment, without blocking. Outcomes that cost nothing are not saved."""
        asked = outcome.source == "model" if isinstance(outcome, Documented) else outcome.usage != NO_USAGE
        if not asked:
            return
        self._unsaved.append(outcome)
        if len(self._unsaved) >= self._segment_symbols:
            self._due.set()
        if self._saver is None or self._saver.done():
            self._saver = asyncio.create_task(self._save_segments(), name="checkpoint")

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
            # Unlike asyncio.wait_for, this does not cancel the saver, which may be in the middle of a write.
            await asyncio.wait([self._saver, failed], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
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
            if await self._save_segment():
                failures = 0
            else:
                failures += 1
                self._failed.set()
            if not failures and not self._end.is_set():
                is_shared = await self._after_save()
                larger = min(SEGMENT_SYMBOLS, 2 * self._segment_symbols)
                self._segment_symbols = FIRST_SEGMENT_SYMBOLS if is_shared else larger

    async def _pause(self, failures: int) -> None:
        """Wait until a segment is due, or back off after failures. Once the job has ended, wait only after failures."""
        pause_s = max_backoff_s(failures, SEGMENT_AGE_S, MAX_PAUSE_S)
        if self._end.is_set():
            await asyncio.sleep(pause_s if failures else 0.0)
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._end.wait() if failures else self._due.wait(), pause_s)
        self._due.clear()

    async def _save_segment(self) -> bool:
        """Write all unsaved outcomes as one segment. Return False where that fails; they then remain unsaved."""
        if not (count := len(self._unsaved)):
            return True
        # A number is never reused: a write that was given up may still arrive, and must not replace a newer segment.
        key, self._segments = self._key(self._segments), self._segments + 1
        body = await asyncio.to_thread(_as_lines, self._unsaved[:count])
        try:
            await self._storage.write(key, body)
        except StorageError as error:
            if not self._has_warned:
                log.warning("a part of the job is not saved yet: %s", error)
            self._has_warned = True
            return False
        del self._unsaved[:count]
        return True


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
