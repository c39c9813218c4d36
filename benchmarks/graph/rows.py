"""The rows of the table: what is measured, the bar, and what came out."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.graph import ctags, hostile, oracles, pycg, speed
from benchmarks.graph.grading import grade, ratio, share_found, without_guesses
from benchmarks.graph.graphs import FolderGraph, graph_of
from benchmarks.graph.oracles import Oracle
from benchmarks.graph.sources import SOURCES, lay
from benchmarks.graph.tools import Unmeasured
from benchmarks.graph.truth import Definition

MIN_SHARE = 0.998  # of definitions


class Row(NamedTuple):
    """A row of the table; `met` is None where nothing was measured. `details` are the faults, one a line."""

    what: str
    bar: str
    measured: str
    met: bool | None
    details: tuple[str, ...] = ()


class Compared(NamedTuple):
    """A source whose graph is compared with what a compiler knows."""

    source: str
    what: str
    oracle: Oracle
    min_precision: float
    min_recall: float | None  # None: reported without a bar


COMPARED = {
    "flask": Compared("flask", "flask {} against scip-python", oracles.of_python, 0.99, 0.86),
    "requests": Compared("requests", "requests {} against scip-python", oracles.of_python, 0.995, 0.97),
    "zod": Compared("zod", "zod {} against tsc", oracles.of_typescript, 0.99, 0.78),
    "svelte": Compared("svelte", "svelte {} against tsc", oracles.of_typescript, 0.99, 0.86),
    "go": Compared("pflag", "pflag (Go) against go/types", oracles.of_go, 0.95, None),
    "go-mux": Compared("mux", "mux (Go) against go/types", oracles.of_go, 0.95, None),
    "java": Compared("jpype", "the Java of JPype1 {} against javac", oracles.of_java, 0.95, None),
}


def rows_of(name: str, cache: Path) -> list[Row]:
    """Measure one thing. What is missing for it becomes a row that says so."""
    try:
        return compare(COMPARED[name], cache) if name in COMPARED else MEASUREMENTS[name](cache)
    except Unmeasured as reason:
        return [Row(name, "", f"not measured: {reason}", None)]


def compare(compared: Compared, cache: Path) -> list[Row]:
    """Return the row of the calls and the row of the definitions."""
    folder = lay(compared.source, cache)
    truth, graph = compared.oracle(folder, cache), graph_of(folder)
    all_edges, sure = grade(graph.nodes, graph.edges, truth), grade(graph.nodes, without_guesses(graph.edges), truth)
    bar = f"≥ {compared.min_precision:g} / " + (f"≥ {compared.min_recall:g}" if compared.min_recall else "report")
    measured = (
        f"{sure.precision:.4f} / {sure.recall:.4f} of {sure.sites:,} call sites "
        f"(with guesses {all_edges.precision:.4f} / {all_edges.recall:.4f})"
    )
    met = sure.precision >= compared.min_precision and sure.recall >= (compared.min_recall or 0)
    details = (*(f"wrong {one}" for one in sure.wrong), *(f"missed {one}" for one in sure.missed))
    what = compared.what.format(version(compared.source))
    calls = Row(f"{what}: precision / recall", bar, measured, met, details)
    return [calls, definitions_row(what.partition(" against ")[0], "by the compiler", graph, truth.definitions)]


def definitions_row(what: str, by: str, graph: FolderGraph, definitions: Sequence[Definition]) -> Row:
    """Grade the definitions of the files that are parsed; say how many are in files that a rule leaves out."""
    skipped = {file.path: file.reason for file in graph.files if file.status == "skipped"}
    taken = [definition for definition in definitions if definition.file not in skipped]
    count, missing = share_found(graph.nodes, taken)
    share = ratio(count - len(missing), count)
    measured = f"{share:.2%} of {count:,}"
    if len(taken) < len(definitions):
        left_out = [skipped[one.file] or "" for one in definitions if one.file in skipped]
        files = len({one.file for one in definitions if one.file in skipped})
        reasons = ", ".join(sorted(set(left_out)))
        measured += f"; {len(left_out):,} more are in {files} files that are skipped ({reasons})"
    return Row(f"definitions found: {what} ({by})", f"≥ {MIN_SHARE:.1%}", measured, share >= MIN_SHARE, missing)


def pycg_rows(cache: Path) -> list[Row]:
    found = pycg.grade_programs(lay("pycg", cache))
    edges = found.right + len(found.missed)
    measured = f"{found.precision:.4f} / {found.recall:.4f} of {edges} edges, {found.programs} programs"
    details = (*(f"wrong {one}" for one in found.wrong), *(f"missed {one}" for one in found.missed))
    met = found.precision >= 0.97 and found.recall >= 0.60
    what = f"PyCG micro-benchmark {version('pycg')}: precision / recall"
    return [Row(what, "≥ 0.97 / ≥ 0.6", measured, met, details)]


def ctags_rows(cache: Path) -> list[Row]:
    rust, go = lay("regex-syntax", cache), lay("pflag", cache)
    return [
        definitions_row("regex-syntax (Rust)", "by ctags", graph_of(rust), ctags.definitions(rust, "Rust")),
        definitions_row("pflag (Go)", "by ctags", graph_of(go), ctags.definitions(go, "Go")),
    ]


def speed_rows(cache: Path) -> list[Row]:
    folder = lay("sympy", cache)
    files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    load = os.getloadavg()[0]
    runs = speed.measure(folder)
    what = f"sympy {version('sympy')} sdist ({len(files):,} files, {sum(files) / 1e6:.0f} MB)"
    held = f"main process {runs.cold.main_mb:.0f} MB, largest worker {runs.cold.worker_mb:.0f} MB"
    met = runs.cold.wall_s <= 10 and max(runs.cold.main_mb, runs.cold.worker_mb) <= 600
    first = (
        f"{seconds(runs.cold)}; {held}; without a cache {seconds(runs.without_cache)}; load average before {load:.1f}"
    )
    changed = f"the same, {speed.CHANGED} files changed"
    return [
        Row(f"{what}: from folder to graph", "≤ 10 s, ≤ 600 MB", first, met),
        Row("the same, again unchanged", "≤ 2 s", seconds(runs.unchanged), runs.unchanged.wall_s <= 2),
        Row(changed, "≤ 3 s", seconds(runs.changed), runs.changed.wall_s <= 3),
    ]


def seconds(run: speed.Run) -> str:
    return f"{run.wall_s:.1f} s (CPU {run.cpu_s:.1f} s)"


def hostile_rows(_cache: Path) -> list[Row]:
    found = hostile.survive()
    became = ", ".join(f"{name} {outcome}" for name, outcome in sorted(found.bad.items()))
    what = "a file of 1 MB on one line, 100,000 nested brackets, a file that kills the parser"
    measured = f"{found.good} of {hostile.GOOD_FILES} are; {became}"
    return [Row(what, "the others are all there", measured, found.good == hostile.GOOD_FILES)]


def version(source: str) -> str:
    """Return the pinned version of a source."""
    found = re.search(r"(?:==|@)([\d.]+)$", SOURCES[source].package)
    return found[1] if found else ""


MEASUREMENTS: dict[str, Callable[[Path], list[Row]]] = {
    "pycg": pycg_rows,
    "ctags": ctags_rows,
    "speed": speed_rows,
    "hostile": hostile_rows,
}
NAMES = (*COMPARED, *MEASUREMENTS)
