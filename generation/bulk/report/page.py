"""A run's figures as a page, or two runs side by side. Pure.

Leaves out how a page looks (`pages`). What is not recorded is said on the page, in a sentence.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

from generation.bulk.report.figures import Figures, NamedSymbol
from generation.bulk.report.timeline import Sample
from generation.pages.blocks import Bars, Block, Line, Note, Page, Section, Table

# Upper bounds of the bars of latencies, in seconds: about even on a logarithmic scale.
LATENCY_BOUNDS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)


def run_page(runs: Sequence[Figures]) -> Page:
    """Return the page of one run or more."""
    names = [one.run.name for one in runs]
    columns = [list(_key_figures(one)) for one in runs]
    rows = [(cells[0][0], *(value for _, value in cells)) for cells in zip(*columns, strict=True)]
    sections = [
        Section(title, [make(one) for one in runs])
        for title, make in (
            ("Over time", _over_time),
            ("Latency", _latency),
            ("Failures by cause", _failures),
            ("Checks", _checks),
            ("Slowest symbols", _slowest),
            ("Dearest symbols", _dearest),
        )
    ]
    notes = [f"{one.run.name}: {note}" if len(runs) > 1 else note for one in runs for note in _notes(one)]
    return Page(f"Run {' and '.join(names)}", names, rows, sections, notes)


def _key_figures(one: Figures) -> Iterator[tuple[str, str]]:
    counts, usage = one.survey.counts, one.usage
    yield "engine", one.run.engine
    yield "model", ", ".join(sorted(one.models)) or "not known before the first results"
    yield "began", one.starts[0].began_at if one.starts else "not recorded"
    yield "at work", _duration(_active_s(one)) if one.starts else "not recorded"
    yield "sources finished", f"{one.survey.sources_finished:,} of {one.survey.sources:,}"
    yield "symbols documented", f"{counts.documented:,} of {one.survey.symbols:,}"
    yield (
        "of these by a model, offline, earlier",
        ", ".join(f"{one.origins[origin]:,}" for origin in ("model", "offline", "previous")),
    )
    yield "symbols failed", f"{counts.failed:,}"
    yield "cost", _usd(counts.total_cost)
    yield "cost of a symbol", _usd(counts.total_cost / counts.documented) if counts.documented else "none"
    yield "tokens", f"{counts.total_tokens:,}"
    yield "input tokens, cached of these", f"{usage.input_tokens:,}, {usage.cached_input_tokens:,}"
    yield "output tokens, reasoning of these", f"{usage.output_tokens:,}, {usage.reasoning_tokens:,}"
    yield "requests, repeated, timed out", f"{usage.requests:,}, {usage.retries:,}, {usage.timeouts:,}"
    yield "latency: median, 95 %, longest", _latency_text(one)
    yield "summaries that pass all checks", _share(one.passed_all, one.checked)


def _over_time(one: Figures) -> list[Block]:
    points = course(one)
    if not points:
        return [Note("The course of this run over time was not recorded.")]

    def line(title: str, figure: Callable[[Sample], float], text: Callable[[float], str]) -> Line:
        figures = accumulate((figure(sample) for _, sample in points), max)
        return Line(title, [(at_s, y) for (at_s, _), y in zip(points, figures, strict=True)], _duration, text)

    return [
        line("Cost", lambda sample: sample.total_cost, _usd),
        line("Tokens", lambda sample: sample.total_tokens, _count),
        line("Symbols with an outcome", lambda sample: sample.documented + sample.failed, _count),
    ]


def course(one: Figures) -> list[tuple[float, Sample]]:
    """Return the samples of all starts, each at its second of the time that the run was at work."""
    points: list[tuple[float, Sample]] = []
    before_s = 0.0
    for start in one.starts:
        points += [(before_s + sample.elapsed_s, sample) for sample in start.samples]
        before_s = points[-1][0] if points else 0.0
    return points


def _active_s(one: Figures) -> float:
    points = course(one)
    return points[-1][0] if points else 0.0


def _latency(one: Figures) -> list[Block]:
    if not one.latencies:
        return [Note("No latency was recorded.")]
    counts = [0] * (len(LATENCY_BOUNDS_S) + 1)
    for latency_ms in one.latencies:
        counts[bisect.bisect_left(LATENCY_BOUNDS_S, latency_ms / 1_000)] += 1
    bounds = [f"up to {bound:g} s" for bound in LATENCY_BOUNDS_S]
    labels = [*bounds, f"above {LATENCY_BOUNDS_S[-1]:g} s"]
    rows = [(label, float(count), f"{count:,}") for label, count in zip(labels, counts, strict=True)]
    return [Bars("Summaries by the time that their request took", rows)]


def quantile(values: Sequence[int], share: float) -> int:
    """Return a quantile of sorted values that are not empty: the smallest one that has so many at or below it.

    >>> quantile([10, 20, 30, 40], 0.5), quantile([10, 20, 30, 40], 0.95)
    (20, 40)
    """
    return values[max(0, math.ceil(len(values) * share) - 1)]


def _latency_text(one: Figures) -> str:
    if not one.latencies:
        return "not recorded"
    ordered = sorted(one.latencies)
    return ", ".join(f"{value / 1_000:.2f} s" for value in (*(quantile(ordered, q) for q in (0.5, 0.95)), ordered[-1]))


def _failures(one: Figures) -> list[Block]:
    return [_counted("Symbols without a summary", one.survey.failures) if one.survey.failures else Note("None failed.")]


def _checks(one: Figures) -> list[Block]:
    if not one.checked:
        return [Note("No summary was checked: only what a model wrote is.")]
    said = f"{one.passed_all:,} of {one.checked:,} summaries pass all checks; {one.rejected:,} were rejected."
    found = _counted("Summaries by the check that found fault", one.findings) if one.findings else Note("No findings.")
    return [Note(said), found]


def _counted(title: str, counts: Mapping[str, int]) -> Bars:
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Bars(title, [(name, float(count), f"{count:,}") for name, count in rows], len(rows))


def _slowest(one: Figures) -> list[Block]:
    if not one.slowest:
        return [Note("No latency was recorded.")]
    return [_symbols("Time of the request", one.slowest, lambda seconds: f"{seconds:.2f} s", len(one.latencies))]


def _dearest(one: Figures) -> list[Block]:
    if not one.dearest:
        return [Note("No symbol has cost anything.")]
    return [_symbols("Cost, repeated requests included", one.dearest, _usd, 0)]


def _symbols(title: str, heap: Sequence[NamedSymbol], text: Callable[[float], str], total: int) -> Table:
    largest = sorted(heap, key=lambda one: (-one.figure, one.symbol_id))
    rows = [(one.symbol_id, text(one.figure), one.source) for one in largest]
    return Table(title, ("symbol", "figure", "source"), rows, total)


def _notes(one: Figures) -> Iterator[str]:
    if one.sources_read < one.survey.sources:
        read = f"{one.sources_read:,} of {one.survey.sources:,} sources"
        yield f"Only {read} have results so far: latencies, checks and single symbols are of these."
    if not one.starts:
        yield "When what was done was not recorded: the run was made by an earlier version."
    by_model = one.origins["model"]
    if one.run.engine == "batch":
        yield "OpenAI's Batch API tells no latency of a single request."
    elif len(one.latencies) < by_model:
        yield f"{by_model - len(one.latencies):,} summaries have no latency: they are of an earlier version."
    if one.origins["previous"]:
        yield f"{one.origins['previous']:,} summaries were taken over: what they cost and took is in earlier results."


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _usd(amount: float) -> str:
    return f"${amount:,.6f}" if amount < 0.01 else f"${amount:,.4f}"  # noqa: PLR2004 - a cent


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({100 * part / whole:.1f} %)" if whole else "none was checked"
