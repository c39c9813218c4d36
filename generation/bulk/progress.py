"""The progress of a run, which engines report and displays show.

An engine is `async def run(run, storage, settings, report, stopping)`. It documents every source of the run and writes
its merged results, and calls `report` with a `Progress` whenever something has changed. Once `stopping` is set it
returns early, with everything in the store that resuming the run needs. It raises JobError, with one sentence, where
the whole run cannot continue, for example because a key is rejected or the store is unavailable.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from generation.bulk.manifest import Division, Summary
from generation.domain.usage import NO_COUNTS, Counts


@dataclass(frozen=True, slots=True)
class Progress:
    """Cumulative progress. Sources that are not divided yet count in `sources` only: their symbols are unknown."""

    run: str
    engine: str
    sources: int = 0
    sources_done: int = 0
    shards: int = 0
    shards_done: int = 0
    in_flight: int = 0
    symbols: int = 0
    counts: Counts = NO_COUNTS
    elapsed_s: float = 0.0
    left_s: float | None = None
    note: str = ""


ProgressSink = Callable[[Progress], None]


@dataclass(slots=True)
class ProgressTracker:
    """Adds up the counts of shards and sources and reports them; `live` holds the latest counts of shards in flight.

    `at_once` is how many symbols are requested at the same time, by each job at work where `is_per_job`. Where
    `takes_over`, some symbols are taken over from earlier results: at once, and before any other of their job.
    """

    run: str
    engine: str
    sources: int
    report: ProgressSink
    at_once: int = 1
    is_per_job: bool = False
    takes_over: bool = False
    started_s: float = field(default_factory=time.monotonic)
    done: Counts = NO_COUNTS
    live: dict[str, Counts] = field(default_factory=dict)
    symbols: int = 0
    shards: int = 0
    shards_done: int = 0
    sources_done: int = 0
    in_flight: int = 0
    note: str = ""
    clock_s: Callable[[], float] = time.monotonic
    _done_at_start: int = 0
    _work_began_s: float | None = None
    _at_work: set[str] = field(default_factory=set)
    _most_at_work: int = 0

    def finished_before(self, summary: Summary) -> None:
        """Count a source that was finished before this start of the run."""
        self.symbols += summary.symbols
        self.sources_done += 1
        self.done += summary.counts
        self._done_at_start += summary.counts.done
        self.publish()

    def divided(self, division: Division) -> None:
        """Count a source that has been divided into shards."""
        self.symbols += division.symbols
        self.shards += len(division.shards)
        self.done += Counts(failed=len(division.invalid))
        self._done_at_start += len(division.invalid)
        self.publish()

    def began(self) -> None:
        """Count a shard that is now in flight."""
        self.in_flight += 1
        self.publish()

    def found(self, counts: Counts) -> None:
        """Record what earlier starts have done of a shard, before it is worked on; `watch` and `ended` count it."""
        self._done_at_start += counts.done

    def working(self, job_id: str) -> None:
        """Record that a worker has a job, which may have waited in a queue for long."""
        self._work_began_s = self.clock_s() if self._work_began_s is None else self._work_began_s
        self._at_work.add(job_id)
        self._most_at_work = max(self._most_at_work, len(self._at_work))

    def watch(self, job_id: str, counts: Counts) -> None:
        """Record the counts of a shard in flight. Lower ones, of a job that has restarted, are ignored."""
        before = self.live.get(job_id)
        if before is None or counts.done >= before.done:
            self.live[job_id] = counts
            self.publish()

    def ended(self, job_id: str, counts: Counts) -> None:
        """Count a shard that has its results."""
        self.live.pop(job_id, None)
        self._at_work.discard(job_id)
        self.done += counts
        self.shards_done += 1
        self.in_flight -= 1
        self.publish()

    def _left_s(self, done: int) -> float | None:
        """Return the estimated seconds until all known symbols are done; None while it would be a guess.

        The rate is that of this start's own symbols since a worker had its first job, so that neither the time to read
        sources, nor that in a queue, nor what was done before counts. The first wave of requests ends at about the same
        time: until so many symbols are done as are requested at once, the rate is too low by up to that factor. Where
        symbols are taken over, only the end of a shard shows how many are.
        """
        own = done - self._done_at_start
        left = max(0, self.symbols - done)
        if self.sources_done == self.sources:
            return 0.0
        at_once = self.at_once * (self._most_at_work if self.is_per_job else 1)
        if self._work_began_s is None or own < min(at_once, left + own) or own <= 0:
            return None
        if self.takes_over and not self.shards_done:
            return None
        return (self.clock_s() - self._work_began_s) / own * left

    def publish(self) -> None:
        """Report the present progress."""
        counts = sum(self.live.values(), start=self.done)
        self.report(
            Progress(
                run=self.run,
                engine=self.engine,
                sources=self.sources,
                sources_done=self.sources_done,
                shards=self.shards,
                shards_done=self.shards_done,
                in_flight=self.in_flight,
                symbols=self.symbols,
                counts=counts,
                elapsed_s=self.clock_s() - self.started_s,
                left_s=self._left_s(counts.done),
                note=self.note,
            )
        )
