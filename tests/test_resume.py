"""Jobs that begin again: killed at chance points, and run on a codebase of which little has changed.

Each run of the first test is a process of its own, forked from a server that has the libraries loaded, so that a run
takes a fraction of a second; what it does is `run_job`, against the loopback OpenAI server and a folder or a bucket.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from generation.config import VOCABULARY_DIR, Settings
from generation.errors import InputError
from generation.results.checkpoint import MAX_UNSAVED
from generation.storage import lease
from generation.storage.keys import job_lease_key
from tests.conftest import TABLES
from tests.loopback.openai import Behaviour, RunningServer, running
from tests.loopback.s3 import MotoS3
from tests.support.contexts import SEED, item, payload
from tests.support.forked_job import JOB_ID, document
from tests.support.jobs import run_job_to_dict
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.worker_process import FORKS

KEY = "sk-loopback-key-that-nobody-may-see"
NAME = r"(?m)^Name: (.+)$"
# `make test-kills` sets a larger number.
KILLS = int(os.environ.get("KILLS", "60"))
SYMBOLS = 60
AT_ONCE = 5
MAX_BOUGHT_PER_RUN = 15

Json = dict[str, Any]


def behaviour(**changes: Any) -> Behaviour:
    return Behaviour(**{"latency_mean_s": 0.01, "marker": NAME, "count_by": "characters", **changes})


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running(behaviour()) as server:
        yield server


def environment(server: RunningServer, folder: Path, **more: str) -> dict[str, str]:
    settings = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url, "RESULTS_DIR": str(folder)}
    return {**settings, "MAX_CONCURRENT_REQUESTS": str(AT_ONCE), "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR), **more}


def bought(server: RunningServer) -> Counter[str]:
    return Counter(server.bill()["bought"])


def saved(job_id: str, folder: Path, s3: MotoS3 | None) -> set[str]:
    """The names of the symbols that a job's segments hold; the last line may be broken."""
    if s3:
        keys = s3.keys()
        texts = [s3.get(key) for key in keys if key.startswith(f"checkpoints/{job_id}/") and key.endswith(".jsonl")]
    else:
        texts = [path.read_bytes() for path in folder.glob(f"checkpoints/{job_id}/*.jsonl")]
    lines = [line for text in texts for line in text.splitlines(keepends=True) if line.endswith(b"\n")]
    return {json.loads(line)["symbol_id"].partition(":")[2] for line in lines}


class Killed:
    """A job of which every run but the last is killed, and what it has bought twice."""

    def __init__(self, number: int, server: RunningServer, folder: Path, s3: MotoS3 | None) -> None:
        self.job_id = f"job-{number}"
        self.names = [f"symbol_{place}_of_{number}" for place in range(SYMBOLS)]
        self.payload = {"job_id": self.job_id, "symbols": [item(name) for name in self.names]}
        self.settings = environment(server, folder, **(s3.environment() if s3 else {}))
        self._server, self._folder, self._s3 = server, folder, s3
        self.lost = 0

    def bought(self) -> Counter[str]:
        every = bought(self._server)
        return Counter({name: every[name] for name in self.names if name in every})

    def run_and_kill(self, symbols: int) -> None:
        """Run the job until it has bought so many symbols more, and kill it."""
        saved_before, bought_before = saved(self.job_id, self._folder, self._s3), self.bought()
        goal = bought_before.total() + symbols
        # No more are sold until the process is dead, however long that takes.
        self._server.set_behaviour(behaviour(hold_after=bought(self._server).total() + symbols))
        process = FORKS.Process(target=document, args=(self.payload, self.settings))
        process.start()
        wait_until(lambda: self.bought().total() >= goal, "so many symbols to be bought")
        process.kill()
        process.join(LIMIT_S)
        self._server.wait_until_idle()
        bought_now = self.bought()
        assert {name for name in saved_before if bought_now[name] > bought_before[name]} == set()
        kept = saved(self.job_id, self._folder, self._s3) - saved_before
        lost = bought_now.total() - bought_before.total() - len(kept)
        assert 0 <= lost <= AT_ONCE + MAX_UNSAVED
        self.lost += lost

    def finish(self) -> None:
        """Run the job to its end: everything is documented, and what was saved was not bought again."""
        self._server.set_behaviour(behaviour())
        output = document(self.payload, self.settings)
        assert output["status"] == "success"
        assert [one["symbol_id"].partition(":")[2] for one in output["documented_symbols"]] == self.names
        assert set(self.bought()) == set(self.names)
        assert self.bought().total() == SYMBOLS + self.lost


@pytest.mark.slow
@pytest.mark.timeout(300 + 2 * KILLS)
@pytest.mark.parametrize("store", ["folder", "bucket"])
def test_kills_at_chance_points_cost_what_was_in_flight_and_five_symbols(
    server: RunningServer, tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    """However often it is killed, a job documents every symbol, and buys again only what no segment could hold yet."""
    s3: MotoS3 | None = request.getfixturevalue("moto") if store == "bucket" else None
    chance = random.Random(SEED)  # noqa: S311 - no secret
    kills, jobs = 0, list[Killed]()
    while kills < KILLS // 2:
        jobs.append(job := Killed(len(jobs), server, tmp_path, s3))
        while kills < KILLS // 2 and job.bought().total() - job.lost <= SYMBOLS - MAX_BOUGHT_PER_RUN - AT_ONCE:
            job.run_and_kill(chance.randint(0, MAX_BOUGHT_PER_RUN))
            kills += 1
        job.finish()
    lost = sum(job.lost for job in jobs)
    TABLES.append(f"{kills} kills with a {store}: {lost} of {SYMBOLS * len(jobs)} symbols bought twice")


def changed(job_input: Json, places: Iterable[int]) -> Json:
    """The same input with other bodies of some symbols."""
    again: Json = json.loads(json.dumps(job_input))
    for place in places:
        again["symbols"][place]["context"]["source_code"] += "\n    # mended"
    return again


def test_five_changed_of_320_buy_five(server: RunningServer, tmp_path: Path) -> None:
    """Named in previous_results_key, earlier results spare all symbols but those that have changed."""
    first, settings = payload(320), environment(server, tmp_path)
    document({**first, "job_id": "monday"}, settings)
    server.reset()
    places = [3, 77, 150, 200, 319]
    second = {**changed(first, places), "job_id": "tuesday", "previous_results_key": "results/monday.json"}

    output = document(second, settings)

    names = {first["symbols"][place]["context"]["name"] for place in places}
    assert bought(server) == dict.fromkeys(names, 1)
    sources = Counter(one["source"] for one in output["documented_symbols"])
    assert sources == {"previous": 315, "model": 5}
    assert sum(one["tokens_used"] for one in output["documented_symbols"] if one["source"] == "previous") == 0
    bill = server.bill()
    assert output["total_tokens"] == bill["input_tokens"] + bill["output_tokens"]
    assert output["removed"] == []


def test_a_changed_callee_does_not_buy_its_callers_again(server: RunningServer, tmp_path: Path) -> None:
    """With callees first, callers stay as they are when only the summary of what they call has become another."""
    first, settings = payload(12), environment(server, tmp_path)
    document({**first, "job_id": "monday"}, settings)
    server.reset()
    place = next(number for number, one in enumerate(first["symbols"]) if one["context"]["name"] == "find_article")
    assert any("find_article" in one["context"]["calls"] for one in first["symbols"])
    second = {**changed(first, [place]), "job_id": "tuesday", "previous_results_key": "results/monday.json"}

    document(second, settings)

    assert bought(server) == {"find_article": 1}


def test_a_symbol_that_gains_a_caller_is_bought_again_and_one_that_moves_in_rank_is_not(
    server: RunningServer, tmp_path: Path
) -> None:
    """Callers are in the prompt and decide; centrality, which moves for all symbols at once, does not."""
    first, settings = payload(12), environment(server, tmp_path)
    document({**first, "job_id": "monday"}, settings)
    server.reset()
    second: Json = json.loads(json.dumps(first))
    for number, one in enumerate(second["symbols"]):
        one["context"]["centrality"] = round(number / 100, 2)
    second["symbols"][0]["context"]["called_by"].append("new_caller")

    document({**second, "job_id": "tuesday", "previous_results_key": "results/monday.json"}, settings)

    assert bought(server) == {first["symbols"][0]["context"]["name"]: 1}


def test_symbols_that_are_gone_are_listed(server: RunningServer, tmp_path: Path) -> None:
    """What the earlier results have and the job has not is `removed`, in their order; a failed symbol is not gone."""
    first, settings = payload(12), environment(server, tmp_path)
    document({**first, "job_id": "monday"}, settings)
    kept = [*first["symbols"][:3], *first["symbols"][5:]]
    kept[0] = {"symbol_id": kept[0]["symbol_id"], "context": "none"}

    output = document({"symbols": kept, "job_id": "tuesday", "previous_results_key": "results/monday.json"}, settings)

    assert output["removed"] == [one["symbol_id"] for one in first["symbols"][3:5]]
    assert output["failed_count"] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "names nothing"), ("[]", "names no results document"), ("{", "names no results document")],
)
def test_previous_results_that_are_none_stop_the_job_before_it_pays(
    server: RunningServer, tmp_path: Path, text: str | None, words: str
) -> None:
    """A key that names nothing, or something else, is one sentence: to go on would pay for everything."""
    if text is not None:
        (tmp_path / "monday.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"previous_results_key: results/monday.json {words}"):
        document({**payload(3), "previous_results_key": "results/monday.json"}, environment(server, tmp_path))
    assert bought(server) == {}


def test_the_same_job_again_pays_nothing_and_says_what_was_paid(server: RunningServer, tmp_path: Path) -> None:
    """Sent again under its id a job has the same summaries and totals, and all of it was paid before."""
    settings = environment(server, tmp_path)
    first = document(payload(24), settings)
    again = document(payload(24), settings)
    assert bought(server).total() == 24
    assert again["documented_symbols"] == first["documented_symbols"]
    assert (again["total_tokens"], again["total_cost"]) == (first["total_tokens"], first["total_cost"])
    assert first["paid_before"] == {"symbols": 0, "total_tokens": 0, "total_cost": 0.0}
    paid = {"symbols": 24, "total_tokens": first["total_tokens"], "total_cost": first["total_cost"]}
    assert again["paid_before"] == paid


def plain(symbols: int) -> Json:
    """A payload of symbols whose first summaries pass every check, so that each is bought once."""
    return {"symbols": [item(f"symbol_{number}") for number in range(symbols)]}


def test_a_job_that_is_delivered_twice_at_once_is_bought_once(server: RunningServer, tmp_path: Path) -> None:
    """The second run waits for the first, and both answer with the same summaries; the second has paid nothing."""
    settings = Settings.from_env(environment(server, tmp_path))

    async def run_both() -> list[Json]:
        job = {"job_id": "twice", **plain(24)}
        runs = [run_job_to_dict(job, settings, default_job_id="-", emit=lambda _: None) for _ in range(2)]
        return await asyncio.gather(*runs)

    outputs = asyncio.run(run_both())

    assert set(bought(server).values()) == {1}
    assert outputs[0]["documented_symbols"] == outputs[1]["documented_symbols"]
    assert sorted(one["paid_before"]["symbols"] for one in outputs) == [0, 24]
    assert list((tmp_path).glob("checkpoints/*/*")) == []


def test_a_run_that_was_taken_over_buys_nothing_more(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps what was in flight, fails the rest as `lease_lost`, and answers with what the store has in the end."""
    monkeypatch.setattr(lease, "JOB_TTL_S", 0.6)
    server.set_behaviour(behaviour(hold_after=10))
    settings = Settings.from_env(environment(server, tmp_path))

    async def main() -> Json:
        job = asyncio.create_task(run_job_to_dict(plain(40), settings, default_job_id=JOB_ID, emit=lambda _: None))
        await asyncio.to_thread(wait_until, lambda: bought(server).total() >= 10, "ten to be bought")
        (tmp_path / job_lease_key(JOB_ID)).write_text('{"token": "of another"}', encoding="utf-8")
        # The task that renews the lease ends when it finds another's.
        (renewing,) = (task for task in asyncio.all_tasks() if task.get_name().startswith("lease of"))
        await asyncio.wait([renewing])
        server.set_behaviour(behaviour())
        return await job

    output = asyncio.run(main())

    assert {one["failure"] for one in output["failed_symbols"]} == {"lease_lost"}
    assert output["documented_count"] == bought(server).total() <= 10 + AT_ONCE
    assert any(f"send it again as {JOB_ID}" in text for text in output["warnings"])
    again = document(plain(40), environment(server, tmp_path))
    assert again["status"] == "success"
    assert set(bought(server).values()) == {1}


def test_a_refusal_is_not_asked_again_and_a_time_out_is(server: RunningServer, tmp_path: Path) -> None:
    """Of what failed, a second run asks for what may pass, and counts what it had cost."""
    settings = environment(server, tmp_path, MAX_RETRIES="0")
    refused, broken = (item(name) for name in ("refused", "broken"))
    script = [{"fault": "refusal", "contains": "Name: refused"}, {"fault": "wrong_schema", "contains": "Name: broken"}]
    server.set_behaviour(Behaviour(fault_script=script, marker=NAME, count_by="characters"))
    first = document({"symbols": [refused, broken]}, settings)
    server.set_behaviour(Behaviour(fault_script=script[:1], marker=NAME, count_by="characters"))

    again = document({"symbols": [refused, broken]}, settings)

    assert {one["failure"] for one in first["failed_symbols"]} == {"refused", "bad_answer"}
    assert {one["failure"] for one in again["failed_symbols"]} == {"refused"}
    assert bought(server) == {"refused": 1, "broken": 2}
    bill = server.bill()
    assert again["total_tokens"] == bill["input_tokens"] + bill["output_tokens"]


def test_callers_that_are_left_learn_what_was_documented_before(server: RunningServer, tmp_path: Path) -> None:
    """A resumed job puts the summaries of callees that an earlier run has documented into their callers' prompts."""
    settings = environment(server, tmp_path)
    callee, caller = item("check_discount"), item("order_total")
    document({"symbols": [callee]}, settings)
    server.set_behaviour(Behaviour(marker=NAME, count_by="characters", keep_requests=True))
    document({"symbols": [callee, caller]}, settings)
    (request,) = server.requests
    assert "Documented before, of what it calls:\n- check_discount: Handles" in json.dumps(request).replace("\\n", "\n")
