"""What a job has paid for, saved while it runs, and found again when it starts anew.

Outcomes are written in segments of JSON Lines under `checkpoints/{job_id}/`, each under a key of its own, since R2
takes one write a second and key. A run is one start of a job; its segments are numbered, and a results document says up
to which number of which run it holds what they hold. Leaves out: which of it a job may use again (`reuse`).
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

# A kill costs at most what is not in a segment yet: so many symbols, or so many seconds. At two seconds a ten minute
# job makes 300 writes, a seventh of a cent. The first segments are small, and stay so while another run of the job is
# under way: by them two runs know of each other.
SEGMENT_SYMBOLS = 100
FIRST_SEGMENT_SYMBOLS = 10
SEGMENT_AGE_S = 2.0

# Between tries to save where the store is away or refuses.
MAX_PAUSE_S = 30.0

# Segments that are read at once when a job starts anew.
_MAX_CONCURRENT_READS = 16

_SEGMENT_NAME = re.compile(r"(?P<run>\d{20}-[0-9a-f]{8})-(?P<number>\d{6})\.jsonl")

EVERY_SEGMENT = 1_000_000


def run_name_of(key: str) -> str:
    """The run that wrote a segment; an empty text where the key is that of none."""
    named = _SEGMENT_NAME.fullmatch(key.rpartition("/")[2])
    return named["run"] if named else ""


# Up to which number the segments of each run are part of something, without that number.
Included = Mapping[str, int]


def new_run() -> str:
    """A name for this start of a job; names of later starts are larger."""
    return f"{time.time_ns():020}-{os.urandom(4).hex()}"


async def _alone() -> bool:
    return False


class Checkpoint:
    """Saves the outcomes of one run, in the background, while more of them come.

    `after_save` is awaited whenever a segment is saved, as long as the job runs; it says whether another run of the job
    is under way.
    """

    def __init__(
        self, storage: Storage, job_id: str, run: str, after_save: Callable[[], Awaitable[bool]] = _alone
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
        self._complained = False

    def add(self, outcome: Outcome) -> None:
        """Take an outcome in; returns at once. One that no model was asked for is not worth saving."""
        asked = outcome.source == "model" if isinstance(outcome, Documented) else outcome.usage != NO_USAGE
        if not asked:
            return
        self._unsaved.append(outcome)
        if len(self._unsaved) >= self._segment_symbols:
            self._due.set()
        if self._saver is None or self._saver.done():
            self._saver = asyncio.create_task(self._save_segments(), name="checkpoint")

    async def save(self, timeout_s: float | None) -> int:
        """Save what is not saved yet, within so many seconds; the result is how many outcomes are not.

        Those are tried again, with longer and longer pauses, as long as the process lives: another run may need them.
        """
        self._end.set()
        self._due.set()
        self._failed.clear()
        if self._saver is not None:
            failed = asyncio.create_task(self._failed.wait())
            # Unlike asyncio.wait_for it leaves the saver alone, whoever is cancelled: a write may be under way.
            await asyncio.wait([self._saver, failed], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            failed.cancel()
        return len(self._unsaved)

    async def drop(self) -> None:
        """Remove the run's segments, once their content is elsewhere, and return when no write is under way."""
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
        """Wait until a segment is due; after failures for longer, and when the job has ended, for no news."""
        pause_s = max_backoff_s(failures, SEGMENT_AGE_S, MAX_PAUSE_S)
        if self._end.is_set():
            await asyncio.sleep(pause_s if failures else 0.0)
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._end.wait() if failures else self._due.wait(), pause_s)
        self._due.clear()

    async def _save_segment(self) -> bool:
        """Save all that there is now; it stays unsaved until it is."""
        if not (count := len(self._unsaved)):
            return True
        # A number is never used twice: a write that was given up may arrive late, and must not replace a later one.
        key, self._segments = self._key(self._segments), self._segments + 1
        body = await asyncio.to_thread(_as_lines, self._unsaved[:count])
        try:
            await self._storage.write(key, body)
        except StorageError as error:
            if not self._complained:
                log.warning("a part of the job is not saved yet: %s", error)
            self._complained = True
            return False
        del self._unsaved[:count]
        return True


def _as_lines(outcomes: list[Outcome]) -> bytes:
    return b"".join(json.dumps(stored_record(outcome)).encode() + b"\n" for outcome in outcomes)


@dataclass(slots=True)
class Segments:
    """What the segments of a job hold: by run, each symbol's record once.

    `included` counts what was read, with what it was added to; `vanished` says that another run removed some meanwhile.
    """

    keys: list[str] = field(default_factory=list)
    included: dict[str, int] = field(default_factory=dict)
    runs: dict[str, dict[str, StoredRecord]] = field(default_factory=dict)
    vanished: bool = False


async def read_segments(storage: Storage, keys: Iterable[str], included: Included) -> Segments:
    """Read the segments under these keys, but for those that `included` names. Raises StorageError."""
    segments = Segments(included=dict(included))
    places = asyncio.Semaphore(_MAX_CONCURRENT_READS)

    async def read(run: str, key: str) -> None:
        async with places:
            stored = await storage.read(key)
        if stored is None:
            segments.vanished = True
            return
        # The same symbol twice in one run: of a write that was given up and arrived all the same.
        records = {record.symbol_id: record for record in read_records(_lines(stored.body))}
        segments.runs.setdefault(run, {}).update(records)

    wanted = []
    for key in keys:
        if named := _SEGMENT_NAME.fullmatch(key.rpartition("/")[2]):
            run, number = named["run"], int(named["number"])
            segments.keys.append(key)
            segments.included[run] = max(segments.included.get(run, 0), number + 1)
            if number >= included.get(run, 0):
                wanted.append(read(run, key))
    await asyncio.gather(*wanted)
    return segments


def _lines(body: bytes) -> list[object]:
    lines: list[object] = []
    for line in body.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            lines.append(json.loads(line))
    return lines


async def remove(storage: Storage, keys: Iterable[str]) -> None:
    """Remove segments. What cannot be removed costs room and nothing else: it is named in results as included."""
    try:
        await storage.delete(keys)
    except StorageError as error:
        log.warning("segments of a finished job stay where they are: %s", error)
