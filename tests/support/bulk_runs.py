"""What the tests of bulk runs share: sources, the command as a process, and a deployment of workers for it to use.

The workers, the queue and OpenAI are those of the other tests; results and the run's state are in a folder that all of
them see. Leaves out what a test claims.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generation.config import VOCABULARY_DIR
from tests.loopback.openai import Behaviour, RunningServer
from tests.loopback.openai import running_process as running_openai
from tests.loopback.queue import NO_RULES, LoopbackQueue, Rules, running_queue
from tests.support.contexts import payload
from tests.support.folders import files_below
from tests.support.waiting import LIMIT_S
from tests.support.worker_process import RunningProcess, running_worker

PATIENCE = "from generation.model import pacing; pacing.MIN_TIMEOUT_S = 60.0"
KEY = "sk-loopback-key-that-nobody-may-see"
RUNPOD_KEY = "rpa_loopback-key-that-nobody-may-see"
NAME = r"(?m)^Name: (.+)$"
WIDTH = 20

Json = dict[str, Any]


def symbols_of(source: str, count: int, cluster_size: int = 7) -> list[Json]:
    """So many symbols that no other source has, in clusters whose members are apart from one another."""
    symbols: list[Json] = payload(count)["symbols"]
    clusters = max(1, count // cluster_size)
    for number, symbol in enumerate(symbols):
        symbol["symbol_id"] = f"{source}.py::s{number}"
        symbol["context"] |= {
            "symbol_id": symbol["symbol_id"],
            "name": f"{source}_{number}",
            "cluster_label": f"cluster {number % clusters}",
        }
    return symbols


def write_sources(folder: Path, counts: Mapping[str, int]) -> dict[str, list[Json]]:
    """Sources of so many symbols each, by name: as JSON Lines, every second one gzipped."""
    sources = {}
    for number, (name, count) in enumerate(counts.items()):
        sources[name] = symbols_of(name.replace("/", "_"), count)
        lines = "".join(f"{json.dumps(symbol)}\n" for symbol in sources[name]).encode()
        path = folder / (f"{name}.jsonl.gz" if number % 2 else f"{name}.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(lines) if number % 2 else lines)
    return sources


def ids(symbols: Sequence[Json]) -> list[str]:
    return [symbol["symbol_id"] for symbol in symbols]


@dataclass
class Deployment:
    """A queue, an OpenAI, and a store, and how to run the command on them."""

    queue: LoopbackQueue
    openai: RunningServer
    results: Path

    def behave(self, *script: Json, **changes: Any) -> None:
        """From now on the OpenAI server is like this, with a new bill, and the queue without rules."""
        self.openai.set_behaviour(self.behaviour(*script, **changes))
        self.openai.reset()
        self.queue.follow(NO_RULES)

    def behaviour(self, *script: Json, **changes: Any) -> Behaviour:
        changes = {"latency_mean_s": 0.05, **changes}
        return Behaviour(fault_script=script, marker=NAME, count_by="characters", **changes)

    @property
    def api_url(self) -> str:
        return self.queue.url.rpartition("/")[0]

    def environment(self, **more: str) -> dict[str, str]:
        """The command's environment: nothing of the caller's."""
        return {
            "RUNPOD_API_KEY": RUNPOD_KEY,
            "RUNPOD_ENDPOINT_ID": "ep",
            "RUNPOD_API_URL": self.api_url,
            "RESULTS_DIR": str(self.results),
            "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR),
            **more,
        }

    def local_environment(self, **more: str) -> dict[str, str]:
        """The same for runs in the command's own process."""
        own = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": self.openai.base_url, "MAX_CONCURRENT_REQUESTS": str(WIDTH)}
        return self.environment(**own, **more)

    def worker_environment(self, pod_id: str) -> dict[str, str]:
        return {
            **self.queue.environment(pod_id),
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": self.openai.base_url,
            "RESULTS_DIR": str(self.results),
            "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR),
            "MAX_CONCURRENT_REQUESTS": str(WIDTH),
        }

    def bought(self) -> dict[str, int]:
        """How often each symbol was bought, by its name."""
        bought: dict[str, int] = self.openai.bill()["bought"]
        return bought

    def merged(self, run: str, source: str) -> Json:
        document: Json = json.loads((self.results / run / f"{source}.json").read_bytes())
        return document

    def left_of(self, run: str) -> list[str]:
        """What a run has left beside its merged results and its course over time, as names."""
        names = [path.relative_to(self.results).as_posix() for path in files_below(self.results)]
        merged = [name for name in names if name.startswith(f"{run}/")]
        return sorted(name for name in names if run in name and name not in [*merged, f"bulk/{run}/timeline.json"])

    def check_merged(self, run: str, sources: Mapping[str, Sequence[Json]]) -> None:
        """Every source is documented: each symbol once, in the order of the source, and every total is the bill's."""
        bill = self.openai.bill()
        documents = [self.merged(run, name) for name in sources]
        for document, symbols in zip(documents, sources.values(), strict=True):
            assert ids(document["documented_symbols"]) == ids(symbols)
            assert document["failed_symbols"] == []
            assert document["status"] == "success"
        total = sum(document["total_tokens"] for document in documents)
        assert total == bill["input_tokens"] + bill["output_tokens"]

    def left_when_done(self, run: str, sources: int) -> list[str]:
        states = [f"bulk/{run}/sources/{number:06}.json" for number in range(sources)]
        return [f"bulk/{run}/manifest.json", *states]


@contextmanager
def running_deployment(results: Path, workers: int, rules: Rules = NO_RULES) -> Iterator[Deployment]:
    """The servers, and so many workers."""
    with (
        running_openai(Behaviour(count_by="characters")) as openai,
        running_queue(api_key=RUNPOD_KEY, poll_s=2.0, rules=rules) as queue,
        ExitStack() as stack,
    ):
        deployment = Deployment(queue, openai, results)
        for number in range(workers):
            stack.enter_context(running_patient_worker(deployment.worker_environment(f"pod-{number}")))
        yield deployment


@contextmanager
def running_patient_worker(environment: Mapping[str, str]) -> Iterator[RunningProcess]:
    """A worker that does not take a request that is held for one that hangs."""
    program = f"{PATIENCE}; import handler; handler.main()"
    with running_worker(environment, args=("-c", program)) as worker:
        yield worker


@contextmanager
def running_command(environment: Mapping[str, str], *arguments: str) -> Iterator[RunningProcess]:
    """`python -m generation.bulk` with these arguments; requests that are held are waited for."""
    program = f"{PATIENCE}; from generation.bulk.__main__ import main; main()"
    with running_worker(environment, args=("-c", program, *arguments)) as process:
        yield process


def run_command(environment: Mapping[str, str], *arguments: str) -> tuple[int, str, str]:
    """The command's exit code, standard output and standard error."""
    with running_command(environment, *arguments) as process:
        code = process.wait(LIMIT_S)
    for secret in (KEY, RUNPOD_KEY):
        assert secret not in process.stdout() + process.stderr()
    assert "Traceback" not in process.stderr()
    return code, process.stdout(), process.stderr()


def records(stdout: str) -> list[Json]:
    return [json.loads(line) for line in stdout.splitlines()]
