"""What batch mode saves on a real code base, and what documenting callees first costs in time.

Batch mode is set against one symbol a request with the same source bodies; callees first against the same job without
an order, at two widths. With many at once the call graph itself is the limit: its longest chain of calls, at a latency
each, which is the same for all there, as chance along that one chain would be measured otherwise. The server answers
each symbol from its own part of the prompt.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.clients.stage import Task
from benchmarks.codebase import contexts_of_requests
from benchmarks.processes import Numbers, running_client
from benchmarks.rows import Row
from benchmarks.workload import Workload
from generation.domain.outcome import Symbol
from generation.intake.symbols import parse_symbols
from generation.planning.call_graph import callees_within, levels
from tests.loopback.openai import Behaviour, running_process

ITEM_MARKER = r"(?m)^## Symbol (s\d+)$"
# At ten at once the job takes its size; at a hundred the chain of calls does, and what else a job takes must be small.
LATENCIES_S = {10: 0.25, 100: 0.5}
NARROW, WIDE = LATENCIES_S


def rows(workload: Workload, say: Callable[[str], None]) -> list[Row]:
    symbols = contexts_of_requests()
    folder = workload.payload.parent
    single = measure(folder, symbols, {"callees_first": False}, Behaviour())
    batch = measure(folder, symbols, {"batch_mode": True, "callees_first": False}, Behaviour())
    say(f"requests: {single['requests']:.0f} one by one, {batch['requests']:.0f} in batch mode")
    return [
        ratio("requests of batch mode ÷ one by one", "requests", batch, single, 0.25),
        ratio("input tokens of batch mode ÷ one by one", "input_tokens", batch, single, 0.85),
        *order_rows(folder, symbols, say),
    ]


def order_rows(folder: Path, symbols: list[dict[str, Any]], say: Callable[[str], None]) -> list[Row]:
    result = []
    for width, latency_s in LATENCIES_S.items():
        slow = Behaviour(latency_mean_s=latency_s, latency_sigma=0.4 if width == NARROW else 0.0)
        ordered, unordered = (
            measure(folder, symbols, {"callees_first": first}, slow, width)["seconds"] for first in (True, False)
        )
        critical_s = depth(symbols) * latency_s if width == WIDE else 0.0
        against_s = max(unordered, critical_s)
        say(f"callees first, {width} at once: {ordered:.2f} s, without {unordered:.2f} s, chain {critical_s:.1f} s")
        against = "without an order" if width == NARROW else "the larger of without and the longest chain"
        result.append(
            Row(
                f"makespan of callees first ÷ {against}, {width} at once",
                round(ordered / against_s, 4),
                1.15,
                f"{ordered:.2f} s ÷ {against_s:.2f} s",
                numbers={"ordered_s": ordered, "unordered_s": unordered, "critical_s": critical_s},
            )
        )
    return result


def measure(
    folder: Path, symbols: list[dict[str, Any]], options: dict[str, Any], behaviour: Behaviour, width: int = 10
) -> Numbers:
    payload = folder / "codebase.json"
    payload.write_text(json.dumps({"symbols": symbols, "options": options}), encoding="utf-8")
    keyed = Behaviour(**{**vars(behaviour), "item_marker": ITEM_MARKER, "item_key": "key"})
    with running_process(keyed) as server:
        task = Task(server.base_url, payload=str(payload), width=width, warm=True)
        with running_client("worker", task) as client:
            numbers = client.run()
        bill = server.bill()
    return {**numbers, "requests": sum(bill["requests"].values()), "input_tokens": bill["input_tokens"]}


def ratio(what: str, of: str, ours: Numbers, theirs: Numbers, bar: float) -> Row:
    lost = int(theirs["documented"] - ours["documented"])
    return Row(
        what,
        round(ours[of] / theirs[of], 4),
        bar,
        f"{ours[of]:,.0f} ÷ {theirs[of]:,.0f} for {theirs['documented']:,.0f} symbols",
        faults=(f"{lost} symbols lost",) if lost else (),
        numbers={"batch": ours, "single": theirs},
    )


def depth(symbols: list[dict[str, Any]]) -> int:
    """How many symbols the longest chain of calls has."""
    parsed = [one for one in parse_symbols(symbols, set()) if isinstance(one, Symbol)]
    return max(levels(callees_within(parsed)).values()) + 1
