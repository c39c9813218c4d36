"""A run as people see it, or programs: a bar where there is a terminal, else lines; JSON lines where asked for.

A display is a function that takes a `Progress`, as often as there is one, and decides what is worth showing. Leaves out
where it is shown: the door hands in what to write with.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TextIO

from generation.bulk.estimate import SourcePlan
from generation.bulk.progress import Progress, ProgressSink
from generation.bulk.status import Survey

Write = Callable[[str], None]

LINE_EVERY_S = 10.0
RECORD_EVERY_S = 1.0
PROGRESS = "bulk.progress.v1"


@contextmanager
def shown(stream: TextIO, write_record: Write | None) -> Iterator[ProgressSink]:
    """The display for a stream: records where there is something to write them with."""
    if write_record is not None:
        yield _spaced(lambda progress: write_record(_as_record(progress)), RECORD_EVERY_S)
    elif stream.isatty():
        with _bar(stream) as report:
            yield report
    else:
        yield _spaced(lambda progress: _write_line(stream, progress), LINE_EVERY_S)


def _spaced(show: ProgressSink, every_s: float) -> ProgressSink:
    """Show a progress at most so often, and always a new note and the end."""
    shown_at_s = [float("-inf")]
    newest_note = [""]

    def report(progress: Progress) -> None:
        now_s = time.monotonic()
        is_over = progress.sources_done == progress.sources
        if is_over or progress.note != newest_note[0] or now_s - shown_at_s[0] >= every_s:
            shown_at_s[0], newest_note[0] = now_s, progress.note
            show(progress)

    return report


def _as_record(progress: Progress) -> str:
    flat = {**asdict(progress), **asdict(progress.counts)}
    record = {key: round(value, 6) if isinstance(value, float) else value for key, value in flat.items()}
    del record["counts"]
    left_s = None if progress.left_s is None else round(progress.left_s, 1)
    return json.dumps({"type": PROGRESS, **record, "left_s": left_s})


def _write_line(stream: TextIO, progress: Progress) -> None:
    stream.write(f"{as_line(progress)}\n")
    stream.flush()


def as_line(progress: Progress) -> str:
    """A progress in one line."""
    parts = [
        f"sources {progress.sources_done}/{progress.sources}",
        f"shards {progress.shards_done}/{progress.shards} ({progress.in_flight} in flight)",
        f"symbols {progress.counts.done:,}/{progress.symbols:,} ({progress.counts.failed:,} failed)",
        f"{progress.counts.total_tokens:,} tokens",
        f"${progress.counts.total_cost:.4f}",
        _time_left(progress.left_s),
        *([progress.note] if progress.note else []),
    ]
    return f"{progress.run}: {', '.join(parts)}"


def _time_left(seconds: float | None) -> str:
    if seconds is None:
        return "time left unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left"


@contextmanager
def _bar(stream: TextIO) -> Iterator[ProgressSink]:
    """A bar of symbols, with the figures of the line below it."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
    with Bar(*columns, console=Console(file=stream), transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(progress: Progress) -> None:
            done = progress.counts.done
            bar.update(task, total=progress.symbols or None, completed=done, description=as_line(progress))

        yield report


def summary_lines(survey: Survey, place: str) -> list[str]:
    """A run's end, or how far it is, for people."""
    lines = [
        f"run {survey.run} via {survey.engine}: {survey.sources_finished} of {survey.sources} sources finished",
        f"  {survey.counts.documented:,} of {survey.symbols:,} symbols documented"
        + (f", {survey.taken_over:,} of them taken over from earlier results" if survey.taken_over else ""),
        f"  {survey.counts.total_tokens:,} tokens, ${survey.counts.total_cost:.6f}",
    ]
    if survey.failures:
        causes = ", ".join(f"{failure} {count:,}" for failure, count in survey.failures.most_common())
        lines.append(f"  {survey.counts.failed:,} symbols failed: {causes}")
    lines += [f"  {name} could not be read: {fault}" for name, fault in survey.faults.items()]
    if survey.open_shards or survey.sources_not_begun:
        waiting = f"{survey.open_shards} shards without results, {survey.sources_not_begun} sources not begun"
        lines.append(f"  {waiting}: `resume {survey.run}` goes on")
    elif survey.sources_finished < survey.sources:
        lines.append(f"  symbols that failed for a passing cause: `resume {survey.run}` asks for them again")
    lines.append(f"  results: {place}")
    return lines


def plan_lines(plans: Sequence[SourcePlan]) -> list[str]:
    """What sources would cost, for people: a line each, and their sum."""
    total = sum(plan.cost_usd for plan in plans)
    lines = [
        f"{plan.name}: {plan.symbols:,} symbols ({plan.known:,} known, {plan.invalid:,} invalid), {plan.requests:,} "
        f"requests, {plan.input_tokens:,} input and {plan.output_tokens:,} output tokens, ${plan.cost_usd:.4f}"
        if not plan.fault
        else f"{plan.name} could not be read: {plan.fault}"
        for plan in plans
    ]
    symbols = sum(plan.symbols for plan in plans)
    lines.append(f"{len(plans)} sources, {symbols:,} symbols:")
    lines.append(f"  --via runpod or local: ${total:.4f}")
    lines.append(f"  --via batch:           ${total / 2:.4f}")
    return lines
