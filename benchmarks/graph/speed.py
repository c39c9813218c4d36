"""How long the graph of a large repository takes, and how much memory.

Four runs of `python -m doctown graph`, each in its own process: nothing known, again unchanged, ten files changed, and
without a cache. Memory is the largest that the main process held, and the largest that a worker did; the system counts
to a worker what the main process held when it started it.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.graph.tools import Unmeasured

CHANGED = 10
# The run, in a process of its own: its and its children's largest memory and CPU time go to standard error.
PROGRAM = """
import json, os, resource, sys
from doctown.__main__ import main
code = main(sys.argv[1:], os.environ)
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
cpu_s = sum(one.ru_utime + one.ru_stime for one in used)
print(json.dumps([cpu_s, *(one.ru_maxrss for one in used)]), file=sys.stderr)
sys.exit(code)
"""


class Run(NamedTuple):
    """What one run took; memory in millions of bytes. On a busy machine the wall-clock time says little."""

    wall_s: float
    cpu_s: float  # of the main process and the workers
    main_mb: float
    worker_mb: float


class Speed(NamedTuple):
    """The four runs."""

    cold: Run
    unchanged: Run
    changed: Run
    without_cache: Run


def measure(folder: Path) -> Speed:
    """Run the four on a copy of the folder. Raises Unmeasured where one fails."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        source = work / "source"
        shutil.copytree(folder, source)
        cache = ["--cache", str(work / "cache")]
        cold, unchanged = timed(work, cache), timed(work, cache)
        change(source)
        return Speed(cold, unchanged, timed(work, cache), timed(work, ["--no-cache"]))


def change(source: Path) -> None:
    """Add a function to ten files of middling size."""
    files = sorted((path for path in source.rglob("*.py")), key=lambda path: (path.stat().st_size, path))
    middle = len(files) // 2
    for file in files[middle : middle + CHANGED]:
        with file.open("a", encoding="utf-8") as opened:
            opened.write("\n\ndef added_function():\n    return None\n")


def timed(work: Path, arguments: list[str]) -> Run:
    command = [sys.executable, "-c", PROGRAM, "graph", str(work / "source"), "--include-tests", *arguments]
    output = ["--output", str(work / "graph.json")]
    begin_s = time.perf_counter()
    ended = subprocess.run([*command, *output], capture_output=True, text=True, check=False)
    wall_s = time.perf_counter() - begin_s
    if ended.returncode:
        raise Unmeasured(f"doctown graph failed: {ended.stderr.strip()[-300:]}")
    cpu_s, main, worker = json.loads(ended.stderr.splitlines()[-1])
    scale = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return Run(wall_s, cpu_s, main * scale / 1e6, worker * scale / 1e6)
