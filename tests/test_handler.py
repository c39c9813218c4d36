"""RunPod's door: `handler.py` in the real worker loop, and run by hand, against loopback servers only."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

import handler
from generation.config import VOCABULARY_DIR, Settings
from generation.results.records import as_output
from tests.loopback.openai import Behaviour, RunningServer
from tests.loopback.openai import running_process as running_openai
from tests.loopback.queue import LoopbackQueue, running_queue
from tests.loopback.s3 import MotoS3, running_moto
from tests.support.bulk_runs import running_patient_worker
from tests.support.contexts import item, payload
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.wire import free_port, strict_json
from tests.support.worker_process import REPOSITORY_ROOT, RunningProcess, running_worker

KEY = "sk-loopback-key-that-nobody-may-see"
NAME = r"(?m)^Name: (.+)$"
HANDLER = str(REPOSITORY_ROOT / "handler.py")
MAX_OUTPUT_BYTES = 200_000
FAULT_RATES = {"rate_limited": 0.10, "server_error": 0.05, "hang": 0.02, "truncated_json": 0.02}
LISTS = ("documented_symbols", "failed_symbols")

Json = dict[str, Any]


class Deployment(NamedTuple):
    """A worker and all that it talks to; the tests of this module share it."""

    worker: RunningProcess
    queue: LoopbackQueue
    openai: RunningServer
    s3: MotoS3

    def behave(self, *script: Json, **changes: Any) -> None:
        """From now on the OpenAI server is like this, with a new bill."""
        self.openai.set_behaviour(Behaviour(fault_script=script, marker=NAME, count_by="characters", **changes))
        self.openai.reset()

    def run(self, job_input: object, job_id: str | None = None) -> tuple[str, Json]:
        """The job's id and what was posted as its result."""
        job_id = self.queue.submit(job_input, job_id)
        return job_id, self.queue.result(job_id, LIMIT_S)

    def is_stored(self, job_id: str) -> bool:
        stored = self.s3.keys()
        return f"results/{job_id}.json" in stored

    def stored(self, job_id: str) -> Json:
        document: Json = strict_json(self.s3.get(f"results/{job_id}.json"))
        return document


def worker_environment(queue: LoopbackQueue, openai: RunningServer, s3: MotoS3) -> dict[str, str]:
    return {
        **queue.environment(),
        **s3.environment(),
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": openai.base_url,
        "MAX_OUTPUT_BYTES": str(MAX_OUTPUT_BYTES),
        "STORAGE_RETRY_S": "1",
        "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR),
    }


@pytest.fixture(scope="module")
def shared_deployment() -> Iterator[Deployment]:
    with (
        running_openai(Behaviour(count_by="characters")) as openai,
        running_moto() as s3,
        running_queue() as queue,
        running_worker(worker_environment(queue, openai, s3)) as worker,
    ):
        yield Deployment(worker, queue, openai, s3)


@pytest.fixture
def deployment(shared_deployment: Deployment) -> Deployment:
    shared_deployment.behave(latency_mean_s=0.05)
    return shared_deployment


@pytest.fixture
def patient_deployment(deployment: Deployment) -> Iterator[Deployment]:
    """A worker of its own that gives up no request because the answers before it came sooner, and its queue."""
    with (
        running_queue() as queue,
        running_patient_worker(worker_environment(queue, deployment.openai, deployment.s3)) as worker,
    ):
        yield deployment._replace(worker=worker, queue=queue)


def ids(job_input: Json) -> list[str]:
    return [one["symbol_id"] for one in job_input["symbols"]]


def check_all_documented(output: Json, job_input: Json) -> None:
    assert output["failed_symbols"] == []
    assert output["status"] == "success"
    assert [one["symbol_id"] for one in output["documented_symbols"]] == ids(job_input)
    assert all(one["summary"].startswith("Handles ") for one in output["documented_symbols"])


def check_bill(output: Json, bill: Json) -> None:
    usage = output["usage"]
    for kind in ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens"):
        assert usage[kind] == bill[kind]
    assert usage["requests"] == len(bill["arrived_at_s"])
    assert output["total_tokens"] == bill["input_tokens"] + bill["output_tokens"]
    uncached = bill["input_tokens"] - bill["cached_input_tokens"]
    dollars = (uncached * 0.15 + bill["cached_input_tokens"] * 0.015 + bill["output_tokens"] * 0.60) / 1e6
    assert output["total_cost"] == round(dollars, 6)


def check_progress(deployment: Deployment, job_id: str, total: int) -> None:
    """Snapshots are cumulative, in order and list a symbol once, the newest is complete, and the result comes last."""
    snapshots = deployment.queue.progress(job_id)
    assert snapshots
    counts, listed = [], []
    for snapshot in snapshots:
        assert (snapshot["type"], snapshot["job_id"]) == ("generation.progress.v1", job_id)
        point = snapshot["payload"]
        assert point["total"] == total
        assert len(point["symbols"]) <= 50
        listed += [one["symbol_id"] for one in point["symbols"]]
        counts.append((point["completed"], point["failed"], point["total_tokens"], point["elapsed_ms"]))
    for earlier, later in itertools.pairwise(counts):
        assert all(before <= after for before, after in zip(earlier, later, strict=True))
    assert counts[-1][0] + counts[-1][1] == total
    assert listed
    assert len(set(listed)) == len(listed)
    assert [post.final for post in deployment.queue.posts(job_id)] == [False] * len(snapshots) + [True]


# Through the worker loop.


def as_listed(document: dict[str, Any]) -> dict[str, Any]:
    """A stored document with its symbols as a job output lists them, and without its checkpoint."""
    lists = {name: [as_output(one) for one in document[name]] for name in LISTS}
    return {key: value for key, value in (document | lists).items() if key != "checkpoint"}


def without_figures(output: dict[str, Any]) -> dict[str, Any]:
    """An output without what is told on RunPod only."""
    return {key: value for key, value in output.items() if key != "figures"}


def test_320_symbols_come_back_documented(deployment: Deployment) -> None:
    """All 320 symbols are documented, progress comes in order and before the result, and every total is the bill."""
    job_input = payload(320)
    job_id, result = deployment.run(job_input)
    output, bill = result["output"], deployment.openai.bill()
    check_all_documented(output, job_input)
    check_bill(output, bill)
    assert bill["bought"] == {one["context"]["name"]: 1 for one in job_input["symbols"]}
    check_progress(deployment, job_id, 320)
    figures = output["figures"]
    assert as_listed(deployment.stored(job_id)) == {**without_figures(output), "results": None}
    assert figures["requests"]["answered"] == sum(figures["requests"].values()) == bill["requests"]["200"] == 320
    assert figures["tokens"]["input"] + figures["tokens"]["output"] == output["total_tokens"]
    assert (figures["cost_usd"], sum(figures["summaries"].values())) == (output["total_cost"], 320)
    assert f"figures {json.dumps({'job_id': job_id, **figures})}" in deployment.worker.stderr()
    assert deployment.queue.status(job_id)["status"] == "COMPLETED"


def test_320_symbols_survive_a_bad_day_of_the_server(deployment: Deployment) -> None:
    """With 10 % rate limits, 5 % errors, 2 % hangs and 2 % broken JSON no symbol is lost and no token uncounted."""
    deployment.behave(latency_mean_s=0.05, fault_rates=FAULT_RATES, seed=11)
    job_input = payload(320)
    job_id, result = deployment.run(job_input)
    output, bill = result["output"], deployment.openai.bill()
    assert set(bill["faults"]) == set(FAULT_RATES)
    check_all_documented(output, job_input)
    check_bill(output, bill)
    # A worker that is slow itself may give up what does not hang.
    given_up = bill["abandoned"] - bill["faults"]["hang"]
    assert output["usage"]["retries"] == sum(bill["faults"].values()) + given_up
    check_progress(deployment, job_id, 320)
    assert as_listed(deployment.stored(job_id)) == {**without_figures(output), "results": None}


def test_progress_of_a_quick_job_is_complete(deployment: Deployment) -> None:
    """A job that is over before a second update is due has one all the same, and it tells all that was done."""
    job_id, result = deployment.run(payload(12))
    check_all_documented(result["output"], payload(12))
    check_progress(deployment, job_id, 12)


def test_bad_input_is_one_sentence_and_the_worker_lives_on(deployment: Deployment) -> None:
    """A payload that is wrong as a whole fails with a sentence and nothing else, and the next job is done as ever."""
    wrong = {"symbols": [], "job_id": "fine"}
    for job_input, words in ((wrong, "symbols is empty"), ("text", "must be an object"), ({"\ud800": 1}, "input")):
        job_id, result = deployment.run(job_input)
        assert words in result["error"]
        assert "\n" not in result["error"]
        assert result.get("output", {}) == {"failure": "bad_input"}
        assert deployment.queue.status(job_id)["status"] == "FAILED"
        assert [post.final for post in deployment.queue.posts(job_id)] == [True]
    _, result = deployment.run(payload(3))
    check_all_documented(result["output"], payload(3))
    assert deployment.openai.bill()["requests"] == {"200": 3}


def test_a_payload_of_lone_surrogates_and_nan_comes_back(deployment: Deployment) -> None:
    """Symbols whose texts are no text and whose numbers are no numbers fail alone, and the result arrives."""
    good = item("reserve")
    bad = [
        item("a", name="\ud800"),
        item("b", source_code="'\udfff'"),
        item("c", calls=["\ud800"]),
        {"symbol_id": "\ud800"},
    ]
    _, result = deployment.run({"symbols": [*bad, good, item("d", centrality=float("nan"))]})
    output = result["output"]
    assert ids({"symbols": output["documented_symbols"]}) == [good["symbol_id"]]
    assert {one["failure"] for one in output["failed_symbols"]} == {"invalid_symbol"}
    assert output["failed_count"] == 5


def test_a_cancelled_job_stops_and_the_next_one_runs(patient_deployment: Deployment) -> None:
    """Cancelled in mid-run a job hangs up its calls, buys and posts nothing more, and the next job is done."""
    deployment = patient_deployment
    slow = [item(f"slow_{number}", centrality=0.0) for number in range(30)]
    quick = [item(f"quick_{number}", centrality=1.0) for number in range(5)]
    deployment.behave({"fault": "hang", "contains": "Name: slow_"})
    job_id = deployment.queue.submit({"symbols": slow + quick})
    deployment.queue.wait_until(lambda: bool(deployment.queue.progress(job_id)), LIMIT_S, "progress")
    wait_until(lambda: len(deployment.openai.bill()["arrived_at_s"]) >= 15, "10 calls in flight")
    deployment.queue.cancel(job_id)
    wait_until(lambda: deployment.openai.bill()["abandoned"] == 10, "10 calls that were hung up")
    _, result = deployment.run({"symbols": [item("next_0"), item("next_1")]})
    assert result["output"]["status"] == "success"
    bill = deployment.openai.bill()
    assert set(bill["bought"]) == {f"quick_{number}" for number in range(5)} | {"next_0", "next_1"}
    assert len(bill["arrived_at_s"]) == 5 + 10 + 2
    assert not any(post.final for post in deployment.queue.posts(job_id))
    assert not deployment.is_stored(job_id)
    assert deployment.queue.status(job_id)["status"] == "CANCELLED"


def test_jobs_after_one_another_share_the_process(deployment: Deployment) -> None:
    """Two jobs of one worker keep their results apart, together cost what was billed, and the process goes on."""
    first_id, first = deployment.run({**payload(20), "job_id": "named-by-its-input"})
    second_id, second = deployment.run(payload(12))
    bill = deployment.openai.bill()
    assert first["output"]["job_id"] == "named-by-its-input"
    assert second["output"]["job_id"] == second_id != first_id
    assert deployment.stored("named-by-its-input")["documented_count"] == 20
    assert deployment.stored(second_id)["documented_count"] == 12
    totals = [result["output"]["total_tokens"] for result in (first, second)]
    assert sum(totals) == bill["input_tokens"] + bill["output_tokens"]
    assert deployment.worker.returncode is None


def test_an_output_too_large_is_a_pointer_to_what_is_stored(deployment: Deployment) -> None:
    """An output above MAX_OUTPUT_BYTES is a pointer, and its size and digest are those of the object it points to."""
    job_input = payload(1_500, model="offline")
    job_id, result = deployment.run(job_input)
    output = result["output"]
    stored = deployment.s3.get(output["results"]["key"])
    assert output["results"]["bucket"] == deployment.s3.bucket
    assert output["results"]["key"] == f"results/{job_id}.json"
    assert output["results"]["bytes"] == len(stored) > MAX_OUTPUT_BYTES
    assert output["results"]["sha256"] == hashlib.sha256(stored).hexdigest()
    assert not set(LISTS) & set(output)
    assert output["documented_count"] == 1_500
    assert [one["symbol_id"] for one in strict_json(stored)["documented_symbols"]] == ids(job_input)


def test_a_bucket_that_is_away_costs_no_result(deployment: Deployment) -> None:
    """Where the bucket is down the job's output carries the symbols itself, and warns that it alone has them."""
    deployment.s3.down()
    try:
        job_id, result = deployment.run(payload(5))
    finally:
        deployment.s3.up()
    check_all_documented(result["output"], payload(5))
    assert result["output"]["results"] is None
    assert any("only in this output" in text for text in result["output"]["warnings"])
    assert not deployment.is_stored(job_id)


def test_symbols_of_the_bucket_are_documented(deployment: Deployment) -> None:
    """A job may name an object of the bucket in place of its symbols; a key that names nothing is one sentence."""
    deployment.s3.put("inputs/job.jsonl", b"\n".join(json.dumps(one).encode() for one in payload(6)["symbols"]))
    _, result = deployment.run({"symbols_key": "inputs/job.jsonl"})
    check_all_documented(result["output"], payload(6))
    _, result = deployment.run({"symbols_key": "inputs/none.jsonl"})
    assert "inputs/none.jsonl" in result["error"]
    assert "R2_BUCKET" in result["error"]


def test_a_fault_of_the_account_is_one_sentence_with_advice(deployment: Deployment) -> None:
    """Where the account has no quota the job ends at once with advice, and once it has some the next one is done."""
    deployment.behave({"fault": "quota"})
    _, result = deployment.run(payload(60))
    assert "add credit" in result["error"]
    assert result["output"] == {"failure": "no_quota"}
    # Those that were in flight at once, at most.
    assert len(deployment.openai.bill()["arrived_at_s"]) <= 10
    deployment.behave()
    _, result = deployment.run(payload(3))
    check_all_documented(result["output"], payload(3))


def test_progress_that_is_refused_costs_nothing_but_itself(deployment: Deployment) -> None:
    """Where an update of the progress is refused the result comes all the same, whole and last."""
    deployment.queue.fail_next_posts(1)
    job_id, result = deployment.run(payload(60))
    check_all_documented(result["output"], payload(60))
    posts = deployment.queue.posts(job_id)
    assert [post.answered for post in posts if not post.accepted] == [500]
    assert [post.final for post in posts] == [False] * (len(posts) - 1) + [True]


def test_what_the_worker_wrote(deployment: Deployment) -> None:
    """After all of the above: events are lines of strict JSON on stdout, logs are on stderr, no secret is in either."""
    job_id, result = deployment.run(payload(4))
    stdout, stderr = deployment.worker.stdout(), deployment.worker.stderr()
    events = [strict_json(line) for line in stdout.splitlines() if line.startswith('{"type": "generation.')]
    mine = [event for event in events if event["job_id"] == job_id]
    assert [event["type"].split(".")[1] for event in mine] == ["started", *["symbol_documented"] * 4, "completed"]
    assert sorted(event["payload"]["symbol_id"] for event in mine[1:-1]) == sorted(ids(payload(4)))
    assert mine[-1]["payload"]["total_tokens"] == result["output"]["total_tokens"]
    assert f"job {job_id}: 4 symbols" in stderr
    assert "generation.started" not in stderr
    for text in (stdout, stderr):
        assert "Traceback" not in text
        assert "a fault of this worker" not in text
        assert "HTTP Request" not in text
        for secret in (KEY, deployment.s3.access_key_id, deployment.s3.secret_access_key):
            assert secret not in text
        # A line of a source that was sent hundreds of times.
        assert "await stock.put_back(number, pieces)" not in text


def test_nothing_was_posted_after_a_result(deployment: Deployment) -> None:
    """Of all the jobs of this module none had a post after its result, once the worker has done another job."""
    for count in (60, 12, 3, 1):
        deployment.run(payload(count, model="offline"))
    jobs = list(deployment.queue._book.jobs)
    assert len(jobs) > 3
    for job_id in jobs:
        finals = [post.final for post in deployment.queue.posts(job_id)]
        assert not any(finals[:-1])


def test_a_fault_of_the_worker_itself_is_one_sentence_that_repeats_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody foresaw ends the job with a sentence: its own text, and who called whom with what, go nowhere."""
    # What is logged of a traceback are lines of this project's code: the text is not to be one of them.
    text = f"planted source, and {KEY}"

    async def fail(*_args: object, **_options: object) -> NoReturn:
        raise RuntimeError(text)

    async def send(_job: Json, _snapshot: Any) -> None:
        raise AssertionError("nothing was documented")

    monkeypatch.setattr("generation.job.run_job", fail)

    async def run() -> Json:
        return await handler.make_handler(Settings(openai_api_key=KEY), send, asyncio.Event())(
            {"id": "job", "input": payload(1)}
        )

    output = asyncio.run(run())
    assert output == {"error": "the worker itself failed (RuntimeError): see its log", "failure": "internal"}
    assert "a fault of this worker: RuntimeError" in caplog.text
    assert "in fail" in caplog.text
    assert "planted" not in caplog.text
    assert KEY not in caplog.text


# By hand.


@contextlib.contextmanager
def by_hand(folder: Path, *args: str, **environment: str) -> Iterator[RunningProcess]:
    with running_worker({"TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR), **environment}, folder, (HANDLER, *args)) as worker:
        yield worker


def test_run_beside_test_input_it_documents_that(tmp_path: Path) -> None:
    """Beside a test_input.json the worker documents it once, into `results` there, and ends well."""
    (tmp_path / "test_input.json").write_text(json.dumps({"input": payload(4)}), encoding="utf-8")
    with by_hand(tmp_path, MODEL_NAME="offline") as worker:
        assert worker.wait(LIMIT_S) == 0
    (results,) = (tmp_path / "results").iterdir()
    assert ids({"symbols": strict_json(results.read_bytes())["documented_symbols"]}) == ids(payload(4))
    assert worker.stdout().count("generation.symbol_documented.v1") == 4
    # What a person reads comes last: the table, where the results are, and what to try next.
    table = worker.stdout().split("generation.completed.v1")[-1]
    assert all(one in table.replace("\n", "") for one in ("symbol ", "summary", "tokens", "cost", "$0.0000"))
    assert "4 of 4 symbols documented by offline: 0 tokens, $0.0000." in table
    assert f"Results: results/{results.name}" in table
    assert table.index("Results: ") < table.index("Next:") < table.index("make run FILE=")
    assert "ERROR" not in worker.stdout() + worker.stderr()


def test_a_file_of_ones_own_is_documented(tmp_path: Path) -> None:
    """A file that is named is documented, also as what stands inside of `input`, under its own name."""
    (tmp_path / "mine.json").write_text(json.dumps(payload(3)), encoding="utf-8")
    with by_hand(tmp_path, "mine.json", MODEL_NAME="offline") as worker:
        assert worker.wait(LIMIT_S) == 0
    document = strict_json((tmp_path / "results" / "mine.json").read_bytes())
    assert ids({"symbols": document["documented_symbols"]}) == ids(payload(3))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "mine.json: cannot be read (No such file or directory)"),
        (
            '{"input":\n  {"symbols" []}}',
            "mine.json: the file is neither JSON nor JSON Lines: line 2, column 14 is where it goes wrong",
        ),
        ('{"input": {"symbols": []}}', "mine.json: symbols is empty: there is nothing to document"),
        ("3", "mine.json: input must be an object with symbols or symbols_key, or a list of symbols"),
    ],
    ids=["no file", "no JSON", "no symbols", "no object"],
)
def test_a_file_that_is_no_job_is_one_sentence(tmp_path: Path, text: str | None, words: str) -> None:
    """What is wrong with a file is said in one sentence with its place, and the process ends with 1."""
    if text is not None:
        (tmp_path / "mine.json").write_text(text, encoding="utf-8")
    with by_hand(tmp_path, "mine.json", MODEL_NAME="offline") as worker:
        assert worker.wait(LIMIT_S) == 1
    assert worker.stdout() == f"{words}\n"
    assert "Traceback" not in worker.stderr()


def test_run_with_test_input_it_documents_that(tmp_path: Path) -> None:
    """With `--test_input` the worker documents what the argument says, also where a key is set and not needed."""
    job_input = json.dumps({"id": "by-hand", "input": payload(2, model="offline")})
    with by_hand(tmp_path, "--test_input", job_input, OPENAI_API_KEY=KEY) as worker:
        assert worker.wait(LIMIT_S) == 0
    document = strict_json((tmp_path / "results" / "by-hand.json").read_bytes())
    assert ids({"symbols": document["documented_symbols"]}) == ids(payload(2))
    assert KEY not in worker.stdout() + worker.stderr()


def test_bad_input_by_hand_is_one_sentence(tmp_path: Path) -> None:
    """With a test input that is wrong the worker ends with an error, its sentence and no traceback."""
    with by_hand(tmp_path, "--test_input", '{"input": {"symbols": []}}', MODEL_NAME="offline") as worker:
        assert worker.wait(LIMIT_S) == 1
    assert "symbols is empty: there is nothing to document" in worker.stdout()
    assert "Traceback" not in worker.stdout() + worker.stderr()


def post(port: int, path: str, body: Json) -> tuple[int, Json]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer: Json = strict_json(response.read())
    finally:
        connection.close()
    return response.status, answer


def test_served_as_a_local_api_it_answers_runsync(tmp_path: Path) -> None:
    """With `--rp_serve_api` a POST to /runsync is answered with the job's output, and bad input with its sentence."""
    port = free_port()
    args = ("--rp_serve_api", "--rp_api_host", "127.0.0.1", "--rp_api_port", str(port))
    with by_hand(tmp_path, *args, MODEL_NAME="offline") as worker:
        worker.wait_for_output("Uvicorn running", LIMIT_S, "stderr")
        status, answer = post(port, "/runsync", {"input": payload(3)})
        assert (status, answer["status"]) == (200, "COMPLETED")
        assert ids({"symbols": answer["output"]["documented_symbols"]}) == ids(payload(3))
        assert (tmp_path / "results" / f"{answer['id']}.json").is_file()
        _, answer = post(port, "/runsync", {"input": {"symbols": []}})
        assert answer["error"] == "symbols is empty: there is nothing to document"
        assert answer["status"] == "FAILED"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "OPENAI_API_KEY must be set, or MODEL_NAME=offline"),
        ({"OPENAI_API_KEY": KEY, "MAX_RETRIES": "many-planted"}, "MAX_RETRIES"),
        ({"OPENAI_API_KEY": f"{KEY} planted"}, "OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": KEY, "R2_BUCKET": "planted"}, "R2_ACCOUNT_ID, R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY"),
    ],
    ids=["no key", "no number", "no key's form", "half-set R2"],
)
def test_a_bad_setting_ends_the_process_by_name(tmp_path: Path, environment: dict[str, str], words: str) -> None:
    """A setting that is missing or wrong ends the process in one line that names it, without value or traceback."""
    with by_hand(tmp_path, **environment) as worker:
        assert worker.wait(LIMIT_S) == 1
    (line,) = worker.stderr().splitlines()
    assert line.startswith("handler.py: ")
    assert words in line
    assert "planted" not in line
    assert KEY not in line
    assert worker.stdout() == ""
