"""Who buys the summaries of a build: bills and totals agree, nothing is bought twice, whoever is interrupted or asked.

The engines run against the loopback servers of OpenAI, RunPod's queue and S3. Left out: what the engines do by
themselves (tests/generation/bulk).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from doctown.build import BuildResult, Caller, plan_build, run_build
from doctown.docpack import open_pack
from doctown.errors import DocumentError
from doctown.options import BuildOptions
from generation import Settings
from generation.bulk.engines.batch import engine as batch_engine
from generation.bulk.engines.batch.api import Delays
from generation.domain.usage import Usage, cost_usd
from generation.results.checkpoint import MAX_UNSAVED
from tests.doctown.test_analysis import write
from tests.doctown.test_build import KEY, NAMED, PROJECT, Told, bought, built, documented, options, with_model
from tests.generation.bulk.test_batch import good
from tests.loopback.openai import Behaviour, RunningServer, running
from tests.loopback.queue import running_queue
from tests.loopback.s3 import MotoS3
from tests.support.bulk_runs import RUNPOD_KEY, Deployment, running_patient_worker
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.worker_process import REPOSITORY_ROOT, running_process

SYMBOLS = 13


class Interrupting(Told):
    """Interrupts the build when so many symbols are done."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def __call__(self, event: object) -> None:
        data = getattr(event, "data", {})
        if data.get("name") == "document" and data.get("done", 0) >= self.after and "total" in data:
            raise KeyboardInterrupt


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path / "project", PROJECT)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running(Behaviour(marker=NAMED, count_by="characters"), good) as server:
        yield server


@pytest.fixture(autouse=True)
def quick_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    delays = Delays(first_s=0.005, most_s=0.02, outage_s=5.0, queue_s=5.0)
    monkeypatch.setattr(batch_engine, "DELAYS", delays)


def interrupted(build: BuildOptions, settings: Settings, after: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_build(build, settings, None, Caller(Interrupting(after), lambda _: True, os.environ))


def bought_in_batches(server: RunningServer) -> dict[str, int]:
    rows: dict[str, int] = server.batch_bill()["bought"]
    return rows


def check_batch_bill(result: BuildResult, server: RunningServer, settings: Settings) -> None:
    """The pack's totals are the bill of all batches, at half the price."""
    bill, documentation = server.batch_bill(), result.pack.manifest["documentation"]
    usage = documentation["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (bill["input_tokens"], bill["output_tokens"])
    billed = Usage(bill["input_tokens"], bill["cached_input_tokens"], bill["output_tokens"])
    assert documentation["total_cost"] == pytest.approx(cost_usd(billed, settings.pricing) / 2, abs=1e-6)


def changed(project: Path) -> None:
    """Change the source of one function."""
    store = project / "src/store.py"
    store.write_text(store.read_text("utf-8").replace("open(path).read()", "open(path, 'r').read()"), "utf-8")


def test_batches_buy_each_symbol_once_at_half_the_price(project: Path, tmp_path: Path, server: RunningServer) -> None:
    """The estimate is half of the usual one, the totals are the bill, a second build buys nothing, nothing is left."""
    settings = with_model(server)
    build = options(project, tmp_path / "output", via="batch")
    estimates = plan_build(build, settings, None, Caller(Told(), lambda _: True, os.environ))
    assert estimates["batch"].estimated_cost == pytest.approx(estimates["local"].estimated_cost / 2, rel=0.15)
    assert estimates["runpod"] == estimates["local"]
    result = built(build, settings)
    assert set(documented(open_pack(result.pack.path)).values()) == {"model"}
    assert list(bought_in_batches(server).values()) == [1] * SYMBOLS
    check_batch_bill(result, server, settings)
    assert [path.name for path in (tmp_path / "output").iterdir()] == ["project.docpack"]
    again = built(build, settings)
    assert (again.estimate.known_symbols, again.summaries.taken_over) == (SYMBOLS, SYMBOLS)
    assert sum(bought_in_batches(server).values()) == SYMBOLS


def test_another_engine_takes_over_what_has_not_changed(project: Path, tmp_path: Path, server: RunningServer) -> None:
    """Batches take over the summaries of requests, and requests those of batches, whose prompts have less in them."""
    settings = with_model(server)
    for first, second in (("local", "batch"), ("batch", "local")):
        output = tmp_path / first
        built(options(project, output, via=first), settings)
        before = (bought(server), bought_in_batches(server))
        again = built(options(project, output, via=second), settings)
        assert again.summaries.taken_over == SYMBOLS
        assert (bought(server), bought_in_batches(server)) == before


@pytest.mark.parametrize("via", ["local", "batch"])
def test_a_plan_counts_what_an_interrupted_build_has_bought(
    project: Path, tmp_path: Path, server: RunningServer, via: str
) -> None:
    """After an interruption the plan is for the rest, writes nothing, and another engine is refused."""
    settings = with_model(server, MAX_CONCURRENT_REQUESTS="1")
    build = options(project, tmp_path / "output", via=via)
    interrupted(build, settings, after=6 if via == "local" else SYMBOLS)
    files = sorted((tmp_path / "output").rglob("*"))
    estimates = plan_build(build, settings, None, Caller(Told(), lambda _: True, os.environ))
    known = estimates[build.via].known_symbols
    assert known >= 6 if via == "local" else known == SYMBOLS
    assert sorted((tmp_path / "output").rglob("*")) == files
    other = replace(build, via="batch" if via == "local" else "local")
    with pytest.raises(DocumentError, match=f"has bought summaries with --via {via}: give it again"):
        built(other, settings)


def test_a_killed_build_goes_on(project: Path, tmp_path: Path, server: RunningServer) -> None:
    """Killed, the same command buys what is missing, and at most what was in flight or not saved yet once more."""
    behaviour = Behaviour(marker=NAMED, count_by="characters")
    environ = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": server.base_url,
        "MAX_CONCURRENT_REQUESTS": "1",
        "TIKTOKEN_CACHE_DIR": os.environ["TIKTOKEN_CACHE_DIR"],
        "HOME": str(tmp_path),
    }
    words = ("--embeddings", "none", "--no-cache", "--output", str(tmp_path / "output"))
    command = [sys.executable, "-m", "doctown", "build", str(project), *words]
    server.set_behaviour(replace(behaviour, hold_after=10))
    with running_process(command, environ, REPOSITORY_ROOT) as process:
        wait_until(lambda: len(bought(server)) >= 10, "ten symbols")
        process.kill()
    server.wait_until_idle()
    server.set_behaviour(behaviour)
    with running_process(command, environ, REPOSITORY_ROOT) as process:
        assert process.wait(LIMIT_S) == 0, process.stderr()
    assert len(bought(server)) == SYMBOLS
    assert sum(bought(server).values()) <= SYMBOLS + 1 + MAX_UNSAVED < SYMBOLS + 10
    assert len(documented(open_pack(tmp_path / "output/project.docpack"))) == SYMBOLS


def test_interrupted_batches_are_not_bought_again(project: Path, tmp_path: Path, server: RunningServer) -> None:
    """Interrupted while its batch is under way, the same build collects it."""
    settings = with_model(server)
    build = options(project, tmp_path / "output", via="batch")
    for _ in range(2):
        interrupted(build, settings, after=0)
    result = built(build, settings)
    assert list(bought_in_batches(server).values()) == [1] * SYMBOLS
    check_batch_bill(result, server, settings)


def test_what_an_interrupted_batch_has_bought_outlives_a_change(
    project: Path, tmp_path: Path, server: RunningServer
) -> None:
    """After a change only the changed function is bought again, and the pack's cost contains the interrupted run's."""
    settings = with_model(server)
    build = options(project, tmp_path / "output", via="batch")
    interrupted(build, settings, after=SYMBOLS)
    changed(project)
    result = built(build, settings)
    assert sum(bought_in_batches(server).values()) == SYMBOLS + 1
    assert bought_in_batches(server)["read"] == 2
    check_batch_bill(result, server, settings)
    assert len(documented(open_pack(result.pack.path))) == SYMBOLS


def test_a_limit_below_the_estimate_buys_nothing(project: Path, tmp_path: Path, server: RunningServer) -> None:
    settings = with_model(server, MAX_COST_USD="0.0001")
    with pytest.raises(DocumentError, match=r"the estimated cost of \$0\.\d+ is above max_cost_usd"):
        built(options(project, tmp_path / "output", via="batch"), settings)
    assert server.batch_bill()["batches"] == {}


def test_max_symbols_holds_for_the_whole_run(project: Path, tmp_path: Path, server: RunningServer) -> None:
    result = built(options(project, tmp_path / "output", via="batch"), with_model(server, MAX_SYMBOLS="3"))
    assert sum(bought_in_batches(server).values()) == 3
    assert (result.summaries.left_out, len(result.summaries.failures)) == (SYMBOLS - 3, 0)


def test_runpods_workers_buy_through_their_bucket(
    project: Path, tmp_path: Path, moto: MotoS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without OpenAI's key here, workers document the symbols; the bucket then has the pack and nothing else."""
    monkeypatch.setenv("AWS_CA_BUNDLE", moto.environment()["AWS_CA_BUNDLE"])
    with (
        running(Behaviour(marker=NAMED, count_by="characters"), good) as openai,
        running_queue(api_key=RUNPOD_KEY, poll_s=2.0) as queue,
    ):
        deployment = Deployment(queue, openai, tmp_path / "unused")
        environ = {**deployment.environment(), **moto.environment()}
        with running_patient_worker({**deployment.worker_environment("pod"), **moto.environment()}):
            settings = Settings.from_env({**environ, "MODEL_NAME": "gpt-5-nano"})
            build = options(project, tmp_path / "output", via="runpod")
            caller = Caller(Told(), lambda _: True, {**os.environ, **environ})
            result = run_build(build, settings, None, caller)
        bill = openai.bill()
    assert list(bill["bought"].values()) == [1] * SYMBOLS
    usage = result.pack.manifest["documentation"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (bill["input_tokens"], bill["output_tokens"])
    assert moto.keys() == ["docpacks/project.docpack"]
    assert KEY not in result.pack.path.read_bytes().decode("latin-1")


def test_runpod_without_a_bucket_is_refused(project: Path, tmp_path: Path) -> None:
    settings = Settings.from_env({"MODEL_NAME": "gpt-5-nano"})
    with pytest.raises(DocumentError, match=r"RunPod's workers need a bucket .*: set R2_BUCKET"):
        built(options(project, tmp_path / "output", via="runpod"), settings)
