"""Makespan where nothing limits but the number of requests at once: beside the official client, and with hangs.

Both are warm and get the same requests in the same order with the same latencies, so what differs is what each adds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from statistics import median

from benchmarks.clients.stage import Task
from benchmarks.pace import LATENCY_MEAN_S, LATENCY_SIGMA
from benchmarks.processes import Client, Numbers, running_client
from benchmarks.rows import Row
from benchmarks.workload import SYMBOLS, Workload
from tests.loopback.openai import Behaviour, RunningServer, running_process

ROUNDS = 2
HANGING = 0.01


class Lane:
    """A warm client and its server."""

    def __init__(self, stack: ExitStack, name: str, workload: Workload, hanging: float = 0.0) -> None:
        behaviour = Behaviour(
            latency_mean_s=LATENCY_MEAN_S,
            latency_sigma=LATENCY_SIGMA,
            fault_rates={"hang": hanging} if hanging else {},
            count_by="characters",
        )
        self._server: RunningServer = stack.enter_context(running_process(behaviour))
        task = Task(self._server.base_url, requests=str(workload.requests), payload=str(workload.payload), warm=True)
        self._client: Client = stack.enter_context(running_client(name, task))

    def run(self) -> Numbers:
        # Chance counts how often a prompt has come: each run is to meet the same latencies and hangs.
        self._server.reset()
        numbers = self._client.run()
        return {**numbers, "hung": self._server.bill()["faults"].get("hang", 0)}


def rows(workload: Workload, say: Callable[[str], None]) -> list[Row]:
    with ExitStack() as stack:
        official = Lane(stack, "official", workload)
        worker = Lane(stack, "worker", workload)
        hanging = Lane(stack, "worker", workload, HANGING)
        theirs, ours = [], []
        for _ in range(ROUNDS):
            theirs.append(official.run())
            ours.append(worker.run())
            say(f"no limits: openai {theirs[-1]['seconds']:.2f} s, this worker {ours[-1]['seconds']:.2f} s")
        hung = hanging.run()
        say(f"{hung['hung']} requests hang: this worker {hung['seconds']:.2f} s")
    return [beside_the_official_client(ours, theirs), with_hangs(ours, hung)]


def beside_the_official_client(ours: list[Numbers], theirs: list[Numbers]) -> Row:
    our_s, their_s = median_seconds(ours), median_seconds(theirs)
    return Row(
        "makespan ÷ the official client's, no limits",
        round(our_s / their_s, 3),
        1.00,
        f"{our_s:.2f} s ÷ {their_s:.2f} s",
        faults=losses(ours),
        numbers={"worker": ours, "openai": theirs},
    )


def with_hangs(ours: list[Numbers], hung: Numbers) -> Row:
    our_s = median_seconds(ours)
    return Row(
        "makespan with 1 % of requests hanging ÷ without",
        round(hung["seconds"] / our_s, 3),
        1.35,
        f"{hung['seconds']:.2f} s ÷ {our_s:.2f} s; {hung['hung']:.0f} requests hung",
        faults=losses([hung]),
        numbers={"hanging": hung},
    )


def median_seconds(runs: list[Numbers]) -> float:
    return median(run["seconds"] for run in runs)


def losses(runs: list[Numbers]) -> tuple[str, ...]:
    lost = sum(SYMBOLS - int(run["documented"]) for run in runs)
    return (f"{lost} symbols lost",) if lost else ()
