"""Reports of runs: figures worked by hand, and the course of a run over time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from generation.bulk.manifest import Run
from generation.bulk.progress import Progress
from generation.bulk.report.figures import MAX_NAMED_SYMBOLS, Figures
from generation.bulk.report.page import course, run_page
from generation.bulk.report.timeline import MAX_SAMPLES, Sample, Sampler, Start, load_timeline, recorded
from generation.bulk.status import Survey
from generation.config import Settings
from generation.domain.usage import Counts
from generation.errors import StorageError
from generation.pages.html import render_page
from generation.results.report import as_json
from generation.results.reuse import read_results
from generation.storage import open_storage
from generation.storage.keys import timeline_key
from tests.support.pages import check_harmless

HASH = "0" * 32


def progress(elapsed_s: float, documented: int) -> Progress:
    return Progress(
        "r", "local", counts=Counts(documented, 0, 10 * documented, documented / 1_000), elapsed_s=elapsed_s
    )


def test_the_course_of_a_long_run_is_kept_in_few_samples() -> None:
    """However often progress comes, a start keeps a bounded number of samples, the first and the newest among them."""
    kept = Sampler()
    for number in range(100_001):
        kept.add(progress(number / 2, number))
    samples = kept.samples()

    assert len(samples) <= MAX_SAMPLES + 1
    assert (samples[0].elapsed_s, samples[-1].documented) == (0.0, 100_000)
    gaps = [later.elapsed_s - one.elapsed_s for one, later in pairwise(samples)]
    assert max(gaps) <= 2 * min(gaps[:-1]), "they are evenly spaced"


def test_each_start_of_a_run_is_recorded(tmp_path: Path) -> None:
    """Two starts stand one after the other, and every progress is passed on; a store that fails harms nothing."""
    storage = open_storage(Settings.from_env({"MODEL_NAME": "offline", "RESULTS_DIR": str(tmp_path)}))
    told: list[Progress] = []

    async def run(*reports: Progress) -> None:
        async with recorded(told.append, storage, "r") as report:
            for one in reports:
                report(one)

    async def starts() -> tuple[Start, ...]:
        return await load_timeline(storage, "r")

    asyncio.run(run(progress(0.0, 1), progress(4.0, 5)))
    asyncio.run(run(progress(0.0, 2)))
    first, second = asyncio.run(starts())
    assert first.samples == (Sample(0.0, 1, 0, 10, 0.001), Sample(4.0, 5, 0, 50, 0.005))
    assert [sample.documented for sample in second.samples] == [2]
    assert len(told) == 3

    [path] = tmp_path.rglob(Path(timeline_key("r")).name)
    path.write_text("{", encoding="utf-8")
    assert asyncio.run(starts()) == ()


def test_a_store_that_is_away_does_not_disturb_the_run() -> None:
    """Progress is shown and the run goes on, though nothing of its course can be read or written."""

    class Away:
        async def read(self, key: str) -> None:
            raise StorageError("away")

        async def write(self, key: str, body: bytes) -> None:
            raise StorageError("away")

    told: list[Progress] = []

    async def run() -> None:
        async with recorded(told.append, Away(), "r") as report:  # type: ignore[arg-type]
            report(progress(0.0, 1))

    asyncio.run(run())
    assert len(told) == 1


def record(number: int, **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 1_000 * number, "requests": 1}
    base = {"symbol_id": f"s{number:03}", "summary": "Adds.", "tokens_used": 1, "source": "model", "content_hash": HASH}
    return {**base, "usage": usage, "latency_ms": 100 * number, **more}


def figures(name: str, count: int, **more: Any) -> Figures:
    documented = [record(number, **more) for number in range(1, count + 1)]
    failed = [{"symbol_id": "bad", "file_path": None, "failure": "refused", "message": "no", "usage": {"requests": 2}}]
    document = {
        "model": "gpt-5-nano",
        "pricing": {"input_per_1m": 1.0, "cached_input_per_1m": 0.1, "output_per_1m": 2.0},
        "usage": {"input_tokens": 500 * count * (count + 1), "requests": count + 2},
        "checks": {"checked": count, "passed_all": count - 1, "rejected": 0, "findings": {"filler": 1}},
        "documented_symbols": documented,
        "failed_symbols": failed,
    }
    results = read_results(as_json(document))
    assert results is not None
    survey = Survey(name, "local", 1, sources_finished=1, symbols=count + 1, counts=Counts(count, 1, 5, 0.25))
    survey.failures.update({"refused": 1})
    found = Figures(Run(name, "local", ()), survey)
    found.add("a", results.document, results.records)
    return found


def test_a_report_has_the_figures_of_the_results() -> None:
    """Median, tail, slowest and dearest symbols, failures and checks are those of the records, worked by hand."""
    one = figures("r", 100)
    one.starts = (Start("2026-11-27T10:00:00Z", (Sample(0.0, 0, 0, 0, 0.0), Sample(3_661.0, 100, 1, 5, 0.25))),)
    words = check_harmless(render_page(run_page([one]))).words

    assert "latency: median, 95 %, longest 5.00 s, 9.50 s, 10.00 s" in words
    assert "at work 1:01:01" in words
    assert "cost $0.2500" in words
    assert "summaries that pass all checks 99 of 100 (99.0 %)" in words
    assert "requests, repeated, timed out 102, 0, 0" in words
    assert "Slowest symbols Time of the request symbol figure source s100 10.00 s a s099 9.90 s a" in words
    assert f"and {100 - MAX_NAMED_SYMBOLS} more" in words
    assert (
        "Dearest symbols Cost, repeated requests included symbol figure source s100 $0.1000 a s099 $0.0990 a" in words
    )
    assert "Symbols without a summary refused 1" in words
    assert "up to 10 s 50" in words
    assert "not recorded" not in words


def test_two_runs_stand_side_by_side_and_what_is_missing_is_said() -> None:
    """Each figure has a column for each run; a run of an earlier version says what was not recorded then."""
    old = figures("old", 3, latency_ms=None)
    page = run_page([figures("new", 5), old])
    assert [row for row in page.figures if row[0] == "symbols documented"] == [
        ("symbols documented", "5 of 6", "3 of 4")
    ]
    words = check_harmless(render_page(page)).words
    assert "The course of this run over time was not recorded." in words
    assert "old: 3 summaries have no latency: they are of an earlier version." in words


def test_a_run_that_goes_on_has_one_line() -> None:
    """Samples of a second start follow the first, at the time that the run was at work; a line never falls."""
    one = figures("r", 1)
    first = (Sample(0.0, 0, 0, 0, 0.0), Sample(10.0, 8, 0, 80, 0.8))
    one.starts = (Start("t", first), Start("t", (Sample(0.0, 0, 0, 0, 0.0), Sample(5.0, 9, 0, 90, 0.9))))
    assert [at_s for at_s, _ in course(one)] == [0.0, 10.0, 10.0, 15.0]
    [over_time, *_] = run_page([one]).sections
    cost = over_time.sides[0][0]
    assert getattr(cost, "points", None) == [(0.0, 0.0), (10.0, 0.8), (10.0, 0.8), (15.0, 0.9)]


@pytest.mark.parametrize("engine", ["batch", "local"])
def test_a_batch_says_that_it_has_no_latency(engine: Any) -> None:
    """OpenAI's Batch API tells none, which is no fault of an earlier version."""
    one = figures("r", 2, latency_ms=None)
    one.run = Run("r", engine, ())
    said = " ".join(run_page([one]).notes)
    assert ("Batch API tells no latency" in said) == (engine == "batch")
    assert ("earlier version" in said.replace("made by an earlier version", "")) == (engine == "local")
