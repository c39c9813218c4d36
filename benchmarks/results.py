"""The results as a Markdown table, as JSON with all numbers, and as a plot, in files that are committed."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pace import WITH_PEERS, WORKER, Pace
from benchmarks.plot import draw
from benchmarks.rows import Row
from benchmarks.workload import SYMBOLS

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Results:
    """The rows of the table, and the results of every client under limits."""

    rows: Sequence[Row]
    paces: Sequence[Pace]


def write_results(results: Results, seconds: float) -> None:
    (FOLDER / "results.md").write_text(f"{table(results)}\n", encoding="utf-8")
    numbers = json.dumps(as_json(results, seconds), indent=1)
    (FOLDER / "results.json").write_text(f"{numbers}\n", encoding="utf-8")
    draw(results.rows, results.paces, FOLDER / "results.png")


def as_json(results: Results, seconds: float) -> dict[str, object]:
    rows = [{**vars(row), "met": row.met} for row in results.rows]
    machine = {"python": platform.python_version(), "system": platform.system(), "processors": os.cpu_count()}
    paces = [vars(pace) for pace in results.paces]
    return {"seconds": round(seconds, 1), "machine": machine, "rows": rows, "under_limits": paces}


def table(results: Results) -> str:
    """Return the Markdown table of the rows, followed by that of every client under limits."""
    lines = ["| what | measured | bar | | in numbers |", "|---|--:|--:|---|---|"]
    for row in results.rows:
        remark = "; ".join((*row.faults, row.remark))
        lines.append(f"| {row.what} | {row.measured} | {row.limit} | {row.verdict} | {remark} |")
    if results.paces:
        lines += ["", *peers_table(results.paces)]
    return "\n".join(lines)


def peers_table(paces: Sequence[Pace]) -> list[str]:
    """Return the makespan ÷ ideal of each client, and what it lost."""
    names = [scenario.name for scenario in WITH_PEERS]
    found = {(pace.client, pace.scenario): pace for pace in paces}
    lines = [
        f"Makespan ÷ ideal, and symbols lost of {SYMBOLS:,}, under a limit of:",
        "",
        f"| client | {' | '.join(names)} |",
        f"|---|{'--:|' * len(names)}",
    ]
    for client in clients_in_order(paces):
        cells = [cell(found.get((client, name))) for name in names]
        lines.append(f"| {client} | {' | '.join(cells)} |")
    return lines


def clients_in_order(paces: Sequence[Pace]) -> list[str]:
    """Sort clients: this worker, then those that lose nothing by speed, then the others by what they lose."""
    first = [pace for pace in paces if pace.scenario == WITH_PEERS[0].name]
    return [pace.client for pace in sorted(first, key=lambda pace: (pace.client != WORKER.name, pace.lost, pace.ratio))]


def cell(pace: Pace | None) -> str:
    if pace is None:
        return ""
    if pace.seconds is None:
        return "no end"
    return f"{pace.ratio:.2f}, **{pace.lost} lost**" if pace.lost else f"{pace.ratio:.2f}, 0 lost"
