"""Bulk runs in the command's own process, and all that is the same for every engine: sources, names, plans, ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generation.config import VOCABULARY_DIR
from tests.loopback.openai import Behaviour
from tests.loopback.openai import running_process as running_openai
from tests.loopback.queue import running_queue
from tests.loopback.s3 import MotoS3
from tests.support.bulk_runs import KEY, NAME, Deployment, ids, records, run_command, running_command, write_sources
from tests.support.contexts import payload
from tests.support.pages import check_harmless
from tests.support.waiting import LIMIT_S, wait_until


@pytest.fixture(scope="module")
def shared_deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with running_openai(Behaviour(count_by="characters")) as openai, running_queue() as queue:
        yield Deployment(queue, openai, tmp_path_factory.mktemp("results"))


@pytest.fixture
def deployment(shared_deployment: Deployment) -> Deployment:
    shared_deployment.behave(latency_mean_s=0.02)
    return shared_deployment


def offline(folder: Path) -> dict[str, str]:
    return {"MODEL_NAME": "offline", "RESULTS_DIR": str(folder), "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR)}


def run_local(deployment: Deployment, *arguments: str) -> tuple[int, str, str]:
    return run_command(deployment.local_environment(), "run", "--via", "local", *arguments)


def test_an_incremental_run_buys_what_has_changed(deployment: Deployment, tmp_path: Path) -> None:
    """With --previous only new and changed symbols are bought, and what is gone is told for the whole source."""
    sources = write_sources(tmp_path / "monday", {"a": 60, "b": 30})
    assert run_local(deployment, str(tmp_path / "monday"), "--run", "monday", "--shard-size", "25")[0] == 0
    deployment.check_merged("monday", sources)
    deployment.behave()
    sources["a"][3]["context"]["source_code"] = "def changed(): pass"
    gone = sources["a"].pop(50)["symbol_id"]
    (tmp_path / "tuesday" / "new").mkdir(parents=True)
    for name, symbols in sources.items():
        (tmp_path / "tuesday" / f"{name}.json").write_text(json.dumps({"symbols": symbols}), encoding="utf-8")
    new = write_sources(tmp_path / "tuesday", {"new/c": 4})["new/c"]
    arguments = (str(tmp_path / "tuesday"), "--run", "tuesday", "--shard-size", "25", "--previous", "results/monday/")
    code, stdout, _ = run_local(deployment, *arguments)
    assert code == 0
    assert "88 of them taken over from earlier results" in stdout
    assert set(deployment.bought()) == {"a_3", *(symbol["context"]["name"] for symbol in new)}
    document = deployment.merged("tuesday", "a")
    assert document["removed"] == [gone]
    assert ids(document["documented_symbols"]) == ids(sources["a"])
    assert [one["source"] for one in document["documented_symbols"]].count("previous") == 58
    assert deployment.merged("tuesday", "b")["removed"] == []
    assert deployment.merged("tuesday", "b")["total_cost"] == 0


def test_stopped_it_saves_and_goes_on(deployment: Deployment, tmp_path: Path) -> None:
    """SIGTERM lets requests in flight end and saves them; `resume` buys only what is left."""
    deployment.behave(hold_after=60)
    sources = write_sources(tmp_path, {"a": 200})
    arguments = ("run", str(tmp_path), "--via", "local", "--run", "stopped", "--shard-size", "100")
    with running_command(deployment.local_environment(), *arguments) as command:
        wait_until(lambda: len(deployment.bought()) >= 50, "50 symbols")
        command.terminate()
        # It has the signal before it has any of these answers.
        deployment.openai.set_behaviour(deployment.behaviour())
        assert command.wait(LIMIT_S) == 1
    assert "stopped; to go on: python -m generation.bulk resume stopped" in command.stderr()
    assert 50 <= len(deployment.bought()) < 200
    assert run_command(deployment.local_environment(), "resume", "stopped")[0] == 0
    deployment.check_merged("stopped", sources)
    assert set(deployment.bought().values()) == {1}
    assert deployment.left_of("stopped") == deployment.left_when_done("stopped", 1)


def test_failures_that_may_pass_are_asked_again_by_resume(deployment: Deployment, tmp_path: Path) -> None:
    """Symbols that the server failed are told by their cause, and a resumed run documents them."""
    deployment.behave({"fault": "server_error", "contains": "Name: a_7\n"})
    sources = write_sources(tmp_path, {"a": 30})
    arguments = (str(tmp_path), "--run", "passing", "--shard-size", "10")
    environment = deployment.local_environment(MAX_RETRIES="0")
    code, stdout, _ = run_command(environment, "run", "--via", "local", *arguments)
    assert code == 1
    assert "1 symbol failed: server_error 1" in stdout
    assert deployment.merged("passing", "a")["documented_count"] == 29
    deployment.behave()
    code, stdout, _ = run_command(environment, "resume", "passing")
    assert code == 0
    assert list(deployment.bought()) == ["a_7"]
    assert ids(deployment.merged("passing", "a")["documented_symbols"]) == ids(sources["a"])
    # Both starts are in its report, and what the resumed one bought.
    page = tmp_path / "passing.html"
    code, stdout, _ = run_command(environment, "report", "passing", "--output", str(page))
    assert (code, stdout) == (0, f"report: {page}\n")
    words = check_harmless(page.read_bytes()).words
    assert "symbols documented 30 of 30" in words
    assert "not recorded" not in words
    timeline = json.loads((deployment.results / "bulk" / "passing" / "timeline.json").read_bytes())
    assert [start["samples"][-1][1:3] for start in timeline] == [[29, 1], [30, 0]]
    both = ("report", "passing", "no-such-run", "--output", str(page))
    assert "there is no run no-such-run in this store" in run_command(environment, *both)[2]


def test_sources_of_a_bucket_are_documented_into_it(tmp_path: Path, moto: MotoS3) -> None:
    """A prefix of the bucket is a folder of sources, a key one source; state and results are in the bucket too."""
    for name, count in (("in/one.jsonl", 6), ("in/deep/two.json", 3), ("in/read me.txt", 1)):
        moto.put(name, json.dumps(payload(count)).encode())
    environment = {**offline(tmp_path), **moto.environment()}
    code, stdout, _ = run_command(environment, "run", "in/", "--via", "local", "--run", "r", "--shard-size", "2")
    assert code == 0
    assert f"{moto.bucket}/results/r/" in stdout
    sources = {"in/one.jsonl", "in/deep/two.json", "in/read me.txt"}
    states = {f"bulk/r/sources/{number:06}.json" for number in range(2)}
    merged = {"results/r/one.json", "results/r/deep/two.json"}
    assert set(moto.keys()) == sources | states | merged | {"bulk/r/manifest.json", "bulk/r/timeline.json"}
    assert ids(json.loads(moto.get("results/r/one.json"))["documented_symbols"]) == ids(payload(6)["symbols"])
    code, _, _ = run_command(environment, "run", "in/deep/two.json", "--via", "local", "--run", "s")
    assert code == 0
    assert json.loads(moto.get("results/s/two.json"))["documented_count"] == 3


@pytest.mark.parametrize("prefix", ["results/first", "results/first/"])
def test_earlier_results_are_found_with_and_without_a_slash(tmp_path: Path, prefix: str) -> None:
    """A prefix names the folder of a run, however its end is written; where nothing is found, that is said."""
    write_sources(tmp_path / "in", {"a": 3, "b": 2})
    environment = offline(tmp_path / "results")
    for run in (("--run", "first"), ("--run", "second", "--previous", prefix)):
        assert run_command(environment, "run", str(tmp_path / "in"), "--via", "local", *run)[0] == 0
    manifest = json.loads((tmp_path / "results" / "bulk" / "second" / "manifest.json").read_bytes())
    assert [one["previous_key"] for one in manifest["sources"]] == ["results/first/a.json", "results/first/b.json"]
    for arguments in (("plan",), ("run", "--via", "local")):
        _, _, said = run_command(environment, *arguments, str(tmp_path / "in"), "--previous", "results/fisrt")
        assert "bulk: warning: no earlier results were found at results/fisrt: every symbol is paid for" in said


def test_a_plan_is_the_price_and_buys_nothing(deployment: Deployment, tmp_path: Path) -> None:
    """`plan` tells requests, tokens and dollars of each source, half for a batch, and leaves store and model alone."""
    write_sources(tmp_path / "in", {"a": 40, "b": 2})
    results = tmp_path / "results"
    arguments = ("plan", str(tmp_path / "in"), "--json")
    code, stdout, _ = run_command({"RESULTS_DIR": str(results), "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR)}, *arguments)
    first, second = records(stdout)
    assert code == 0
    assert (first["symbols"], first["requests"], second["symbols"]) == (40, 40, 2)
    assert first["cost_usd"]["batch"] == first["cost_usd"]["runpod"] / 2 > 0
    assert not results.exists()
    plain = run_command({"RESULTS_DIR": str(results)}, "plan", str(tmp_path / "in"), "--option", "batch_mode=true")[1]
    assert "2 sources, 42 symbols:" in plain
    assert f"${(first['cost_usd']['runpod'] + second['cost_usd']['runpod']):.4f}" not in plain


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nothing-there", "--via", "local"], "is no file here, and no key of the store"),
        (["run", "nothing-there/", "--via", "local"], "no key of the store begins with it"),
        (["run", "IN", "--via", "local", "--run", "a/b"], "--run must be 1 to 100 letters"),
        (["run", "IN", "--via", "local", "--run", "bulk"], "--run must be"),
        (["run", "IN", "--via", "local", "--option", "modell=x"], "--option.modell is not a key that is known here"),
        (["run", "IN", "--via", "local", "--option", "max_symbols=3"], "it is for single jobs"),
        (["run", "IN", "--via", "local", "--option", "model"], "NAME=VALUE"),
        (["run", "IN", "IN", "--via", "local"], "would both have their results as a"),
        (["resume", "none"], "there is no run none in this store"),
        (["status", "none"], "there is no run none in this store"),
        (["run", "IN", "--via", "nobody"], "invalid choice"),
        (["run", "IN", "--via", "local", "--shard-size", "0"], "must be a whole number from 1 to 50000"),
        (["run", "IN", "--via", "local", "--max-cost-usd", "nan"], "must be an amount above 0"),
    ],
)
def test_bad_arguments_are_one_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    """What cannot run ends with 2 and a sentence, and stores nothing."""
    (tmp_path / "a.json").write_text(json.dumps(payload(1)), encoding="utf-8")
    given = [str(tmp_path / "a.json") if argument == "IN" else argument for argument in arguments]
    code, stdout, stderr = run_command(offline(tmp_path / "results"), *given)
    assert (code, stdout) == (2, "")
    assert words in stderr
    assert not (tmp_path / "results" / "bulk").exists()


def test_a_local_run_needs_the_key(tmp_path: Path) -> None:
    """Without OPENAI_API_KEY a local run ends with 2 and the setting's name."""
    (tmp_path / "a.json").write_text(json.dumps(payload(1)), encoding="utf-8")
    code, _, stderr = run_command({"RESULTS_DIR": str(tmp_path)}, "run", str(tmp_path / "a.json"), "--via", "local")
    assert code == 2
    assert "OPENAI_API_KEY must be set" in stderr


def test_a_name_is_one_run(tmp_path: Path) -> None:
    """A name that is taken by a run of other sources is refused; that of the same run goes on, with nothing to do."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(payload(2)), encoding="utf-8")
    environment = offline(tmp_path / "results")
    first = ("run", str(tmp_path / "a.json"), "--via", "local", "--run", "mine")
    assert run_command(environment, *first)[0] == 0
    assert run_command(environment, *first)[0] == 0
    code, _, stderr = run_command(environment, "run", str(tmp_path / "b.json"), "--via", "local", "--run", "mine")
    assert code == 2
    assert "there is a run mine of other sources or options" in stderr
    code, _, stderr = run_command(environment, "cancel", "mine")
    assert code == 2
    assert "stop its process" in stderr


def test_a_second_coordinator_waits_for_the_first(deployment: Deployment, tmp_path: Path) -> None:
    """Two commands on one run: the second says that it waits, and finds everything done."""
    deployment.behave(hold_after=10)
    write_sources(tmp_path, {"a": 100})
    arguments = ("run", str(tmp_path), "--via", "local", "--run", "shared")
    with running_command(deployment.local_environment(), *arguments) as first:
        wait_until(lambda: bool(deployment.bought()), "a first symbol")
        with running_command(deployment.local_environment(), *arguments) as second:
            second.wait_for_output("waiting for it", LIMIT_S, "stderr")
            deployment.openai.set_behaviour(deployment.behaviour())
            assert first.wait(LIMIT_S) == 0
            assert second.wait(LIMIT_S) == 0
    assert set(deployment.bought().values()) == {1}


def test_without_a_name_a_run_gets_one(tmp_path: Path) -> None:
    """A run without --run is named by the time, and says so."""
    (tmp_path / "a.json").write_text(json.dumps(payload(2)), encoding="utf-8")
    code, _, stderr = run_command(offline(tmp_path / "out"), "run", str(tmp_path / "a.json"), "--via", "local")
    (run,) = (path.name for path in (tmp_path / "out" / "bulk").iterdir())
    assert code == 0
    assert f"run {run}: 1 source via local" in stderr
    assert (tmp_path / "out" / run / "a.json").is_file()


def test_it_is_drawn_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal there is a bar, with the figures of the run beside it."""
    import os
    import pty
    import subprocess
    import sys

    (tmp_path / "a.json").write_text(json.dumps(payload(300)), encoding="utf-8")
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "generation.bulk", "run", str(tmp_path / "a.json"), "--via", "local"]
    environment = {"PATH": os.environ["PATH"], **offline(tmp_path / "out"), "TERM": "xterm", "COLUMNS": "80"}
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=follower, check=True)
    os.close(follower)
    drawn = b""
    try:
        while chunk := os.read(leader, 65_536):
            drawn += chunk
    except OSError:
        pass
    os.close(leader)
    assert b"300/300 symbols" in drawn
    assert b"300 of 300 symbols documented" in ran.stdout


def test_options_reach_the_jobs(deployment: Deployment, tmp_path: Path) -> None:
    """--option gives every job its options: batch mode asks for several symbols in a request."""
    any_form: dict[str, Any] = {"item_marker": r"(?m)^## Symbol (s\d+)$", "item_key": "key"}
    deployment.openai.set_behaviour(Behaviour(marker=NAME, count_by="characters", **any_form))
    deployment.openai.reset()
    write_sources(tmp_path, {"a": 40})
    arguments = (str(tmp_path), "--run", "options", "--option", "batch_mode=true", "--option", "batch_size=5")
    assert run_local(deployment, *arguments)[0] == 0
    assert sum(deployment.openai.bill()["requests"].values()) < 40
    assert KEY not in (deployment.results / "bulk" / "options" / "manifest.json").read_text(encoding="utf-8")


def test_a_source_that_is_elsewhere_stops_the_run(tmp_path: Path) -> None:
    """Resumed where a source cannot be read a run stops with a sentence, and goes on where it can."""
    source = tmp_path / "a.json"
    source.write_text(json.dumps(payload(2)), encoding="utf-8")
    environment = offline(tmp_path / "out")
    arguments = ("run", str(source), "--via", "local", "--run", "moved")
    assert run_command(environment, *arguments)[0] == 0
    # As it was when the run had only begun.
    (tmp_path / "out" / "bulk" / "moved" / "sources" / "000000.json").unlink()
    source.rename(tmp_path / "elsewhere")
    code, stdout, stderr = run_command(environment, "resume", "moved")
    assert code == 1
    assert "cannot be read here (No such file or directory): resume the run where it can" in stderr
    assert "1 source not begun; to go on: python -m generation.bulk resume moved" in stdout
    (tmp_path / "elsewhere").rename(source)
    assert run_command(environment, "resume", "moved")[0] == 0
