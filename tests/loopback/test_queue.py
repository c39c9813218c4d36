"""The loopback queue behaves like RunPod's, as far as the real worker loop and an endpoint's callers can tell."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from ast import literal_eval
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.loopback.queue import (
    RATE_WINDOW_S,
    RUN_BODY_LIMIT_BYTES,
    LoopbackQueue,
    Rules,
    running_queue,
    running_queue_process,
    told_calls,
    worker_environment,
)
from tests.support.waiting import LIMIT_S, ManualClock, wait_until
from tests.support.worker_process import RunningProcess, running_worker

HANDLER = """
import asyncio
import os
import runpod

together = set()

async def handler(job):
    task = job["input"]
    if task.get("progress"):
        runpod.serverless.progress_update(job, task["progress"])
    try:
        if "meet" in task:
            together.add(job["id"])
            while len(together) < task["meet"]:
                await asyncio.sleep(0.01)
        while not os.path.exists(task.get("wait_for", "/")):
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        print("cancelled", job["id"])
        raise
    return {"echo": task.get("echo")}

if __name__ == "__main__":
    runpod.serverless.start({"handler": handler, "concurrency_modifier": lambda current: 4})
"""

Served = tuple[LoopbackQueue, RunningProcess]


@pytest.fixture(scope="module")
def handler_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("worker") / "handler.py"
    path.write_text(HANDLER, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="module")
def served(handler_path: Path, clock: ManualClock) -> Iterator[Served]:
    with running_queue(clock_s=clock) as queue, running_worker(queue.environment(), args=[str(handler_path)]) as worker:
        yield queue, worker


def call(method: str, url: str, body: Any = None, token: str = "") -> tuple[int, Any]:
    """The status and the JSON body of one HTTP exchange; a body of bytes is sent as it is."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Authorization": token} if token else {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as response:
            status, answer = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, answer = error.code, error.read()
    return status, json.loads(answer) if answer else None


def take(queue: LoopbackQueue, pod_id: str = "pod") -> tuple[int, Any]:
    return call("GET", f"{queue.url}/job-take/{pod_id}?gpu=CPU")


def post(queue: LoopbackQueue, job_id: str, body: Any, pod_id: str = "pod") -> int:
    return call("POST", f"{queue.url}/job-done/{pod_id}/{job_id}?gpu=CPU&isStream=false", body)[0]


# Driven by the real worker loop.


def test_a_job_goes_in_and_its_progress_and_result_come_out(served: Served) -> None:
    """The real loop takes a job, and what its handler reports and returns arrives."""
    queue, _ = served
    job_id = queue.submit({"echo": "hello", "progress": {"done": 1}}, job_id="first-job")
    assert job_id == "first-job"
    assert queue.result(job_id, LIMIT_S) == {"output": {"echo": "hello"}}
    queue.wait_until(lambda: len(queue.posts(job_id)) == 2, LIMIT_S)
    assert queue.progress(job_id) == [{"done": 1}]


def test_a_cancel_reaches_the_job_and_nothing_else(served: Served, tmp_path: Path) -> None:
    """A cancelled job is stopped inside its handler and posts no result, while the job beside it goes on."""
    queue, worker = served
    task = {"progress": "running", "wait_for": str(tmp_path / "go")}
    stopped, kept = queue.submit(task), queue.submit(task)
    queue.wait_until(lambda: bool(queue.progress(stopped) and queue.progress(kept)), LIMIT_S)
    queue.cancel(stopped)
    worker.wait_for_output(f"cancelled {stopped}", LIMIT_S)
    (tmp_path / "go").touch()
    assert queue.result(kept, LIMIT_S) == {"output": {"echo": None}}
    assert [post.final for post in queue.posts(stopped)] == [False]
    assert queue.status(stopped)["status"] == "CANCELLED"


def test_two_jobs_run_at_once(served: Served) -> None:
    """With a concurrency of 4 the loop takes jobs in batches: two that wait for each other both end."""
    queue, _ = served
    jobs = [queue.submit({"echo": number, "meet": 2}) for number in range(2)]
    assert [queue.result(job_id, LIMIT_S)["output"]["echo"] for job_id in jobs] == [0, 1]


def test_a_refused_result_is_posted_again(served: Served) -> None:
    """A post that was answered 500 is kept apart from the accepted one that the loop sends after it."""
    queue, _ = served
    queue.fail_next_posts(1)
    job_id = queue.submit({"echo": "again"})
    assert queue.result(job_id, LIMIT_S) == {"output": {"echo": "again"}}
    assert [post.answered for post in queue.posts(job_id)] == [500, 200]


def test_a_result_above_the_limit_is_lost(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result above the limit is answered 413, the loop does not try again, and the job hangs."""
    queue, worker = served
    monkeypatch.setattr(queue, "max_result_bytes", 1000)
    job_id = queue.submit({"echo": "x" * 1000})
    worker.wait_for_output("Failed to return job results. | 413", LIMIT_S)
    assert [post.answered for post in queue.posts(job_id)] == [413]
    assert queue.status(job_id)["status"] == "IN_PROGRESS"


def test_pings_name_the_running_job(served: Served, tmp_path: Path) -> None:
    """The heartbeat of a worker arrives under its pod id, with the jobs it runs."""
    queue, _ = served
    job_id = queue.submit({"wait_for": str(tmp_path / "go")})
    queue.wait_until(lambda: any(job_id in ping.get("job_id", "") for ping in queue.pings()), LIMIT_S)
    (tmp_path / "go").touch()
    queue.result(job_id, LIMIT_S)


def test_the_job_of_a_killed_worker_runs_on_another(handler_path: Path, tmp_path: Path) -> None:
    """A job put back after its worker was killed is finished by the other worker."""
    with running_queue() as queue, ExitStack() as stack:
        workers = {
            pod_id: stack.enter_context(running_worker(queue.environment(pod_id), args=[str(handler_path)]))
            for pod_id in ("pod-1", "pod-2")
        }
        queue.wait_until(lambda: queue.health()["workers"] == {"idle": 2, "running": 0}, LIMIT_S)
        job_id = queue.submit({"echo": "kept", "progress": 1, "wait_for": str(tmp_path / "go")})
        queue.wait_until(lambda: bool(queue.posts(job_id)), LIMIT_S)
        killed = queue.posts(job_id)[0].pod_id
        workers[killed].kill()
        assert workers[killed].wait(LIMIT_S) == -9
        assert queue.requeue(killed) == [job_id]
        (tmp_path / "go").touch()
        assert queue.result(job_id, LIMIT_S) == {"output": {"echo": "kept"}}
        assert {post.pod_id for post in queue.posts(job_id)} == {"pod-1", "pod-2"}
        assert queue.health()["jobs"]["retried"] == 1


def test_the_job_of_a_silent_worker_goes_to_another_by_itself(handler_path: Path, tmp_path: Path) -> None:
    """Where a worker's pings stop, its job is handed out again; a worker that pings keeps its own."""
    clock = ManualClock()
    with running_queue(rules=Rules(requeue_after_s=2.5), clock_s=clock) as queue, ExitStack() as stack:
        workers = {
            pod_id: stack.enter_context(running_worker(queue.environment(pod_id), args=[str(handler_path)]))
            for pod_id in ("pod-1", "pod-2")
        }
        queue.wait_until(lambda: queue.health()["workers"] == {"idle": 2, "running": 0}, LIMIT_S)
        job_id = queue.submit({"echo": "kept", "progress": 1, "wait_for": str(tmp_path / "go")})
        queue.wait_until(lambda: bool(queue.posts(job_id)), LIMIT_S)
        killed = queue.posts(job_id)[0].pod_id
        clock.advance(2.0)
        pings = len(queue.pings(killed))
        queue.wait_until(lambda: len(queue.pings(killed)) > pings, LIMIT_S)
        clock.advance(2.0)
        queue.pass_time()
        assert queue.status(job_id)["retries"] == 0
        workers[killed].kill()
        workers[killed].wait(LIMIT_S)

        def be_silent() -> None:
            clock.advance(3.0)
            queue._pass_time()

        # In one turn of the server's loop: no ping that is still under way can come in between.
        queue._in_loop(be_silent)
        queue.wait_until(lambda: len(queue.posts(job_id)) == 2, LIMIT_S, "progress from the other worker")
        (tmp_path / "go").touch()
        assert queue.result(job_id, LIMIT_S) == {"output": {"echo": "kept"}}
        assert queue.status(job_id)["retries"] == 1


def test_a_job_that_takes_too_long_is_stopped_in_its_handler(served: Served, clock: ManualClock) -> None:
    """After the time-out of its policy a job is TIMED_OUT, and its handler is cancelled."""
    queue, worker = served
    body = {"input": {"progress": "running", "wait_for": "/never"}, "policy": {"executionTimeout": 300_000}}
    job_id = call("POST", f"{queue.url}/run", body)[1]["id"]
    queue.wait_until(lambda: bool(queue.progress(job_id)), LIMIT_S)
    clock.advance(301.0)
    worker.wait_for_output(f"cancelled {job_id}", LIMIT_S)
    assert call("GET", f"{queue.url}/status/{job_id}")[1]["status"] == "TIMED_OUT"


@pytest.mark.slow
def test_four_workers_in_processes_of_their_own_finish_a_hundred_jobs(handler_path: Path) -> None:
    """A queue in a process of its own serves four real workers; each of 100 jobs is done, and the calls are counted."""
    with running_queue_process(Rules(rates={"run": (1000, 200)}), api_key="key") as url, ExitStack() as stack:
        for number in range(4):
            environment = worker_environment(url, f"pod-{number}", "key")
            stack.enter_context(running_worker(environment, args=[str(handler_path)]))
        with ThreadPoolExecutor(8) as pool:
            bodies: list[dict[str, Any]] = [{"input": {"echo": number}} for number in range(100)]
            job_ids = [
                run[1]["id"] for run in pool.map(lambda body: call("POST", f"{url}/run", body, "Bearer key"), bodies)
            ]

        def completed() -> int:
            jobs: dict[str, int] = call("GET", f"{url}/health", token="Bearer key")[1]["jobs"]
            return jobs["completed"]

        wait_until(lambda: completed() == 100, "100 jobs")
        for number, job_id in enumerate(job_ids):
            assert call("GET", f"{url}/status/{job_id}", token="Bearer key")[1]["output"] == {"echo": number}
        told = told_calls(url)
    assert (told["calls"]["run 200"], told["calls"]["status 200"]) == (100, 100)
    assert 1 <= told["most_at_once"]["run"] <= 8


def test_a_terminated_worker_ends_with_its_polls(handler_path: Path) -> None:
    """After SIGTERM an idle worker waits for its open polls and ends well; short polls end it soon."""
    with (
        running_queue(poll_s=0.1) as queue,
        running_worker(queue.environment(), args=[str(handler_path)]) as worker,
    ):
        queue.wait_until(lambda: queue.health()["workers"]["idle"] == 1, LIMIT_S)
        worker.terminate()
        assert worker.wait(LIMIT_S) == 0
    assert "Traceback" not in worker.stderr()


def test_a_worker_gets_nothing_of_the_callers_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker sees PATH, HOME, LANG and what it is given, and its output can be read after it is gone."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    program = "import os; print(sorted(os.environ), os.environ['HOME'], flush=True)"
    with running_worker({"GIVEN": "1"}, cwd=tmp_path, args=["-c", program]) as worker:
        assert worker.wait(LIMIT_S) == 0
    names, home = worker.stdout().rsplit(" ", 1)
    # Python itself adds the last one to an environment of the C locale on some systems.
    assert set(literal_eval(names)) - {"LC_CTYPE"} == {"GIVEN", "HOME", "LANG", "PATH"}
    assert home.strip() != str(Path.home())


def test_a_worker_that_fails_is_shown(tmp_path: Path) -> None:
    """Waiting for the output of a worker that ended raises with the end of its standard error."""
    with (
        running_worker({}, cwd=tmp_path, args=["-c", "raise SystemExit('no key was given')"]) as worker,
        pytest.raises(RuntimeError, match=r"ended with 1 (.|\n)*no key was given"),
    ):
        worker.wait_for_output("ready", LIMIT_S)


# Driven by plain HTTP.


def test_the_public_side_tells_the_life_of_a_job() -> None:
    """/run queues a job, /status follows it from the queue over its newest progress to its output."""
    with running_queue() as queue:
        status, queued = call("POST", f"{queue.url}/run", {"input": {"n": 1}})
        assert (status, queued["status"]) == (200, "IN_QUEUE")
        job_id, url = queued["id"], f"{queue.url}/status/{queued['id']}"
        assert call("GET", url)[1]["status"] == "IN_QUEUE"
        assert take(queue) == (200, {"id": job_id, "input": {"n": 1}})
        for output in ("early", "newest"):
            assert post(queue, job_id, {"status": "IN_PROGRESS", "output": output}) == 200
        running = call("GET", url)[1]
        assert (running["status"], running["output"]) == ("IN_PROGRESS", "newest")
        assert post(queue, job_id, {"output": [1]}) == 200
        done = call("GET", url)[1]
        assert (done["status"], done["output"]) == ("COMPLETED", [1])
        counts = {"completed": 1, "failed": 0, "inProgress": 0, "inQueue": 0, "retried": 0}
        assert call("GET", f"{queue.url}/health")[1] == {"jobs": counts, "workers": {"idle": 0, "running": 0}}


def test_runsync_answers_when_its_job_has_ended_or_the_wait_is_over() -> None:
    """/runsync is answered when the job has ended, or after `wait` ms with what /status says by then."""
    with running_queue() as queue, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(call, "POST", f"{queue.url}/runsync?wait=300000", {"input": {"n": 1}})
        _, taken = take(queue)
        assert taken["id"].startswith("sync-")
        assert not asked.done()
        post(queue, taken["id"], {"output": [1]})
        status, ended = asked.result(LIMIT_S)
        assert (status, ended["id"], ended["status"], ended["output"]) == (200, taken["id"], "COMPLETED", [1])
        _, waited = call("POST", f"{queue.url}/runsync?wait=1000", {"input": {"n": 2}})
        assert waited == call("GET", f"{queue.url}/status/{waited['id']}")[1]
        assert waited["status"] == "IN_QUEUE"
        for wait in ("999", "300001", "1s"):
            assert call("POST", f"{queue.url}/runsync?wait={wait}", {"input": 1})[0] == 400
        assert queue.health()["jobs"]["inQueue"] == 1


@pytest.mark.parametrize(
    ("body", "answered", "status"),
    [
        ({"error": "no", "output": 1}, 200, "FAILED"),
        ({"error": {"not": "a string"}, "output": 1}, 200, "COMPLETED"),
        ({}, 200, "COMPLETED"),
        (b'{"output": NaN}', 400, "IN_PROGRESS"),
        (b"not json", 400, "IN_PROGRESS"),
    ],
)
def test_what_a_final_body_makes_of_a_job(body: Any, answered: int, status: str) -> None:
    """Only an error that is a string fails a job, and a body that is not strict JSON is refused."""
    with running_queue() as queue:
        job_id = queue.submit({})
        take(queue)
        assert post(queue, job_id, body) == answered
        assert queue.status(job_id)["status"] == status


def test_late_progress_leaves_a_job_in_progress() -> None:
    """An update that arrives after the result hides it from callers, as RunPod's users complain."""
    with running_queue() as queue:
        job_id = queue.submit({})
        take(queue)
        post(queue, job_id, {"output": "result"})
        post(queue, job_id, {"status": "IN_PROGRESS", "output": "late"})
        assert queue.status(job_id)["status"] == "IN_PROGRESS"
        assert queue.result(job_id, LIMIT_S) == {"output": "result"}


def test_bodies_and_callers_that_are_refused() -> None:
    """/run wants an input, at most 10 MiB and the bearer token; an unknown job is not found."""
    with running_queue(api_key="key") as queue:
        run, token = f"{queue.url}/run", "Bearer key"
        assert call("POST", run, {"input": 1})[0] == 401
        assert call("POST", run, {"input": 1}, "key")[0] == 401
        assert call("POST", run, {"input": 1}, token)[0] == 200
        assert call("POST", run, {"inputs": 1}, token)[0] == 400
        assert call("POST", run, {"input": "x" * RUN_BODY_LIMIT_BYTES}, token)[0] == 413
        assert call("GET", f"{queue.url}/status/nobody", token=token)[0] == 404


def test_cancel_takes_a_waiting_job_out_of_the_queue() -> None:
    """A job cancelled before any worker took it is never handed out."""
    with running_queue(poll_s=0.05) as queue:
        job_id = queue.submit({})
        cancelled = {"id": job_id, "status": "CANCELLED"}
        assert call("POST", f"{queue.url}/cancel/{job_id}") == (200, cancelled)
        assert take(queue) == (204, None)


def test_the_stop_signal_goes_to_the_worker_that_runs_the_job() -> None:
    """job-stop names a cancelled job once, to its worker only."""
    with running_queue(poll_s=0.05) as queue:
        job_id = queue.submit({})
        take(queue, "pod-1")
        queue.cancel(job_id)
        assert call("GET", f"{queue.url}/job-stop/pod-2?gpu=CPU") == (204, None)
        assert call("GET", f"{queue.url}/job-stop/pod-1?gpu=CPU") == (200, {"jobsToStop": [job_id]})
        assert call("GET", f"{queue.url}/job-stop/pod-1?gpu=CPU") == (204, None)


def test_a_redelivered_job_is_handed_out_again() -> None:
    """The same job goes out a second time, and its result is then the one posted since."""
    with running_queue() as queue:
        job_id = queue.submit({"n": 1})
        for attempt in ("first", "second"):
            assert take(queue) == (200, {"id": job_id, "input": {"n": 1}})
            post(queue, job_id, {"output": attempt})
            assert queue.result(job_id, LIMIT_S) == {"output": attempt}
            queue.redeliver(job_id)
        assert len(queue.posts(job_id)) == 2


def test_what_is_over_the_rate_is_refused() -> None:
    """Beyond so many calls in 10 s, or so many at once, a call is a 429 and does nothing."""
    rates = {"run": (3, 2), "status": (100, 2)}
    clock = ManualClock()
    with running_queue(rules=Rules(rates=rates), clock_s=clock) as queue:
        runs = [call("POST", f"{queue.url}/run", {"input": 1})[0] for _ in range(4)]
        assert runs == [200, 200, 200, 429]
        assert queue.health()["jobs"]["inQueue"] == 3
        clock.advance(RATE_WINDOW_S + 1)
        assert call("POST", f"{queue.url}/run", {"input": 1})[0] == 200
        queue.follow(Rules(rates=rates, answer_delay_s=LIMIT_S))
        job_id = queue.submit({})
        with ThreadPoolExecutor(5) as pool:
            asked = [pool.submit(call, "GET", f"{queue.url}/status/{job_id}") for _ in range(5)]
            # Two are held, and the others have no place beside them.
            wait_until(lambda: queue.calls().get("status 429") == 3, "three refusals")
            queue.follow(Rules(rates=rates))
            answers = [one.result(LIMIT_S) for one in asked]
        assert sorted(status for status, _ in answers) == [200, 200, 429, 429, 429]
        assert queue.calls()["run 429"] == 1
        assert 2 < queue.most_at_once()["status"] <= 5


def test_calls_fail_before_or_after_they_were_carried_out() -> None:
    """A connection broken before /run is answered has left a job behind, or not: its caller cannot tell."""
    script = [
        {"fault": "disconnect", "only": ["run"], "times": 1},
        {"fault": "disconnect_after", "only": ["run"], "times": 1},
        {"fault": "server_error_after", "only": ["run"], "times": 1},
        {"fault": "too_many", "only": ["status"], "times": 1},
        {"fault": "server_error", "only": ["cancel"], "times": 1},
    ]
    with running_queue(rules=Rules(call_script=script)) as queue:
        for jobs in (0, 1):
            with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
                call("POST", f"{queue.url}/run", {"input": 1})
            assert queue.health()["jobs"]["inQueue"] == jobs
        assert [call("POST", f"{queue.url}/run", {"input": 1})[0] for _ in range(2)] == [500, 200]
        assert queue.health()["jobs"]["inQueue"] == 3
        job_id = queue.submit({})
        assert [call("GET", f"{queue.url}/status/{job_id}")[0] for _ in range(2)] == [429, 200]
        assert [call("POST", f"{queue.url}/cancel/{job_id}")[0] for _ in range(2)] == [500, 200]
        assert queue.calls() == {
            "run broken": 2, "run 500": 1, "run 200": 1,
            "status 429": 1, "status 200": 1, "cancel 500": 1, "cancel 200": 1,
        }  # fmt: skip


def test_a_share_of_calls_fails_the_same_way_each_time() -> None:
    """Which calls of a name fail is a matter of the seed and of their number."""
    rules = Rules(call_script=[{"fault": "server_error", "only": ["status"], "share": 0.5}], seed=7)
    runs = []
    for _ in range(2):
        with running_queue(rules=rules) as queue:
            job_id = queue.submit({})
            runs.append([call("GET", f"{queue.url}/status/{job_id}")[0] for _ in range(20)])
    assert runs[0] == runs[1]
    assert 3 < runs[0].count(500) < 17


def test_results_are_kept_for_a_while_only() -> None:
    """After its time a result is not found, though the test still sees it."""
    clock = ManualClock()
    with running_queue(rules=Rules(result_ttl_s=600.0), clock_s=clock) as queue:
        job_id = queue.submit({})
        take(queue)
        post(queue, job_id, {"output": 1})
        url = f"{queue.url}/status/{job_id}"
        assert call("GET", url)[0] == 200
        clock.advance(601.0)
        queue.pass_time()
        assert call("GET", url)[0] == 404
        assert queue.result(job_id, LIMIT_S) == {"output": 1}


def test_a_job_outlives_its_time_neither_in_the_queue_nor_in_a_worker() -> None:
    """After its ttl a job is not found and not handed out; a worker that runs it is told to stop."""
    clock = ManualClock()
    with running_queue(rules=Rules(ttl_s=900.0), clock_s=clock) as queue:
        running, waiting = (
            call("POST", f"{queue.url}/run", {"input": 1, "policy": {"ttl": 300_000}})[1]["id"] for _ in range(2)
        )
        kept = queue.submit({})
        assert take(queue)[1]["id"] == running
        clock.advance(301.0)
        queue.pass_time()
        assert call("GET", f"{queue.url}/job-stop/pod?gpu=CPU") == (200, {"jobsToStop": [running]})
        for job_id, status in ((running, 404), (waiting, 404), (kept, 200)):
            assert call("GET", f"{queue.url}/status/{job_id}")[0] == status
            assert call("POST", f"{queue.url}/cancel/{job_id}")[0] == status
        assert post(queue, running, {"output": 1}) == 200
        assert call("GET", f"{queue.url}/status/{running}")[0] == 404


def test_rules_can_change_in_mid_run() -> None:
    """Rules hold from when they are given on."""
    with running_queue() as queue:
        job_id = queue.submit({})
        queue.follow(Rules(call_script=[{"fault": "too_many"}]))
        assert call("GET", f"{queue.url}/status/{job_id}")[0] == 429
        queue.follow(Rules())
        assert call("GET", f"{queue.url}/status/{job_id}")[0] == 200


def test_the_webhook_gets_the_status_until_it_takes_it() -> None:
    """A job's webhook is called with the body of /status, again when it did not answer 200."""
    with running_queue() as queue, running_listener(500, 200) as (url, heard):
        queue.webhook_retry_s = 0.01
        job_id = call("POST", f"{queue.url}/run", {"input": 1, "webhook": url})[1]["id"]
        take(queue)
        post(queue, job_id, {"output": "done"})
        queue.wait_until(lambda: queue.webhooks_pending() == 0, LIMIT_S)
        assert heard == [queue.status(job_id)] * 2


def test_waiting_in_vain_says_what_there_was() -> None:
    """A result that does not come raises, and the message lists the jobs."""
    with running_queue() as queue:
        queue.submit({}, job_id="stuck")
        with pytest.raises(TimeoutError, match=r"a result of job stuck; jobs: stuck IN_QUEUE \(0 posts\)"):
            queue.result("stuck", timeout_s=0.01)


def test_closing_does_not_wait_for_open_polls() -> None:
    """With long polls open the queue closes, long before they would end, and the polls come back empty."""
    with ThreadPoolExecutor() as pool:
        with running_queue(poll_s=100 * LIMIT_S) as queue:
            polls = [pool.submit(take, queue, pod_id) for pod_id in ("pod-1", "pod-2")]
            queue.wait_until(lambda: queue.health()["workers"]["idle"] == 2, LIMIT_S)
        assert [poll.result(LIMIT_S) for poll in polls] == [(204, None)] * 2


@contextmanager
def running_listener(*answers: int) -> Iterator[tuple[str, list[Any]]]:
    """A server that answers posts with the given statuses in turn, and a list of what it heard."""
    heard: list[Any] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answers[len(heard) - 1])
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", heard
        finally:
            server.shutdown()
            thread.join()
