"""The service for repositories, called over sockets: jobs, their packs, their end, and who may ask for what."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import os
import socket
import tarfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
import schemathesis
import websockets
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode

from doctown.docpack import open_pack
from doctown.events import STEPS
from doctown.service import records
from doctown.service.openapi import EXAMPLES
from doctown.service.runner import utc_now
from tests.doctown.repository.test_network import URLS
from tests.doctown.service.deployments import (
    FILES,
    Json,
    Service,
    input_of,
    running_service,
    serving_repositories,
    start_service,
)
from tests.generation.service.test_service import CHECKS, TOKEN, check_problem, references
from tests.loopback.git_http import GitServer
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.worker_process import REPOSITORY_ROOT, running_worker

REPOSITORIES = ("first", "second")
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with serving_repositories(tmp_path_factory.mktemp("served"), REPOSITORIES) as git:
        yield git


@pytest.fixture(scope="module")
def service(git: GitServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose records are looked at ten times as often."""
    faster = "runner.STATE_INTERVAL_S = 0.1; app.LOOK_INTERVAL_S = 0.05; runner.SCAN_INTERVAL_S = 0.5"
    with running_service(tmp_path_factory.mktemp("service"), git, faster) as service:
        yield service


@pytest.fixture(scope="module")
def built(service: Service, git: GitServer) -> Json:
    """A job that has ended well."""
    state = service.ended(service.ingest(f"{git.url}/open/first@main", job_id="built"))
    assert (state["status"], state["error"]) == ("success", None)
    return state


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


# Jobs


def test_a_repository_becomes_a_pack(service: Service, built: Json, tmp_path: Path) -> None:
    """The status of an ended job has its output, the pack can be had and read, and nothing of the source is left."""
    output = built["output"]
    assert (built["job_id"], output["job_id"], built["executions"]) == ("built", "built", 1)
    assert built["progress"]["step"] == len(STEPS)
    answer = service.call("/docpacks/built")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/gzip")
    assert (len(answer.body), sha256(answer.body)) == (output["docpack"]["bytes"], output["docpack"]["sha256"])
    assert answer.headers["ETag"] == f'"{output["docpack"]["sha256"]}"'
    assert 'filename="first.docpack"' in answer.headers["Content-Disposition"]
    (tmp_path / "first.docpack").write_bytes(answer.body)
    assert open_pack(tmp_path / "first.docpack").manifest["counts"] == output["counts"]
    wait_until(lambda: service.left_behind() == [], "the end of the answer")


def test_ranges_of_a_pack_can_be_had(service: Service, built: Json) -> None:
    """A download goes on where it broke off, as long as the pack is the same."""
    whole = service.call("/docpacks/built").body
    part = service.call("/docpacks/built", headers={"Range": "bytes=10-", "If-Range": f'"{sha256(whole)}"'})
    assert (part.status, part.body) == (206, whole[10:])
    assert part.headers["Content-Range"] == f"bytes 10-{len(whole) - 1}/{len(whole)}"
    changed = service.call("/docpacks/built", headers={"Range": "bytes=10-", "If-Range": '"another"'})
    assert (changed.status, changed.body) == (200, whole)
    assert service.call("/docpacks/built", headers={"Range": f"bytes={len(whole)}-"}).status == 416


def test_members_of_a_pack_can_be_had(service: Service, built: Json) -> None:
    """Each member is as it is in the archive; what is none is not found."""
    with tarfile.open(fileobj=io.BytesIO(service.call("/docpacks/built").body)) as pack:
        members = {one.name: pack.extractfile(one).read() for one in pack.getmembers()}  # type: ignore[union-attr]
    for name in ("manifest.json", "nodes.json", "README.md", next(one for one in members if "/" in one)):
        answer = service.call(f"/docpacks/built/{name}")
        assert (answer.status, answer.body) == (200, members[name])
        assert answer.headers["Content-Type"].startswith("application/json" if name.endswith("json") else "text/plain")
    for name in ("none.json", "../built.json", "%2e%2e/jobs/built.json"):
        check_problem(service.call(f"/docpacks/built/{name}"), 404, "not_found")


def test_packs_of_archives_have_names_of_any_script(service: Service) -> None:
    """A name that no HTTP header can have as it is goes encoded (RFC 6266)."""
    uploads = service.results / "uploads"
    uploads.mkdir()
    with zipfile.ZipFile(uploads / "проект.zip", "w") as archive:
        archive.writestr("a.py", FILES["a.py"])
    body = {"archive_key": "uploads/проект.zip", "options": {"embeddings": "none"}}
    state = service.ended(service.call("/ingest", body).json["job_id"])
    answer = service.call(f"/docpacks/{state['job_id']}")
    assert (answer.status, len(answer.body)) == (200, state["output"]["docpack"]["bytes"])
    name = quote("проект.docpack")
    assert answer.headers["Content-Disposition"] == f"attachment; filename*=utf-8''{name}"


def test_a_status_can_be_followed(service: Service, git: GitServer) -> None:
    """Events come whenever the status changes, never go back, and end with the job."""
    job_id = service.ingest(f"{git.url}/open/second")
    states = [data for kind, data in service.call(f"/status/{job_id}/events").messages if kind == "status"]
    assert states[-1]["status"] == "success"
    assert states[-1] == service.status(job_id)
    steps = [(state["progress"] or {"step": 0})["step"] for state in states]
    assert steps == sorted(steps)


def test_followers_are_bounded(git: GitServer, tmp_path: Path) -> None:
    """Each follower looks at the store again and again: one too many is told to come later; who leaves makes room."""
    with running_service(tmp_path, git, "app.MAX_FOLLOWERS = 1; app.LOOK_INTERVAL_S = 0.05") as service:
        job_id = service.ingest(f"{git.url}/hangs/first")
        with socket.create_connection(("127.0.0.1", service.port), timeout=LIMIT_S) as follower:
            follower.sendall(f"GET /status/{job_id}/events HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            assert follower.recv(4_096).startswith(b"HTTP/1.1 200")
            check_problem(service.call(f"/status/{job_id}/events"), 503, "busy")

        async def is_followed() -> bool:
            """Whether a socket may follow the job, which it leaves at once."""
            try:
                async with websockets.connect(f"ws://127.0.0.1:{service.port}/status/{job_id}/ws") as follower:
                    return bool(json.loads(await follower.recv())["job_id"] == job_id)
            except websockets.InvalidStatus:
                return False

        for _ in range(2):
            wait_until(lambda: asyncio.run(is_followed()), "a free place")
        service.call(f"/cancel/{job_id}", {})
        wait_until(lambda: service.call(f"/status/{job_id}/events").status == 200, "the place of the last one")


def test_a_status_can_be_followed_through_a_web_socket(service: Service, built: Json) -> None:
    """The same as texts; a page of another site, and a job that is unknown, are turned away."""

    async def followed(path: str, **options: Any) -> list[Json]:
        async with websockets.connect(f"ws://127.0.0.1:{service.port}{path}", **options) as follower:
            return [json.loads(text) async for text in follower]

    assert asyncio.run(followed("/status/built/ws")) == [built]
    for path, options in (("/status/unknown/ws", {}), ("/status/built/ws", {"origin": "https://elsewhere.example"})):
        with pytest.raises(websockets.InvalidStatus) as refused:
            asyncio.run(followed(path, **options))
        assert refused.value.response.status_code == 403


def test_a_web_socket_says_why_it_ends(service: Service) -> None:
    """A sentence that is longer than the closing frame may be is cut; the code is that of a fault of the service."""
    job_id = "j" * 128
    record = service.results / "jobs" / f"{job_id}.json"
    record.write_text(json.dumps(records.queued(job_id, {}, utc_now())), "utf-8")

    async def told() -> tuple[int | None, str | None]:
        async with websockets.connect(f"ws://127.0.0.1:{service.port}/status/{job_id}/ws") as follower:
            await follower.recv()
            record.unlink()
            record.mkdir()  # cannot be read as a file
            with pytest.raises(websockets.ConnectionClosed):
                await follower.recv()
            return follower.close_code, follower.close_reason

    try:
        assert asyncio.run(told()) == (1011, f"jobs/{job_id}.json cannot be read"[:123])
    finally:
        record.rmdir()


def test_the_same_id_is_the_same_job(service: Service, built: Json, git: GitServer) -> None:
    """A request that is sent again, since its answer was lost, begins nothing."""
    assert service.ingest(f"{git.url}/open/first", job_id="built") == "built"
    assert service.status("built") == built


def test_jobs_are_listed_the_newest_first(service: Service, git: GitServer) -> None:
    ids = [service.ingest(f"{git.url}/open/first", job_id=f"z-{number}") for number in range(3)]
    page = service.call("/jobs?limit=2").json
    assert [job["job_id"] for job in page["jobs"]] == ids[:0:-1]
    rest = service.call(f"/jobs?before={page['next']}").json
    assert rest["jobs"][0]["job_id"] == ids[0]
    assert rest["next"] is None
    for query in ("limit=0", "limit=x", "limit=1000", "before=/"):
        check_problem(service.call(f"/jobs?{query}"), 422, "bad_input")
    for job_id in ids:
        service.ended(job_id)


def test_what_is_known_is_not_made_again(service: Service, built: Json, git: GitServer) -> None:
    """A job of a repository that was read before finds the records of its files, and the figures say so."""
    before = service.call("/stats").json["cache_hits"]
    again = service.ended(service.ingest(f"{git.url}/open/first"))
    after = service.call("/stats").json["cache_hits"]
    assert again["output"]["docpack"] == built["output"]["docpack"], "the same input gives the same bytes"
    assert after["files"] - before["files"] == 3


def test_a_dry_run_has_a_plan_and_no_pack(service: Service, git: GitServer) -> None:
    options = {"embeddings": "none", "dry_run": True}
    state = service.ended(service.ingest(f"{git.url}/open/second", options=options))
    assert (state["status"], state["output"]["status"], state["output"]["plan"]["estimated_cost"]) == (
        "planned",
        "planned",
        0,
    )
    check_problem(service.call(f"/docpacks/{state['job_id']}"), 404, "not_found", "the job has no pack")


def test_what_is_not_there_is_not_found(service: Service) -> None:
    for path in ("/status/none", "/status/..", "/status/none/events", "/docpacks/none", "/docpacks/none/nodes.json"):
        check_problem(service.call(path), 404, "not_found")
    check_problem(service.call("/cancel/none", {}), 404, "not_found")


# The end of a job


def test_a_running_job_is_cancelled_and_leaves_nothing(service: Service, git: GitServer) -> None:
    """A job that waits for its server ends soon after it was asked to, keeps its word, and its checkout is gone."""
    job_id = service.ingest(f"{git.url}/hangs/first")
    wait_until(lambda: service.status(job_id)["status"] == "running", "the job's start")
    assert service.call(f"/cancel/{job_id}", {}).status in {200, 202}
    state = service.ended(job_id)
    assert (state["status"], state["output"], state["cancel_requested"]) == ("cancelled", None, True)
    assert service.call(f"/cancel/{job_id}", {}).json == state
    wait_until(lambda: service.left_behind() == [], "the removal of the checkout")
    check_problem(service.call(f"/docpacks/{job_id}"), 404, "not_found", "the job has no pack")


def test_a_repository_that_is_not_there_says_so(service: Service, git: GitServer) -> None:
    state = service.ended(service.ingest(f"{git.url}/open/none"))
    assert (state["status"], state["failure"], state["output"]) == ("failed", "bad_source", None)
    assert "is not there or is private" in state["error"]
    figures = service.call("/stats").json
    assert figures["errors"]["fetch"]["bad_source"] >= 1
    assert figures["jobs"]["error"] >= 1
    assert service.left_behind() == []


# Who may ask for what


def test_every_url_that_leads_inside_is_refused(service: Service) -> None:
    """None of them becomes a job: each is answered at once, in a sentence about the URL."""
    for name, url in URLS.items():
        answer = service.call("/ingest", input_of(url))
        assert (name, answer.status, answer.json["failure"]) == (name, 422, "bad_input")
        assert "input.repository.url" in answer.json["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "exactly one of"),
        ([], "must be an object"),
        ({"repository": {}}, "input.repository.url is missing"),
        ({"repository": {"url": "https://github.com/o/r"}, "option": {}}, "did you mean options?"),
        (b"{", "JSON"),
    ],
    ids=["nothing", "a list", "no url", "a wrong key", "no JSON"],
)
def test_a_wrong_input_is_named(service: Service, body: object, words: str) -> None:
    check_problem(service.call("/ingest", body), 422, "bad_input", words)


def test_what_is_left_out_by_null_is_not_kept(service: Service, git: GitServer) -> None:
    """Not even under a name that is no text, which no record can have."""
    text = json.dumps({**input_of(f"{git.url}/open/first"), "\ud800": None})
    answer = service.call("/ingest", text.encode())
    assert answer.status == 202
    state = service.ended(answer.json["job_id"])
    assert state["input"].keys() == {"repository", "options", "job_id"}


def test_inputs_of_jobs_are_small(service: Service, git: GitServer) -> None:
    """A record has the whole input: more than any that is right is not read."""
    body = json.dumps({**input_of(f"{git.url}/open/first"), "job_id": None}).encode() + b" " * 4_000_000
    check_problem(service.call("/ingest", body), 413, "body_too_large", "the body has more than 4000000 bytes")
    check_problem(service.call("/ingest", gzip.compress(body)), 422, "bad_input", "unpacks to more than 4000000 bytes")


def test_callers_who_wait_for_their_turn_are_bounded(git: GitServer, tmp_path: Path) -> None:
    """What is computed at once counts as a request until it is answered: its body is in memory for as long."""
    begun, may_end = tmp_path / "begun", tmp_path / "may_end"
    changes = f"""
import pathlib, time
from generation.service import admission
admission.MAX_WAITING = 0

def assemble(given):
    pathlib.Path({str(begun)!r}).touch()
    while not pathlib.Path({str(may_end)!r}).exists():
        time.sleep(0.01)
    return {{}}

app.compute.assemble = assemble
"""
    example = EXAMPLES["AssembleInput"]
    with running_service(tmp_path, git, changes, JOBS_PER_WORKER="1") as service, ThreadPoolExecutor(1) as pool:
        first = pool.submit(service.call, "/assemble", example)
        wait_until(begun.exists, "the first computation")
        try:
            check_problem(service.call("/assemble", example), 503, "busy")
        finally:
            may_end.touch()
        assert first.result().status == 200


def test_the_token_and_the_rate_protect_every_path(git: GitServer, tmp_path: Path) -> None:
    """Without the token nothing is told but the health; with it, a caller who asks too often is told when to return."""
    environment = {"SERVICE_TOKEN": TOKEN, "REQUESTS_PER_MINUTE": "2", "ALLOWED_ORIGINS": "https://site.example"}
    with running_service(tmp_path, git, **environment) as service:
        for path in ("/status/a", "/status/a/events", "/jobs", "/docpacks/a", "/docpacks/a/b", "/metrics", "/stats"):
            check_problem(service.call(path), 401, "bad_token")
        for path in ("/ingest", "/cancel/a", "/embed", "/assemble", "/generate"):
            check_problem(service.call(path, {}), 401, "bad_token")
        assert service.call("/health").status in {200, 503}

        async def told(**options: Any) -> int:
            try:
                async with websockets.connect(f"ws://127.0.0.1:{service.port}/status/a/ws", **options):
                    return 101
            except websockets.InvalidStatus as error:
                return error.response.status_code

        assert asyncio.run(told()) == 403
        answers = [service.call("/status/none", headers=AUTHORIZED) for _ in range(2)]
        assert [answer.status for answer in answers] == [404, 429]
        check_problem(answers[-1], 429, "too_many_requests", "more than 2 requests a minute")
        assert int(answers[-1].headers["Retry-After"]) >= 1


def test_the_command_serves_too_and_says_what_is_wrong(git: GitServer, tmp_path: Path) -> None:
    """`doctown serve` is the same service; a wrong setting is one sentence, whichever starts it."""
    serve = ("-m", "doctown", "serve", "--port", "0")
    with ExitStack() as stack:
        service = start_service(stack, tmp_path, git, command=serve)
        assert service.call("/jobs").json == {"jobs": [], "next": None}
    for command, name in ((serve, "doctown"), (("-m", "doctown.service"), "doctown.service")):
        environment = {"GIT_HOSTS": "https://github.com", "MODEL_NAME": "offline", "PATH": os.environ["PATH"]}
        with running_worker(environment, REPOSITORY_ROOT, command) as process:
            assert process.wait(LIMIT_S) == 1
        assert process.stderr().strip() == (
            f"{name}: GIT_HOSTS must be names of hosts, such as github.com, separated by commas"
        )


# What is computed at once, and what is told


def test_texts_become_vectors(service: Service) -> None:
    """Each text gets a unit vector of 384 numbers, the same text the same one."""
    answer = service.call("/embed", {"texts": ["read a file", "draw a circle", "read a file"]}).json
    first, second, third = answer["embeddings"]
    assert (answer["dimensions"], len(first), first) == (384, 384, third)
    assert sum(x * x for x in first) == pytest.approx(1.0, abs=1e-3)
    assert first != second
    check_problem(service.call("/embed", {"texts": []}), 422, "bad_input")
    check_problem(service.call("/embed", {"texts": [1]}), 422, "bad_input", "body.texts[0] must be a text")


def test_symbols_become_a_graph_and_then_summaries(service: Service) -> None:
    """What /assemble returns, /generate takes."""
    assembled = service.call("/assemble", EXAMPLES["AssembleInput"]).json
    symbols = [{"symbol_id": one["symbol_id"], "context": one} for one in assembled["contexts"]]
    output = service.call("/generate", {"symbols": symbols}).json
    assert (output["status"], output["documented_count"]) == ("success", 2)


def test_health_covers_every_part(service: Service, git: GitServer, tmp_path: Path) -> None:
    """All parts are ready here; where the model of the embeddings is not there, that part says so."""
    wait_until(lambda: service.call("/health").status == 200, "readiness")
    assert service.call("/health").json == {
        "status": "healthy",
        "model": "offline",
        "ready": True,
        "parts": {name: {"ready": True} for name in ("model", "store", "embedding_model", "git", "jobs")},
    }
    with running_service(tmp_path, git, EMBEDDING_MODEL_PATH=str(tmp_path)) as other:
        answer = other.call("/health")
        assert answer.status == 503
        assert "EMBEDDING_MODEL_PATH" in answer.json["parts"]["embedding_model"]["reason"]
        check_problem(other.call("/embed", {"texts": ["a"]}), 503, "embedding_model", "EMBEDDING_MODEL_PATH")


OPERATIONS = {
    "ingest": ("POST", "/ingest"),
    "status": ("GET", "/status/{job_id}"),
    "cancel": ("POST", "/cancel/{job_id}"),
    "jobs": ("GET", "/jobs"),
    "docpack": ("GET", "/docpacks/{job_id}"),
    "member": ("GET", "/docpacks/{job_id}/{member}"),
    "embed": ("POST", "/embed"),
    "assemble": ("POST", "/assemble"),
    "health": ("GET", "/health"),
    "stats": ("GET", "/stats"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_whatever_is_sent_the_answer_is_one_that_is_described(service: Service, name: str) -> None:
    """Calls in the form that is described get described answers, and none is a fault of the service."""
    method, path = OPERATIONS[name]
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")

    @given(case=schema[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE))
    @hypothesis_settings(max_examples=6, suppress_health_check=list(HealthCheck))
    def call(case: Any) -> None:
        case.validate_response(case.call(), checks=CHECKS)

    call()


def test_the_description_is_whole_and_its_examples_are_right(service: Service) -> None:
    """Each reference leads somewhere, each path is there, and the example of a job is one but for its host."""
    described = service.call("/openapi.json").json
    schemas = described["components"]["schemas"]
    assert {one.removeprefix("#/components/schemas/") for one in references(described)} <= set(schemas)
    assert {path for _, path in OPERATIONS.values()} <= set(described["paths"])
    for name, example in EXAMPLES.items():
        assert schemas[name]["examples"] == [example]
        definition = {**schemas[name], "components": described["components"]}
        jsonschema.Draft202012Validator(definition).validate(example)
    check_problem(service.call("/ingest", EXAMPLES["RepositoryInput"]), 422, "bad_input", "another host")
