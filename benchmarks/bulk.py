"""A bulk run through RunPod's queue: how close it comes to the account's rate limit, what it survives, how it scales.

Runs the real command and real workers, with the loopback queue and OpenAI in separate processes; results are stored in
a folder. The ideal is the moment at which the account could have admitted the last request. Under kills, nothing may be
lost, and the symbols paid for twice may not exceed what killed workers had not saved. Scaling is measured with the
concurrency of each worker as the only limit.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import REPOSITORY
from benchmarks.rows import Row
from benchmarks.workload import SEED, Workload, make_symbols
from generation.results.checkpoint import SEGMENT_AGE_S
from tests.loopback.openai import Behaviour, Limits, RunningServer, ideal_makespan_s
from tests.loopback.openai import running_process as running_openai
from tests.loopback.queue import DOCUMENTED_RATES, Rules, running_queue_process, worker_environment
from tests.support.worker_process import RunningProcess, running_process

Say = Callable[[str], None]

KEY = "loopback"
NAME = r"(?m)^Name: (.+)$"
LINES = (10, 24)
LATENCY_S = 0.5
LONGEST_S = 900.0

# The whole: 100,000 contexts in 40 sources.
WORKERS = 4
SOURCES, EACH = 40, 2_500
REQUESTS_PER_MIN = 24_000
MEMORY_BAR_MB = 300.0
# A request that is given up at its time-out may have been answered; a shard that ran twice would be many more.
MAX_BOUGHT_TWICE = 0.001

# The bad day.
BAD_SOURCES, BAD_EACH = 8, 1_500
COORDINATOR_KILLS = 5
WORKER_KILL_EVERY_S = 5.0
SHARE_OF_FAULTS = 0.05
BAD_WIDTH = 40
JOBS_PER_WORKER = 4

# Scaling.
SCALING = (1, 2, 4)
SCALING_SYMBOLS = 6_000
SCALING_WIDTH = 25
SCALING_LATENCY_S = 0.25


@dataclass
class House:
    """The servers, a folder for results and one for sources."""

    openai: RunningServer
    queue_url: str
    folder: Path
    width: int
    latest: dict[str, float] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @contextmanager
    def worker(self, pod_id: str) -> Iterator[RunningProcess]:
        """Start a worker as a new process: those of tests have their libraries loaded before they start."""
        environment = {
            **worker_environment(self.queue_url, pod_id),
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": self.openai.base_url,
            "RESULTS_DIR": str(self.results),
            "TIKTOKEN_CACHE_DIR": str(REPOSITORY / "vocabulary"),
            "MAX_CONCURRENT_REQUESTS": str(self.width),
            "JOBS_PER_WORKER": str(JOBS_PER_WORKER),
            "LOG_LEVEL": "WARNING",
        }
        with running_process([sys.executable, "-u", "handler.py"], environment, REPOSITORY) as process:
            yield process

    @contextmanager
    def coordinator(self, *options: str) -> Iterator[RunningProcess]:
        command = [sys.executable, "-m", "generation.bulk", "run", str(self.folder / "sources"), "--via", "runpod"]
        environment = {
            "RUNPOD_API_KEY": KEY,
            "RUNPOD_ENDPOINT_ID": "ep",
            "RUNPOD_API_URL": self.queue_url.rpartition("/")[0],
            "RESULTS_DIR": str(self.results),
        }
        with running_process([*command, "--run", "bench", "--json", *options], environment, REPOSITORY) as process:
            yield process

    def faults(self, sources: int, each: int) -> tuple[list[str], int]:
        """Return the faults of the results, and how many symbols were paid for more than once."""
        found: list[str] = []
        for number in range(sources):
            document = json.loads((self.results / "bench" / f"{source_name(number)}.json").read_bytes())
            listed = [one["symbol_id"] for one in document["documented_symbols"]]
            if listed != [one["symbol_id"] for one in symbols_of(number, each)]:
                found.append(f"source {number}: {each - len(set(listed))} symbols lost or out of order")
        bought = self.openai.bill()["bought"]
        return found, sum(bought.values()) - sources * each


def source_name(number: int) -> str:
    return f"repository-{number:02}"


def symbols_of(number: int, each: int) -> Iterator[dict[str, Any]]:
    """Return the same symbols for each source, under names of its own, in clusters."""
    for place, symbol in enumerate(make_symbols(each, LINES)):
        symbol_id = f"{source_name(number)}/{symbol['symbol_id']}"
        context = {**symbol["context"], "symbol_id": symbol_id, "cluster_label": f"cluster {place // 60}"}
        context["name"] = f"{context['name']}_{number}"
        yield {"symbol_id": symbol_id, "context": context}


@contextmanager
def running_house(
    folder: Path, behaviour: Behaviour, rules: Rules, sources: tuple[int, int], width: int
) -> Iterator[House]:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "sources").mkdir(parents=True)
    for number in range(sources[0]):
        with (folder / "sources" / f"{source_name(number)}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(symbol)}\n" for symbol in symbols_of(number, sources[1]))
    with running_openai(behaviour) as openai, running_queue_process(rules) as queue_url:
        yield House(openai, queue_url, folder, width)
    shutil.rmtree(folder, ignore_errors=True)


def rows(workload: Workload, say: Say) -> list[Row]:
    folder = workload.payload.parent / "bulk"
    return [*whole_rows(folder, say), *bad_day_rows(folder, say), *scaling_rows(folder, say)]


def behaviour(latency_s: float, limits: Limits) -> Behaviour:
    return Behaviour(
        latency_mean_s=latency_s, latency_sigma=0.4, limits=limits, count_by="characters", marker=NAME, seed=SEED
    )


def whole_rows(folder: Path, say: Say) -> list[Row]:
    total = SOURCES * EACH
    limits = Limits(requests_per_min=REQUESTS_PER_MIN, tokens_per_min=1e9)
    rules = Rules(rates=DOCUMENTED_RATES)
    with (
        running_house(folder, behaviour(LATENCY_S, limits), rules, (SOURCES, EACH), width=150) as house,
        ExitStack() as stack,
    ):
        for number in range(WORKERS):
            stack.enter_context(house.worker(f"pod-{number}"))
        time.sleep(3.0)
        seconds, peak_mb, code = measure(house)
        ideal_s = ideal_makespan_s([1] * total, Limits(requests_per_min=REQUESTS_PER_MIN), LATENCY_S)
        faults, twice = house.faults(SOURCES, EACH)
        refused = house.openai.bill()["requests"].get("429", 0)
    if code:
        faults.append(f"the command ended with {code}")
    if twice > MAX_BOUGHT_TWICE * total:
        faults.append(f"{twice} bought twice")
    say(f"bulk: {total:,} in {SOURCES} sources: {seconds:.1f} s, ideal {ideal_s:.1f} s, peak {peak_mb:.0f} MB")
    return [
        Row(
            f"bulk run of {total:,} in {SOURCES} sources, {WORKERS} workers: makespan ÷ ideal",
            round(seconds / ideal_s, 3),
            1.15,
            f"{seconds:.1f} s ÷ {ideal_s:.1f} s, 0 lost, {twice} bought twice",
            faults=tuple(faults),
            numbers={"seconds": seconds, "ideal_s": ideal_s, "refused": refused, "twice": twice},
        ),
        Row(
            "peak memory of its coordinator",
            round(peak_mb, 1),
            MEMORY_BAR_MB,
            f"{total:,} contexts",
            unit="MB",
        ),
    ]


def measure(house: House, *options: str) -> tuple[float, float, int]:
    """Run a bulk job; return its seconds, its coordinator's peak memory in MB, and its exit code."""
    started_s = time.monotonic()
    peak_mb = 0.0
    with house.coordinator(*options) as process:
        while process.returncode is None and time.monotonic() - started_s < LONGEST_S:
            peak_mb = max(peak_mb, peak_memory_mb(process.pid))
            time.sleep(0.05)
        seconds = time.monotonic() - started_s
        return seconds, peak_mb, process.wait(1.0)


def peak_memory_mb(pid: int) -> float:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1_024
    return 0.0


def bad_day_rows(folder: Path, say: Say) -> list[Row]:
    """Measure a run in which workers are killed all the time, the coordinator five times, and the queue fails."""
    total = BAD_SOURCES * BAD_EACH
    script = [
        {"fault": fault, "only": ["run", "status"], "share": SHARE_OF_FAULTS / 5}
        for fault in ("server_error", "too_many", "disconnect", "server_error_after", "disconnect_after")
    ]
    rules = Rules(rates=DOCUMENTED_RATES, call_script=script, seed=SEED, requeue_after_s=3.0)
    with running_house(
        folder, behaviour(LATENCY_S, Limits()), rules, (BAD_SOURCES, BAD_EACH), width=BAD_WIDTH
    ) as house:
        started_s = time.monotonic()
        with dying_workers(house) as deaths:
            code = with_kills(house, say)
        seconds = time.monotonic() - started_s
        faults, twice = house.faults(BAD_SOURCES, BAD_EACH)
    if code:
        faults.append(f"the command ended with {code}")
    # What a dying worker had in flight, and what it had answers of since it last saved.
    unsaved = deaths[0] * (BAD_WIDTH + SEGMENT_AGE_S * BAD_WIDTH / LATENCY_S)
    say(f"bulk, a bad day: {seconds:.1f} s, {deaths[0]} workers died, {twice} bought twice")
    return [
        Row(
            f"bulk run of {total:,} on a bad day: bought twice ÷ unsaved at the kills, at most",
            round(twice / unsaved, 4),
            1.0,
            f"{twice} of {total:,} bought twice; {COORDINATOR_KILLS} kills of the coordinator, {deaths[0]} of workers, "
            f"{SHARE_OF_FAULTS:.0%} of the queue's answers failed",
            faults=tuple(faults),
            numbers={"twice": twice, "deaths": deaths[0], "seconds": seconds},
        )
    ]


@contextmanager
def dying_workers(house: House) -> Iterator[list[int]]:
    """Start workers of which one is killed every few seconds and replaced; the list counts the kills."""
    deaths = [0]
    over = threading.Event()
    chance = random.Random(SEED)

    def reign() -> None:
        with ExitStack() as stack:
            alive = [stack.enter_context(house.worker(f"pod-{number}")) for number in range(WORKERS)]
            while not over.wait(WORKER_KILL_EVERY_S):
                place = chance.randrange(WORKERS)
                alive[place].kill()
                deaths[0] += 1
                alive[place] = stack.enter_context(house.worker(f"pod-{WORKERS + deaths[0]}"))

    thread = threading.Thread(target=reign, name="workers")
    thread.start()
    try:
        yield deaths
    finally:
        over.set()
        thread.join()


def with_kills(house: House, say: Say) -> int:
    """Run the command and kill it at random moments, restarting it; return the exit code of the last start."""
    chance = random.Random(SEED)
    for _ in range(COORDINATOR_KILLS):
        with house.coordinator() as process:
            with suppress(TimeoutError):
                process.wait(chance.uniform(1.0, 9.0))
                say("bulk, a bad day: the run ended before it was killed often enough")
            process.kill()
    return measure(house)[2]


def scaling_rows(folder: Path, say: Say) -> list[Row]:
    """Measure how throughput grows with workers of fixed concurrency, with an unlimited account."""
    measured: dict[int, float] = {}
    result = []
    for workers in SCALING:
        with (
            running_house(
                folder,
                behaviour(SCALING_LATENCY_S, Limits()),
                Rules(rates=DOCUMENTED_RATES),
                (4, SCALING_SYMBOLS // 4),
                width=SCALING_WIDTH,
            ) as house,
            ExitStack() as stack,
        ):
            for number in range(workers):
                stack.enter_context(house.worker(f"pod-{number}"))
            time.sleep(2.0)
            seconds, _, _ = measure(house, "--shard-size", "100")
            faults, _ = house.faults(4, SCALING_SYMBOLS // 4)
        measured[workers] = seconds
        ideal_s = SCALING_SYMBOLS / (workers * SCALING_WIDTH) * SCALING_LATENCY_S
        efficiency = measured[SCALING[0]] / (workers * seconds)
        say(f"bulk, {workers} workers: {seconds:.1f} s, {efficiency:.0%} of one worker's pace each")
        result.append(
            Row(
                f"bulk run of {SCALING_SYMBOLS:,}, {workers} worker{'s' if workers > 1 else ''}: makespan ÷ ideal",
                round(seconds / ideal_s, 3),
                None,
                f"{seconds:.1f} s ÷ {ideal_s:.1f} s, efficiency {efficiency:.0%}; the limit: places in flight",
                faults=tuple(faults),
                numbers={"seconds": seconds, "efficiency": efficiency},
            )
        )
    return result
