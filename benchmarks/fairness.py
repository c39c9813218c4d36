"""A job of 20 symbols beside one of 2,000 in the same worker, against the same job alone.

Fair is half of the worker: twice the time, and a little for what is on its way already.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from benchmarks.clients.neighbours import LARGE_SYMBOLS, SMALL_SYMBOLS
from benchmarks.clients.stage import Task
from benchmarks.processes import running_client
from benchmarks.rows import Row
from benchmarks.workload import FEW_LINES, Workload, make_symbols
from tests.loopback.openai import Behaviour, running_process

WIDTH = 20
BEHAVIOUR = Behaviour(latency_mean_s=0.3, latency_sigma=0.4, count_by="characters")


def rows(workload: Workload, say: Callable[[str], None]) -> list[Row]:
    payload = workload.payload.with_name("neighbours.json")
    symbols = list(make_symbols(LARGE_SYMBOLS + SMALL_SYMBOLS, FEW_LINES))
    payload.write_text(json.dumps({"symbols": symbols}), encoding="utf-8")
    with running_process(BEHAVIOUR) as server:
        task = Task(server.base_url, payload=str(payload), width=WIDTH)
        with running_client("neighbours", task) as client:
            numbers = client.run()
    alone_s, beside_s = numbers["alone_s"], numbers["beside_s"]
    say(f"small job: alone {alone_s:.2f} s, beside a large one {beside_s:.2f} s")
    return [
        Row(
            f"a job of {SMALL_SYMBOLS} beside one of {LARGE_SYMBOLS:,} ÷ alone",
            round(beside_s / alone_s, 3),
            2.5,
            f"{beside_s:.2f} s ÷ {alone_s:.2f} s",
            numbers=numbers,
        )
    ]
