"""Display of a run's progress: a bar on a terminal, else lines of text, or JSON lines on request.

A display is a function that takes every `Progress` and shows some of them. The output streams are parameters.
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
    """Yield the display for a stream; with `write_record`, one that writes JSON records instead."""
    if write_record is not None:
        yield _spaced(lambda progress: write_record(_as_record(progress)), RECORD_EVERY_S)
    elif stream.isatty():
        with _bar(stream) as report:
            yield report
    else:
        yield _spaced(lambda progress: _write_line(stream, progress), LINE_EVERY_S)


def _spaced(show: ProgressSink, every_s: float) -> ProgressSink:
    """Limit a display to one progress every `every_s` seconds; always show a new note, and the end."""
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
    return json.dumps({"type": PROGRESS, **record})


def _write_line(stream: TextIO, progress: Progress) -> None:
    stream.write(f"{as_line(progress)}\n")
    stream.flush()


def as_line(progress: Progress) -> str:
    """Return a progress as one line of text."""
    return f"{progress.run}: {_short(progress)}, {_details(progress)}"


def _short(progress: Progress) -> str:
    """Return what fits beside a bar on a narrow terminal: symbols and the time left."""
    return f"{progress.counts.done:,}/{counted(progress.symbols, 'symbol')}, {_time_left(progress.left_s)}"


def _details(progress: Progress) -> str:
    parts = [
        f"{progress.counts.failed:,} failed",
        f"${progress.counts.total_cost:.4f}",
        f"sources {progress.sources_done}/{progress.sources}",
        f"shards {progress.shards_done}/{progress.shards} ({progress.in_flight} in flight)",
        counted(progress.counts.total_tokens, "token"),
        *([progress.note] if progress.note else []),
    ]
    return ", ".join(parts)


def _time_left(seconds: float | None) -> str:
    if seconds is None:
        return "time left unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left"


@contextmanager
def _bar(stream: TextIO) -> Iterator[ProgressSink]:
    """Yield a display that shows a bar of symbols and, beside it, the progress as text."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    cut_off = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    columns = (
        BarColumn(15),
        TaskProgressColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[details]}", markup=False, table_column=cut_off),
    )
    with Bar(*columns, console=Console(file=stream), transient=True, expand=True) as bar:
        task = bar.add_task("", total=None, details="")

        def report(progress: Progress) -> None:
            done, texts = progress.counts.done, (_short(progress), _details(progress))
            bar.update(task, total=progress.symbols or None, completed=done, description=texts[0], details=texts[1])

        yield report


def counted(count: int, noun: str, ending: str = "s") -> str:
    """Return a number with its noun, in the singular for one.

    >>> counted(1, "source"), counted(2_000, "source"), counted(2, "batch", "es")
    ('1 source', '2,000 sources', '2 batches')
    """
    return f"{count:,} {noun}{'' if count == 1 else ending}"


def summary_lines(survey: Survey, place: str, command: str) -> list[str]:
    """Return the lines of a run's summary; `place` is where its results are, `command` what starts this command."""
    sources = counted(survey.sources, "source")
    lines = [
        f"run {survey.run} via {survey.engine}: {survey.sources_finished} of {sources} finished",
        f"  {survey.counts.documented:,} of {counted(survey.symbols, 'symbol')} documented"
        + (f", {survey.taken_over:,} of them taken over from earlier results" if survey.taken_over else ""),
        f"  {counted(survey.counts.total_tokens, 'token')}, ${survey.counts.total_cost:.6f}",
    ]
    if survey.failures:
        causes = ", ".join(f"{failure} {count:,}" for failure, count in survey.failures.most_common())
        lines.append(f"  {counted(survey.counts.failed, 'symbol')} failed: {causes}")
        lines += [f"    {one.symbol_id} ({one.failure}): {one.message}" for one in survey.failed]
        if survey.counts.failed > len(survey.failed) > 0:
            lines.append(f"    and {survey.counts.failed - len(survey.failed):,} more, in the results")
    lines += [f"  {name} could not be read: {fault}" for name, fault in survey.faults.items()]
    if survey.open_shards or survey.sources_not_begun:
        shards, waiting = counted(survey.open_shards, "shard"), counted(survey.sources_not_begun, "source")
        lines.append(f"  {shards} without results, {waiting} not begun; to go on: {command} resume {survey.run}")
    elif survey.sources_finished < survey.sources:
        lines.append(f"  to ask again for symbols that failed for a temporary cause: {command} resume {survey.run}")
    if survey.has_results:
        lines.append(f"  results: {place}")
    return lines


def plan_lines(plans: Sequence[SourcePlan]) -> list[str]:
    """Return the lines of a cost estimate: one for each source, and the totals."""
    total = sum(plan.cost_usd for plan in plans)
    lines = [_plan_line(plan) for plan in plans]
    symbols = sum(plan.symbols for plan in plans)
    lines.append(f"{counted(len(plans), 'source')}, {counted(symbols, 'symbol')}:")
    lines.append(f"  --via runpod or local: ${total:.4f}")
    lines.append(f"  --via batch:           ${total / 2:.4f}")
    return lines


def _plan_line(plan: SourcePlan) -> str:
    if plan.fault:
        return f"{plan.name} could not be read: {plan.fault}"
    symbols = f"{counted(plan.symbols, 'symbol')} ({plan.known:,} known, {plan.invalid:,} invalid)"
    tokens = f"{plan.input_tokens:,} input and {plan.output_tokens:,} output tokens"
    return f"{plan.name}: {symbols}, {counted(plan.requests, 'request')}, {tokens}, ${plan.cost_usd:.4f}"
