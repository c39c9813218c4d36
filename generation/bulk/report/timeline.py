"""The course of a run over time: how far it was when, for its report.

    bulk/{run}/timeline.json   the starts of the run, each with samples of its progress

The coordinator writes it while it holds the run's lease, so there is one writer. It is of no use to the run itself:
where the store does not take it, the run goes on. Leaves out single symbols: their latencies are in the results.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from generation.bulk.progress import Progress, ProgressSink
from generation.errors import StorageError
from generation.storage.base import Storage
from generation.storage.keys import timeline_key

log = logging.getLogger(__name__)

WRITE_EVERY_S = 30.0
# A start keeps at most so many samples: beyond that every second one goes, and they come half as often.
MAX_SAMPLES = 240
MAX_STARTS = 100
# Nobody waits longer than this for the course of a run that is over.
LAST_WRITE_S = 10.0


class Sample(NamedTuple):
    """The counts of a run at a time, in seconds since its start."""

    elapsed_s: float
    documented: int
    failed: int
    total_tokens: int
    total_cost: float


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a run: when it began, in UTC (RFC 3339), and its samples in order."""

    began_at: str
    samples: tuple[Sample, ...]


_starts = TypeAdapter(tuple[Start, ...])


class Sampler:
    """Collects samples of one start: evenly spaced in time, and the newest."""

    def __init__(self) -> None:
        self._kept: list[Sample] = []
        self._newest: Sample | None = None
        self._every_s = 1.0

    def add(self, progress: Progress) -> None:
        """Add the counts of a progress; keep them if the one kept last is old enough."""
        counts = progress.counts
        figures = (counts.documented, counts.failed, counts.total_tokens, round(counts.total_cost, 6))
        self._newest = Sample(round(progress.elapsed_s, 1), *figures)
        if not self._kept or self._newest.elapsed_s - self._kept[-1].elapsed_s >= self._every_s:
            self._kept.append(self._newest)
        if len(self._kept) >= MAX_SAMPLES:
            self._kept = self._kept[::2]
            self._every_s *= 2

    def samples(self) -> tuple[Sample, ...]:
        """Return the samples that are kept, and the newest."""
        kept = tuple(self._kept)
        return kept if self._newest is None or kept[-1:] == (self._newest,) else (*kept, self._newest)


async def load_timeline(storage: Storage, run_name: str) -> tuple[Start, ...]:
    """Return the starts of a run; () where none was recorded. Raises StorageError."""
    stored = await storage.read(timeline_key(run_name))
    try:
        return _starts.validate_json(stored.body) if stored else ()
    except ValidationError:
        log.warning("%s is not of this version: the run's course over time is unknown", timeline_key(run_name))
        return ()


@contextlib.asynccontextmanager
async def recorded(report: ProgressSink, storage: Storage, run_name: str) -> AsyncIterator[ProgressSink]:
    """Yield a sink that passes progress on to `report` and records it."""
    course, began_at = Sampler(), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    before: Sequence[Start] = ()
    with contextlib.suppress(StorageError):
        before = (await load_timeline(storage, run_name))[1 - MAX_STARTS :]

    def record(progress: Progress) -> None:
        course.add(progress)
        report(progress)

    async def write() -> None:
        try:
            await storage.write(timeline_key(run_name), _starts.dump_json((*before, Start(began_at, course.samples()))))
        except StorageError as error:
            log.info("the course of the run is not recorded: %s", error)

    async def keep_writing() -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await write()

    writing = asyncio.create_task(keep_writing())
    try:
        yield record
    finally:
        writing.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WRITE_S):
                await write()
