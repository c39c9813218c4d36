"""How much of a spending limit a job uses when it costs more than the limit allows.

Answers are longer than the estimate assumes, so that a job with a limit just above its estimate reaches it. A request
that could exceed the limit waits for those in flight, so only the highest possible cost of one request stays unused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from benchmarks.clients.stage import Task
from benchmarks.processes import running_client
from benchmarks.rows import Row
from benchmarks.workload import SYMBOLS, Workload
from generation.domain.catalogue import find_model
from generation.domain.usage import Usage, cost_usd
from tests.loopback.openai import Behaviour, running

MODEL = "gpt-5-nano"
WIDTH = 100
# Of the job's cost, which is above its estimate.
TIGHT = 0.9
LONG_ANSWER = (
    "Reads the request that a caller hands over, compares every field with what a catalogue promises, and turns sums, "
    "quantities and discounts into amounts which later steps can add without rounding twice, whatever coin they had, "
    "whoever sent them, and however many lines an order holds. Gives back one record for each line, in their order, so "
    "that receipts, reminders and monthly statements name equal articles, carry matching totals, explain themselves to "
    "customers wondering why something costs this much, and let auditors follow any figure from its source through all "
    "corrections until payment has reached the bank, been confirmed there, or come back unpaid after its last day."
)


def rows(workload: Workload, say: Callable[[str], None]) -> list[Row]:
    cost, _ = measure(workload, None)
    cap = round(TIGHT * cost, 6)
    spent, documented = measure(workload, cap)
    say(f"a limit of ${cap:.4f}, {WIDTH} at once: ${spent:.4f} spent, {documented} of {SYMBOLS:,} documented")
    faults = ("the limit was exceeded",) if spent > cap else ()
    return [
        Row(
            f"share of a tight spending limit that stays unused, {WIDTH} at once",
            round(1 - spent / cap, 4),
            0.03,
            f"${spent:.4f} of ${cap:.4f} spent; the job would cost ${cost:.4f}",
            faults=faults,
            numbers={"cap_usd": cap, "spent_usd": spent, "cost_usd": cost, "documented": documented},
        )
    ]


def measure(workload: Workload, cap_usd: float | None) -> tuple[float, int]:
    """Return what the server bills for the thousand symbols, in USD, and how many of them are documented."""
    payload = workload.payload.parent / "capped.json"
    symbols = json.loads(workload.payload.read_text(encoding="utf-8"))["symbols"]
    payload.write_text(json.dumps({"symbols": symbols, "options": {"max_cost_usd": cap_usd}}), encoding="utf-8")
    with running(Behaviour(latency_mean_s=0.2), write) as server:
        task = Task(server.base_url, payload=str(payload), width=WIDTH, warm=True)
        with running_client("worker", task) as client:
            documented = int(client.run()["documented"])
        bill = server.bill()
    usage = Usage(bill["input_tokens"], bill["cached_input_tokens"], bill["output_tokens"])
    return cost_usd(usage, find_model(MODEL).pricing), documented


def write(_request: dict[str, Any], _prompt: str) -> str:
    return json.dumps({"summary": LONG_ANSWER})
