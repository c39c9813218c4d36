"""What a run shows: figures worked by hand, and a bar that fits a terminal."""

from __future__ import annotations

import io

import pytest

from generation.bulk.display import shown, summary_lines
from generation.bulk.manifest import Division, FailedSymbol, Shard, Summary
from generation.bulk.progress import Progress, ProgressTracker
from generation.bulk.status import Survey
from generation.domain.usage import Counts


def shard(number: int) -> Shard:
    return Shard(f"run.0.{number}", (), ())


def test_the_time_left_is_right_from_the_first_wave_on() -> None:
    """100 symbols at 10 at once and 2 s each take 20 s: the first estimate says what is left, within a factor of 2."""
    now_s, told = [0.0], list[Progress]()
    tracker = ProgressTracker("run", "local", 1, told.append, 10, started_s=0.0, clock_s=lambda: now_s[0])
    now_s[0] = 30.0  # it has read its sources for half a minute
    tracker.divided(Division(100, (shard(0),)))
    tracker.began()
    tracker.working("run.0.0")
    estimates = []
    for done in range(1, 101):
        now_s[0] = 30.0 + 2.0 * (1 + (done - 1) // 10)
        tracker.watch("run.0.0", Counts(documented=done))
        if told[-1].left_s is not None:
            estimates.append((told[-1].left_s, 50.0 - now_s[0]))
    first, truth = estimates[0]

    assert truth / 2 <= first <= truth * 2
    assert len(estimates) == 91, "there is no estimate before as many symbols are done as are requested at once"
    assert all(truth / 2 - 0.1 <= left <= truth * 2 + 3 for left, truth in estimates)


def test_what_was_done_before_does_not_count_as_speed() -> None:
    """A run that goes on estimates by its own symbols alone."""
    now_s, told = [0.0], list[Progress]()
    tracker = ProgressTracker("run", "local", 2, told.append, 1, started_s=0.0, clock_s=lambda: now_s[0])
    tracker.finished_before(Summary(1_000, 1_000, 0, {}, 1, 0.1))
    tracker.divided(Division(300, (shard(0), shard(1))))
    tracker.began()
    tracker.found(Counts(documented=200))
    tracker.ended("run.0.0", Counts(documented=200))
    tracker.began()
    tracker.working("run.0.1")
    now_s[0] = 10.0
    tracker.watch("run.0.1", Counts(documented=10))

    assert told[-1].left_s == 90.0


@pytest.mark.parametrize("workers", [1, 5])
def test_the_time_left_on_runpod_is_right_though_workers_start_late(workers: int) -> None:
    """Time in RunPod's queue does not count, and each worker has a first wave: 10 at once, 2 s each."""
    now_s, told = [0.0], list[Progress]()
    tracker = ProgressTracker(
        "run", "runpod", 1, told.append, 10, is_per_job=True, started_s=0.0, clock_s=lambda: now_s[0]
    )
    jobs = [f"run.0.{number}" for number in range(10)]
    tracker.divided(Division(1_000, tuple(map(shard, range(10)))))
    for _ in jobs:
        tracker.began()
    cold_start_s, job_s = 60.0, 20.0
    over_s = cold_start_s + job_s * len(jobs) / workers
    first = None
    for look in range(int(over_s) - 1):
        now_s[0] = look + 0.9
        for number, job in enumerate(jobs):
            began_s = cold_start_s + job_s * (number // workers)
            if began_s <= now_s[0]:
                tracker.working(job)
                tracker.watch(job, Counts(documented=min(100, 10 * int((now_s[0] - began_s) / 2))))
            if first is None and told[-1].left_s is not None:
                first = (told[-1].left_s, over_s - now_s[0])

    assert first is not None
    assert first[1] / 2 <= first[0] <= first[1] * 2
    assert first[1] > job_s, "it comes long before the end"


def test_what_is_taken_over_says_nothing_of_the_speed() -> None:
    """With earlier results there is no estimate before a shard has ended, which shows how many are taken over."""
    now_s, told = [0.0], list[Progress]()
    tracker = ProgressTracker(
        "run", "local", 1, told.append, 10, takes_over=True, started_s=0.0, clock_s=lambda: now_s[0]
    )
    tracker.divided(Division(200, (shard(0), shard(1))))
    tracker.began()
    tracker.working("run.0.0")
    tracker.watch("run.0.0", Counts(documented=90))
    assert told[-1].left_s is None
    now_s[0] = 10.0
    tracker.ended("run.0.0", Counts(documented=100))
    assert told[-1].left_s == 10.0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_fits_a_terminal_of_80_columns() -> None:
    """The short part stands first, and what does not fit is cut off at the end of the line."""
    stream = Terminal()
    progress = Progress("a-run-of-a-rather-long-name", "local", 12, 3, 40, 9, 4, 8_000, Counts(4_000, 7), left_s=83.0)
    with shown(stream, None) as report:
        report(progress)
    lines = [line for line in stream.getvalue().replace("\r", "\n").split("\n") if "symbols" in line]

    assert lines
    assert "4,007/8,000 symbols, 0:01:23 left" in lines[-1]
    assert lines[-1].index("symbols") < lines[-1].index("failed")


def test_the_first_failed_symbols_are_shown_with_their_cause() -> None:
    """Each with its code and sentence, and how to ask again as it must be typed; no path where nothing is stored."""
    survey = Survey("r", "local", 2, sources_not_begun=1, symbols=9, counts=Counts(2, 7))
    survey.failures.update({"refused": 7})
    survey.failed.append(FailedSymbol("a.py:f", "refused", "the model refused"))

    assert summary_lines(survey, "results/r", "doctown-bulk") == [
        "run r via local: 0 of 2 sources finished",
        "  2 of 9 symbols documented",
        "  0 tokens, $0.000000",
        "  7 symbols failed: refused 7",
        "    a.py:f (refused): the model refused",
        "    and 6 more, in the results",
        "  0 shards without results, 1 source not begun; to go on: doctown-bulk resume r",
    ]
