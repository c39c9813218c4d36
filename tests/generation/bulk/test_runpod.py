"""`--via runpod`: the command, real workers, and a queue on which things go wrong."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from generation.bulk.engines.runpod import engine as runpod_engine
from generation.bulk.engines.runpod.engine import PollIntervals
from generation.bulk.engines.runpod.settings import RunPodSettings
from generation.bulk.inputs import find_sources
from generation.bulk.manifest import Run, save_new_run
from generation.bulk.progress import Progress
from generation.config import Settings
from generation.errors import JobError
from generation.storage import open_storage
from tests.loopback.queue import DOCUMENTED_RATES, Rules
from tests.support.bulk_runs import (
    WIDTH,
    Deployment,
    ids,
    records,
    run_command,
    running_command,
    running_deployment,
    running_patient_worker,
    write_sources,
)
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.worker_process import REPOSITORY_ROOT, running_process

QUICK = PollIntervals(first_look_s=0.1, last_look_s=0.5, doubt_s=3.0, silence_s=6.0)


@pytest.fixture(scope="module")
def shared_deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with running_deployment(tmp_path_factory.mktemp("results"), workers=2) as deployment:
        yield deployment


@pytest.fixture
def deployment(shared_deployment: Deployment) -> Deployment:
    shared_deployment.behave()
    return shared_deployment


def run_here(deployment: Deployment, folder: Path, name: str, report: Any = None, **changes: Any) -> Run:
    """A run in this process, which is as quick to look and to doubt as tests need it."""

    async def start() -> Run:
        settings = Settings.from_env(deployment.environment())
        storage = open_storage(settings)
        run = Run(name, "runpod", tuple(await find_sources([str(folder)], storage)), **changes)
        await save_new_run(storage, run)
        runpod = RunPodSettings.from_env(deployment.environment())
        watch = report or (lambda progress: None)
        await runpod_engine.run(run, storage, settings, watch, asyncio.Event(), runpod=runpod, intervals=QUICK)
        return run

    return asyncio.run(start())


# All is well.


def test_a_folder_of_sources_is_documented(deployment: Deployment, tmp_path: Path) -> None:
    """Sources of a folder come back whole and in their order, cost what was billed, and leave no shard behind."""
    deployment.queue.follow(Rules(rates=DOCUMENTED_RATES))
    sources = write_sources(tmp_path, {"a": 130, "b": 40, "deep/c": 1})
    arguments = ("run", str(tmp_path), "--via", "runpod", "--run", "well", "--shard-size", "50", "--json")
    code, stdout, _ = run_command(deployment.environment(), *arguments)
    assert code == 0
    deployment.check_merged("well", sources)
    assert set(deployment.bought().values()) == {1}
    assert deployment.left_of("well") == deployment.left_when_done("well", 3)
    told = records(stdout)
    assert told[-1]["type"] == "bulk.summary.v1"
    assert (told[-1]["documented"], told[-1]["complete"], told[-1]["failures"]) == (171, True, {})
    figures = told[-1]["figures"]
    assert (figures["requests"]["answered"], figures["jobs"]["success"], sum(figures["summaries"].values())) == (
        sum(deployment.bought().values()),
        5,
        171,
    )
    assert figures["cost_usd"] == pytest.approx(told[-1]["total_cost"])
    progress = [one for one in told if one["type"] == "bulk.progress.v1"]
    assert (progress[-1]["documented"], progress[-1]["shards_done"], progress[-1]["sources_done"]) == (171, 5, 3)
    assert all(call.endswith(" 200") for call in deployment.queue.calls())


def test_run_again_a_finished_run_does_nothing(deployment: Deployment, tmp_path: Path) -> None:
    """The same command a second time, `resume` and `status` tell the same end, and nothing is submitted or bought."""
    write_sources(tmp_path, {"a": 20})
    arguments = ("run", str(tmp_path), "--via", "runpod", "--run", "again")
    assert run_command(deployment.environment(), *arguments)[0] == 0
    submitted = deployment.queue.calls()["run 200"]
    for again in (arguments, ("resume", "again"), ("status", "again")):
        code, stdout, _ = run_command(deployment.environment(), *again)
        assert code == 0
        assert "20 of 20 symbols documented" in stdout
    assert deployment.queue.calls()["run 200"] == submitted
    assert set(deployment.bought().values()) == {1}


def test_symbols_that_are_wrong_fail_alone(deployment: Deployment, tmp_path: Path) -> None:
    """A bad line, an id that comes twice and a source that is none are told, and end the command with 1."""
    sources = write_sources(tmp_path, {"a": 12})
    lines = [*(json.dumps(symbol) for symbol in sources["a"][:6]), "{", *map(json.dumps, sources["a"][6:])]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, json.dumps(sources["a"][2])]), encoding="utf-8")
    (tmp_path / "none.json").write_text("[]", encoding="utf-8")
    code, stdout, _ = run_command(deployment.environment(), "run", str(tmp_path), "--via", "runpod", "--run", "wrong")
    assert code == 1
    assert "2 symbols failed: invalid_symbol 1, duplicate_symbol_id 1" in stdout
    assert "none could not be read" in stdout
    document = deployment.merged("wrong", "a")
    assert ids(document["documented_symbols"]) == ids(sources["a"])
    assert [one["failure"] for one in document["failed_symbols"]] == ["invalid_symbol", "duplicate_symbol_id"]
    assert document["status"] == "partial"


# Killed and stopped.


def test_a_killed_coordinator_goes_on(deployment: Deployment, tmp_path: Path) -> None:
    """2,000 symbols, killed in mid-run and started again: all are documented, and none is bought twice."""
    sources = write_sources(tmp_path, {"a": 900, "b": 700, "c": 400})
    arguments = ("run", str(tmp_path), "--via", "runpod", "--run", "killed", "--shard-size", "100", "--in-flight", "9")
    deployment.behave(hold_after=700)
    with running_command(deployment.environment(), *arguments) as command:
        wait_until(lambda: len(deployment.bought()) > 600, "600 symbols")
        command.kill()
    deployment.openai.set_behaviour(deployment.behaviour())
    # Without its sources: the run has what it needs, or reads them where they are.
    assert run_command(deployment.environment(), "resume", "killed")[0] == 0
    deployment.check_merged("killed", sources)
    assert set(deployment.bought().values()) == {1}
    assert deployment.left_of("killed") == deployment.left_when_done("killed", 3)


def test_killed_again_and_again_it_comes_to_its_end(deployment: Deployment, tmp_path: Path) -> None:
    """Killed after each number of jobs that it has submitted, a run goes on from there and buys nothing twice."""
    deployment.behave(hold_after=0)
    sources = write_sources(tmp_path, {"a": 150, "b": 150})
    arguments = ("run", str(tmp_path), "--via", "runpod", "--run", "often", "--shard-size", "30")
    for submitted in (0, 1, 3, 8):
        with running_command(deployment.environment(), *arguments) as command:
            wait_until(lambda count=submitted: jobs_of(deployment, "often") >= count, f"{submitted} jobs")  # type: ignore[misc]
            command.kill()
    deployment.openai.set_behaviour(deployment.behaviour())
    assert run_command(deployment.environment(), *arguments)[0] == 0
    deployment.check_merged("often", sources)
    assert set(deployment.bought().values()) == {1}


def jobs_of(deployment: Deployment, run: str) -> int:
    return sum(run in str(job.input) for job in list(deployment.queue._book.jobs.values()))


def test_a_worker_that_dies_costs_what_it_had_in_flight(tmp_path: Path) -> None:
    """A worker dies with its jobs: another goes on with them, all is documented, little is bought twice."""
    sources = write_sources(tmp_path / "in", {"a": 300})
    arguments = ("run", str(tmp_path / "in"), "--via", "runpod", "--run", "died", "--shard-size", "100")
    with (
        running_deployment(tmp_path / "results", workers=0) as deployment,
        running_patient_worker(deployment.worker_environment("pod-x")) as worker,
    ):
        deployment.behave(hold_after=90)
        with running_command(deployment.environment(), *arguments) as command:
            wait_until(lambda: len(deployment.bought()) == 90, "90 symbols")
            worker.kill()
            worker.wait(LIMIT_S)
            deployment.openai.wait_until_idle()
            # As on RunPod once it is silent: its jobs are handed out again.
            assert deployment.queue.requeue("pod-x")
            deployment.openai.set_behaviour(deployment.behaviour())
            with running_patient_worker(deployment.worker_environment("pod-y")):
                assert command.wait(LIMIT_S) == 0
        assert ids(deployment.merged("died", "a")["documented_symbols"]) == ids(sources["a"])
        # No more than were bought when it died; most of them had been saved.
        assert sum(count - 1 for count in deployment.bought().values()) <= 90


def test_stopped_by_a_signal_it_says_how_to_go_on(deployment: Deployment, tmp_path: Path) -> None:
    """SIGTERM ends the command with 1, with its jobs left to RunPod and unfinished; resumed, it finds them."""
    deployment.behave(hold_after=40)
    sources = write_sources(tmp_path, {"a": 300})
    arguments = ("run", str(tmp_path), "--via", "runpod", "--run", "stopped", "--shard-size", "50")
    with running_command(deployment.environment(), *arguments) as command:
        wait_until(lambda: len(deployment.bought()) > 20, "20 symbols")
        command.terminate()
        assert command.wait(LIMIT_S) == 1
    assert "resume stopped" in command.stderr()
    assert len(deployment.bought()) <= 40
    deployment.openai.set_behaviour(deployment.behaviour())
    assert run_command(deployment.environment(), "resume", "stopped")[0] == 0
    deployment.check_merged("stopped", sources)
    assert set(deployment.bought().values()) == {1}


def test_cancelled_it_stops_and_can_go_on(deployment: Deployment, tmp_path: Path) -> None:
    """`cancel` ends the jobs and the coordinator that waits for them; `resume` documents what is left."""
    deployment.behave(hold_after=60)
    sources = write_sources(tmp_path, {"a": 250})
    arguments = ("run", str(tmp_path), "--via", "runpod", "--run", "ended", "--shard-size", "50")
    with running_command(deployment.environment(), *arguments) as command:
        wait_until(lambda: len(deployment.bought()) > 40, "40 symbols")
        code, stdout, _ = run_command(deployment.environment(), "cancel", "ended")
        assert (code, "cancelled, as far as" in stdout) == (0, True)
        assert command.wait(LIMIT_S) == 1
    assert "the run was cancelled: `resume ended` goes on with it" in command.stderr()
    assert len(deployment.bought()) <= 60
    deployment.openai.set_behaviour(deployment.behaviour())
    assert run_command(deployment.environment(), "resume", "ended")[0] == 0
    assert ids(deployment.merged("ended", "a")["documented_symbols"]) == ids(sources["a"])
    # What was in flight when the jobs were cancelled was not paid, and what was paid was saved.
    assert sum(deployment.bought().values()) <= 250 + 2 * 20


# The queue has bad days.


def test_answers_that_are_lost_cost_nothing_twice(deployment: Deployment, tmp_path: Path) -> None:
    """Jobs that were accepted without that anybody was told are found or made harmless: nothing is bought twice."""
    deployment.behave(latency_mean_s=0.2)
    lost: list[dict[str, Any]] = [
        {"fault": "disconnect_after", "only": ["run"], "times": 2},
        {"fault": "server_error_after", "only": ["run"], "times": 1},
        {"fault": "disconnect", "only": ["run"], "times": 1},
        {"fault": "too_many", "only": ["run"], "times": 1},
        *({"fault": fault, "only": ["status"], "share": 0.05} for fault in ("disconnect", "server_error", "too_many")),
    ]
    deployment.queue.follow(Rules(call_script=lost))
    sources = write_sources(tmp_path, {"a": 400})
    run_here(deployment, tmp_path, "lost", shard_size=50)
    deployment.check_merged("lost", sources)
    assert set(deployment.bought().values()) == {1}
    assert deployment.left_of("lost") == deployment.left_when_done("lost", 1)
    assert deployment.queue.calls()["run broken"] == 3


@pytest.mark.parametrize("rules", [Rules(ttl_s=1.5), Rules(execution_timeout_s=1.5)], ids=["expired", "timed-out"])
def test_jobs_that_expire_or_time_out_are_sent_again(deployment: Deployment, tmp_path: Path, rules: Rules) -> None:
    """Jobs that RunPod has forgotten, and jobs that it has ended for their time, are sent again and go on."""
    deployment.behave(hold_after=20)
    run = f"cut-short-{rules.ttl_s}"
    sources = write_sources(tmp_path, {"a": 120})
    deployment.queue.follow(rules)

    def jobs() -> list[Any]:
        return [job for job in list(deployment.queue._book.jobs.values()) if run in str(job.input)]

    def report(_progress: Progress) -> None:
        if any(job.expired or job.status == "TIMED_OUT" for job in jobs()):
            deployment.queue.follow(Rules())
            deployment.openai.set_behaviour(deployment.behaviour())

    run_here(deployment, tmp_path, run, report, shard_size=60)
    assert ids(deployment.merged(run, "a")["documented_symbols"]) == ids(sources["a"])
    # Two shards: whatever is more was sent again.
    assert len(jobs()) > 2


def test_a_fault_of_the_account_stops_the_run(deployment: Deployment, tmp_path: Path) -> None:
    """Without quota the run stops with the worker's sentence after few requests, and resumes when there is some."""
    deployment.behave({"fault": "quota"})
    sources = write_sources(tmp_path, {"a": 400})
    arguments = ("run", str(tmp_path), "--via", "runpod", "--run", "poor", "--shard-size", "20", "--in-flight", "10")
    code, stdout, stderr = run_command(deployment.environment(), *arguments)
    assert code == 1
    assert "add credit" in stderr
    assert "resume poor" in stdout
    assert sum(deployment.openai.bill()["requests"].values()) < 100
    deployment.behave()
    code, stdout, stderr = run_command(deployment.environment(), "resume", "poor")
    assert code == 0, stdout + stderr
    deployment.check_merged("poor", sources)


def test_a_fault_that_a_job_met_before_the_resumption_does_not_end_the_run(
    deployment: Deployment, tmp_path: Path
) -> None:
    """A job of an earlier start that ends without quota, some of its symbols documented, is followed by a new one."""
    sources = write_sources(tmp_path, {"a": 3 * WIDTH})
    deployment.behave(hold_after=0)
    arguments = ("run", str(tmp_path), "--via", "runpod", "--run", "late", "--shard-size", str(3 * WIDTH))
    with running_command(deployment.environment(), *arguments) as process:
        wait_until(lambda: deployment.openai.bill()["in_flight"] == WIDTH, "the job to ask")
        process.kill()
        process.wait(LIMIT_S)
    looks = deployment.queue.calls().get("status 200", 0)
    with running_command(deployment.environment(), "resume", "late") as process:
        wait_until(lambda: deployment.queue.calls().get("status 200", 0) > looks, "the resumption to find the job")
        # It hears of the job's end when there is quota again, and not before.
        deployment.queue.follow(Rules(answer_delay_s=LIMIT_S))
        deployment.openai.set_behaviour(deployment.behaviour({"fault": "quota"}))
        (job,) = (job for job in list(deployment.queue._book.jobs.values()) if "late" in str(job.input))
        assert deployment.queue.result(job.id, LIMIT_S)["output"]["failed_count"] == 2 * WIDTH
        deployment.openai.set_behaviour(deployment.behaviour())
        deployment.queue.follow(Rules())
        assert process.wait(LIMIT_S) == 0, process.last_lines()
    document = deployment.merged("late", "a")
    assert ids(document["documented_symbols"]) == ids(sources["a"])


def test_the_cap_holds_for_the_whole_run(deployment: Deployment, tmp_path: Path) -> None:
    """With --max-cost-usd no more is spent over all shards, what is left out says so, and a higher one goes on."""
    sources = write_sources(tmp_path, {"a": 150, "b": 150})
    arguments = ("run", str(tmp_path), "--via", "runpod", "--run", "capped", "--shard-size", "30")
    code, stdout, _ = run_command(deployment.environment(), *arguments, "--max-cost-usd", "0.015")
    assert code == 1
    assert "cost_cap_reached" in stdout
    spent = [deployment.merged("capped", name)["total_cost"] for name in sources]
    assert 0.005 < sum(spent) <= 0.015
    code, stdout, _ = run_command(deployment.environment(), "resume", "capped", "--max-cost-usd", "5")
    assert code == 0
    deployment.check_merged("capped", sources)
    assert set(deployment.bought().values()) == {1}


# What cannot run.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"RUNPOD_API_KEY": ""}, "RUNPOD_API_KEY must be set"),
        ({"RUNPOD_API_KEY": "planted"}, "RUNPOD_API_KEY was refused (HTTP 401)"),
        ({"RUNPOD_ENDPOINT_ID": "other"}, "RUNPOD_ENDPOINT_ID names no endpoint"),
        ({"RUNPOD_API_URL": "planted"}, "RUNPOD_API_URL: must be an address"),
    ],
    ids=["no key", "bad key", "bad endpoint", "bad address"],
)
def test_a_bad_setting_is_one_sentence(
    deployment: Deployment, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    """A setting of RunPod that is missing or wrong ends the command with 2 and a sentence that names it."""
    write_sources(tmp_path, {"a": 3})
    code, stdout, stderr = run_command(deployment.environment(**changes), "run", str(tmp_path), "--via", "runpod")
    assert code == 2
    assert words in stderr
    assert stdout == ""
    assert "planted" not in stderr


def test_the_api_that_is_away_is_a_fault_of_the_run(deployment: Deployment, tmp_path: Path, monkeypatch: Any) -> None:
    """Where RunPod cannot be reached the run ends with a sentence, and nothing is lost."""
    monkeypatch.setattr(runpod_engine, "OUTAGE_S", 1.0)
    monkeypatch.setattr("generation.bulk.engines.runpod.api.RETRY_S", 1.0)
    write_sources(tmp_path, {"a": 3})
    monkeypatch.setattr(Deployment, "api_url", "http://127.0.0.1:9")
    with pytest.raises(JobError, match="RUNPOD_API_URL cannot be reached"):
        run_here(deployment, tmp_path, "away")


# The schedules in examples/.


def commands_of_workflow() -> list[str]:
    workflow = yaml.safe_load((EXAMPLES / "bulk-nightly.yml").read_text(encoding="utf-8"))
    # YAML 1.1 reads `on` as true.
    assert workflow[True]["schedule"] == [{"cron": "17 2 * * *"}]
    steps = workflow["jobs"]["document"]["steps"]
    assert set(workflow["jobs"]["document"]["env"]) <= {*SETTINGS, "CONTEXTS"}
    (script,) = (step["run"] for step in steps if "generation.bulk" in step.get("run", ""))
    return [script]


def commands_of_crontab() -> list[str]:
    lines = (EXAMPLES / "bulk-nightly.crontab").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if not line.startswith("#"))
    *when, command = line.split(maxsplit=5)
    assert when == ["17", "2", "*", "*", "*"]
    # cron ends a command at a percent sign without a backslash.
    assert "%" not in command.replace("\\%", "")
    return [command.replace("\\%", "%")]


EXAMPLES = REPOSITORY_ROOT / "examples"
SETTINGS = {name.upper() for name in (*Settings.model_fields, *RunPodSettings.model_fields)}


@pytest.mark.parametrize("commands", [commands_of_workflow, commands_of_crontab])
def test_the_schedules_run(deployment: Deployment, tmp_path: Path, commands: Callable[[], list[str]]) -> None:
    """The commands of each schedule document a folder, and take over what a run of yesterday has."""
    (command,) = commands()
    sources = write_sources(tmp_path / "contexts", {"a": 6})
    (tmp_path / "settings.env").write_text("LOG_LEVEL=ERROR\n", encoding="utf-8")
    environment = {**deployment.environment(), "CONTEXTS": f"{tmp_path}/contexts", "BASH_ENV": str(tmp_path / "python")}
    (tmp_path / "python").write_text(f'python() {{ {sys.executable} "$@"; }}\n', encoding="utf-8")
    for there, here in {
        "/opt/doctown-generation": str(REPOSITORY_ROOT),
        "/etc/doctown.env": str(tmp_path / "settings.env"),
        ".venv/bin/python": sys.executable,
        "/srv/contexts": f"{tmp_path}/contexts",
        "/var/log/doctown.log": str(tmp_path / "log"),
    }.items():
        command = command.replace(there, here)
    shutil.rmtree(deployment.results / "bulk", ignore_errors=True)
    with running_process(["bash", "-eu", "-c", command], environment, REPOSITORY_ROOT) as process:
        assert process.wait(LIMIT_S) == 0
    today = f"nightly-{datetime.now(UTC):%Y-%m-%d}"
    assert ids(deployment.merged(today, "a")["documented_symbols"]) == ids(sources["a"])
    yesterday = f"nightly-{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    (deployment.results / today).rename(deployment.results / yesterday)
    shutil.rmtree(deployment.results / "bulk")
    deployment.behave()
    with running_process(["bash", "-eu", "-c", command], environment, REPOSITORY_ROOT) as process:
        assert process.wait(LIMIT_S) == 0
    assert deployment.bought() == {}
    assert ids(deployment.merged(today, "a")["documented_symbols"]) == ids(sources["a"])
    shutil.rmtree(deployment.results / yesterday)
