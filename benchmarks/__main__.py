"""The command: measure, write the table to standard output and the results next to this file.

Exits with 1 if a row misses its limit. `--only ROW` measures one row of the table, and what it depends on, and writes
no file: the committed results come from one complete run.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import bulk, cap, concurrency, cost, fairness, latency, pace, saving, start
from benchmarks.results import Results, table, write_results
from benchmarks.rows import Row
from benchmarks.workload import Workload, make_workload

ROWS = ("pace", "concurrency", "latency", "overhead", "growth", "start", "fairness", "saving", "cap", "bulk")
MIN_IDLE_SHARE = 0.9

Say = Callable[[str], None]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="ROW", choices=ROWS, help=f"one of {', '.join(ROWS)}")
    only = parser.parse_args().only
    started_s = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - started_s:6.1f} s  {line}", file=sys.stderr, flush=True)

    warn_where_busy(say)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        workload = make_workload(Path(name), with_many=only in (None, "growth"))
        results = measure_one(only, workload, say) if only else measure_all(workload, say)
    if not only:
        write_results(results, time.monotonic() - started_s)
    print(table(results))
    say("done")
    sys.exit(not all(row.met for row in results.rows))


def measure_all(workload: Workload, say: Say) -> Results:
    """Measure every row. The slow peers, which are idle nearly all the time, run alongside the first rows."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        slow = pool.submit(pace.run_slow_peers, workload, say)
        paces = pace.run_others(workload, say)
        unlimited = latency.rows(workload, say)
        shared = fairness.rows(workload, say)
        limited = concurrency.rows(workload, say)
        paces += slow.result()
    rows = [
        *pace.rows(paces),
        *limited,
        *unlimited,
        *cost.overhead_rows(workload, say),
        *cost.growth_rows(workload, say),
        *start.rows(say),
        *shared,
        *saving.rows(workload, say),
        *cap.rows(workload, say),
        *bulk.rows(workload, say),
    ]
    return Results(rows, paces)


def measure_one(only: str, workload: Workload, say: Say) -> Results:
    if only == "pace":
        with ThreadPoolExecutor(max_workers=1) as pool:
            slow = pool.submit(pace.run_slow_peers, workload, say)
            paces = pace.run_others(workload, say) + slow.result()
        return Results(pace.rows(paces), paces)
    measures: dict[str, Callable[[], list[Row]]] = {
        "concurrency": lambda: concurrency.rows(workload, say),
        "latency": lambda: latency.rows(workload, say),
        "overhead": lambda: cost.overhead_rows(workload, say),
        "growth": lambda: cost.growth_rows(workload, say),
        "start": lambda: start.rows(say),
        "fairness": lambda: fairness.rows(workload, say),
        "saving": lambda: saving.rows(workload, say),
        "cap": lambda: cap.rows(workload, say),
        "bulk": lambda: bulk.rows(workload, say),
    }
    return Results(measures[only](), [])


def warn_where_busy(say: Say) -> None:
    """Warn if other processes use the CPUs, since the results would then measure their load."""
    if not Path("/proc/stat").exists():
        return
    before = idle_s()
    time.sleep(1)
    idle = (idle_s() - before) / (os.cpu_count() or 1)
    if idle < MIN_IDLE_SHARE:
        say(f"the machine is busy ({1 - idle:.0%} of its processors): do not trust these figures")


def idle_s() -> float:
    fields = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=6)
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
