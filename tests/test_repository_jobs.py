"""RunPod's door for repositories: `handler.py` in the real worker loop turns a git URL into a pack in the bucket."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from doctown.docpack import open_pack
from doctown.events import STEPS
from generation.config import VOCABULARY_DIR, Settings
from generation.results.checkpoint import MAX_UNSAVED
from handler import make_handler
from tests.doctown.repository.repositories import make_repository
from tests.loopback.git_http import GitServer, running_git_server
from tests.loopback.openai import Behaviour, RunningServer, running
from tests.loopback.queue import LoopbackQueue, running_queue
from tests.loopback.s3 import MotoS3, running_moto
from tests.support.contexts import SEED, payload
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.worker_process import RunningProcess, running_worker

KEY = "sk-loopback-key-that-nobody-may-see"
KILLS = 10
FUNCTIONS = 100
AT_ONCE = 3
MAX_BOUGHT_PER_RUN = 16
MAX_REQUESTS_PER_RUN = 30

Json = dict[str, Any]


def behaviour(**changes: Any) -> Behaviour:
    return Behaviour(**{"marker": r"(?m)^Name: (.+)$", "count_by": "characters", **changes})


class Deployment(NamedTuple):
    """All that a worker talks to, and its own temporary folder; `url` is the repository's."""

    queue: LoopbackQueue
    openai: RunningServer
    s3: MotoS3
    git: GitServer
    folder: Path

    @property
    def url(self) -> str:
        return f"{self.git.url}/open/demo"

    @contextmanager
    def worker(self) -> Iterator[RunningProcess]:
        environment = {
            **self.queue.environment(),
            **self.s3.environment(),
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": self.openai.base_url,
            "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR),
            "MAX_CONCURRENT_REQUESTS": str(AT_ONCE),
            "SSL_CERT_FILE": self.git.ca_bundle,
            "GIT_HOSTS": self.git.url.removeprefix("https://"),
            "GIT_PRIVATE_NETWORKS": "127.0.0.1/32",
            "TMPDIR": str(self.folder),
        }
        with running_worker(environment) as worker:
            yield worker

    def submit(self) -> str:
        return self.queue.submit({"repository": {"url": self.url}, "options": {"embeddings": "words"}})

    def is_done(self, job_id: str) -> bool:
        return self.queue.status(job_id)["status"] not in {"IN_QUEUE", "IN_PROGRESS"}

    def bought(self) -> Counter[str]:
        return Counter(self.openai.bill()["bought"])

    def kept(self) -> set[str]:
        """The names of the symbols that the store has a summary of: in segments, in results, in the pack."""
        names = set()
        for key in self.s3.keys():  # noqa: SIM118 - no mapping
            body = self.s3.get(key)
            if key.endswith(".jsonl"):
                names |= {json.loads(line)["symbol_id"] for line in body.splitlines()}
            elif key.startswith("results/") and not key.endswith("previous.json"):
                names |= {one["symbol_id"] for one in json.loads(body)["documented_symbols"]}
            elif key.endswith(".docpack"):
                names |= set(self.documented(key))
        return {name.partition("::")[2] for name in names}

    def documented(self, key: str) -> Mapping[str, str]:
        """The summaries of a pack, by the id of the symbol."""
        path = self.folder / "looked-at.docpack"
        path.write_bytes(self.s3.get(key))
        nodes = open_pack(path).nodes
        path.unlink()
        return {node["id"]: node["documentation"]["summary"] for node in nodes if node["documentation"] is not None}

    def packs(self) -> list[str]:
        return [key for key in self.s3.keys() if key.endswith(".docpack")]  # noqa: SIM118 - no mapping


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    functions = "".join(f"def f{number}():\n    return {number}\n\n" for number in range(FUNCTIONS))
    make_repository(tmp_path / "repositories/demo", {"a.py": functions})
    (tmp_path / "tmp").mkdir()
    with (
        running(behaviour()) as openai,
        running_moto() as s3,
        running_git_server(tmp_path / "repositories", tls=True) as git,
        running_queue() as queue,
    ):
        yield Deployment(queue, openai, s3, git, tmp_path / "tmp")


def check_progress(snapshots: list[Json], job_id: str) -> None:
    """Each snapshot is cumulative and of this job, and the steps come in their order."""
    points = [snapshot["payload"] for snapshot in snapshots]
    assert {(one["type"], one["job_id"]) for one in snapshots} == {("doctown.progress.v1", job_id)}
    for earlier, later in itertools.pairwise(points):
        assert all(earlier[key] <= later[key] for key in ("step", "completed", "total", "total_cost", "elapsed_ms"))
        assert all(counts["done"] <= later["counts"][name]["done"] for name, counts in earlier["counts"].items())
    assert (points[-1]["step"], points[-1]["steps"], points[-1]["name"]) == (len(STEPS), len(STEPS), STEPS[-1])
    assert points[-1]["counts"]["document"] == {"done": FUNCTIONS, "total": FUNCTIONS}


def test_a_git_url_becomes_a_pack_in_the_bucket(deployment: Deployment) -> None:
    """The result names the pack in the bucket, its progress came in order, and symbols are documented as ever."""
    with deployment.worker():
        job_id = deployment.submit()
        output = deployment.queue.result(job_id, LIMIT_S)["output"]
        refused = deployment.queue.result(deployment.queue.submit({"repository": {"url": "file:///etc"}}), LIMIT_S)
        symbols = deployment.queue.result(deployment.queue.submit(payload(3)), LIMIT_S)["output"]
    assert output["status"] == "success"
    assert [output["docpack"]["key"]] == deployment.packs()
    assert len(deployment.documented(output["docpack"]["key"])) == output["documented_count"] == FUNCTIONS
    check_progress(deployment.queue.progress(job_id), job_id)
    assert [post.final for post in deployment.queue.posts(job_id)][-1]
    assert "input.repository.url must be the address of a git repository" in refused["error"]
    assert symbols["documented_count"] == 3
    assert list(deployment.folder.iterdir()) == []


def test_without_a_bucket_a_repository_is_refused_before_it_costs_anything(tmp_path: Path) -> None:
    """A pack in the folder of a worker that goes away would be paid for and lost."""

    async def send(_job: Json, _snapshot: Any) -> None:
        """Nobody listens."""

    settings = Settings.from_env({"MODEL_NAME": "offline", "RESULTS_DIR": str(tmp_path)})
    handle = make_handler(settings, send, asyncio.Event())

    async def refused() -> Json:
        return await handle({"id": "job", "input": {"repository": {"url": "https://github.com/owner/repo"}}})

    output = asyncio.run(refused())
    assert output["failure"] == "bad_setting"
    assert "set R2_BUCKET" in output["error"]


def kill_one(deployment: Deployment, job_id: str, chance: random.Random) -> None:
    """Start a worker, which goes on with the job, and kill it at a moment of chance: after sales, or after storage."""
    sold = deployment.bought().total()
    seen = len(deployment.s3.requests)
    by_sales = chance.random() < 0.5
    more = chance.randint(1, MAX_BOUGHT_PER_RUN if by_sales else MAX_REQUESTS_PER_RUN)
    # No more are sold until the process is dead, however long that takes.
    deployment.openai.set_behaviour(behaviour(hold_after=sold + MAX_BOUGHT_PER_RUN))

    def is_time() -> bool:
        if deployment.is_done(job_id):
            return True
        bought = deployment.bought().total() - sold
        if bought >= MAX_BOUGHT_PER_RUN:
            return True
        return bought >= more if by_sales else len(deployment.s3.requests) - seen >= more

    with deployment.worker() as worker:
        wait_until(is_time, "the moment to kill the worker")
        worker.kill()
        worker.wait(LIMIT_S)
    deployment.openai.wait_until_idle()
    deployment.queue.requeue()


def test_killed_at_ten_moments_it_ends_with_one_pack_and_nothing_is_paid_twice(deployment: Deployment) -> None:
    """However often its worker is killed, what the store had is not bought again, and one whole pack comes of it."""
    chance = random.Random(SEED)  # noqa: S311 - no secret
    job_id, history = deployment.submit(), []
    for _ in range(KILLS):
        kill_one(deployment, job_id, chance)
        history.append((deployment.kept(), deployment.bought()))
        if deployment.is_done(job_id):
            job_id = deployment.submit()
    deployment.openai.set_behaviour(behaviour())
    with deployment.worker():
        output = deployment.queue.result(job_id, LIMIT_S)["output"]
    bought = deployment.bought()
    for kept, before in history:
        assert {name for name in kept if bought[name] > before[name]} == set()
    nothing: tuple[set[str], Counter[str]] = (set(), Counter())
    for (kept_before, before), (kept_after, after) in itertools.pairwise([nothing, *history]):
        lost = (after - before).total() - len(kept_after - kept_before)
        assert lost <= AT_ONCE + MAX_UNSAVED
    assert bought.total() <= FUNCTIONS + KILLS * (AT_ONCE + MAX_UNSAVED)
    assert output["status"] == "success"
    assert deployment.s3.keys() == deployment.packs() == [output["docpack"]["key"]]
    assert len(deployment.documented(output["docpack"]["key"])) == FUNCTIONS == len(bought)
    assert os.listdir(deployment.folder) == []  # noqa: PTH208 - as names
