"""CPU a symbol and memory, against a server that answers at once.

`overhead_rows` sets the whole of the worker (prompt, count, validation, event, report) against the official client's
bare `create`; `growth_rows` a job of 50,000 symbols against one of 1,000, both read from the store as JSON Lines. CPU
is that of the client's process alone.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from benchmarks.clients.stage import Task
from benchmarks.processes import Numbers, running_client
from benchmarks.rows import Row
from benchmarks.workload import MANY_SYMBOLS, SYMBOLS, Workload
from tests.loopback.openai import Behaviour, running_process

ROUNDS = 3
MEGABYTE = 1_000_000
MEMORY_BAR_MB = 250
AT_ONCE = Behaviour(count_by="characters")


def overhead_rows(workload: Workload, say: Callable[[str], None]) -> list[Row]:
    ours, theirs = [], []
    with running_process(AT_ONCE) as server:
        task = Task(server.base_url, requests=str(workload.requests), payload=str(workload.payload), warm=True)
        with running_client("official", task) as official, running_client("worker", task) as worker:
            for _ in range(ROUNDS):
                theirs.append(official.run())
                ours.append(worker.run())
                said = [f"{cpu_ms(runs[-1], SYMBOLS):.2f} ms" for runs in (theirs, ours)]
                say(f"CPU a symbol: openai {said[0]}, this worker {said[1]}")
    our_ms, their_ms = (median(cpu_ms(run, SYMBOLS) for run in runs) for runs in (ours, theirs))
    return [
        Row(
            "CPU a symbol ÷ the official client's bare `create`",
            round(our_ms / their_ms, 3),
            1.00,
            f"{our_ms:.2f} ms ÷ {their_ms:.2f} ms",
            faults=losses(ours, SYMBOLS),
            numbers={"worker": ours, "openai": theirs},
        )
    ]


def growth_rows(workload: Workload, say: Callable[[str], None]) -> list[Row]:
    small = run_job_of(workload, SYMBOLS, ROUNDS)
    small_ms = median(cpu_ms(run, SYMBOLS) for run in small)
    say(f"job of {SYMBOLS:,}: {small_ms:.3f} ms of CPU a symbol")
    large = run_job_of(workload, MANY_SYMBOLS, 1)
    large_ms = cpu_ms(large[0], MANY_SYMBOLS)
    say(f"job of {MANY_SYMBOLS:,}: {large_ms:.3f} ms of CPU a symbol, {large[0]['seconds']:.1f} s")
    peak_mb = large[0]["peak_rss_bytes"] / MEGABYTE
    payload_mb = workload.fifty_thousand.stat().st_size / MEGABYTE
    lost = losses(small, SYMBOLS) + losses(large, MANY_SYMBOLS)
    return [
        Row(
            f"CPU a symbol in a job of {MANY_SYMBOLS:,} ÷ in a job of {SYMBOLS:,}",
            round(large_ms / small_ms, 3),
            1.15,
            f"{large_ms:.2f} ms ÷ {small_ms:.2f} ms",
            faults=lost,
            numbers={"small": small, "large": large},
        ),
        Row(
            f"peak memory of a job of {MANY_SYMBOLS:,} beyond its payload",
            round(peak_mb - payload_mb, 1),
            MEMORY_BAR_MB,
            f"{peak_mb:.0f} MB with a payload of {payload_mb:.0f} MB",
            unit="MB",
            faults=lost,
            numbers={"peak_mb": peak_mb, "payload_mb": payload_mb},
        ),
    ]


def run_job_of(workload: Workload, symbols: int, times: int) -> list[Numbers]:
    payload = workload.thousand if symbols == SYMBOLS else workload.fifty_thousand
    with running_process(AT_ONCE) as server:
        task = Task(server.base_url, payload=str(payload), warm=True, with_runpod=True)
        with running_client("worker", task) as client:
            return [client.run() for _ in range(times)]


def cpu_ms(run: Numbers, symbols: int) -> float:
    return run["cpu_s"] / symbols * 1_000


def losses(runs: list[Numbers], symbols: int) -> tuple[str, ...]:
    lost = sum(symbols - int(run["documented"]) for run in runs)
    return (f"{lost} symbols lost",) if lost else ()
