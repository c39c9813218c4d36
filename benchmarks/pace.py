"""How close to the ideal each client comes under an account's limits, and what it loses to them.

The ideal is computed from the server's limits and its own counts: the moment at which the last request could have been
admitted, plus two mean latencies. The worker meets every scenario, in which it is told nothing. Three of them also the
official client and openai-cookbook's algorithm; the first one also the libraries of `clients.peers` that are
installed.

Most of a client's time here is waiting, so several run at once, spread out to use about one core in all: the worker's
runs begin one after another, and of the peers that take most of a core only one runs at a time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from benchmarks.clients.stage import Task
from benchmarks.processes import PEERS_PYTHON, ClientFailed, installed_peers, running_client
from benchmarks.rows import Row
from benchmarks.workload import SYMBOLS, Workload
from tests.loopback.openai import Behaviour, Limits, ideal_makespan_s, running_process

LATENCY_MEAN_S = 1.0
LATENCY_SIGMA = 0.4
WIDTH = 100
STAGGER_S = 3.0
MAX_REFUSED = 0.01

# As with OpenAI both limits are always there and both are told; the other one is far away.
TOKENS = Limits(requests_per_min=10_000, tokens_per_min=280_000)


@dataclass(frozen=True)
class Scenario:
    """An account's limits. `ideal_s` is given where they are not those of an account but of a server's size."""

    name: str
    limits: Limits
    bar: float | None
    headers: bool = True
    max_in_flight: int | None = None
    ideal_s: float | None = None
    refusals_count: bool = False

    def behaviour(self) -> Behaviour:
        return Behaviour(
            latency_mean_s=LATENCY_MEAN_S,
            latency_sigma=LATENCY_SIGMA,
            limits=self.limits,
            send_limit_headers=self.headers,
            max_in_flight=self.max_in_flight,
            count_by="characters",
        )


PLACES = 32
TOKEN_LIMITED = Scenario("tokens a minute", TOKENS, 1.05, refusals_count=True)
REQUEST_LIMITED = Scenario("requests a minute", Limits(700, 10_000_000), 1.10)
SECOND_BY_SECOND = Scenario("second by second", Limits(10_000, 864_000, enforced_per_second=True), 1.10)
WITH_PEERS = (TOKEN_LIMITED, REQUEST_LIMITED, SECOND_BY_SECOND)
SCENARIOS = (
    Scenario("another worker takes half", replace(TOKENS, other_worker_share=0.5, other_worker_from_s=3), 1.10),
    Scenario("limit halved in mid-run", replace(TOKENS, changes=((13, 0.5),)), 1.10),
    *WITH_PEERS,
    Scenario("requests and tokens", Limits(700, 280_000), 1.10),
    Scenario("tokens, no headers", Limits(tokens_per_min=280_000), 1.30, headers=False),
    Scenario(
        f"{PLACES} at once, no headers",
        Limits(),
        None,
        headers=False,
        max_in_flight=PLACES,
        ideal_s=(SYMBOLS / PLACES + 2) * LATENCY_MEAN_S,
    ),
)


@dataclass(frozen=True)
class Contestant:
    name: str
    module: str
    width: int = WIDTH
    peer: str = ""

    @property
    def python(self) -> str:
        return str(PEERS_PYTHON) if self.peer else sys.executable


WORKER = Contestant("this worker", "worker")
OFFICIAL = Contestant("openai, 100 at once", "official")
OFFICIAL_10 = Contestant("openai, 10 at once", "official", width=10)
COOKBOOK = Contestant("openai-cookbook, told the limit", "cookbook")
CURATOR = Contestant("bespokelabs-curator", "peers", peer="bespokelabs.curator")
BUSY_PEERS = (
    Contestant("litellm", "peers", peer="litellm"),
    Contestant("pydantic-ai", "peers", peer="pydantic_ai"),
    Contestant("langchain-openai", "peers", peer="langchain_openai"),
    Contestant("instructor", "peers", peer="instructor"),
)


@dataclass(frozen=True)
class Pace:
    """How one client fared in one scenario; without `seconds` it came to no end."""

    scenario: str
    client: str
    seconds: float | None
    ideal_s: float
    lost: int
    refused: int = 0
    requests: int = 0
    most_in_flight: int = 0
    cpu_s: float = 0.0
    failure: str = ""

    @property
    def ratio(self) -> float:
        return self.seconds / self.ideal_s if self.seconds is not None else float("inf")


@dataclass
class Contest:
    """Runs clients in scenarios and keeps how they fared."""

    workload: Workload
    say: Callable[[str], None]
    results: list[Pace] = field(default_factory=list)

    def run(self, contestant: Contestant, scenario: Scenario) -> None:
        try:
            pace = measure(contestant, scenario, self.workload)
        except ClientFailed as error:
            if contestant is WORKER:
                raise
            pace = Pace(scenario.name, contestant.name, None, 1.0, SYMBOLS, failure=str(error))
        self.results.append(pace)
        took = f"{pace.seconds:.1f} s, {pace.ratio:.3f} of the ideal" if pace.seconds is not None else "no end"
        self.say(f"{scenario.name}: {contestant.name}: {took}, {pace.lost} lost, {pace.refused} refused")


def measure(contestant: Contestant, scenario: Scenario, workload: Workload) -> Pace:
    """One run of a client against a server of its own."""
    limits = scenario.limits
    with running_process(scenario.behaviour()) as server:
        task = Task(
            server.base_url,
            requests=str(workload.requests),
            payload=str(workload.payload),
            width=contestant.width,
            peer=contestant.peer,
            requests_per_min=limits.requests_per_min,
            tokens_per_min=limits.tokens_per_min,
        )
        with running_client(contestant.module, task, contestant.python) as client:
            numbers = client.run()
        bill = server.bill()
    return Pace(
        scenario.name,
        contestant.name,
        numbers["seconds"],
        scenario.ideal_s or ideal_makespan_s(workload.charges, limits, LATENCY_MEAN_S),
        lost=SYMBOLS - int(numbers["documented"]),
        refused=bill["requests"].get("429", 0) + bill["requests"].get("503", 0),
        requests=sum(bill["requests"].values()),
        most_in_flight=bill["highest_in_flight"],
        cpu_s=numbers["cpu_s"],
    )


def run_slow_peers(workload: Workload, say: Callable[[str], None]) -> list[Pace]:
    """Those that leave most of the limit unused: they take two minutes, and next to no CPU."""
    contest = Contest(workload, say)
    pairs = [(OFFICIAL_10, scenario) for scenario in WITH_PEERS]
    pairs += [(one, TOKEN_LIMITED) for one in installed([CURATOR])]
    with ThreadPoolExecutor(len(pairs)) as pool:
        results_of(start_in_turn(pool, contest, pairs))
    return contest.results


def run_others(workload: Workload, say: Callable[[str], None]) -> list[Pace]:
    """The worker and the other idle ones, one beginning after another; beside them the busy peers, one at a time."""
    say_what_is_missing(say)
    contest = Contest(workload, say)
    pairs = [(WORKER, scenario) for scenario in SCENARIOS]
    pairs += [(COOKBOOK, scenario) for scenario in WITH_PEERS]
    for place, scenario in zip((4, 8, 12), WITH_PEERS, strict=True):
        # Apart from each other: each takes a third of a core while it lasts.
        pairs.insert(place, (OFFICIAL, scenario))
    with ThreadPoolExecutor(len(pairs)) as pool, ThreadPoolExecutor(1) as one_at_a_time:
        busy = [one_at_a_time.submit(contest.run, one, TOKEN_LIMITED) for one in installed(BUSY_PEERS)]
        results_of([*start_in_turn(pool, contest, pairs), *busy])
    return contest.results


def say_what_is_missing(say: Callable[[str], None]) -> None:
    every = (CURATOR, *BUSY_PEERS)
    found = installed(every)
    if missing := [one.name for one in every if one not in found]:
        say(f"not installed (`make bench-peers`), left out: {', '.join(missing)}")


def installed(peers: Sequence[Contestant]) -> list[Contestant]:
    found = installed_peers([one.peer for one in peers])
    return [one for one in peers if one.peer in found]


def start_in_turn(
    pool: ThreadPoolExecutor, contest: Contest, pairs: Sequence[tuple[Contestant, Scenario]]
) -> list[Future[None]]:
    futures = []
    for contestant, scenario in pairs:
        futures.append(pool.submit(contest.run, contestant, scenario))
        time.sleep(STAGGER_S)
    return futures


def results_of(futures: Sequence[Future[None]]) -> None:
    for future in futures:
        future.result()


def rows(results: Sequence[Pace]) -> list[Row]:
    """The worker's row for each scenario."""
    ours = {pace.scenario: pace for pace in results if pace.client == WORKER.name}
    ordered = sorted(SCENARIOS, key=lambda scenario: scenario not in WITH_PEERS)
    return [row(scenario, ours[scenario.name]) for scenario in ordered]


def row(scenario: Scenario, pace: Pace) -> Row:
    share = pace.refused / max(1, pace.requests)
    faults = [f"{pace.lost} symbols lost"] if pace.lost else []
    if scenario.refusals_count and share > MAX_REFUSED:
        faults.append(f"{share:.1%} of requests refused")
    return Row(
        f"makespan ÷ ideal: {scenario.name}",
        round(pace.ratio, 3),
        scenario.bar,
        f"{pace.lost} of {SYMBOLS:,} lost, {share:.1%} of requests refused",
        faults=tuple(faults),
    )
