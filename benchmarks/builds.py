"""Builds of whole repositories, step by step: seconds, memory, and what they must stay below.

    python -m benchmarks.builds [--only NAME]

Repositories of 50, 200 and 1,000 files are files of the installed package `openai`, which is pinned, evenly chosen.
Each is built without a model by words, and with all-MiniLM-L6-v2 and the loopback server under the limits of OpenAI's
tier 2 (gpt-5-nano: 5,000 requests and 2,000,000 tokens a minute), one symbol a request. sympy's source distribution is
built without a model. Every build starts without a cache, in a process of its own. A whole run writes the table of
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.graph.sources import lay
from benchmarks.processes import ENVIRONMENT, REPOSITORY
from doctown.options import MAX_CONCURRENT_OF_OPENAI
from tests.loopback.openai import Behaviour, Limits, running_process

STEPS = ("fetch", "parse", "embed", "assemble", "document", "pack", "store")
TIER_2 = Limits(requests_per_min=5_000, tokens_per_min=2_000_000)
LATENCY_S = 1.0
CACHE = REPOSITORY / ".cache" / "bench-graph"
PAGE = REPOSITORY / "docs" / "benchmarks.md"
MARKED = re.compile(r"(?<=<!-- builds -->\n).*?(?=<!-- /builds -->)", re.DOTALL)
# The build, in a process of its own: what it and its workers have used goes to standard error.
PROGRAM = """
import json, os, resource, sys
from doctown.__main__ import main
code = main(sys.argv[1:], os.environ)
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([sum(one.ru_utime + one.ru_stime for one in used), used[0].ru_maxrss]), file=sys.stderr)
sys.exit(code)
"""


class Case(NamedTuple):
    """One build: its source, whether with a model, and its limits in seconds and in millions of bytes."""

    name: str
    files: int | None  # of `openai`; None: sympy's source distribution
    with_model: bool
    max_s: float
    max_mb: float | None = None


CASES = (
    Case("50-words", 50, with_model=False, max_s=30),
    Case("50", 50, with_model=True, max_s=30),
    Case("200-words", 200, with_model=False, max_s=90),
    Case("200", 200, with_model=True, max_s=90),
    Case("1000-words", 1_000, with_model=False, max_s=60),
    Case("1000", 1_000, with_model=True, max_s=300),
    Case("sympy", None, with_model=False, max_s=60, max_mb=1_500),
)


class Measured(NamedTuple):
    """What a build took; memory is the main process's, in millions of bytes."""

    case: Case
    seconds: dict[str, float]
    cpu_s: float
    memory_mb: float
    counts: dict[str, int]

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())

    @property
    def met(self) -> bool:
        fits = self.case.max_mb is None or self.memory_mb <= self.case.max_mb
        return self.total_s <= self.case.max_s and fits and not self.counts["failed"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.builds", description=__doc__)
    parser.add_argument("--only", metavar="NAME", choices=[case.name for case in CASES])
    only = parser.parse_args().only
    load = os.getloadavg()[0]
    measured = [measure(case) for case in CASES if only in {None, case.name}]
    text = table(measured, load)
    print(text)
    if not only:
        PAGE.write_text(MARKED.sub(lambda _: text, PAGE.read_text("utf-8"), count=1), "utf-8")
    sys.exit(not all(one.met for one in measured))


def measure(case: Case) -> Measured:
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        work = Path(name)
        source = lay("sympy", CACHE) if case.files is None else files_of_openai(case.files, work / "source")
        if not case.with_model:
            return built(case, source, work, {"MODEL_NAME": "offline"}, "words")
        behaviour = Behaviour(
            marker=r"(?m)^Name: (.+)$", count_by="characters", limits=TIER_2, latency_mean_s=LATENCY_S
        )
        with running_process(behaviour) as server:
            environ = {"OPENAI_API_KEY": "sk-loopback", "OPENAI_BASE_URL": server.base_url, "MODEL_NAME": "gpt-5-nano"}
            return built(case, source, work, environ, "minilm")


def files_of_openai(count: int, folder: Path) -> Path:
    """Copy so many files of the package, evenly chosen from its sorted paths."""
    spec = importlib.util.find_spec("openai")
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    files = sorted(root.rglob("*.py"))
    for number in range(count):
        file = files[number * len(files) // count]
        target = folder / "openai" / file.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return folder


def built(case: Case, source: Path, work: Path, environ: dict[str, str], embeddings: str) -> Measured:
    words = ["build", str(source), "--no-cache", "--json", "--output", str(work / "output"), "--embeddings", embeddings]
    # What a build allows where OPENAI_BASE_URL, which the loopback server needs, is not set.
    words += ["--llm-max-concurrent", str(MAX_CONCURRENT_OF_OPENAI)]
    command = [sys.executable, "-c", PROGRAM, *words]
    own = {**ENVIRONMENT, "HOME": str(work), **environ}
    ended = subprocess.run(command, cwd=REPOSITORY, env=own, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-500:]
    record: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    cpu_s, memory_kib = json.loads(ended.stderr.splitlines()[-1])
    return Measured(case, record["seconds"], cpu_s, memory_kib * 1_024 / 1e6, record["counts"])


def table(measured: list[Measured], load: float) -> str:
    return "\n".join([*lines(measured, load), ""])


def lines(measured: list[Measured], load: float) -> Iterator[str]:
    cores = len(os.sched_getaffinity(0))
    yield (
        "Each row is measured again by `python -m benchmarks.builds --only NAME`. Seconds by the clock, without a "
        f"cache; Python {platform.python_version()}, {cores} cores, load average before {load:.1f}."
    )
    yield ""
    yield f"| files | symbols | summaries | {' | '.join(STEPS)} | all | bar | CPU s | memory | | NAME |"
    yield "|--:|--:|--:|" + "--:|" * len(STEPS) + "--:|--:|--:|--:|---|---|"
    for one in measured:
        case, counts = one.case, one.counts
        how = f"{counts['documented']:,} by a model" if case.with_model else f"{counts['documented']:,} offline"
        steps = " | ".join(f"{one.seconds[step]:.1f}" for step in STEPS)
        bar = f"≤ {case.max_s:.0f} s" + (f", {case.max_mb:,.0f} MB" if case.max_mb else "")
        yield (
            f"| {counts['files']:,} | {counts['symbols']:,} | {how} | {steps} | {one.total_s:.1f} | {bar} "
            f"| {one.cpu_s:.1f} | {one.memory_mb:,.0f} MB | {'met' if one.met else '**not met**'} | `{case.name}` |"
        )


if __name__ == "__main__":
    main()
