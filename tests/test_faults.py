"""Faults at every moment of a job, through the real worker loop: afterwards every symbol is documented, once, and what
was saved before the fault is not bought again.

Each cell of the matrix is a fault at a moment: a job meets it, a second run under the same job id follows, and what the
OpenAI server sold is compared with what the bucket held in between. A job stays at its moment, since the OpenAI server
or the bucket holds it there, until the fault has struck. The table is printed at the end of the run.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from generation.config import VOCABULARY_DIR, Settings
from generation.domain.outcome import Symbol
from generation.intake.symbols import parse_symbols
from generation.planning.planner import make_plan
from generation.results.checkpoint import MAX_UNSAVED
from tests.conftest import TABLES
from tests.loopback.openai import Behaviour, RunningServer
from tests.loopback.openai import running_process as running_openai
from tests.loopback.queue import LoopbackQueue, running_queue
from tests.loopback.s3 import MotoS3, running_moto
from tests.support.contexts import item
from tests.support.folders import files_below
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.worker_process import RunningProcess, running_worker

KEY = "sk-loopback-key-that-nobody-may-see"
NAME = r"(?m)^Name: (.+)$"
SYMBOLS = 120
AT_ONCE = 20
# How many answers a job has got at each moment, and no more until the fault has struck.
ANSWERS = {"at the start": 0, "in the middle": SYMBOLS // 2, "while uploading": None}
# A request that is held must not be taken for one that hangs, nor a busy machine for a slow bucket.
PROGRAM = """
import os
from generation.model import pacing
from generation.results import checkpoint
from generation.storage import lease
pacing.MIN_TIMEOUT_S = 60.0
checkpoint.MAX_HOLD_UP_S = 60.0
lease.JOB_TTL_S = float(os.environ["LEASE_S"])
import handler
handler.main()
"""
AN_HOUR_AHEAD = """
import time
real_s, real_ns = time.time, time.time_ns
time.time = lambda: real_s() + 3600
time.time_ns = lambda: real_ns() + 3600 * 10**9
"""
STDOUT_TO_A_PIPE = """
import os, sys
os.dup2(os.open({pipe!r}, os.O_WRONLY), 1)
# As at the start of a process, which this one, a fork, has behind it.
sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)
"""
MOMENTS = ("at the start", "in the middle", "while uploading")
# What one run may buy again: what was in flight, and what was in no segment.
MAX_LOST = AT_ONCE + MAX_UNSAVED

Json = dict[str, Any]
_numbers = itertools.count(1)


class Cell(NamedTuple):
    """What came of a fault at a moment: how many symbols were saved between the runs, and how many bought twice."""

    fault: str
    moment: str
    first: str
    saved: int
    bought_again: int


@pytest.fixture(scope="module")
def cells() -> Iterator[list[Cell]]:
    made: list[Cell] = []
    yield made
    TABLES.append(f"{'fault':<26}{'moment':<18}{'first run':<12}{'saved':>6}{'bought twice':>14}  of {SYMBOLS} symbols")
    for cell in made:
        TABLES.append(f"{cell.fault:<26}{cell.moment:<18}{cell.first:<12}{cell.saved:>6}{cell.bought_again:>14}")


@dataclass
class Deployment:
    """A queue, the servers that jobs need, and the worker of the day."""

    queue: LoopbackQueue
    openai: RunningServer
    s3: MotoS3
    stack: contextlib.ExitStack
    scratch: Path
    worker: RunningProcess | None = None
    pods: int = 0
    # Where results go that do not go to the bucket.
    folder: Path | None = None
    shipper: subprocess.Popen[bytes] | None = None

    def start_worker(self, before: str = "", **changes: str) -> RunningProcess:
        """Start a worker that executes the program `before` first; `changes` are settings of its own.

        From now on it alone gets jobs: none goes to a poll, still open, of one that was killed or stands still.
        """
        self.queue.pass_over(f"pod-{self.pods}")
        self.pods += 1
        environment = {
            **self.queue.environment(f"pod-{self.pods}"),
            **({"RESULTS_DIR": str(self.folder)} if self.folder else self.s3.environment()),
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": self.openai.base_url,
            "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR),
            # A busy machine may take seconds for an answer of the bucket. A job that takes it for away at its start
            # cannot know what was bought before.
            "STORAGE_RETRY_S": "20",
            "MAX_RETRIES": "1",
            "MAX_CONCURRENT_REQUESTS": str(AT_ONCE),
            "LEASE_S": "4",
            **changes,
        }
        worker = self.stack.enter_context(running_worker(environment, args=("-c", before + PROGRAM)))
        self.worker = worker
        return worker

    def start_worker_with_shipper(self) -> None:
        """Start a worker whose output another process reads, from a pipe, and whose results go to a folder."""
        self.stop_worker()
        self.folder = self.scratch / "results"
        pipe = self.scratch / "stdout"
        os.mkfifo(pipe)
        self.shipper = self.stack.enter_context(subprocess.Popen(["cat", pipe], stdout=subprocess.DEVNULL))
        self.stack.callback(self.shipper.kill)
        self.start_worker(STDOUT_TO_A_PIPE.format(pipe=str(pipe)))

    def replace_worker(self, **changes: str) -> None:
        """Start another worker in place of the one of the day, with settings of its own."""
        self.stop_worker()
        self.start_worker(**changes)

    def stop_worker(self) -> None:
        if self.worker:
            self.worker.kill()
            self.worker.wait(LIMIT_S)

    def living_worker(self) -> RunningProcess:
        if self.worker is None or self.worker.returncode is not None:
            return self.start_worker()
        return self.worker

    def behave(self, **changes: Any) -> None:
        healthy = {"latency_mean_s": 0.04, "marker": NAME, "count_by": "characters"}
        self.openai.set_behaviour(Behaviour(**{**healthy, **changes}))

    def get_well(self) -> None:
        """The servers are as they should be, from now on."""
        self.behave()
        self.s3.up()
        self.s3.slow(0.0)
        self.s3.release()

    def bought(self) -> Counter[str]:
        return Counter(self.openai.bill()["bought"])

    def _keys(self) -> list[str]:
        """Every key of the store; those in the folder are as in a bucket."""
        if self.folder is None:
            return self.s3.keys()
        names = [path.relative_to(self.folder).as_posix() for path in files_below(self.folder)]
        return [name if name.startswith("checkpoints/") else f"results/{name}" for name in names]

    def _read(self, key: str) -> bytes:
        return (self.folder / key.removeprefix("results/")).read_bytes() if self.folder else self.s3.get(key)

    def segments(self, job_id: str) -> list[str]:
        keys = self._keys()
        return [key for key in keys if key.startswith(f"checkpoints/{job_id}/") and key.endswith(".jsonl")]

    def results(self, job_id: str) -> Json | None:
        key = f"results/{job_id}.json"
        return json.loads(self._read(key)) if key in set(self._keys()) else None

    def saved(self, job_id: str) -> set[str]:
        """The symbols that are documented in what the bucket holds of a job."""
        texts = [self._read(key) for key in self.segments(job_id)]
        # A segment in a folder may be read while a line is appended.
        lines = [line for text in texts for line in text.splitlines(keepends=True) if line.endswith(b"\n")]
        records = [json.loads(line) for line in lines]
        records += (self.results(job_id) or {"documented_symbols": []})["documented_symbols"]
        return {record["symbol_id"].partition(":")[2] for record in records if "summary" in record}


@pytest.fixture(scope="module")
def shared_deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with (
        running_openai(Behaviour(count_by="characters")) as openai,
        running_moto() as s3,
        running_queue(poll_s=0.1) as queue,
        contextlib.ExitStack() as stack,
    ):
        yield Deployment(queue, openai, s3, stack, tmp_path_factory.mktemp("deployment"))


@pytest.fixture
def deployment(shared_deployment: Deployment) -> Iterator[Deployment]:
    shared_deployment.get_well()
    shared_deployment.openai.reset()
    shared_deployment.living_worker()
    yield shared_deployment
    shared_deployment.get_well()


@dataclass
class Trial:
    """A job in its first run, at a moment of it."""

    deployment: Deployment
    moment: str
    job_id: str
    symbols: list[Json]
    run_id: str = ""

    def hold(self, **changes: Any) -> None:
        """Let jobs come to the moment and no further; the OpenAI server is otherwise as `changes` say."""
        if self.moment == "while uploading":
            self.deployment.s3.hold(f"results/{self.job_id}.json")
        self.deployment.behave(hold_after=ANSWERS[self.moment], **changes)

    def release(self, **changes: Any) -> None:
        """Let jobs go on; the OpenAI server is as `changes` say."""
        self.deployment.behave(**changes)
        self.deployment.s3.release()

    def begin(self, changes: Mapping[str, Any] = {}, **options: Any) -> None:
        """Submit the job and return when its moment has come."""
        self.hold(**changes)
        self.run_id = self.submit(**options)
        happened: dict[str, Callable[[], bool]] = {
            "at the start": lambda: bool(self.deployment.openai.bill()["arrived_at_s"]),
            "in the middle": lambda: len(self.deployment.saved(self.job_id)) >= 2 * MAX_UNSAVED,
            "while uploading": self.deployment.s3.is_holding,
        }
        wait_until(happened[self.moment], f"the moment {self.moment}")

    def submit(self, **options: Any) -> str:
        return self.deployment.queue.submit({"job_id": self.job_id, "symbols": self.symbols, "options": options})

    def output(self, run_id: str | None = None) -> Json:
        """The output of a run, the first by default."""
        result = self.deployment.queue.result(run_id or self.run_id, LIMIT_S)
        output: Json = result.get("output", {}) | ({"error": result["error"]} if "error" in result else {})
        return output


# A job that is to come to its end before its bucket is back. It would wait for the bucket to renew its lease.
WITHOUT_BUCKET = {"STORAGE_RETRY_S": "2", "LEASE_S": "100"}

# Each fault is a function: it takes the trial through its first run and says how that ended.


def sigkill(trial: Trial) -> str:
    trial.begin()
    worker = trial.deployment.living_worker()
    worker.kill()
    worker.wait(LIMIT_S)
    trial.deployment.openai.wait_until_idle()
    trial.deployment.queue.cancel(trial.run_id)
    return "killed"


def sigterm(trial: Trial) -> str:
    trial.begin()
    worker = trial.deployment.living_worker()
    worker.terminate()
    trial.release()
    status = trial.output()["status"]
    assert worker.wait(LIMIT_S) == 0
    return str(status)


def cancel(trial: Trial) -> str:
    trial.begin()
    trial.deployment.queue.cancel(trial.run_id)
    if trial.moment == "while uploading":
        worker = trial.deployment.living_worker()
        wait_until(lambda: has_stopped(worker, trial.run_id), "the worker to hear of it")
        trial.release()
        wait_until(lambda: trial.deployment.results(trial.job_id) is not None, "the upload to end all the same")
    else:
        wait_until(lambda: trial.deployment.openai.bill()["abandoned"] > 0, "calls that were hung up")
        # An answer that was under way when its call was hung up may have been sold.
        wait_until(
            lambda: len(trial.deployment.saved(trial.job_id)) >= trial.deployment.bought().total() - AT_ONCE,
            "all to be saved",
        )
    assert not any(post.final for post in trial.deployment.queue.posts(trial.run_id))
    return "cancelled"


def has_stopped(worker: RunningProcess, run_id: str) -> bool:
    """Whether the SDK has said that it cancels this very job."""
    return any(run_id in line and "Stopping job." in line for line in worker.stdout().splitlines())


def openai_down(trial: Trial) -> str:
    trial.begin()
    trial.release(fault_rates={"bad_gateway": 1.0})
    output = trial.output()
    return str(output["status"])


def openai_hanging(trial: Trial) -> str:
    if trial.moment == "while uploading":
        trial.begin(deadline_s=2.0)
        trial.release(fault_rates={"hang": 1.0})
    else:
        trial.hold()
        trial.run_id = trial.submit(deadline_s=2.0)
    return str(trial.output()["status"])


def r2_down(trial: Trial) -> str:
    trial.deployment.replace_worker(**WITHOUT_BUCKET)
    trial.begin()
    trial.deployment.s3.down()
    trial.release()
    output = trial.output()
    assert any("only in this output" in text for text in output["warnings"])
    assert output["documented_count"] == SYMBOLS
    trial.deployment.s3.up()
    wait_until(lambda: len(trial.deployment.saved(trial.job_id)) == SYMBOLS, "the worker to save what it has")
    trial.deployment.replace_worker()
    return str(output["status"])


def r2_slow(trial: Trial) -> str:
    trial.begin()
    trial.deployment.s3.slow(0.3)
    trial.release()
    return str(trial.output()["status"])


def r2_refusing(trial: Trial) -> str:
    trial.deployment.replace_worker(**WITHOUT_BUCKET)
    trial.begin()
    trial.deployment.s3.down(403)
    trial.release()
    output = trial.output()
    assert any("AccessDenied" in text for text in output["warnings"])
    trial.deployment.s3.up()
    wait_until(lambda: len(trial.deployment.saved(trial.job_id)) == SYMBOLS, "the worker to save what it has")
    trial.deployment.replace_worker()
    return str(output["status"])


def twice_at_once(trial: Trial, before: str = "") -> str:
    first = trial.deployment.living_worker()
    trial.begin()
    deliver_again(trial, before)
    trial.release()
    output = trial.output()
    wait_for_both_results(trial)
    first.kill()
    return str(output["status"])


def deliver_again(trial: Trial, before: str = "") -> None:
    """Deliver the job to another worker, which executes the program `before` first."""
    queue = trial.deployment.queue
    trial.deployment.start_worker(before)
    queue.redeliver(trial.run_id)
    queue.wait_until(lambda: queue.status(trial.run_id)["status"] == "IN_PROGRESS", LIMIT_S)


def wait_for_both_results(trial: Trial) -> None:
    posts = trial.deployment.queue.posts
    wait_until(lambda: sum(post.final for post in posts(trial.run_id)) == 2, "both results")


def clock_an_hour_off(trial: Trial) -> str:
    return twice_at_once(trial, AN_HOUR_AHEAD)


def frozen(trial: Trial) -> str:
    """The worker stands still for longer than its lease lasts; another one has the job meanwhile."""
    first = trial.deployment.living_worker()
    trial.begin()
    first.freeze()
    deliver_again(trial)
    trial.release()
    output = trial.output()
    assert output["documented_count"] == SYMBOLS
    first.thaw()
    wait_for_both_results(trial)
    (last,) = [post.body["output"] for post in trial.deployment.queue.posts(trial.run_id) if post.final][1:]
    assert last["documented_count"] == SYMBOLS
    first.kill()
    # What the dead process was saving may arrive after it.
    wait_until(lambda: not trial.deployment.s3.is_working(), "the end of its requests")
    return str(output["status"])


def disk_full(trial: Trial) -> str:
    trial.begin()
    worker = trial.deployment.living_worker()
    soft, hard = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (0, hard))
    trial.release()
    output = trial.output()
    assert any("only in this output" in text for text in output["warnings"])
    assert output["documented_count"] == SYMBOLS
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (soft, hard))
    wait_until(lambda: len(trial.deployment.saved(trial.job_id)) == SYMBOLS, "the worker to save what it has")
    return str(output["status"])


def stdout_closed(trial: Trial) -> str:
    trial.begin()
    assert trial.deployment.shipper is not None
    trial.deployment.shipper.kill()
    trial.deployment.shipper.wait()
    trial.release()
    output = trial.output()
    assert output["documented_count"] == SYMBOLS
    return str(output["status"])


def deadline(trial: Trial) -> str:
    if trial.moment == "while uploading":
        trial.begin(deadline_s=1.0)
        # The job had begun before: by now its deadline has passed, however slow the machine.
        time.sleep(1.0)
        trial.release()
    else:
        trial.hold()
        trial.run_id = trial.submit(deadline_s={"at the start": 0.01, "in the middle": 0.9}[trial.moment])
    output = trial.output()
    if trial.moment != "while uploading":
        assert {one["failure"] for one in output["failed_symbols"]} == {"deadline_exceeded"}
        assert any(f"send it again as {trial.job_id}" in text for text in output["warnings"])
    return str(output["status"])


def cost_cap(trial: Trial) -> str:
    # Answers that are of no use are billed all the same, so that a job costs more than was expected.
    spoiled = {"fault_rates": {"wrong_schema": {"at the start": 1.0, "in the middle": 0.7}.get(trial.moment, 0.0)}}
    cap_usd = 1.02 * expected_cost_usd(trial.symbols)
    trial.begin(spoiled, max_cost_usd=cap_usd)
    trial.release(**spoiled)
    output = trial.output()
    assert output["total_cost"] <= cap_usd
    if trial.moment != "while uploading":
        assert "cost_cap_reached" in {one["failure"] for one in output["failed_symbols"]}
    return str(output["status"])


def expected_cost_usd(items: list[Json]) -> float:
    symbols = [one for one in parse_symbols(items, set()) if isinstance(one, Symbol)]
    return make_plan(symbols, Settings.from_env({"OPENAI_API_KEY": KEY})).expected_cost_usd


FAULTS: dict[str, Callable[[Trial], str]] = {
    "SIGKILL": sigkill,
    "SIGTERM": sigterm,
    "cancelled": cancel,
    "OpenAI down": openai_down,
    "OpenAI hanging": openai_hanging,
    "R2 down": r2_down,
    "R2 slow": r2_slow,
    "R2 refusing": r2_refusing,
    "delivered twice at once": twice_at_once,
    "deadline": deadline,
    "cost cap": cost_cap,
}
# The holder of a job's lease, what its clock says, and faults of the machine.
LATER_FAULTS: dict[str, Callable[[Trial], str]] = {
    "lease holder frozen": frozen,
    "clock an hour off": clock_an_hour_off,
    "disk full": disk_full,
    "stdout closed": stdout_closed,
}
# These jobs use a folder, which can be full: nothing holds them while they upload.
IN_A_FOLDER = {"disk full", "stdout closed"}
CELLS = [
    *((fault, moment) for fault in FAULTS for moment in MOMENTS),
    *((fault, moment) for fault in LATER_FAULTS for moment in MOMENTS[: 2 if fault in IN_A_FOLDER else 3]),
]
# Where a run was cut off, or two ran side by side, what was in flight was billed and is in no total. A deadline leaves
# a tenth of its time for what is in flight, which a busy machine may need for other work.
UNCOUNTED = {"SIGKILL", "cancelled", "deadline", "delivered twice at once", "lease holder frozen", "clock an hour off"}


@pytest.mark.parametrize(("fault", "moment"), CELLS)
def test_after_a_fault_a_second_run_pays_only_for_what_was_not_saved(
    deployment: Deployment, cells: list[Cell], fault: str, moment: str
) -> None:
    """Every symbol is documented once, and none that was saved before is bought again."""
    if fault in IN_A_FOLDER and deployment.folder is None:
        deployment.start_worker_with_shipper()
    job_id = f"trial-{next(_numbers)}"
    trial = Trial(deployment, moment, job_id, [item(f"symbol_{number}_of_{job_id}") for number in range(SYMBOLS)])
    first = (FAULTS | LATER_FAULTS)[fault](trial)
    deployment.get_well()
    deployment.living_worker()
    saved, bought_before = deployment.saved(job_id), deployment.bought()

    output = trial.output(trial.submit())

    assert output["status"] == "success", output["warnings"]
    assert [one["symbol_id"] for one in output["documented_symbols"]] == [one["symbol_id"] for one in trial.symbols]
    bought = deployment.bought()
    assert {name for name in saved if bought[name] > bought_before[name]} == set()
    assert deployment.segments(job_id) == []
    results = deployment.results(job_id)
    assert results is not None
    assert len(results["documented_symbols"]) == SYMBOLS
    spoiled = deployment.openai.bill()["faults"].get("wrong_schema", 0)
    bought_again = bought.total() - spoiled - SYMBOLS
    assert bought_again >= 0
    assert bought_again <= MAX_LOST, deployment.living_worker().last_lines()
    bill = deployment.openai.bill()
    billed = bill["input_tokens"] + bill["output_tokens"]
    assert output["total_tokens"] <= billed if fault in UNCOUNTED else output["total_tokens"] == billed
    cells.append(Cell(fault, moment, first, len(saved), bought_again))
