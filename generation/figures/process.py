"""The figures of all jobs of a process, since its start: what `GET /stats` returns and `GET /metrics` is made from.

A job counts as it runs (`job`) and is added to the sum when it ends. Nothing here has an id, and every label
is one of a few words. Leaves out: how figures are written for Prometheus (`service.metrics`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from time import monotonic
from typing import Final, cast, get_args

from generation.domain.output import EndStatus, Stats
from generation.figures.job import CACHES, REQUEST_OUTCOMES, TOKEN_KINDS, VERDICTS, JobFigures, by_step

JOB_STATUSES: Final = get_args(EndStatus)
SECONDS_BUCKETS: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0)
USD_BUCKETS: Final = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 25.0, 100.0)
# Codes of failures are a few dozen words of the code. Should one ever hold anything else, its labels stay bounded.
MAX_FAILURES = 200
OTHER = ("other", "other")


@dataclass(slots=True)
class Histogram:
    """Counts of values by the smallest bound that is not below them; the last count is that of larger values."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """Return how many values were counted."""
        return sum(self.counts)

    def cumulative(self) -> list[tuple[str, int]]:
        """Return how many values are not above each bound, as Prometheus has it; the last bound is +Inf."""
        return list(zip([*map(str, self.bounds), "+Inf"], accumulate(self.counts), strict=True))

    def record(self) -> dict[str, float]:
        """Return the number, the sum and the average of the values."""
        average = self.total / self.count if self.count else 0.0
        return {"count": self.count, "sum": round(self.total, 6), "average": round(average, 6)}


@dataclass
class ProcessFigures:
    """The figures of a process. Belongs to one event loop.

    `stored` is how many jobs in a shared store nobody runs yet, as this process has seen last.
    """

    jobs: Counter[tuple[str, str]] = field(default_factory=Counter)
    stored: int = 0
    job_seconds: dict[str, Histogram] = field(default_factory=dict)
    step_seconds: dict[str, Histogram] = field(default_factory=dict)
    job_usd: Histogram = field(default_factory=lambda: Histogram(USD_BUCKETS))
    _waiting: int = 0
    _ended: JobFigures = field(default_factory=JobFigures)
    _ended_usd: float = 0.0
    _running: list[JobFigures] = field(default_factory=list)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count a job that waits for its turn, while the block runs."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @contextmanager
    def job(self, kind: str) -> Iterator[tuple[JobFigures, list[str]]]:
        """Count a job of a kind ("symbols" or "repository") that runs in the block.

        Yield its figures, and a list for its status; without one its status is `cancelled`.
        """
        figures, status = JobFigures(), list[str]()
        self._running.append(figures)
        started_s = monotonic()
        try:
            yield figures, status
        finally:
            self._running.remove(figures)
            self.jobs[kind, status[-1] if status else "cancelled"] += 1
            self.job_seconds.setdefault(kind, Histogram(SECONDS_BUCKETS)).add(monotonic() - started_s)
            self._add(figures)

    def add(self, kind: str, status: str, figures: JobFigures) -> None:
        """Count a job of a kind that another worker has run."""
        self.jobs[kind, status if status in JOB_STATUSES else "error"] += 1
        self._add(figures)

    def _add(self, figures: JobFigures) -> None:
        for step, seconds in figures.seconds.items():
            self.step_seconds.setdefault(step, Histogram(SECONDS_BUCKETS)).add(seconds)
        if figures.requests:
            self.job_usd.add(figures.cost_usd)
        self._ended_usd += figures.cost_usd
        ended = self._ended
        for mine, its in (
            (ended.requests, figures.requests),
            (ended.verdicts, figures.verdicts),
            (ended.cache_hits, figures.cache_hits),
        ):
            mine.update(its)
        for place, count in figures.failures.items():
            is_known = place in ended.failures or len(ended.failures) < MAX_FAILURES
            ended.failures[place if is_known else OTHER] += count
        ended.usage += figures.usage

    @property
    def queued(self) -> int:
        """Return how many jobs wait."""
        return self._waiting + self.stored

    @property
    def running(self) -> int:
        """Return how many jobs run."""
        return len(self._running)

    @property
    def in_flight(self) -> int:
        """Return how many requests to the model are in flight."""
        return sum(figures.in_flight for figures in self._running)

    def cost_usd(self) -> float:
        """Return what all requests have cost, in USD."""
        return round(self._ended_usd + sum(figures.cost_usd for figures in self._running), 6)

    def total(self) -> JobFigures:
        """Return the sum of the counts of all jobs, those that run included; without prices and times."""
        total = JobFigures()
        for figures in (self._ended, *self._running):
            total.requests.update(figures.requests)
            total.verdicts.update(figures.verdicts)
            total.failures.update(figures.failures)
            total.cache_hits.update(figures.cache_hits)
            total.usage += figures.usage
        return total

    def record(self) -> Stats:
        """Return all figures as one JSON object."""
        total = self.total()
        statuses = {status: sum(n for (_, one), n in self.jobs.items() if one == status) for status in JOB_STATUSES}
        ended = sum(statuses.values()) - statuses["planned"] - statuses["cancelled"]
        stats = {
            "jobs": statuses,
            "success_rate": round(statuses["success"] / ended, 4) if ended else None,
            "jobs_running": self.running,
            "jobs_queued": self.queued,
            "job_seconds": {kind: one.record() for kind, one in sorted(self.job_seconds.items())},
            "step_seconds": {step: one.record() for step, one in sorted(self.step_seconds.items())},
            "tokens": {kind: total.tokens[kind] for kind in TOKEN_KINDS},
            "cost_usd": self.cost_usd(),
            "job_usd": self.job_usd.record(),
            "errors": by_step(total.failures),
            "requests": {outcome: total.requests[outcome] for outcome in REQUEST_OUTCOMES},
            "requests_in_flight": self.in_flight,
            "summaries": {verdict: total.verdicts[verdict] for verdict in VERDICTS},
            "cache_hits": {cache: total.cache_hits[cache] for cache in CACHES},
        }
        return cast("Stats", stats)
