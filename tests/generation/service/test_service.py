"""The HTTP service: `python -m generation.service` in a process of its own, called over sockets, loopback servers only.

What depends on a bound (waiting calls, sizes, time-outs) runs with a smaller one: a program sets the constant and then
does what the module itself would do.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import http.server
import itertools
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.checks import CheckContext
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import generation
from generation.config import VOCABULARY_DIR
from generation.contract.export import openapi_components
from generation.contract.models import GenerationEvent
from generation.service.readiness import RECHECK_INTERVAL_S, RECHECK_WHEN_NOT_READY_S, Readiness
from tests.loopback.openai import Behaviour, RunningServer
from tests.loopback.openai import running_process as running_openai
from tests.support.contexts import item, payload
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.wire import free_port, strict_json
from tests.support.worker_process import REPOSITORY_ROOT, RunningProcess, running_worker

KEY = "sk-loopback-key-that-nobody-may-see"
TOKEN = "a-token-that-nobody-may-see"
NAME = r"(?m)^Name: (.+)$"
JSON_TYPE = {"Content-Type": "application/json"}
STREAM = {"Accept": "text/event-stream"}
FULL = {"JOBS_PER_WORKER": "1"}
MODES = pytest.mark.parametrize("mode", [{}, STREAM], ids=["at the end", "with events"])

Json = dict[str, Any]


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return strict_json(self.body)

    @property
    def messages(self) -> list[tuple[str, Any]]:
        """The type and the data of each server-sent event."""
        blocks = [block for block in self.body.decode().split("\n\n") if block and not block.startswith(":")]
        lines = [block.split("\n") for block in blocks]
        assert all(len(pair) == 2 for pair in lines), "an event is two lines"
        return [(kind.removeprefix("event: "), strict_json(data.removeprefix("data: "))) for kind, data in lines]


class RunningService(NamedTuple):
    process: RunningProcess
    port: int

    def call(
        self, path: str, body: object = None, headers: Mapping[str, str] = {}, method: str | None = None
    ) -> Answer:
        """A call; a body that is not bytes goes as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, content, {**JSON_TYPE, **headers})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def generate(self, body: object, headers: Mapping[str, str] = {}) -> Answer:
        return self.call("/generate", body, headers)

    def health(self) -> Answer:
        return self.call("/health")

    def is_ready(self) -> bool:
        return self.health().status == 200

    @contextlib.contextmanager
    def open_call(self, body: bytes, *headers: str, announced: int | None = None) -> Iterator[socket.socket]:
        """A call as bytes on a socket, whose answer nobody has read yet."""
        length = len(body) if announced is None else announced
        lines = ["POST /generate HTTP/1.1", "Host: service", "Content-Type: application/json", *headers]
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S) as caller:
            caller.sendall("\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode() + body)
            yield caller


def check_problem(answer: Answer, status: int, failure: str, words: str = "") -> None:
    """An error is one sentence and its code, and nothing else."""
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {"error": answer.json["error"], "failure": failure}
    assert words in answer.json["error"]
    assert "\n" not in answer.json["error"]


def ids(job_input: Json) -> list[str]:
    return [one["symbol_id"] for one in job_input["symbols"]]


@contextlib.contextmanager
def running_service(folder: Path, changes: str = "", **environment: str) -> Iterator[RunningService]:
    """The service, with what `changes` sets before it starts."""
    modules = "from generation.service import __main__ as process, admission, app, readiness, stream"
    program = f"{modules}\n{changes}\nprocess.main()"
    settings = {"HOST": "127.0.0.1", "PORT": "0", "RESULTS_DIR": str(folder), "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR)}
    args = ("-c", program) if changes else ("-m", "generation.service")
    with running_worker({**settings, **environment}, REPOSITORY_ROOT, args) as process:
        said = process.wait_for_output("Press CTRL+C", LIMIT_S, "stderr")
        found = re.search(r"Uvicorn running on http://\S+:(\d+)", said)
        assert found
        yield RunningService(process, int(found[1]))


class Deployment(NamedTuple):
    """A service and the model that it talks to; the tests of this module share it."""

    service: RunningService
    openai: RunningServer

    def behave(self, *script: Json, **changes: Any) -> None:
        """From now on the OpenAI server is like this, with a new bill."""
        self.openai.set_behaviour(Behaviour(fault_script=script, marker=NAME, count_by="characters", **changes))
        self.openai.reset()

    def arrived(self) -> int:
        return len(self.openai.bill()["arrived_at_s"])


@contextlib.contextmanager
def running_deployment(folder: Path, changes: str = "", **environment: str) -> Iterator[Deployment]:
    with running_openai(Behaviour(count_by="characters", marker=NAME)) as openai:
        settings = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": openai.base_url}
        with running_service(folder, changes, **settings, **environment) as service:
            yield Deployment(service, openai)


@pytest.fixture(scope="module")
def shared_deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with running_deployment(tmp_path_factory.mktemp("results"), MAX_OUTPUT_BYTES="9000000") as deployment:
        yield deployment


@pytest.fixture
def deployment(shared_deployment: Deployment) -> Deployment:
    shared_deployment.behave()
    return shared_deployment


@pytest.fixture(scope="module")
def offline_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("results"), MODEL_NAME="offline") as service:
        wait_until(service.is_ready, "readiness")
        yield service


# A job, at the end and with events


def test_a_job_is_answered_with_its_output(deployment: Deployment) -> None:
    """All symbols come back documented, as `run_job` gives them, and the totals are the bill."""
    answer = deployment.service.generate({**payload(30), "job_id": "named"})
    output, bill = answer.json, deployment.openai.bill()
    assert answer.status == 200
    assert (output["job_id"], output["status"], output["failed_symbols"]) == ("named", "success", [])
    assert [one["symbol_id"] for one in output["documented_symbols"]] == ids(payload(30))
    assert output["total_tokens"] == bill["input_tokens"] + bill["output_tokens"]
    assert list(bill["bought"].values()) == [1] * 30


def test_a_stream_tells_of_every_symbol_and_ends_with_the_output(deployment: Deployment) -> None:
    """Events come in their order, those of documented symbols with the summary of the output, and the output last."""
    bad = item("bad", name="\ud800")
    answer = deployment.service.generate({"symbols": [*payload(12)["symbols"], bad]}, STREAM)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    kinds, data = zip(*answer.messages, strict=True)
    output = data[-1]
    assert kinds[0] == "generation.started.v1"
    assert kinds[-2:] == ("generation.completed.v1", "result")
    assert sorted(kinds[1:-2]) == ["generation.symbol_documented.v1"] * 12 + ["generation.symbol_failed.v1"]
    assert [one["type"] for one in data[:-1]] == list(kinds[:-1])
    assert {one["job_id"] for one in data} == {output["job_id"]}
    told = {
        one["payload"]["symbol_id"]: one["payload"]["summary"]
        for one in data[:-1]
        if one["type"] == "generation.symbol_documented.v1"
    }
    assert told == {one["symbol_id"]: one["summary"] for one in output["documented_symbols"]}
    assert (output["documented_count"], output["failed_count"]) == (12, 1)
    for one in data[:-1]:
        GenerationEvent.model_validate(one)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps({"input": payload(3)}).encode(), {}),
        (b"\xef\xbb\xbf" + json.dumps(payload(3)["symbols"]).encode(), {}),
        (gzip.compress(json.dumps(payload(3)).encode(), mtime=0), {"Content-Encoding": "gzip"}),
        (
            b"\n".join(json.dumps(one).encode() for one in payload(3)["symbols"]),
            {"Content-Type": "application/x-ndjson"},
        ),
    ],
    ids=["request to RunPod", "list after a byte order mark", "gzip", "JSON Lines"],
)
def test_every_form_of_an_input_is_read(
    offline_service: RunningService, body: bytes, headers: Mapping[str, str]
) -> None:
    """A body may have any form that a file or an object of the bucket may have."""
    answer = offline_service.generate(body, headers)
    assert (answer.status, answer.json["documented_count"]) == (200, 3)


def test_another_encoding_and_a_gzip_that_unpacks_to_nothing_are_refused(offline_service: RunningService) -> None:
    check_problem(offline_service.generate(b"{}", {"Content-Encoding": "br"}), 415, "bad_input", "must be gzip")
    broken = gzip.compress(b"{}", mtime=0)[:-4]
    check_problem(offline_service.generate(broken), 422, "bad_input", "the body is not whole gzip")


@MODES
def test_the_answer_has_every_symbol_whatever_its_size(tmp_path: Path, mode: dict[str, str]) -> None:
    """What is paid for reaches the caller: in the answer, whatever MAX_OUTPUT_BYTES says, and under /results later."""
    environment = {"MODEL_NAME": "offline", "MAX_OUTPUT_BYTES": "1000", "SERVICE_TOKEN": TOKEN}
    with running_service(tmp_path, **environment) as service:
        token = {"Authorization": f"Bearer {TOKEN}"}
        answer = service.generate({**payload(40), "job_id": "large"}, {**mode, **token})
        output = answer.messages[-1][1] if mode else answer.json
        later = service.call("/results/large", headers=token)
        without = service.call("/results/large")
        missing = [service.call(f"/results/{name}", headers=token) for name in ("other", "..%2Flarge", "%2e%2e")]

    assert len(output["documented_symbols"]) == 40
    assert output["results"]["url"] is None
    assert later.status == 200
    assert ids({"symbols": later.json["documented_symbols"]}) == ids({"symbols": output["documented_symbols"]})
    check_problem(without, 401, "bad_token")
    for one in missing:
        check_problem(one, 404, "not_found")


def test_health_can_be_asked_without_a_body_and_the_page_loads_nothing_from_elsewhere(
    offline_service: RunningService,
) -> None:
    """HEAD /health has the status alone, GET /docs loads its own scripts, the version is the package's."""
    head = offline_service.call("/health", method="HEAD")
    page = offline_service.call("/docs")
    loaded = re.findall(rb'(?:src|href)="([^"]+)"', page.body)

    assert (head.status, head.body) == (200, b"")
    assert loaded
    assert all(address.startswith(b"/docs/static/") for address in loaded)
    assert {offline_service.call(address.decode()).status for address in loaded} == {200}
    assert offline_service.call("/openapi.json").json["info"]["version"] == generation.__version__


def test_events_are_on_standard_output_as_ever(deployment: Deployment) -> None:
    """In both modes each event is a line of standard output, there without summaries; logs are on standard error."""
    for mode in ({}, STREAM):
        job = {**payload(4), "job_id": f"printed-{len(mode)}"}
        assert deployment.service.generate(job, mode).status == 200
        lines = [line for line in deployment.service.process.stdout().splitlines() if f'"{job["job_id"]}"' in line]
        assert [strict_json(line)["type"].split(".")[1] for line in lines] == [
            "started",
            *["symbol_documented"] * 4,
            "completed",
        ]
        assert "summary" not in "".join(lines)
        assert f"job {job['job_id']}: 4 symbols" in deployment.service.process.stderr()


@MODES
def test_a_dry_run_is_answered_with_the_plan(deployment: Deployment, mode: dict[str, str]) -> None:
    """A dry run has no events: the plan is the whole answer, and nothing is asked."""
    answer = deployment.service.generate(payload(5, dry_run=True), mode)
    plan = answer.messages[0][1] if mode else answer.json
    assert plan["status"] == "planned"
    assert len(answer.messages) == 1 if mode else True
    assert deployment.arrived() == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_200_small_jobs_end_right_beside_a_large_one(deployment: Deployment) -> None:
    """200 jobs of 5 symbols end beside one of 2,000, every symbol is bought once, and the totals are the bill."""
    deployment.behave(latency_mean_s=0.02)
    small = [{"symbols": [item(f"small_{job}_{one}") for one in range(5)]} for job in range(200)]
    jobs = [payload(2_000, max_concurrent_requests=50), *small]
    with ThreadPoolExecutor(32) as callers:
        answers = list(callers.map(deployment.service.generate, jobs))
    assert [answer.json.get("error") for answer in answers if answer.status != 200] == []
    outputs, bill = [answer.json for answer in answers], deployment.openai.bill()
    for output, job in zip(outputs, jobs, strict=True):
        assert [one["symbol_id"] for one in output["documented_symbols"]] == ids(job)
        assert output["failed_symbols"] == []
    assert len({output["job_id"] for output in outputs}) == len(jobs)
    assert bill["bought"] == {one["context"]["name"]: 1 for job in jobs for one in job["symbols"]}
    for kind in ("input_tokens", "cached_input_tokens", "output_tokens", "requests"):
        billed = len(bill["arrived_at_s"]) if kind == "requests" else bill[kind]
        assert sum(output["usage"][kind] for output in outputs) == billed


# What is refused


DEEP = b'{"symbols": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"


@MODES
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "neither JSON nor JSON Lines: line 1, column 1"),
        (b'{"symbols":\n [}', "line 2, column 3"),
        (b'{"symbols": "\xff"}', "it is not UTF-8"),
        ('{"symbols": [}'.encode("utf-16"), "line 1, column 14"),
        (b'{"symbols": [1], "options": {"max_symbols": ' + b"9" * 5_000 + b"}}", "input.options.max_symbols"),
        (DEEP, "nested too deeply"),
        (b"[]", "symbols is empty: there is nothing"),
        (b"null", "input must be an object"),
        (b"{}", "exactly one of symbols and symbols_key"),
        (b'{"symbols": []}', "symbols is empty"),
        (b'{"symbols": {}}', "input.symbols must be a list"),
        (b'{"symbols": [], "symbols_key": "k"}', "exactly one of"),
        (b'{"symbols": [], "planted": 1}', "input.planted"),
        (b'{"symbols": [], "\\ud800": 1}', "input has a lone surrogate"),
        (b'{"job_id": "a/b", "symbols": []}', "input.job_id"),
        (b'{"symbols": [1], "options": {"max_symbols": "5"}}', "input.options.max_symbols"),
        (b'{"symbols": [1], "options": {"min_centrality": NaN}}', "input.options.min_centrality"),
    ],
    ids=lambda value: value if isinstance(value, str) else "body",
)
def test_bad_input_is_422_and_names_the_place(
    deployment: Deployment, mode: dict[str, str], body: bytes, words: str
) -> None:
    """What is wrong with the input as a whole is a 422 with one sentence, in both modes, and nothing is asked."""
    check_problem(deployment.service.generate(body, mode), 422, "bad_input", words)
    assert deployment.arrived() == 0


def test_a_symbol_that_is_no_text_or_no_number_fails_alone(deployment: Deployment) -> None:
    """Lone surrogates and NaN, which Python's JSON lets through as RunPod does, cost their own symbol and no other."""
    good, bad = item("reserve"), [item("a", name="\ud800"), {"symbol_id": "\ud800"}, item("c", centrality=float("nan"))]
    output = deployment.service.generate({"symbols": [*bad, good]}).json
    assert [one["symbol_id"] for one in output["documented_symbols"]] == [good["symbol_id"]]
    assert {one["failure"] for one in output["failed_symbols"]} == {"invalid_symbol"}
    assert output["failed_count"] == 3


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml"])
def test_a_body_that_does_not_call_itself_json_is_415(deployment: Deployment, kind: str) -> None:
    """Types that a page of any web site could send unasked are not read."""
    check_problem(deployment.service.generate(payload(1), {"Content-Type": kind}), 415, "bad_input", "application/json")


def test_json_may_say_its_charset(deployment: Deployment) -> None:
    """Content types are read without their parameters and whatever their case."""
    kind = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert deployment.service.generate(payload(1, dry_run=True), kind).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/health/", 404),
        ("POST", "/generate/x", 404),
        ("GET", "/generate", 405),
        ("PUT", "/generate", 405),
        ("OPTIONS", "/generate", 405),
        ("POST", "/health", 405),
    ],
)
def test_what_is_not_here_is_said_in_the_same_form(deployment: Deployment, method: str, path: str, status: int) -> None:
    """Unknown paths and methods are answered as every other error is."""
    answer = deployment.service.call(path, method=method)
    check_problem(answer, status, "not_found", "POST /generate")
    assert bool(answer.headers["Allow"]) == (status == 405)


@MODES
@pytest.mark.parametrize(
    ("fault", "failure", "words"),
    [
        ("quota", "no_quota", "add credit"),
        ("bad_key", "key_refused", "OPENAI_API_KEY"),
        ("forbidden", "not_permitted", ""),
    ],
)
def test_a_fault_of_the_account_is_502_and_says_which(
    deployment: Deployment, mode: dict[str, str], fault: str, failure: str, words: str
) -> None:
    """What OpenAI refuses for the account's sake is a 502; in a stream that has begun it is the last event."""
    deployment.behave({"fault": fault})
    answer = deployment.service.generate(payload(60), mode)
    if mode:
        assert answer.status == 200
        assert [kind for kind, _ in answer.messages] == ["generation.started.v1", "generation.completed.v1", "error"]
        problem = answer.messages[-1][1]
        assert problem == {"error": problem["error"], "failure": failure}
        assert words in problem["error"]
    else:
        check_problem(answer, 502, failure, words)
    assert deployment.arrived() <= 10


def test_symbols_that_cannot_be_read_are_502(deployment: Deployment) -> None:
    """A key of the results store that names nothing is a fault of the store, by the key's name."""
    check_problem(
        deployment.service.generate({"symbols_key": "inputs/none.jsonl"}), 502, "storage", "inputs/none.jsonl"
    )


@MODES
def test_a_fault_of_the_service_is_one_sentence_that_repeats_nothing(tmp_path: Path, mode: dict[str, str]) -> None:
    """What nobody foresaw is a 500 with its type; the log has the place, and neither has its text."""
    changes = "async def fail(*_, **__): raise RuntimeError('plan' + 'ted')\napp.run_job = fail"
    with running_service(tmp_path, changes, MODEL_NAME="offline") as service:
        answer = service.generate(payload(1), mode)
        check_problem(answer, 500, "internal", "the worker itself failed (RuntimeError): see its log")
        said = service.process.wait_for_output("a fault of this service: RuntimeError", LIMIT_S, "stderr")
    assert "in fail" in said
    assert "planted" not in said + service.process.stdout()


def test_a_fault_around_a_call_has_the_same_form(tmp_path: Path) -> None:
    """Where the service breaks outside of a job the answer is the same sentence, and the log has no text of it."""
    changes = "def fail(*_): raise RuntimeError('plan' + 'ted')\napp.check_token = fail"
    with running_service(tmp_path, changes, MODEL_NAME="offline") as service:
        check_problem(service.generate(payload(1)), 500, "internal", "(RuntimeError)")
    assert "planted" not in service.process.stderr()


# Too much


@pytest.fixture(scope="module")
def small_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    changes = "admission.MAX_BODY_BYTES = 20_000\nadmission.MAX_HELD_BYTES = 30_000"
    with running_service(tmp_path_factory.mktemp("results"), changes, MODEL_NAME="offline") as service:
        yield service


def test_a_body_too_large_is_413_by_what_it_announces(small_service: RunningService) -> None:
    """A body that announces itself as too large is not read."""
    with small_service.open_call(b"", announced=20_001) as caller:
        assert caller.recv(12) == b"HTTP/1.1 413"


def test_a_body_too_large_is_413_by_what_comes(small_service: RunningService) -> None:
    """A body without a length is counted as it comes, and the service lives on."""
    connection = http.client.HTTPConnection("127.0.0.1", small_service.port, timeout=LIMIT_S)
    with contextlib.closing(connection):
        pieces = iter([b'{"symbols": [' + b" " * 9_000] * 3)
        connection.request("POST", "/generate", pieces, JSON_TYPE, encode_chunked=True)
        response = connection.getresponse()
        check_problem(Answer(response.status, response.headers, response.read()), 413, "body_too_large", "symbols_key")
    assert small_service.generate(payload(2)).status == 200


def test_bodies_that_are_too_much_together_are_503(small_service: RunningService) -> None:
    """Bodies that have not come to their end yet count together; when one is gone its room is there again."""
    with small_service.open_call(b" " * 19_000, announced=20_000):
        wait_until(lambda: small_service.generate(b" " * 15_000).status == 503, "a full service")
        answer = small_service.generate(b" " * 15_000)
        check_problem(answer, 503, "busy")
        assert answer.headers["Retry-After"] == "10"
    wait_until(lambda: small_service.generate(b" " * 15_000).status == 422, "room")


def test_the_body_of_a_job_that_runs_counts_no_more(tmp_path: Path) -> None:
    """What is parsed is let go of: a job that is under way leaves room for the bodies of others."""
    with running_deployment(tmp_path, "admission.MAX_HELD_BYTES = 30_000") as deployment:
        deployment.behave({"fault": "hang"})
        with deployment.service.open_call(json.dumps({"symbols": [item("slow")]}).encode() + b" " * 19_000):
            wait_until(lambda: deployment.arrived() == 1, "the first job")
            room = json.dumps(payload(1, dry_run=True)).encode() + b" " * 19_000
            assert deployment.service.generate(room).status == 200


def test_a_body_that_does_not_come_is_408(tmp_path: Path) -> None:
    """Who announces a body and stops sending is not waited for."""
    with (
        running_service(tmp_path, "admission.IDLE_TIMEOUT_S = 0.5", MODEL_NAME="offline") as service,
        service.open_call(b'{"sym', announced=100) as caller,
    ):
        assert caller.recv(12) == b"HTTP/1.1 408"


def test_a_reader_who_takes_nothing_is_dropped_and_holds_up_nobody(tmp_path: Path) -> None:
    """A caller who reads none of his events is disconnected, and others are served meanwhile or then."""
    # More than the buffers of both ends take in.
    symbols = [{"symbol_id": f"{number:01000d}", "context": {}} for number in range(8_000)]
    body = json.dumps({"symbols": symbols}).encode()
    with (
        running_service(tmp_path, "app.IDLE_TIMEOUT_S = 0.5", **FULL, MODEL_NAME="offline") as service,
        service.open_call(body, "Accept: text/event-stream"),
    ):
        service.process.wait_for_output("generation.started.v1", LIMIT_S)
        assert service.generate(payload(3)).json["status"] == "success"
        service.process.wait_for_output("takes no more events", LIMIT_S, "stderr")


def test_a_full_service_says_when_to_come_back(tmp_path: Path) -> None:
    """One job runs, one waits, the next is sent away; when both callers are gone a new job is done and theirs not."""
    with running_deployment(tmp_path, "admission.MAX_WAITING = 1", **FULL) as deployment:
        deployment.behave({"fault": "hang", "contains": "Name: slow_"})
        first, second = ({"symbols": [item(f"slow_{n}_{one}") for one in range(5)]} for n in range(2))
        with contextlib.ExitStack() as callers:
            callers.enter_context(deployment.service.open_call(json.dumps(first).encode()))
            wait_until(lambda: deployment.arrived() == 5, "the first job")
            waiting = callers.enter_context(deployment.service.open_call(b"", "Expect: 100-continue", announced=9_999))
            # The service asks for a body only when the call is inside.
            assert waiting.recv(12) == b"HTTP/1.1 100"
            answer = deployment.service.generate(second)
            check_problem(answer, 503, "busy", "later")
            assert answer.headers["Retry-After"] == "10"
        wait_until(lambda: deployment.service.generate(payload(2)).status == 200, "a free place")
        bill = deployment.openai.bill()
    assert bill["abandoned"] == 5
    assert len(bill["arrived_at_s"]) == 5 + 2


def test_no_more_jobs_run_at_once_than_are_set(tmp_path: Path) -> None:
    """With one job at a time the events of jobs that come together never mix: the next begins when one has ended."""
    with running_deployment(tmp_path, **FULL) as deployment, ThreadPoolExecutor(4) as callers:
        deployment.behave(latency_mean_s=0.1)
        jobs = [{"symbols": [item(f"in_turn_{job}_{one}") for one in range(3)]} for job in range(4)]
        assert [answer.status for answer in callers.map(deployment.service.generate, jobs)] == [200] * 4
        told = [strict_json(line)["job_id"] for line in deployment.service.process.stdout().splitlines()]
    assert len(set(told)) == 4
    assert [len(list(events)) for _, events in itertools.groupby(told)] == [5] * 4


# Callers who leave


@MODES
def test_a_caller_who_leaves_ends_the_job(deployment: Deployment, mode: dict[str, str]) -> None:
    """When the connection is closed in mid-run the calls in flight are hung up, and nothing more is bought."""
    slow = [item(f"slow_{number}", centrality=0.0) for number in range(30)]
    quick = [item(f"quick_{number}", centrality=1.0) for number in range(5)]
    deployment.behave({"fault": "hang", "contains": "Name: slow_"})
    job = json.dumps({"job_id": f"left-{len(mode)}", "symbols": slow + quick}).encode()
    with deployment.service.open_call(job, *(f"{name}: {value}" for name, value in mode.items())):
        wait_until(lambda: deployment.arrived() >= 15, "10 calls in flight")
    wait_until(lambda: deployment.openai.bill()["abandoned"] == 10, "10 calls that were hung up")
    assert deployment.service.generate({"symbols": [item("next_0"), item("next_1")]}).json["status"] == "success"
    bill = deployment.openai.bill()
    assert set(bill["bought"]) == {f"quick_{number}" for number in range(5)} | {"next_0", "next_1"}
    assert len(bill["arrived_at_s"]) == 5 + 10 + 2
    assert "the caller left: the job was cancelled" in deployment.service.process.stderr()


def test_a_caller_who_leaves_while_he_waits_costs_nothing(tmp_path: Path) -> None:
    """A job whose caller is gone before its turn is never begun."""
    with running_deployment(tmp_path, **FULL) as deployment:
        deployment.behave({"fault": "hang", "contains": "Name: slow_"})
        with deployment.service.open_call(json.dumps({"symbols": [item("slow_0")]}).encode()):
            wait_until(lambda: deployment.arrived() == 1, "the first job")
            with deployment.service.open_call(json.dumps({"symbols": [item("never")]}).encode()):
                pass
            deployment.service.process.wait_for_output("the caller left", LIMIT_S, "stderr")
        assert deployment.service.generate({"symbols": [item("next")]}).json["status"] == "success"
        assert set(deployment.openai.bill()["bought"]) == {"next"}


def test_a_silent_stream_is_kept_alive(tmp_path: Path) -> None:
    """Where no event comes for a while a comment does, from before the first event on, and the end is as ever."""
    with running_deployment(tmp_path, "stream.KEEP_ALIVE_S = 0.05", **FULL) as deployment:
        deployment.behave(hold_after=0)
        with deployment.service.open_call(json.dumps(payload(1)).encode(), "Accept: text/event-stream") as caller:
            came = b""
            while came.count(b": keep-alive\n\n") < 2:
                came += caller.recv(1_000)
            deployment.openai.set_behaviour(Behaviour(count_by="characters", marker=NAME))
            while b"event: result\n" not in came:
                came += caller.recv(10_000)


# The token, other sites' pages, ids


def test_with_a_token_only_its_bearer_may_generate(tmp_path: Path) -> None:
    """Without the token, or with another, whatever its characters, a call is a 401; health needs none."""
    with running_service(tmp_path, MODEL_NAME="offline", SERVICE_TOKEN=TOKEN) as service:
        wrong = ["", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer schl\u00fcssel", f"Bearer {TOKEN[:-1]}"]
        for given in wrong:
            answer = service.generate(payload(1), {"Authorization": given} if given else {})
            check_problem(answer, 401, "bad_token", "Authorization")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        for scheme in ("Bearer", "bearer"):
            assert service.generate(payload(1), {"Authorization": f"{scheme} {TOKEN}"}).status == 200
        assert service.health().status == 200
        assert service.process.stdout().count("generation.started.v1") == 2
    assert TOKEN not in service.process.stdout() + service.process.stderr()
    assert "SERVICE_TOKEN" not in service.process.stderr()


def test_without_a_token_and_open_to_others_it_warns(tmp_path: Path) -> None:
    """A service that other machines can reach says at its start that anyone may spend; on the loopback it does not."""
    with running_service(tmp_path, MODEL_NAME="offline", HOST="0.0.0.0") as service:  # noqa: S104
        assert "WARNING generation.service [-]: SERVICE_TOKEN is not set" in service.process.stderr()
    with running_service(tmp_path, MODEL_NAME="offline") as service:
        assert "SERVICE_TOKEN" not in service.process.stderr()


ORIGIN = {"Origin": "https://site.example"}
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


def test_pages_of_allowed_sites_may_call(tmp_path: Path) -> None:
    """An allowed origin passes the preflight and reads answers and errors; another one does neither."""
    allowed = "https://site.example/, http://localhost:3000"
    with running_service(tmp_path, MODEL_NAME="offline", ALLOWED_ORIGINS=allowed) as service:
        for origin in ("https://site.example", "http://localhost:3000"):
            before = service.call("/generate", headers={"Origin": origin, **PREFLIGHT}, method="OPTIONS")
            assert before.status == 200
            assert before.headers["Access-Control-Allow-Origin"] == origin
        assert service.generate(payload(1), ORIGIN).headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        problem = service.generate(b"{}", ORIGIN)
        check_problem(problem, 422, "bad_input")
        assert problem.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        other = service.call("/generate", headers={"Origin": "https://other.example", **PREFLIGHT}, method="OPTIONS")
        assert other.status == 400
        assert "Access-Control-Allow-Origin" not in other.headers


def test_no_other_site_may_call_by_default(deployment: Deployment) -> None:
    """Without ALLOWED_ORIGINS no answer gives a page of another site leave to read it."""
    assert "Access-Control-Allow-Origin" not in deployment.service.call("/health", headers=ORIGIN).headers
    check_problem(
        deployment.service.call("/generate", headers={**ORIGIN, **PREFLIGHT}, method="OPTIONS"), 405, "not_found"
    )


def test_the_id_of_a_request_is_in_its_response_and_its_log_lines(deployment: Deployment) -> None:
    """A sane id is taken over, any other replaced by a new one, and the lines of the job carry it."""
    assert (
        deployment.service.generate(payload(1), {"X-Request-ID": "trace-1.a_b"}).headers["X-Request-ID"]
        == "trace-1.a_b"
    )
    assert "INFO generation.job [trace-1.a_b]: job" in deployment.service.process.stderr()
    made = set()
    for senseless in ("two words", "x" * 129, "\u00fc", ""):
        made.add(deployment.service.call("/health", headers={"X-Request-ID": senseless}).headers["X-Request-ID"])
    assert len(made) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)
    assert deployment.service.call("/nothing").headers["X-Request-ID"]


# Health


def test_health_names_the_model_and_is_ready(deployment: Deployment) -> None:
    """With a model that answers the service is ready, and no probe is paid for."""
    wait_until(deployment.service.is_ready, "readiness")
    assert deployment.service.health().json == {"status": "healthy", "model": "gpt-5-nano", "ready": True}
    assert deployment.arrived() == 0


def test_offline_is_ready_without_anything(tmp_path: Path) -> None:
    """Without a model there is nothing to wait for."""
    with running_service(tmp_path, MODEL_NAME="offline") as service:
        wait_until(service.is_ready, "readiness")
        assert service.health().json == {"status": "healthy", "model": "offline", "ready": True}


def check_not_ready(service: RunningService, words: str) -> None:
    wait_until(lambda: words in service.health().json.get("reason", ""), words)
    answer = service.health()
    assert answer.status == 503
    assert (answer.json["status"], answer.json["ready"]) == ("healthy", False)
    assert list(answer.json) == ["status", "model", "ready", "reason"]


def test_without_a_key_it_starts_and_says_so(tmp_path: Path) -> None:
    """A missing key is the reason in health and of each job that needs it; a job without a model is done."""
    with running_service(tmp_path) as service:
        check_not_ready(service, "OPENAI_API_KEY must be set")
        for mode in ({}, STREAM):
            check_problem(service.generate(payload(1), mode), 503, "bad_setting", "OPENAI_API_KEY must be set")
        assert service.generate(payload(2, model="offline")).json["status"] == "success"


def test_a_retired_model_is_not_ready(tmp_path: Path) -> None:
    """A model that OpenAI has shut down is named with its replacement, although this server still has it."""
    model = "gpt-4o-2024-05-13"
    with running_openai(Behaviour(models=(model,))) as openai:
        environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": openai.base_url, "MODEL_NAME": model}
        with running_service(tmp_path, **environment) as service:
            check_not_ready(service, f"shuts {model} down on 2026-10-23: set MODEL_NAME=gpt-6-luna")


def test_a_server_that_is_away_is_not_ready(tmp_path: Path) -> None:
    """Where nobody answers at the model's address health says so."""
    address = f"http://127.0.0.1:{free_port()}/v1"
    with running_service(tmp_path, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=address) as service:
        check_not_ready(service, f"the server at {address} cannot be reached")
    assert KEY not in service.process.stderr()


def test_a_refused_key_is_not_ready_until_it_is_taken(tmp_path: Path) -> None:
    """A key that is refused is the reason, and readiness comes by itself when the key is taken."""
    with running_deployment(tmp_path) as deployment:
        deployment.behave(api_key="another")
        check_not_ready(deployment.service, "OPENAI_API_KEY was refused")
        deployment.behave()
        wait_until(deployment.service.is_ready, "readiness")


def test_probes_ask_nobody(tmp_path: Path) -> None:
    """However often health is asked, the model's server is asked once in a while."""
    with running_openai(Behaviour(count_by="characters", api_key="another")) as openai:
        settings = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": openai.base_url, "MODEL_NAME": "a-model-of-another-name"}
        with running_service(tmp_path, "readiness.RECHECK_WHEN_NOT_READY_S = 3_600", **settings) as service:
            wait_until(lambda: bool(openai.bill()["requests"]), "the first look")
            for _ in range(50):
                service.health()
            assert openai.bill()["requests"] == {"401": 1}
            assert openai.bill()["arrived_at_s"] == []


def test_a_model_gone_from_the_list_is_not_ready(tmp_path: Path) -> None:
    """A model that the server does not list, OpenAI's or any other, is named, and a job that fails asks again."""
    with running_deployment(tmp_path) as deployment:
        deployment.behave(retired_models=("gpt-5-nano",))
        with running_service(tmp_path, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=deployment.openai.base_url) as service:
            check_not_ready(service, "the model gpt-5-nano is not available")
        own = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": deployment.openai.base_url, "MODEL_NAME": "llama3.2:3b"}
        deployment.behave(models=("llama3.2:3b",))
        with running_service(tmp_path, **own) as service:
            wait_until(service.is_ready, "readiness")
            deployment.behave(retired_models=("llama3.2:3b",))
            service.generate(payload(1))
            check_not_ready(service, "the server does not list the model llama3.2:3b")


class Restricted(http.server.BaseHTTPRequestHandler):
    """What OpenAI answers to a key that may use models and not list them."""

    def do_GET(self) -> None:
        said = "You have insufficient permissions for this operation. Missing scopes: api.model.read."
        body = json.dumps({"error": {"message": said, "type": "invalid_request_error", "code": None}}).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_key_that_may_not_list_models_is_ready(tmp_path: Path) -> None:
    """A restricted key that may not read the list of models says nothing against a job."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Restricted) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/v1"
            with running_service(tmp_path, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=address) as service:
                wait_until(service.is_ready, "readiness")
        finally:
            server.shutdown()
            thread.join()


def test_looks_are_seldom_while_all_is_well_and_soon_while_it_is_not() -> None:
    """A look that fails, or breaks, is repeated soon, one that succeeds later, and the newest one holds."""
    looks: list[str | Exception | None] = ["away", ValueError("planted"), None, None, "gone"]
    seen: list[tuple[str | None, float]] = []

    async def look() -> str | None:
        found = looks.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def sleep(seconds: float) -> None:
        seen.append((readiness.reason, seconds))
        if not looks:
            raise asyncio.CancelledError

    readiness = Readiness(look, sleep)
    first = readiness.reason
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(readiness.keep_checking())
    broken = "the service cannot look at its model (ValueError)"
    assert first is not None
    assert seen == [
        ("away", RECHECK_WHEN_NOT_READY_S),
        (broken, RECHECK_WHEN_NOT_READY_S),
        (None, RECHECK_INTERVAL_S),
        (None, RECHECK_INTERVAL_S),
        ("gone", RECHECK_WHEN_NOT_READY_S),
    ]


def test_a_fault_of_a_job_is_looked_at_at_once() -> None:
    """A check that is wanted, also during another one, does not wait for its turn."""
    looks = 0

    async def look() -> str | None:
        nonlocal looks
        looks += 1
        if looks == 1:
            readiness.check_now()
        if looks == 4:
            raise asyncio.CancelledError
        return None

    async def sleep(_seconds: float) -> None:
        if looks == 2:
            readiness.check_now()
        if looks < 3:
            await asyncio.get_running_loop().create_future()

    readiness = Readiness(look, sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(readiness.keep_checking())
    assert looks == 4


# The end


def test_told_to_stop_it_lets_jobs_end(tmp_path: Path) -> None:
    """A job under way when the service is told to stop is answered, new callers are not, and then it is over."""
    with running_deployment(tmp_path) as deployment, ThreadPoolExecutor(2) as callers:
        deployment.behave(hold_after=0)
        whole = callers.submit(deployment.service.generate, {"symbols": [item(f"whole_{n}") for n in range(4)]})
        streamed = callers.submit(deployment.service.generate, {"symbols": [item("streamed")]}, STREAM)
        wait_until(lambda: deployment.arrived() == 5, "both jobs")
        deployment.service.process.terminate()
        deployment.service.process.wait_for_output(
            "told to stop: 2 jobs are running and 0 are waiting", LIMIT_S, "stderr"
        )
        deployment.openai.set_behaviour(Behaviour(count_by="characters", marker=NAME))
        assert whole.result(LIMIT_S).json["status"] == "success"
        assert streamed.result(LIMIT_S).messages[-1][0] == "result"
        deployment.service.process.wait(LIMIT_S)
        with pytest.raises(OSError, match="refused"):
            deployment.service.health()
    assert "Traceback" not in deployment.service.process.stderr()


def test_told_to_stop_it_ends_what_takes_too_long(tmp_path: Path) -> None:
    """Who waits is sent away at once, what runs is cancelled after a while, and all of them hear why."""
    with running_deployment(tmp_path, "app.STOP_AFTER_S = 0.5", JOBS_PER_WORKER="2") as deployment:
        deployment.behave({"fault": "hang"})
        with contextlib.ExitStack() as open_calls, ThreadPoolExecutor(2) as callers:
            whole = callers.submit(deployment.service.generate, {"symbols": [item(f"whole_{n}") for n in range(4)]})
            streamed = callers.submit(deployment.service.generate, {"symbols": [item("streamed")]}, STREAM)
            wait_until(lambda: deployment.arrived() == 5, "both jobs")
            body = json.dumps(payload(1)).encode()
            expecting = deployment.service.open_call(b"", "Expect: 100-continue", announced=len(body))
            waiting = open_calls.enter_context(expecting)
            assert waiting.recv(100).startswith(b"HTTP/1.1 100")
            waiting.sendall(body)
            deployment.service.process.terminate()
            assert waiting.recv(12) == b"HTTP/1.1 503"
            check_problem(whole.result(LIMIT_S), 503, "stopping")
            kinds = [kind for kind, _ in streamed.result(LIMIT_S).messages]
            assert kinds == ["generation.started.v1", "error"]
            assert streamed.result().messages[-1][1]["failure"] == "stopping"
        deployment.service.process.wait(LIMIT_S)
        wait_until(lambda: deployment.openai.bill()["abandoned"] == 5, "calls that were hung up")
        assert deployment.arrived() == 5
    assert "Traceback" not in deployment.service.process.stderr()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "planted"),
        ("PORT", "70000"),
        ("HOST", "pla nted"),
        ("ALLOWED_ORIGINS", "https://site.example/planted"),
        ("ALLOWED_ORIGINS", "planted.example"),
        ("SERVICE_TOKEN", "planted t\u00f6ken"),
        ("MAX_RETRIES", "planted"),
    ],
)
def test_a_bad_setting_ends_the_process_by_name(name: str, value: str) -> None:
    """A setting that is wrong ends the process in one line that names it, without value or traceback."""
    with running_worker({name: value}, REPOSITORY_ROOT, ("-m", "generation.service")) as process:
        assert process.wait(LIMIT_S) == 1
    (line,) = process.stderr().splitlines()
    assert line.startswith("generation.service: ")
    assert name in line
    assert "planted" not in line


# What it says of itself


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            if key == "$ref":
                yield one
            else:
                yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_the_description_has_the_contracts_schemas_and_examples(deployment: Deployment) -> None:
    """The OpenAPI description is whole in itself, has the contract's schemas, and its example of a job is planned."""
    described = deployment.service.call("/openapi.json").json
    schemas = described["components"]["schemas"]
    assert {reference.removeprefix("#/components/schemas/") for reference in references(described)} <= set(schemas)
    assert openapi_components().items() <= schemas.items()
    body = described["paths"]["/generate"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/GenerationInput"}
    (example,) = schemas["GenerationInput"]["examples"]
    example["options"]["dry_run"] = True
    assert deployment.service.generate(example).json["status"] == "planned"


def is_no_fault(_context: CheckContext, response: Response, _case: Any) -> None:
    """A 502 or a 503 is described and may come; what nobody foresaw may not."""
    assert response.status_code != 500


CHECKS = [is_no_fault, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("method", "path", "generation_mode"),
    [
        ("GET", "/health", GenerationMode.POSITIVE),
        ("POST", "/generate", GenerationMode.POSITIVE),
        ("POST", "/generate", GenerationMode.NEGATIVE),
    ],
)
def test_whatever_is_sent_the_answer_is_one_that_is_described(
    offline_service: RunningService, method: str, path: str, generation_mode: GenerationMode
) -> None:
    """Calls in the form that is described and against it get described answers, and none is a fault of the service."""
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{offline_service.port}/openapi.json")

    @given(case=schema[path][method].as_strategy(generation_mode=generation_mode))
    @hypothesis_settings(max_examples=80, suppress_health_check=list(HealthCheck))
    def call(case: Any) -> None:
        case.validate_response(case.call(), checks=CHECKS)

    call()
