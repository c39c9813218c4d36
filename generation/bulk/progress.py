"""Where a run stands, as a record that tells all: what engines report and displays show.

An engine is `async def run(run, storage, settings, report, stopping)`: it brings every source of the run to its merged
results, calls `report` with a `Progress` whenever something has changed, and returns early once `stopping` is set, with
everything in the store that whoever resumes the run needs. It raises JobError, with one sentence, where the whole run
cannot go on: a key that is refused, a store that is away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from generation.bulk.manifest import Division, Summary
from generation.domain.usage import NO_COUNTS, Counts


@dataclass(frozen=True, slots=True)
class Progress:
    """Cumulative. Sources that have not been divided yet are in `sources` only: their symbols are not known."""

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
    note: str = ""

    @property
    def left_s(self) -> float | None:
        """Seconds until all known symbols are done, at the mean pace so far; None where nothing is done yet."""
        done = self.counts.done
        return self.elapsed_s / done * max(0, self.symbols - done) if done else None


ProgressSink = Callable[[Progress], None]


@dataclass(slots=True)
class ProgressTracker:
    """Adds up what shards and sources report, and tells it. `live` holds the newest figures of shards in flight."""

    run: str
    engine: str
    sources: int
    report: ProgressSink
    started_s: float = field(default_factory=time.monotonic)
    done: Counts = NO_COUNTS
    live: dict[str, Counts] = field(default_factory=dict)
    symbols: int = 0
    shards: int = 0
    shards_done: int = 0
    sources_done: int = 0
    in_flight: int = 0
    note: str = ""

    def finished_before(self, summary: Summary) -> None:
        """A source was done before this start of the run."""
        self.symbols += summary.symbols
        self.sources_done += 1
        self.done += summary.counts
        self.publish()

    def divided(self, division: Division) -> None:
        """A source has its shards."""
        self.symbols += division.symbols
        self.shards += len(division.shards)
        self.done += Counts(failed=len(division.invalid))
        self.publish()

    def began(self) -> None:
        """A shard is in flight."""
        self.in_flight += 1
        self.publish()

    def watch(self, job_id: str, counts: Counts) -> None:
        """What a shard in flight tells of itself; one that was sent again may begin anew, and is not counted back."""
        before = self.live.get(job_id)
        if before is None or counts.done >= before.done:
            self.live[job_id] = counts
            self.publish()

    def ended(self, job_id: str, counts: Counts) -> None:
        """A shard has its results."""
        self.live.pop(job_id, None)
        self.done += counts
        self.shards_done += 1
        self.in_flight -= 1
        self.publish()

    def publish(self) -> None:
        """Report where the run stands."""
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
                counts=sum(self.live.values(), start=self.done),
                elapsed_s=time.monotonic() - self.started_s,
                note=self.note,
            )
        )
