"""Three processes on one bucket behind a client that asks one after the other, and processes that are killed.

`make test-pods` is the whole of it: 200 jobs and a kill every ten seconds. Here it is a small version.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from doctown.events import STEPS
from tests.doctown.service.deployments import (
    ENDED,
    Json,
    Pods,
    Service,
    input_of,
    serving_repositories,
    start_service,
)
from tests.loopback.git_http import GitServer
from tests.loopback.s3 import MotoS3
from tests.support.contexts import SEED
from tests.support.waiting import LIMIT_S, wait_until

JOBS = int(os.environ.get("POD_JOBS", "12"))
KILL_EVERY_S = float(os.environ.get("POD_KILL_EVERY_S", "0"))
PODS = 3
REPOSITORIES = tuple(f"repository_{number}" for number in range(min(JOBS, 20)))
# In the small version records and leases are looked at more often than in production: it waits for little else.
FASTER = "runner.STATE_INTERVAL_S = 0.2; runner.SCAN_INTERVAL_S = 0.3; runner.LEASE_TTL_S = 10.0"


@pytest.fixture
def git(tmp_path: Path) -> Iterator[GitServer]:
    with serving_repositories(tmp_path / "served", REPOSITORIES) as git:
        yield git


class Watch:
    """The client: it asks for each job in turn, and notes what must not be."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self.shown: dict[str, Json] = {}
        self.faults: list[str] = []

    def look(self, job_id: str) -> None:
        answer = self._pods.call(f"/status/{job_id}")
        if answer.status != 200:
            self.faults.append(f"{job_id}: {answer.status}")
            return
        now, before = answer.json, self.shown.get(job_id)
        if before is not None and not is_forward(before, now):
            self.faults.append(f"{job_id}: {before} then {now}")
        self.shown[job_id] = now

    def sees_a_job_at_work(self) -> bool:
        for job_id in list(self.shown):
            self.look(job_id)
        return any(state["status"] != "queued" for state in self.shown.values())

    def open_jobs(self) -> list[str]:
        return [job_id for job_id, state in self.shown.items() if state["status"] not in ENDED]


def is_forward(before: Json, now: Json) -> bool:
    """Whether a status may follow another one."""
    if before["status"] in ENDED:
        return now == before
    order = ["queued", "running", *sorted(ENDED)]
    steps = [(state["progress"] or {"step": 0})["step"] for state in (before, now)]
    done = [(state["progress"] or {"completed": 0})["completed"] for state in (before, now)]
    is_later = order.index(now["status"]) >= order.index(before["status"])
    return is_later and steps == sorted(steps) and done == sorted(done) and now["executions"] >= before["executions"]


@pytest.mark.timeout(1_800 if KILL_EVERY_S else 300)
def test_jobs_of_killed_processes_are_taken_over(tmp_path: Path, git: GitServer, moto: MotoS3) -> None:
    """Each job ends once, well, and with its pack; a status is never unknown and never goes back."""
    chance = random.Random(SEED)  # noqa: S311 - which process is killed is no secret
    environment = {**moto.environment(), "JOBS_PER_WORKER": "2"}
    started: list[Service] = []
    with ExitStack() as stack:

        def start() -> Service:
            started.append(start_service(stack, tmp_path, git, "" if KILL_EVERY_S else FASTER, **environment))
            return started[-1]

        pods = Pods([start() for _ in range(PODS)])
        watch = Watch(pods)
        for number in range(JOBS):
            url = f"{git.url}/open/{REPOSITORIES[number % len(REPOSITORIES)]}"
            answer = pods.call("/ingest", input_of(url, job_id=f"job-{number:03}"))
            assert answer.status == 202
            watch.look(answer.json["job_id"])
        wait_until(watch.sees_a_job_at_work, "the first job")
        kills, next_kill_s = 0, time.monotonic()
        while open_jobs := watch.open_jobs():
            is_due = kills == 0 if not KILL_EVERY_S else time.monotonic() >= next_kill_s
            if is_due:
                place = chance.randrange(PODS)
                pods.services[place].process.kill()
                pods.services[place] = start()
                kills, next_kill_s = kills + 1, time.monotonic() + KILL_EVERY_S
            for job_id in open_jobs:
                watch.look(job_id)
        assert kills
        assert watch.faults == []
        assert Counter(state["status"] for state in watch.shown.values()) == {"success": JOBS}
        ends = Counter(re.findall(r"job (\S+) has ended", "".join(one.process.stderr() for one in started)))
        assert ends <= Counter(list(watch.shown)), "each job ends once"
        check_packs(pods, watch)
        # A killed process cannot remove its checkouts: the next one to start on the machine does, and each new job.
        assert [name for name in start().left_behind() if name.startswith("doctown-job-")] == []
        wait_until(lambda: left_in(moto) == [], "the removal of markers and leases")


def test_a_process_that_is_told_to_stop_hands_its_jobs_over(tmp_path: Path, git: GitServer) -> None:
    """After SIGTERM a process ends at once, its job goes on in the next one, and nothing of its checkout is left."""
    with ExitStack() as stack:
        first = start_service(stack, tmp_path, git, FASTER)
        job_id = first.ingest(f"{git.url}/hangs/{REPOSITORIES[0]}")
        wait_until(lambda: first.status(job_id)["status"] == "running", "the job's start")
        wait_until(lambda: first.left_behind() != [], "its checkout")
        first.process.terminate()
        assert first.process.wait(LIMIT_S) == -signal.SIGTERM, "in order, and then as the signal says"
        assert first.left_behind() == []
        second = start_service(stack, tmp_path, git, FASTER)
        wait_until(lambda: second.status(job_id)["executions"] == 2, "the second execution")
        second.call(f"/cancel/{job_id}", {})
        assert second.ended(job_id)["status"] == "cancelled"


def left_in(moto: MotoS3) -> list[str]:
    keys = moto.keys()
    return [key for key in keys if key.startswith(("jobs/open/", "jobs/leases/", "checkpoints/"))]


def check_packs(pods: Pods, watch: Watch) -> None:
    """The pack of each repository's last job can be had from any process."""
    last: dict[str, Any] = {state["output"]["docpack"]["key"]: state for state in watch.shown.values()}
    assert len(last) == len(REPOSITORIES)
    for state in last.values():
        assert state["progress"]["step"] == len(STEPS)
        assert pods.call(f"/docpacks/{state['job_id']}").status in {200, 410}
