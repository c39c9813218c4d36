"""A loopback copy of RunPod's queue, for tests that drive the real worker loop of the `runpod` package.

Both sides of the API on one port: what the worker's loop calls (job-take, job-take-batch, job-done, job-stop, ping) and
what the caller of an endpoint calls (/run, /runsync, /status, /cancel, /health). `running_queue()` serves it in a
thread; a test puts jobs in and reads what the workers posted. `running_queue_process()`, or `python -m
tests.loopback.queue --port 8004 --rules JSON`, which prints the endpoint's URL as its first line, serves it in a
process of its own; with `--worker` that starts a worker too, and a website has a whole endpoint to develop against,
with `--bucket` one that takes repositories.
`Rules` bring in what can go wrong: rates, faults of calls, time-outs, expiry, and jobs handed out again when their
worker's pings stop.

Left out: streaming, /retry, /purge-queue, the least and the greatest time that a policy may set, and rates that grow
with the number of workers. A job is handed out again however often its workers die.

    with running_queue() as queue, running_worker(queue.environment()):
        job_id = queue.submit({"symbols": []})
        print(queue.result(job_id, timeout_s=10)["output"])
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn, TypeVar

import aiohttp
from aiohttp import web

from tests.loopback import by_hand
from tests.loopback.faults import AFTER, BEFORE, CALL_FAULTS, REFUSALS, Calls, Script, check_script
from tests.support.worker_process import REPOSITORY_ROOT

ENDPOINT_ID = "ep"
RUN_BODY_LIMIT_BYTES = 10 * 1024 * 1024
RUNSYNC_BODY_LIMIT_BYTES = 20 * 1024 * 1024
# How long /runsync waits for its job, in ms: least, default and most.
RUNSYNC_WAIT_MS = (1_000, 90_000, 300_000)
WEBHOOK_TRIES = 3
# Calls in 10 s, and calls at once.
DOCUMENTED_RATES = {"run": (1000, 200), "runsync": (2000, 400), "status": (2000, 400), "cancel": (100, 20)}
RATE_WINDOW_S = 10.0
_THREAD_LIMIT_S = 60.0
_TICK_S = 0.05
_WORKER_GRACE_S = 15.0

T = TypeVar("T")


@dataclass(frozen=True)
class Rules:
    """What time and chance do to calls and jobs: nothing, unless said here. JSON-able.

    Calls are named run, runsync, status, cancel and health. The times of a job's own `policy` go before these.
    """

    rates: Mapping[str, Sequence[int]] = field(default_factory=dict)  # as DOCUMENTED_RATES
    call_script: Script = ()  # as in loopback_faults
    seed: int = 0
    answer_delay_s: float = 0.0  # or until there are other rules
    ttl_s: float | None = None  # from submission on; then a job is unknown, even while it runs
    execution_timeout_s: float | None = None
    result_ttl_s: float | None = None  # from the end on; then a job is unknown
    requeue_after_s: float | None = None  # without a ping

    def __post_init__(self) -> None:
        check_script(self.call_script, CALL_FAULTS)


NO_RULES = Rules()


@dataclass(frozen=True)
class Post:
    """One body that a worker posted to job-done, and the HTTP status it was answered with."""

    at_s: float
    pod_id: str
    body: dict[str, Any]
    final: bool
    answered: int

    @property
    def accepted(self) -> bool:
        return self.answered == 200


@dataclass
class Job:
    """A job and everything that happened to it. Times are readings of the queue's clock."""

    id: str
    input: Any
    submitted_s: float
    webhook: str | None = None
    ttl_s: float | None = None
    execution_timeout_s: float | None = None
    status: str = "IN_QUEUE"
    taken_s: float | None = None
    ended_s: float | None = None
    retries: int = 0
    # More than one where the job was handed out again while its first worker still ran it.
    pod_ids: set[str] = field(default_factory=set)
    posts: list[Post] = field(default_factory=list)
    shown: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    expired: bool = False

    @property
    def unfinished(self) -> bool:
        return self.status in ("IN_QUEUE", "IN_PROGRESS")

    def outlived(self, now_s: float, rules: Rules) -> bool:
        """Whether callers may no longer know the job."""
        ttl_s = rules.ttl_s if self.ttl_s is None else self.ttl_s
        since_s, limit_s = (self.submitted_s, ttl_s) if self.unfinished else (self.ended_s, rules.result_ttl_s)
        return since_s is not None and limit_s is not None and now_s - since_s > limit_s

    def overdue(self, now_s: float, rules: Rules) -> bool:
        """Whether its worker has had it for too long."""
        limit_s = rules.execution_timeout_s if self.execution_timeout_s is None else self.execution_timeout_s
        if limit_s is None or self.taken_s is None or self.status != "IN_PROGRESS":
            return False
        return now_s - self.taken_s > limit_s

    def end(self, status: str, now_s: float) -> None:
        self.status = status
        self.ended_s = now_s

    def as_status(self) -> dict[str, Any]:
        """The body of GET /status/ID: the output is the newest progress update until there is a result."""
        body: dict[str, Any] = {"id": self.id, "status": self.status, "retries": self.retries}
        if self.taken_s is not None:
            body["delayTime"] = round((self.taken_s - self.submitted_s) * 1000)
            if self.ended_s is not None:
                body["executionTime"] = round((self.ended_s - self.taken_s) * 1000)
        body.update({key: self.shown[key] for key in ("output", "error") if key in self.shown})
        return body


class Book:
    """What the queue knows: the jobs, which of them wait, and which workers are to stop what. No I/O."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self.jobs: dict[str, Job] = {}
        self.pending: deque[str] = deque()
        self.stops: defaultdict[str, list[str]] = defaultdict(list)
        self.seen_s: dict[str, float] = {}  # when each worker pinged last
        self.passed_over: set[str] = set()  # the workers that get no more jobs

    def add(self, job: Job) -> Job:
        if job.id in self.jobs:
            raise ValueError(f"job {job.id} was submitted before")
        self.jobs[job.id] = job
        self.pending.append(job.id)
        return job

    def take(self, pod_id: str, limit: int) -> list[Job]:
        if pod_id in self.passed_over:
            return []
        taken = [self.jobs[self.pending.popleft()] for _ in range(min(limit, len(self.pending)))]
        for job in taken:
            job.status = "IN_PROGRESS"
            job.taken_s = self._clock_s()
            job.pod_ids.add(pod_id)
            self.seen_s[pod_id] = job.taken_s
        return taken

    def take_stops(self, pod_id: str) -> list[str]:
        return self.stops.pop(pod_id, [])

    def record(self, job: Job, post: Post) -> None:
        job.posts.append(post)
        if not post.accepted:
            return
        if post.final:
            job.pod_ids.discard(post.pod_id)
            job.result = post.body if job.result is None else job.result
        if job.status not in ("CANCELLED", "TIMED_OUT"):
            job.shown = post.body
            _move_on(job, post, self._clock_s())

    def stop(self, job: Job, status: str = "CANCELLED") -> None:
        if not job.unfinished:
            return
        with suppress(ValueError):
            self.pending.remove(job.id)
        for pod_id in job.pod_ids:
            self.stops[pod_id].append(job.id)
        job.pod_ids.clear()
        job.end(status, self._clock_s())

    def pass_time(self, rules: Rules) -> list[Job]:
        """The jobs that time has done something to: expired, timed out, or taken from a worker that is silent."""
        now_s, changed = self._clock_s(), []
        for job in self.jobs.values():
            if not job.expired and job.outlived(now_s, rules):
                job.expired = True
                self.stop(job)
                changed.append(job)
            elif job.overdue(now_s, rules):
                self.stop(job, "TIMED_OUT")
                changed.append(job)
        silence_s = math.inf if rules.requeue_after_s is None else rules.requeue_after_s
        silent = [pod_id for pod_id in self.busy_pods() if now_s - self.seen_s[pod_id] > silence_s]
        return changed + [self.jobs[job_id] for pod_id in silent for job_id in self.requeue(pod_id)]

    def put_back(self, job: Job) -> None:
        job.status = "IN_QUEUE"
        job.result = None
        job.shown = {}
        job.retries += 1
        self.pending.append(job.id)

    def requeue(self, pod_id: str) -> list[str]:
        lost = [job for job in self.jobs.values() if pod_id in job.pod_ids]
        self.stops.pop(pod_id, None)
        for job in lost:
            job.pod_ids.discard(pod_id)
            self.put_back(job)
        return [job.id for job in lost]

    def busy_pods(self) -> set[str]:
        return {pod_id for job in list(self.jobs.values()) for pod_id in list(job.pod_ids)}

    def job_counts(self) -> dict[str, int]:
        by_status = Counter(job.status for job in list(self.jobs.values()))
        return {
            "completed": by_status["COMPLETED"],
            "failed": by_status["FAILED"],
            "inProgress": by_status["IN_PROGRESS"],
            "inQueue": by_status["IN_QUEUE"],
            "retried": sum(job.retries for job in list(self.jobs.values())),
        }


def _move_on(job: Job, post: Post, now_s: float) -> None:
    error = post.body.get("error")
    if not post.final:
        # As on RunPod: an update that arrives after the result leaves the job in progress.
        job.status = "IN_PROGRESS"
    elif isinstance(error, str) and error:
        job.end("FAILED", now_s)
    else:
        # As on RunPod: an error that is not a string does not count, and the job is shown as completed.
        job.end("COMPLETED", now_s)


class LoopbackQueue:
    """The queue as a test sees it. Its settings (the attributes without underscore) may be changed while it runs.

    The book is changed in the server's loop only; a test's thread reads copies, and needs no lock.
    """

    def __init__(
        self,
        *,
        api_key: str | None,
        poll_s: float,
        max_result_bytes: int,
        rules: Rules,
        clock_s: Callable[[], float],
    ) -> None:
        self._clock_s = clock_s
        self._calls = Calls()
        self._follow(rules)
        self._admitted: defaultdict[str, deque[float]] = defaultdict(deque)
        self.api_key = api_key
        self.poll_s = poll_s
        self.max_result_bytes = max_result_bytes
        self.post_delay_s = 0.0
        self.webhook_retry_s = 10.0
        self._port = 0
        self._book = Book(clock_s)
        self._pings: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        self._polling: Counter[str] = Counter()
        self._failing_posts = 0
        self._failing_status = 500
        self._webhooks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self._changed: asyncio.Event
        self._closing = False

    # What a test calls, from any thread but the server's.

    @property
    def url(self) -> str:
        """The endpoint as its callers know it: append /run, /runsync, /status/ID, /cancel/ID or /health."""
        return f"http://127.0.0.1:{self._port}/v2/{ENDPOINT_ID}"

    def environment(self, pod_id: str = "pod") -> dict[str, str]:
        """The variables that point the SDK of one worker at this queue."""
        return worker_environment(self.url, pod_id, self.api_key)

    def follow(self, rules: Rules) -> None:
        """From now on these rules; the script of calls begins anew."""
        self._in_loop(lambda: self._follow(rules))

    def calls(self) -> dict[str, int]:
        """The public calls so far, as "run 200", "status 429" or, where the connection was broken, "run broken"."""
        return dict(self._calls.answered)

    def most_at_once(self) -> dict[str, int]:
        """The most calls of each name that were under way at one time."""
        return dict(self._calls.most_at_once)

    def submit(self, input: Any, job_id: str | None = None) -> str:
        """Put a job at the end of the queue."""
        return self._in_loop(lambda: self._book.add(Job(job_id or _new_job_id(), input, self._clock_s())).id)

    def result(self, job_id: str, timeout_s: float) -> dict[str, Any]:
        """The final body posted for the job, waited for; after a redelivery, the one posted since."""
        job = self._book.jobs[job_id]
        self.wait_until(lambda: job.result is not None, timeout_s, f"a result of job {job_id}")
        return dict(job.result or {})

    def progress(self, job_id: str) -> list[Any]:
        """The outputs of the accepted progress updates, in order of arrival."""
        return [post.body.get("output") for post in self.posts(job_id) if post.accepted and not post.final]

    def posts(self, job_id: str) -> list[Post]:
        """Everything posted for the job, refused posts included, in order of arrival."""
        return list(self._book.jobs[job_id].posts)

    def pings(self, pod_id: str = "pod") -> list[dict[str, str]]:
        """The query of each ping of a worker: `job_id`, or `status=unhealthy` with the failed fitness check."""
        return list(self._pings[pod_id])

    def status(self, job_id: str) -> dict[str, Any]:
        """What GET /status/ID answers."""
        return self._book.jobs[job_id].as_status()

    def health(self) -> dict[str, dict[str, int]]:
        """What GET /health answers; a worker is idle while it polls for jobs and runs none."""
        busy = self._book.busy_pods()
        idle = {pod_id for pod_id, polls in list(self._polling.items()) if polls > 0} - busy
        return {"jobs": self._book.job_counts(), "workers": {"idle": len(idle), "running": len(busy)}}

    def submitted(self) -> int:
        """How many jobs were put in so far, whatever became of them."""
        return len(self._book.jobs)

    def webhooks_pending(self) -> int:
        """How many webhooks are still being called."""
        return len(self._webhooks)

    def cancel(self, job_id: str) -> None:
        """Take the job out of the queue, or tell the workers that run it to stop it."""
        self._in_loop(lambda: self._cancel(self._book.jobs[job_id]))

    def redeliver(self, job_id: str) -> None:
        """Hand the same job out once more, whatever became of it so far."""
        self._in_loop(lambda: self._book.put_back(self._book.jobs[job_id]))

    def requeue(self, pod_id: str = "pod") -> list[str]:
        """Put the jobs of a worker that died back into the queue, as RunPod does when its pings stop."""
        return self._in_loop(lambda: self._book.requeue(pod_id))

    def pass_over(self, pod_id: str) -> None:
        """Give a worker no more jobs: one that stands still would take them, by a poll that is still on its way."""
        self._in_loop(lambda: self._book.passed_over.add(pod_id))

    def pass_time(self) -> None:
        """Do what is due by the queue's clock; it happens by itself too, but a moment later."""
        self._in_loop(self._pass_time)

    def fail_next_posts(self, count: int, status: int = 500) -> None:
        """Answer the next `count` posts to job-done, progress or final, with `status`, and forget what they said."""
        self._in_loop(lambda: self._set_failing(count, status))

    def wait_until(self, condition: Callable[[], bool], timeout_s: float, what: str = "the condition") -> None:
        """Return as soon as the condition holds. It is asked in the server's loop, after every request and change."""
        waiting = asyncio.run_coroutine_threadsafe(self._until(condition, timeout_s), self._loop)
        if not waiting.result(timeout_s + _THREAD_LIMIT_S):
            jobs = [f"{job.id} {job.status} ({len(job.posts)} posts)" for job in list(self._book.jobs.values())]
            raise TimeoutError(f"waited {timeout_s} s in vain for {what}; jobs: {', '.join(jobs) or 'none'}")

    def _in_loop(self, change: Callable[[], T]) -> T:
        async def call() -> T:
            try:
                return change()
            finally:
                self._announce()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(_THREAD_LIMIT_S)

    # What runs in the server's loop.

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _until(self, ask: Callable[[], T], timeout_s: float) -> T | None:
        """The first truthy answer, asked again after every change; the last answer when the time is up."""
        deadline_s = time.monotonic() + timeout_s
        while not self._closing:
            answer, left_s = ask(), deadline_s - time.monotonic()
            if answer or left_s <= 0:
                return answer
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left_s)
        return None

    def _follow(self, rules: Rules) -> None:
        self._rules = rules
        self._calls.play(rules.call_script, rules.seed)

    def _pass_time(self) -> None:
        changed = self._book.pass_time(self._rules)
        for job in changed:
            self._notify(job)
        if changed:
            self._announce()

    def _admit(self, name: str) -> bool:
        """Whether the call, which has begun, keeps to the rate of its kind; one that is refused takes none of it."""
        if name not in self._rules.rates:
            return True
        most, most_at_once = self._rules.rates[name]
        now_s, admitted = self._clock_s(), self._admitted[name]
        while admitted and now_s - admitted[0] > RATE_WINDOW_S:
            admitted.popleft()
        fits = len(admitted) < most and self._calls.at_once[name] <= most_at_once
        if fits:
            admitted.append(now_s)
        return fits

    def _cancel(self, job: Job) -> None:
        self._book.stop(job)
        self._notify(job)

    def _set_failing(self, count: int, status: int) -> None:
        self._failing_posts, self._failing_status = count, status

    def _judge(self, payload: bytes, body: dict[str, Any] | None) -> int:
        """The HTTP status with which a post to job-done is answered."""
        if self._failing_posts > 0:
            self._failing_posts -= 1
            return self._failing_status
        if len(payload) > self.max_result_bytes:
            return 413
        return 400 if body is None else 200

    def _notify(self, job: Job) -> None:
        """Call the job's webhook when the job has ended."""
        if job.webhook is None or job.unfinished:
            return
        task = asyncio.get_running_loop().create_task(self._call_webhook(job.webhook, job.as_status()))
        # The loop itself holds tasks weakly.
        self._webhooks.add(task)
        task.add_done_callback(self._webhooks.discard)
        task.add_done_callback(lambda _: self._announce())

    async def _call_webhook(self, url: str, body: dict[str, Any]) -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(WEBHOOK_TRIES):
                with suppress(aiohttp.ClientError, asyncio.TimeoutError):
                    async with session.post(url, json=body) as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(self.webhook_retry_s)


_QUEUE = web.AppKey("queue", LoopbackQueue)


def worker_environment(url: str, pod_id: str = "pod", api_key: str | None = None) -> dict[str, str]:
    """The variables that point the SDK of one worker at the queue with this URL."""
    # The SDK fills in $ID and $RUNPOD_POD_ID, and appends "&...": each URL needs a query string of its own.
    return {
        "RUNPOD_WEBHOOK_GET_JOB": f"{url}/job-take/$ID?gpu=CPU",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{url}/job-done/$RUNPOD_POD_ID/$ID?gpu=CPU",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{url}/job-stream/$RUNPOD_POD_ID/$ID?gpu=CPU",
        "RUNPOD_WEBHOOK_PING": f"{url}/ping/$RUNPOD_POD_ID?gpu=CPU",
        "RUNPOD_AI_API_KEY": api_key or "loopback-key",
        "RUNPOD_POD_ID": pod_id,
        "RUNPOD_ENDPOINT_ID": ENDPOINT_ID,
        "RUNPOD_PING_INTERVAL": "1000",
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
        "RUNPOD_SKIP_GPU_CHECK": "true",
    }


def _new_job_id() -> str:
    return f"{uuid.uuid4()}-u1"


def _strict_object(payload: bytes) -> dict[str, Any] | None:
    """The JSON object in the payload; None for anything else, NaN and Infinity included."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        body = json.loads(payload, parse_constant=refuse)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _connected(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()


async def _take_jobs(request: web.Request, limit: int) -> list[dict[str, Any]]:
    queue, pod_id = request.app[_QUEUE], request.match_info["pod_id"]
    queue._polling[pod_id] += 1
    queue._announce()
    try:
        # A job handed to a worker that was killed while it waited would be lost.
        jobs = await queue._until(lambda: queue._book.take(pod_id, limit) if _connected(request) else [], queue.poll_s)
    finally:
        queue._polling[pod_id] -= 1
    queue._announce()
    return [{"id": job.id, "input": job.input} for job in jobs or []]


async def _job_take(request: web.Request) -> web.Response:
    jobs = await _take_jobs(request, 1)
    return web.json_response(jobs[0]) if jobs else web.Response(status=204)


async def _job_take_batch(request: web.Request) -> web.Response:
    jobs = await _take_jobs(request, int(request.query["batch_size"]))
    return web.json_response(jobs) if jobs else web.Response(status=204)


async def _job_stop(request: web.Request) -> web.Response:
    queue, pod_id = request.app[_QUEUE], request.match_info["pod_id"]
    stops = await queue._until(lambda: queue._book.take_stops(pod_id) if _connected(request) else [], queue.poll_s)
    return web.json_response({"jobsToStop": stops}) if stops else web.Response(status=204)


async def _job_done(request: web.Request) -> web.Response:
    queue, pod_id = request.app[_QUEUE], request.match_info["pod_id"]
    payload = await request.read()
    job = _known_job(request)
    body = _strict_object(payload)
    final = body is None or body.get("status") != "IN_PROGRESS"
    post = Post(queue._clock_s(), pod_id, body or {}, final, queue._judge(payload, body))
    queue._book.record(job, post)
    if post.accepted and post.final:
        queue._notify(job)
    queue._announce()
    if queue.post_delay_s:
        await queue._until(lambda: False, queue.post_delay_s)
    return web.Response(status=post.answered)


async def _ping(request: web.Request) -> web.Response:
    queue, pod_id = request.app[_QUEUE], request.match_info["pod_id"]
    queue._pings[pod_id].append(dict(request.query))
    queue._book.seen_s[pod_id] = queue._clock_s()
    queue._announce()
    return web.Response()


async def _run(request: web.Request) -> web.Response:
    job = await _submitted(request, RUN_BODY_LIMIT_BYTES)
    return job if isinstance(job, web.Response) else web.json_response({"id": job.id, "status": job.status})


async def _runsync(request: web.Request) -> web.Response:
    """Answer as /status does, once the job has ended; after `?wait=` ms with what it is by then."""
    least, default, most = RUNSYNC_WAIT_MS
    wait_ms = request.query.get("wait", str(default))
    if not wait_ms.isdecimal() or not least <= int(wait_ms) <= most:
        return web.json_response({"error": f"wait must be {least} to {most} ms"}, status=400)
    queue, job = request.app[_QUEUE], await _submitted(request, RUNSYNC_BODY_LIMIT_BYTES, "sync-")
    if isinstance(job, web.Response):
        return job
    await queue._until(lambda: not job.unfinished, int(wait_ms) / 1000)
    return web.json_response(job.as_status())


async def _submitted(request: web.Request, limit_bytes: int, prefix: str = "") -> Job | web.Response:
    """Return the job of the body, which is in the queue now, or the refusal of the body."""
    queue = request.app[_QUEUE]
    payload = await request.read()
    if len(payload) > limit_bytes:
        return web.json_response({"error": f"exceeded max body size of {limit_bytes // 2**20}MiB"}, status=413)
    body = _strict_object(payload)
    if body is None or "input" not in body:
        return web.json_response({"error": "the body must be a JSON object with an input"}, status=400)
    policy = body.get("policy") or {}
    ttl_s, timeout_s = (policy[key] / 1000 if key in policy else None for key in ("ttl", "executionTimeout"))
    job = Job(prefix + _new_job_id(), body["input"], queue._clock_s(), body.get("webhook"), ttl_s, timeout_s)
    queue._book.add(job)
    queue._announce()
    return job


async def _status(request: web.Request) -> web.Response:
    return web.json_response(_known_job(request).as_status())


async def _cancel(request: web.Request) -> web.Response:
    queue, job = request.app[_QUEUE], _known_job(request)
    queue._cancel(job)
    queue._announce()
    return web.json_response({"id": job.id, "status": job.status})


async def _health(request: web.Request) -> web.Response:
    return web.json_response(request.app[_QUEUE].health())


async def _tell_calls(request: web.Request) -> web.Response:
    queue = request.app[_QUEUE]
    return web.json_response({"calls": queue.calls(), "most_at_once": queue.most_at_once()})


def _known_job(request: web.Request) -> Job:
    job = request.app[_QUEUE]._book.jobs.get(request.match_info["job_id"])
    # A worker may still post what callers can no longer ask for.
    if job is None or (job.expired and "pod_id" not in request.match_info):
        raise web.HTTPNotFound(text=json.dumps({"error": "job not found"}), content_type="application/json")
    return job


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _for_callers(name: str, handler: Handler) -> Handler:
    """Let a call meet what the rules have for it, and count it; workers' calls are spared."""

    async def guarded(request: web.Request) -> web.Response:
        calls = request.app[_QUEUE]._calls
        fault = calls.begin(name)
        status: int | None = None
        try:
            response = await _answer_caller(request, name, handler, fault)
            status = None if str(fault).startswith("disconnect") else response.status
        finally:
            calls.end(name, status)
        if status is None and request.transport is not None:
            request.transport.close()
        return response

    return guarded


async def _answer_caller(request: web.Request, name: str, handler: Handler, fault: str | None) -> web.Response:
    queue = request.app[_QUEUE]
    if queue.api_key is not None and request.headers.get("Authorization") != f"Bearer {queue.api_key}":
        return web.json_response({"error": "unauthorized"}, status=401)
    if fault == "too_many" or not queue._admit(name):
        return web.json_response({"error": "too many requests"}, status=429)
    if fault in REFUSALS:
        return web.json_response({"error": fault}, status=REFUSALS[fault])
    if queue._rules.answer_delay_s:
        rules = queue._rules
        await queue._until(lambda: queue._rules is not rules, rules.answer_delay_s)
    try:
        response = web.Response() if fault in BEFORE else await handler(request)
    except web.HTTPNotFound as error:
        response = web.json_response(text=error.text, status=404)
    failed = fault in BEFORE or fault in AFTER
    return web.json_response({"error": "internal error"}, status=500) if failed else response


def _application(queue: LoopbackQueue) -> web.Application:
    # 0 lifts aiohttp's own limit: a body over a limit is read to its end, so that its sender sees the answer.
    app = web.Application(client_max_size=0)
    app[_QUEUE] = queue
    root = f"/v2/{ENDPOINT_ID}"
    app.add_routes(
        [
            web.get(root + "/job-take/{pod_id}", _job_take),
            web.get(root + "/job-take-batch/{pod_id}", _job_take_batch),
            web.get(root + "/job-stop/{pod_id}", _job_stop),
            web.post(root + "/job-done/{pod_id}/{job_id}", _job_done),
            web.get(root + "/ping/{pod_id}", _ping),
            web.post(root + "/run", _for_callers("run", _run)),
            web.post(root + "/runsync", _for_callers("runsync", _runsync)),
            web.get(root + "/status/{job_id}", _for_callers("status", _status)),
            web.post(root + "/cancel/{job_id}", _for_callers("cancel", _cancel)),
            web.get(root + "/health", _for_callers("health", _health)),
            web.get(root + "/_calls", _tell_calls),
        ]
    )
    return app


async def _serve(queue: LoopbackQueue, started: Future[None], port: int) -> None:
    queue._loop = asyncio.get_running_loop()
    queue._changed = asyncio.Event()
    runner = web.AppRunner(_application(queue), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        queue._port = runner.addresses[0][1]
        started.set_result(None)
        while not queue._closing:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(queue._changed.wait(), _TICK_S)
            queue._pass_time()
    finally:
        await runner.cleanup()


@contextmanager
def running_queue(  # noqa: PLR0913 - what a test may want to be different
    *,
    api_key: str | None = None,
    poll_s: float = 5.0,
    max_result_bytes: int = 10 * 1024 * 1024,
    rules: Rules = NO_RULES,
    clock_s: Callable[[], float] = time.monotonic,
    port: int = 0,
) -> Iterator[LoopbackQueue]:
    """Serve a queue on 127.0.0.1 until the block ends.

    `poll_s` is how long a poll without news is held open: a worker told to terminate ends its open polls first, so a
    test of that wants it short. `api_key` is asked of callers as a bearer token. What the rules do to jobs and rates
    goes by `clock_s`.
    """
    queue = LoopbackQueue(
        api_key=api_key, poll_s=poll_s, max_result_bytes=max_result_bytes, rules=rules, clock_s=clock_s
    )
    started: Future[None] = Future()
    thread = threading.Thread(target=_run_in_thread, args=(queue, started, port), name="loopback-queue", daemon=True)
    thread.start()
    started.result(_THREAD_LIMIT_S)
    try:
        yield queue
    finally:
        queue._in_loop(lambda: setattr(queue, "_closing", True))
        thread.join(_THREAD_LIMIT_S)
        if thread.is_alive():
            raise RuntimeError("the loopback queue did not stop")


def _run_in_thread(queue: LoopbackQueue, started: Future[None], port: int) -> None:
    try:
        asyncio.run(_serve(queue, started, port))
    except Exception as error:
        if started.done():
            raise
        started.set_exception(error)


@contextmanager
def running_queue_process(rules: Rules = NO_RULES, api_key: str | None = None) -> Iterator[str]:
    """Serve a queue in a process of its own; its URL, for `worker_environment` and for callers."""
    command = [sys.executable, "-m", "tests.loopback.queue", "--rules", json.dumps(asdict(rules))]
    if api_key is not None:
        command += ["--api-key", api_key]
    with subprocess.Popen(command, cwd=REPOSITORY_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                raise RuntimeError("the loopback queue did not start")
            yield url
        finally:
            process.terminate()


def told_calls(url: str) -> dict[str, dict[str, int]]:
    """What `calls()` and `most_at_once()` say of the queue at this URL."""
    with urllib.request.urlopen(f"{url}/_calls", timeout=_THREAD_LIMIT_S) as response:
        told: dict[str, dict[str, int]] = json.load(response)
    return told


@contextmanager
def _running_worker(environment: Mapping[str, str], ends: set[signal.Signals]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker with this process's settings beside the block, its events and logs on standard error."""
    # A child inherits which signals are blocked, and the worker must be told to stop.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)
    command = [sys.executable, "-u", "handler.py"]
    worker = subprocess.Popen(
        command, cwd=REPOSITORY_ROOT, env={**os.environ, **environment}, stdout=sys.stderr, start_new_session=True
    )
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        yield worker
    finally:
        worker.terminate()
        with suppress(subprocess.TimeoutExpired):
            worker.wait(_WORKER_GRACE_S)
        # The SDK's heartbeat would outlive its parent.
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


@contextmanager
def _bucket() -> Iterator[Mapping[str, str]]:
    """Serve an empty bucket over plain HTTP, for browsers and Node; yield the settings that lead there."""
    # Imported where it is wanted: its libraries are for development only.
    from tests.loopback.s3 import running_moto

    with running_moto(tls=False) as s3:
        yield {name: value for name, value in s3.environment().items() if name.startswith("R2_")}


def main() -> None:
    parser = by_hand.arguments_of(__doc__)
    parser.add_argument("--rules", default="{}", help="Rules as JSON")
    parser.add_argument("--api-key", help="asked of callers as a bearer token")
    parser.add_argument("--worker", action="store_true", help="start a worker too; when it ends, so does the queue")
    parser.add_argument("--bucket", action="store_true", help="give the worker a bucket, which is gone with the queue")
    arguments = parser.parse_args()
    ends = by_hand.block_end_signals({signal.SIGCHLD} if arguments.worker else set())
    rules = Rules(**json.loads(arguments.rules))
    # A worker that is told to stop ends its open polls first.
    poll_s = 1.0 if arguments.worker else 5.0
    with (
        running_queue(api_key=arguments.api_key, rules=rules, port=arguments.port, poll_s=poll_s) as queue,
        ExitStack() as stack,
    ):
        bucket = stack.enter_context(_bucket()) if arguments.bucket else {}
        callers = {
            "RUNPOD_API_URL": queue.url.rpartition("/")[0],
            "RUNPOD_ENDPOINT_ID": ENDPOINT_ID,
            "RUNPOD_API_KEY": arguments.api_key or "any",
            **bucket,
        }
        workers = {**queue.environment(), **bucket}
        if arguments.worker:
            by_hand.show(queue.url, ("Callers of the endpoint", callers))
            with _running_worker(workers, ends) as worker:
                by_hand.wait_for_end(ends)
                code = worker.poll()
            sys.exit(code)  # of a worker that has ended by itself
        else:
            by_hand.show(queue.url, ("Callers of the endpoint", callers), ("Its workers", workers))
            by_hand.wait_for_end(ends)


if __name__ == "__main__":
    main()
