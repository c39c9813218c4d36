"""`doctown bulk`: a job for each repository of a list, resumable and capped, with an index that says what is stale."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from doctown.__main__ import main
from doctown.bulk import engines
from doctown.bulk.command import run_bulk
from doctown.bulk.inputs import read_lists
from doctown.bulk.run import RepositoryRun, Request
from doctown.bulk.state import State
from doctown.commands import bulk as bulk_command
from doctown.errors import ConfigError
from doctown.jobs import Caches
from doctown.repository import address
from generation import Settings, open_storage
from tests.doctown.repository.repositories import git, make_repository, write_files
from tests.loopback.git_http import GitServer, running_git_server
from tests.loopback.openai import Behaviour, RunningServer, running
from tests.loopback.queue import LoopbackQueue, running_queue
from tests.loopback.s3 import MotoS3
from tests.support.waiting import wait_until
from tests.support.worker_process import running_worker

KEY = "sk-loopback-key-that-nobody-may-see"
RUNPOD_KEY = "rpa_loopback-key-that-nobody-may-see"
BEHAVIOUR = Behaviour(marker=r"(?m)^Name: (.+)$", count_by="characters")
NAMES = ("one", "two", "three")

Json = dict[str, Any]


class World(NamedTuple):
    """Three repositories of two functions each, a model, a folder as the store, and a list."""

    git: GitServer
    openai: RunningServer
    folder: Path
    environ: dict[str, str]

    @property
    def list(self) -> Path:
        return self.folder / "repos.txt"

    def url(self, name: str) -> str:
        return f"{self.git.url}/open/{name}"

    def write_list(self, *lines: str) -> None:
        self.list.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def bulk(self, *arguments: str, via: str = "local") -> int:
        options = ("--option", "embeddings=words", "--no-cache", "--via", via)
        return main(["bulk", str(self.list), *options, *arguments], self.environ)

    def bought(self) -> Counter[str]:
        return Counter(self.openai.bill()["bought"])

    def packs(self) -> Mapping[str, Json]:
        """The index's entries by the name of the repository."""
        index: Json = json.loads((self.folder / "store/docpacks/index.json").read_bytes())
        return {entry["url"].rpartition("/")[2]: entry for entry in index["packs"].values()}

    def change(self, name: str, text: str) -> None:
        write_files(self.folder / f"repositories/{name}", {f"{name}.py": text})
        git(self.folder / f"repositories/{name}", "commit", "--quiet", "--all", "--message=next")


def functions(name: str, value: int = 1) -> str:
    return f"def {name}_a():\n    return {value}\n\ndef {name}_b():\n    return {name}_a()\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    for name in NAMES:
        make_repository(tmp_path / f"repositories/{name}", {f"{name}.py": functions(name)})
    with running_git_server(tmp_path / "repositories", tls=True) as server, running(BEHAVIOUR) as openai:
        environ = {
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": server.ca_bundle,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": openai.base_url,
            "GIT_HOSTS": server.url.removeprefix("https://"),
            "GIT_PRIVATE_NETWORKS": "127.0.0.1/32",
            "RESULTS_DIR": str(tmp_path / "store"),
        }
        world = World(server, openai, tmp_path, environ)
        world.write_list(*map(world.url, NAMES))
        yield world


def test_each_repository_has_its_pack_and_only_what_has_changed_is_built_again(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A first run builds all, the next nothing, and after a change the one that has changed; the index tells of all."""
    assert world.bulk() == 0
    assert set(world.bought().values()) == {1}
    assert len(world.bought()) == 6
    first = world.packs()
    assert {name: (one["status"], one["is_stale"], one["counts"]["documented"]) for name, one in first.items()} == (
        dict.fromkeys(NAMES, ("success", False, 2))
    )
    for one in first.values():
        assert (world.folder / "store" / one["docpack"]["key"]).stat().st_size == one["docpack"]["bytes"]
        assert one["total_cost"] == one["total_cost_so_far"] > 0
    world.openai.reset()
    assert world.bulk() == 0
    assert capsys.readouterr().out.count("unchanged") == 4
    world.change("two", functions("two", value=2))
    assert world.bulk() == 0
    assert world.bought() == {"two_a": 1}
    after = world.packs()
    assert after["two"]["commit"] != first["two"]["commit"]
    assert {name: after[name]["built_at"] for name in ("one", "three")} == {
        name: first[name]["built_at"] for name in ("one", "three")
    }
    assert after["two"]["total_cost_so_far"] > after["two"]["total_cost"] > 0


def test_a_repository_that_fails_is_named_with_its_cause_and_touches_no_other(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A repository that is not there, a line that is wrong and one that is twice fail alone; the rest is built."""
    world.write_list(
        "# ours",
        world.url("one"),
        world.url("none"),
        "",
        json.dumps({"url": world.url("two"), "ref": "main"}),
        json.dumps({"url": world.url("three"), "branch": "main"}),
        f"{world.url('one')}@main",
        "https://someone:a-secret@github.com/owner/repo",
    )
    assert world.bulk("--json") == 1
    said = capsys.readouterr()
    assert "a-secret" not in said.out + said.err
    records = [json.loads(line) for line in said.out.splitlines()]
    found = {one["place"]: one for one in records if one["event"] == "repository"}
    assert {place: one["status"] for place, one in found.items()} == {
        "repos.txt:2": "success",
        "repos.txt:3": "failed",
        "repos.txt:5": "success",
        "repos.txt:6": "failed",
        "repos.txt:7": "failed",
        "repos.txt:8": "failed",
    }
    assert found["repos.txt:3"]["failure"] == "bad_source"
    assert "not there or is private" in found["repos.txt:3"]["message"]
    assert "input.repository.branch is not a key that is known here" in found["repos.txt:6"]["message"]
    assert "repos.txt:2" in found["repos.txt:7"]["message"]
    assert world.packs()["none"]["failure"] == "bad_source"
    assert world.packs()["none"]["is_stale"]
    assert len(world.bought()) == 4
    assert records[-1]["event"] == "summary"
    assert (records[-1]["success"], records[-1]["failed"], records[-1]["left"]) == (2, 4, 0)
    figures = records[-1]["figures"]
    assert (figures["jobs"]["success"], figures["requests"]["answered"], figures["cost_usd"]) == (
        2,
        4,
        records[-1]["spent_usd"],
    )
    assert figures["errors"]["fetch"] == {"bad_source": 1}


def test_a_repository_is_listed_and_indexed_once_in_every_spelling(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a host ignores case, another spelling is the same repository, also as an earlier version indexed it."""
    monkeypatch.setattr(address, "HOSTS_IGNORING_CASE", {world.git.url.removeprefix("https://")})
    world.write_list(world.url("one"), world.url("One"))
    assert world.bulk() == 1
    assert "it is listed already, at repos.txt:1" in capsys.readouterr().out
    index = world.folder / "store/docpacks/index.json"
    index.write_bytes(index.read_bytes().replace(b"open/one", b"open/One"))
    world.write_list(world.url("one"))
    assert world.bulk() == 0
    assert "unchanged" in capsys.readouterr().out
    assert [key.rpartition("/")[2] for key in json.loads(index.read_bytes())["packs"]] == ["One"]


def test_the_cap_holds_for_the_whole_run(world: World) -> None:
    """With a cap for one repository of two, one is whole with what the other leaves, which says what it misses."""
    cap_usd = 0.00028
    world.environ["MAX_COMPLETION_TOKENS"] = "64"
    world.write_list(world.url("one"), world.url("two"))
    assert world.bulk("--max-cost-usd", str(cap_usd)) == 1
    bill = world.openai.bill()
    spent_usd = (bill["input_tokens"] * 0.15 + bill["output_tokens"] * 0.60) / 1e6
    assert 0 < spent_usd <= cap_usd
    failures = [[one["failure"], *one.get("failures", {})] for one in world.packs().values()]
    assert len(failures) == 2
    assert failures.count([None]) == 1
    assert {code for codes in failures for code in codes} <= {None, "estimate_above_cap", "cost_cap_reached"}


def test_a_second_job_of_a_repository_does_not_spend_the_cap_once_more(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job that ends at its cap has a pack: the run's cap, sum and index count what it and the next one cost."""
    cap_usd = 0.00115
    world.environ.update(MAX_COMPLETION_TOKENS="400", MAX_CONCURRENT_REQUESTS="1")
    world.change("one", "".join(f"def f{n}():\n    return {n}\n\n" for n in range(12)))
    world.write_list(world.url("one"))
    script = ({"fault": "length", "contains": "Name: f1", "times": None},)
    world.openai.set_behaviour(replace(BEHAVIOUR, fault_script=script))
    assert world.bulk("--max-cost-usd", str(cap_usd), "--json") == 1
    bill = world.openai.bill()
    spent_usd = (bill["input_tokens"] * 0.15 + bill["output_tokens"] * 0.60) / 1e6
    assert 0 < spent_usd <= cap_usd
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["partial"] == 1
    assert summary["spent_usd"] == pytest.approx(spent_usd, abs=2e-6)
    entry = world.packs()["one"]
    assert "cost_cap_reached" in entry["failures"]
    assert entry["total_cost_so_far"] == pytest.approx(spent_usd, abs=2e-6)


def test_a_cap_that_is_used_up_ends_every_repository_that_is_left(world: World) -> None:
    """Nothing is bought, each repository has failed with the cap as its cause, and the run ends."""
    assert world.bulk("--max-cost-usd", "0.0000005") == 1
    assert world.bought() == {}
    assert {one["failure"] for one in world.packs().values()} == {"cost_cap_reached"}


def test_what_a_model_refuses_is_not_asked_again_every_night(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A pack with a refused symbol is as whole as it can be: the next run leaves it alone until its source changes."""
    world.write_list(world.url("one"))
    script = ({"fault": "refusal", "contains": "Name: one_a", "times": None},)
    world.openai.set_behaviour(replace(BEHAVIOUR, fault_script=script))
    assert world.bulk() == 1
    assert world.packs()["one"]["failures"] == {"refused": 1}
    asked = world.openai.bill()["requests"]
    assert world.bulk() == 0
    assert world.openai.bill()["requests"] == asked
    assert "one unchanged" in capsys.readouterr().out


def test_a_fault_of_the_account_ends_the_run_and_the_same_command_goes_on(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused key is asked once by each job under way; no repository has failed for it, and all are built later."""
    world.write_list(world.url("one"), world.url("two"))
    world.openai.set_behaviour(replace(BEHAVIOUR, fault_script=({"fault": "bad_key", "times": None},)))
    assert world.bulk("--in-flight", "1") == 1
    assert "the run has stopped: OPENAI_API_KEY was refused" in capsys.readouterr().err
    assert sum(world.openai.bill()["requests"].values()) <= 2
    world.openai.set_behaviour(BEHAVIOUR)
    assert world.bulk("--in-flight", "1") == 0
    assert set(world.bought().values()) == {1}
    assert len(world.bought()) == 4


def test_a_run_that_was_stopped_goes_on(world: World) -> None:
    """Stopped while it buys, the run of the same list does what is left; what was bought is not bought again."""
    settings = Settings.from_env(world.environ)
    options = {"embeddings": "words"}
    request = Request("stopped", read_lists([world.list], options), options, in_flight=1)

    def a_run() -> RepositoryRun:
        engine = engines.LocalEngine(settings, world.environ, Caches())

        async def look(_repository: Mapping[str, Any]) -> str | None:
            return None

        return RepositoryRun(request, open_storage(settings), engine, lambda *_: None, look)

    async def stopped() -> None:
        going = asyncio.create_task(a_run().go_on())
        await asyncio.to_thread(wait_until, lambda: world.bought().total() >= 3, "three to be bought")
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going

    world.openai.set_behaviour(replace(BEHAVIOUR, hold_after=3))
    asyncio.run(stopped())
    world.openai.set_behaviour(BEHAVIOUR)
    again = a_run()
    asyncio.run(again.go_on())
    assert [state.status for _, state in sorted(again.states.items())] == ["success"] * 3
    assert len(world.bought()) == 6
    assert world.bought().total() <= 6 + 1
    assert set(world.packs()) == set(NAMES)


def test_jobs_go_to_runpod_and_come_back_with_packs(world: World, moto: MotoS3) -> None:
    """The worker builds each repository by one job; what an earlier start has sent is awaited and not sent again."""
    world.write_list(world.url("one"), world.url("two"))
    with running_queue(api_key=RUNPOD_KEY) as queue:
        world.environ.update(
            {
                **moto.environment(),
                "RUNPOD_API_KEY": RUNPOD_KEY,
                "RUNPOD_ENDPOINT_ID": "ep",
                "RUNPOD_API_URL": queue.url.rpartition("/")[0],
            }
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_CA_BUNDLE", moto.ca_bundle)
            patch.setattr(engines, "FIRST_LOOK_S", 0.05)
            asyncio.run(killed_once_it_has_sent(world, queue))
            with running_worker({**world.environ, **queue.environment()}):
                assert world.bulk(via="runpod") == 0
                assert queue.health()["jobs"]["completed"] == 2
        assert len(world.bought()) == 4
        assert set(world.bought().values()) == {1}
        packs = [key for key in moto.keys() if key.endswith(".docpack")]  # noqa: SIM118 - no mapping
        assert len(packs) == 2


async def killed_once_it_has_sent(world: World, queue: LoopbackQueue) -> None:
    """Start the run with no worker there, and end it when its state says that both jobs are sent."""
    arguments = argparse.ArgumentParser()
    bulk_command.add_arguments(arguments)
    options = [str(world.list), "--option", "embeddings=words", "--no-cache", "--via", "runpod"]
    going = asyncio.create_task(run_bulk(arguments.parse_args(options), world.environ))
    storage = open_storage(Settings.from_env(world.environ))

    async def sent() -> int:
        keys = [key for key in await storage.list_keys("bulk/") if "/repositories/" in key]
        states = [await storage.read(key) for key in keys]
        return sum(state is not None and b'"runpod_id":null' not in state.body for state in states)

    while await sent() < 2:  # noqa: ASYNC110 - the store tells nobody
        await asyncio.sleep(0.02)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    assert queue.health()["jobs"]["inQueue"] == 2


def test_a_list_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    cases = [(b"# nothing\n", "has no repositories"), (b"\xff\xfe", "is not UTF-8"), (None, "cannot be read")]
    for content, words in cases:
        path = tmp_path / "list.txt"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=words):
            read_lists([path], {})


def test_the_state_of_a_repository_says_whether_it_has_ended() -> None:
    assert [State(status).has_ended for status in ("sent", "failed", "unchanged")] == [False, True, True]
