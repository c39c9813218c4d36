"""Measure the graph against compilers, and its speed: `python -m benchmarks.graph [--only NAME,…]`.

Sources and compilers come from the package registries into `.cache/bench-graph`. With `--only` the table is printed;
without, it is written into `docs/benchmarks.md` too, between its two comments. The wrong and missed edges of each row
are in `.cache/bench-graph/details.txt`. The exit code is 1 where a bar was not met.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.graph.rows import NAMES, Row, rows_of

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / ".cache" / "bench-graph"
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- call graph -->\n", "<!-- /call graph -->\n"
MARKS = {True: "met", False: "**not met**", None: "-"}
# By hand, as the form of `-Zunpretty=mir` changes with each rustc: the sources of Debian's librust-*-dev packages under
# `RUSTC_BOOTSTRAP=1 rustc -Zunpretty=mir -Zmir-include-spans=on`; macros and calls of types are not graded.
RUST = Row(
    "Rust against rustc's MIR, once by hand: precision / recall",
    "≥ 0.95 / report",
    "regex-syntax 0.6.27 1.00 / 0.96 of 1,448 call sites, hashbrown 0.12.3 1.00 / 0.88 of 517, bytes 1.2.1 1.00 / 0.75 "
    "of 412, memchr 2.5.0 1.00 / 0.97 of 225, smallvec 1.9.0 1.00 / 0.93 of 164, strsim 0.10.0 1.00 / 1.00 of 20",
    None,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graph", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", metavar="NAME,…", default=",".join(NAMES), help=f"some of {', '.join(NAMES)}")
    names = parser.parse_args().only.split(",")
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        parser.error(f"--only does not know {unknown[0]!a}: give some of {', '.join(NAMES)}")
    CACHE.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, Row]] = []
    for name in names:
        begin_s = time.perf_counter()
        rows += ((name, row) for row in rows_of(name, CACHE))
        print(f"{name}: {time.perf_counter() - begin_s:.0f} s", file=sys.stderr, flush=True)
    details = [f"{row.what}: {detail}\n" for _, row in rows for detail in row.details]
    (CACHE / "details.txt").write_text("".join(details), encoding="utf-8")
    if tuple(names) == NAMES:
        rows.append(("", RUST))
        head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}{table(rows)}{END}{rest.partition(END)[2]}", encoding="utf-8")
    print(table(rows))
    return int(any(row.met is False for _, row in rows))


def table(rows: Sequence[tuple[str, Row]]) -> str:
    """Return the rows in Markdown, each with the name that measures it again."""
    lines = [
        "Calls are graded without the edges that rest on a unique name alone, which are marked as guesses. Each row is",
        "measured again by `python -m benchmarks.graph --only NAME`, all of them by `make bench-graph`.",
        f"Measured with Python {platform.python_version()} on {cores()} cores.",
        "",
        "| what | bar | measured | | NAME |",
        "|---|---|---|---|---|",
    ]
    lines += (
        f"| {row.what} | {row.bar} | {row.measured} | {MARKS[row.met]} | {f'`{name}`' if name else ''} |"
        for name, row in rows
    )
    return "\n".join(lines) + "\n"


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
