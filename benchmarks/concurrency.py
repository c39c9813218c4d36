"""Servers that limit the requests in flight and not a rate: how soon the worker finds the limit, and keeps to it.

The server rejects what exceeds N in flight with a bare 429 (`retry-after: 1`, no `x-ratelimit-*` headers), which the
worker does not know. The ideal is N requests in flight from the first moment to the last, plus two mean latencies. The
other row is a server without a limit that rejects one request in the middle of a job.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from benchmarks.clients.stage import Task
from benchmarks.processes import Numbers, running_client
from benchmarks.rows import Row
from benchmarks.workload import FEW_LINES, Workload, make_symbols
from tests.loopback.openai import Behaviour, running_process

ALLOWED = (1, 4, 8, 40)
WIDTHS = (10, 100)
LATENCY_S = 1.0
SIGMA = 0.25
SYMBOLS_A_PLACE = 25
MAX_LOST_S = 3.0

SERVER = Behaviour(
    latency_mean_s=LATENCY_S,
    latency_sigma=SIGMA,
    overload_fault="too_many",
    fault_retry_after_s=1.0,
    count_by="characters",
)


def rows(workload: Workload, say: Callable[[str], None]) -> list[Row]:
    """Measure all at once: each client waits nearly all of the time."""
    cells = [(allowed, width) for width in WIDTHS for allowed in ALLOWED]
    with ThreadPoolExecutor(len(cells) + 2) as pool:
        limited = {cell: pool.submit(measure_limited, workload, *cell) for cell in cells}
        plain = pool.submit(measure, workload, 250, WIDTHS[0], SERVER)
        # In the middle of the job, when all ten requests are in flight.
        script = ({"fault": "too_many", "contains": "_120\n", "times": 1},)
        spurious = pool.submit(measure, workload, 250, WIDTHS[0], replace(SERVER, fault_script=script))
        found = {cell: future.result() for cell, future in limited.items()}
    for (allowed, width), (ratio, numbers) in found.items():
        say(f"{allowed} allowed, {width} wide: {ratio:.3f} of the ideal, {numbers['rejected']:.0f} rejected")
    return [limit_row(found), spurious_row(plain.result(), spurious.result())]


def measure_limited(workload: Workload, allowed: int, width: int) -> tuple[float, Numbers]:
    """Return the makespan ÷ the ideal where the server takes `allowed` requests at once and the worker `width`."""
    together = min(allowed, width)
    count = SYMBOLS_A_PLACE * together
    numbers = measure(workload, count, width, replace(SERVER, max_in_flight=allowed))
    return numbers["seconds"] / ((count / together + 2) * LATENCY_S), numbers


def measure(workload: Workload, count: int, width: int, behaviour: Behaviour) -> Numbers:
    payload = workload.payload.with_name(f"{count}.json")
    if not payload.exists():
        payload.write_text(json.dumps({"symbols": list(make_symbols(count, FEW_LINES))}), encoding="utf-8")
    with running_process(behaviour) as server:
        task = Task(server.base_url, payload=str(payload), width=width, warm=True)
        with running_client("worker", task) as client:
            numbers = client.run()
        rejected = server.bill()["requests"].get("429", 0)
    return {**numbers, "lost": count - numbers["documented"], "rejected": rejected}


def limit_row(found: dict[tuple[int, int], tuple[float, Numbers]]) -> Row:
    each = (f"{allowed} of {width}: {ratio:.2f}" for (allowed, width), (ratio, _) in found.items())
    return Row(
        "makespan ÷ ideal: the worst of N requests allowed in flight",
        round(max(ratio for ratio, _ in found.values()), 3),
        1.15,
        "; ".join(each),
        faults=losses(*(numbers for _, numbers in found.values())),
        numbers={f"{allowed} of {width}": numbers for (allowed, width), (_, numbers) in found.items()},
    )


def spurious_row(plain: Numbers, spurious: Numbers) -> Row:
    rejected = spurious["rejected"]
    faults = () if rejected == 1 else (f"{rejected:.0f} requests rejected, not one",)
    return Row(
        "what one spurious 429 costs",
        round(max(0.0, spurious["seconds"] - plain["seconds"]), 1),
        MAX_LOST_S,
        f"{spurious['seconds']:.2f} s, without it {plain['seconds']:.2f} s",
        unit="s",
        faults=(*faults, *losses(plain, spurious)),
        numbers={"plain": plain, "spurious": spurious},
    )


def losses(*runs: Numbers) -> tuple[str, ...]:
    lost = sum(run["lost"] for run in runs)
    return (f"{lost:.0f} symbols lost",) if lost else ()
