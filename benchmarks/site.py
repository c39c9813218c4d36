"""The site of a large pack in headless Chromium: how soon it is there, how fast it searches, what it takes.

    python -m benchmarks.site [--pack FILE]

The pack is of sympy's source distribution, built without a model by words; `--pack` takes one that is there. Its site
is written by the command and opened as a file, each time in a new browser: the overview, then the search, typed as
people type, one key after the other. The viewer marks when content is there and when names can be searched, and
measures from each key to the results on the screen. A whole run writes the table of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, CDPSession, Page

from benchmarks.builds import PROGRAM
from benchmarks.graph.sources import lay
from benchmarks.processes import ENVIRONMENT, REPOSITORY
from doctown.docpack import read_manifest
from tests.support.browser import LIMIT_MS, running_browser

CACHE = REPOSITORY / ".cache" / "bench-graph"
PAGE = REPOSITORY / "docs" / "benchmarks.md"
MARKED = re.compile(r"(?<=<!-- site -->\n).*?(?=<!-- /site -->)", re.DOTALL)
RUNS = 5
# Names, parts of names in both spellings, a prefix, a word of summaries, a typing error.
QUERIES = ("simplify", "MatrixSymbol", "_eval_rewrite", "polynomial ring", "symplify", "gcd", "solve ode")
BARS = {"content": 1_000.0, "search": 2_500.0, "keystroke": 50.0, "memory": 300.0, "written": 10_000.0}


class Written(NamedTuple):
    """One writing of the site by the command; milliseconds, and millions of bytes."""

    ms: float
    memory_mb: float


class Visit(NamedTuple):
    """One opening of the site; milliseconds, and millions of bytes."""

    content_ms: float
    search_ms: float
    keystrokes_ms: list[float]
    heap_mb: float
    renderer_mb: float
    collected_mb: float
    empty_mb: float
    version: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.site", description=__doc__)
    parser.add_argument("--pack", type=Path, metavar="FILE")
    given = parser.parse_args().pack
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        work = Path(name)
        pack = given or built(work)
        writings = [written(pack, work / "site") for _ in range(3)]
        visits = [visit((work / "site" / "index.html").as_uri()) for _ in range(RUNS)]
        symbols = read_manifest(pack)["counts"]["symbols"]
        rows = list(rows_of(writings, visits, (work / "site")))
    text = "\n".join([*lines(rows, visits, symbols, load), ""])
    print(text)
    if given is None:
        PAGE.write_text(MARKED.sub(lambda _: text, PAGE.read_text("utf-8"), count=1), "utf-8")
    sys.exit(not all(row.met for row in rows))


def built(work: Path) -> Path:
    """Build sympy's pack; return its path."""
    source, output = str(lay("sympy", CACHE)), str(work / "output")
    run_doctown(work, "build", source, "--no-cache", "--output", output, "--embeddings", "words")
    [pack] = (work / "output").glob("*.docpack")
    return pack


def written(pack: Path, site: Path) -> Written:
    """Write the site as the command does; return what that took, from its start to its end."""
    start_s = time.perf_counter()
    memory_mb = run_doctown(site.parent, "site", str(pack), str(site))
    return Written(1_000 * (time.perf_counter() - start_s), memory_mb)


def run_doctown(home: Path, *words: str) -> float:
    """Run a command, without a model; return the memory that it took, in millions of bytes."""
    own = {**ENVIRONMENT, "HOME": str(home), "MODEL_NAME": "offline"}
    command = [sys.executable, "-c", PROGRAM, *words]
    ended = subprocess.run(command, cwd=REPOSITORY, env=own, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-500:]
    _, memory_kib = json.loads(ended.stderr.splitlines()[-1])
    return float(memory_kib) * 1_024 / 1e6


def visit(address: str) -> Visit:
    """Open the site in a new browser, and search."""
    with running_browser() as browser:
        page = browser.new_page()
        page.set_default_timeout(LIMIT_MS)
        empty_mb = renderer_mb(browser)
        page.goto(address)
        content_ms, search_ms = marked(page, "doctown-content"), marked(page, "doctown-search")
        page.wait_for_load_state("networkidle")
        keystrokes_ms = [ms for query in QUERIES for ms in typed(page, query)]
        session = page.context.new_cdp_session(page)
        used_mb = renderer_mb(browser)
        heap = heap_mb(session)
        collected_mb = renderer_mb(browser)
        return Visit(content_ms, search_ms, keystrokes_ms, heap, used_mb, collected_mb, empty_mb, browser.version)


def marked(page: Page, name: str) -> float:
    """Return when the viewer set the mark, in milliseconds since the page was asked for; wait until it has."""
    found = page.wait_for_function("name => performance.getEntriesByName(name)[0]?.startTime", arg=name)
    return float(found.json_value())


def typed(page: Page, query: str) -> list[float]:
    """Type a query; return the milliseconds from each key to the results on the screen."""
    page.keyboard.press("/")
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.wait_for_timeout(200)
    page.evaluate("performance.clearMeasures('doctown-keystroke')")
    for place, key in enumerate(query, start=1):
        page.keyboard.type(key)
        page.wait_for_function("n => performance.getEntriesByName('doctown-keystroke').length >= n", arg=place)
    return [
        float(ms) for ms in page.evaluate("performance.getEntriesByName('doctown-keystroke').map((m) => m.duration)")
    ]


def heap_mb(session: CDPSession) -> float:
    """Return what lives in JavaScript's heap once it has been collected."""
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(one["value"]) for one in metrics if one["name"] == "JSHeapUsedSize") / 1e6


def renderer_mb(browser: Browser) -> float:
    """Return the resident memory of the page's process, the shared pages of Chromium's program included."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    pids = [one["id"] for one in processes if one["type"] == "renderer"]
    resident = [re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("utf-8")) for pid in pids]
    return max(int(found[1]) for found in resident if found is not None) * 1_024 / 1e6


class Row(NamedTuple):
    """What was measured, in words, and whether it is within its bar; `value` and `bar` in ms or MB."""

    what: str
    value: float
    bar: float
    unit: str
    remark: str

    @property
    def met(self) -> bool:
        return self.value <= self.bar

    def cells(self) -> str:
        value, bar = (f"{number:,.0f} {self.unit}" for number in (self.value, self.bar))
        return f"| {self.what} | {value} | ≤ {bar} | {'met' if self.met else '**not met**'} | {self.remark} |"


def rows_of(writings: list[Written], visits: list[Visit], site: Path) -> Iterator[Row]:
    def middle(values: list[float]) -> float:
        return statistics.median(values)

    size_mb = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6
    keystrokes = [ms for one in visits for ms in one.keystrokes_ms]
    slow = statistics.quantiles(keystrokes, n=20)[-1]
    content = [one.content_ms for one in visits]
    search = [one.search_ms for one in visits]
    renderer = [one.renderer_mb for one in visits]
    yield Row("first content", middle(content), BARS["content"], "ms", f"slowest {max(content):,.0f} ms")
    yield Row("names can be searched", middle(search), BARS["search"], "ms", f"slowest {max(search):,.0f} ms")
    remark = f"of {len(keystrokes)} keys; 95% below {slow:.0f} ms, slowest {max(keystrokes):.0f} ms"
    yield Row("from a key to its results", middle(keystrokes), BARS["keystroke"], "ms", remark)
    heap = f"{middle([one.collected_mb for one in visits]):.0f} MB once its garbage is collected, of that "
    heap += f"{middle([one.heap_mb for one in visits]):.0f} MB in JavaScript's heap; an empty page takes "
    heap += f"{middle([one.empty_mb for one in visits]):.0f} MB"
    yield Row("memory of the page's process", middle(renderer), BARS["memory"], "MB", heap)
    remark = f"{size_mb:.0f} MB of files; takes {middle([one.memory_mb for one in writings]):.0f} MB of memory"
    yield Row("`doctown site`", middle([one.ms for one in writings]), BARS["written"], "ms", remark)


def lines(rows: list[Row], visits: list[Visit], symbols: int, load: float) -> Iterator[str]:
    cores = len(os.sched_getaffinity(0))
    yield (
        f"{symbols:,} symbols; medians of {len(visits)} visits, each in a new headless Chromium {visits[0].version}; "
        f"Python {platform.python_version()}, {cores} cores, load average before {load:.1f}."
    )
    yield ""
    yield "| what | measured | bar | | |"
    yield "|---|--:|--:|---|---|"
    for row in rows:
        yield row.cells()


if __name__ == "__main__":
    main()
