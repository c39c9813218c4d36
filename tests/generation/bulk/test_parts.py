"""The parts of bulk runs: how shards are cut, what an attempt means, what may be spent, at what rate calls leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from generation.bulk.engines.budget import MIN_RESERVATION_USD, RunBudget
from generation.bulk.engines.outcomes import FATAL, TRANSIENT, AttemptResult, NextStep, judge, read_shard_results
from generation.bulk.engines.runpod.api import Rate, RunPodApi
from generation.bulk.engines.runpod.engine import counts_of, result_of
from generation.bulk.engines.runpod.settings import RunPodSettings
from generation.bulk.engines.runpod.submissions import Submission, Submissions
from generation.bulk.manifest import Run, Source, load_run, save_new_run
from generation.bulk.merge import Header, Merger
from generation.bulk.partition import Entry, partition
from generation.domain.catalogue import Pricing
from generation.domain.usage import Counts
from generation.errors import StorageError, Unreachable
from generation.results.reuse import read_results
from generation.storage.folder import FolderStorage
from tests.conftest import run_on_invented_time
from tests.loopback.queue import Rules, running_queue
from tests.support.waiting import ManualClock

ENTRIES = st.lists(st.tuples(st.sampled_from(["", "a", "b", "c"]), st.sampled_from("xyz")), max_size=60).map(
    lambda pairs: [Entry(position, cluster, file) for position, (cluster, file) in enumerate(pairs)]
)


@given(ENTRIES, st.integers(1, 12))
def test_every_symbol_is_in_one_shard(entries: list[Entry], size: int) -> None:
    """Shards hold every symbol once, none is too large or empty, and each is in the order of the source."""
    shards = partition(entries, size)
    assert sorted(position for shard in shards for position in shard) == list(range(len(entries)))
    assert all(0 < len(shard) <= size for shard in shards)
    assert all(shard == sorted(shard) for shard in shards)


@given(ENTRIES, st.integers(1, 12))
def test_clusters_that_fit_stay_together(entries: list[Entry], size: int) -> None:
    """A cluster that fits into a shard is in one, and shards are so full that two neighbours never fit together."""
    shards = partition(entries, size)
    where = {position: number for number, shard in enumerate(shards) for position in shard}
    for cluster in "abc":
        members = [entry.position for entry in entries if entry.cluster == cluster]
        assert len(members) > size or len({where[position] for position in members}) <= 1
    assert len(shards) <= 2 * -(-len(entries) // size)


def results(documented: int, *failures: str) -> bytes:
    failed = [{"symbol_id": "s", "failure": failure, "message": f"of {failure}"} for failure in failures]
    rest = {"total_tokens": 7, "total_cost": 0.5, "model": "m"}
    return json.dumps({"documented_symbols": [{}] * documented, "failed_symbols": failed, **rest}).encode()


@pytest.mark.parametrize(
    ("told", "failures", "course"),
    [
        (AttemptResult("completed"), (), NextStep.DONE),
        (AttemptResult("completed"), ("refused", "bad_answer", "invalid_symbol"), NextStep.DONE),
        *((AttemptResult("completed"), ("refused", failure), NextStep.AGAIN) for failure in sorted(TRANSIENT)),
        (AttemptResult("completed"), ("cost_cap_reached",), NextStep.AGAIN),
        (AttemptResult("completed"), ("timeout", "no_quota"), NextStep.STOP),
        (AttemptResult("completed"), None, NextStep.AGAIN),
        (AttemptResult("unknown"), None, NextStep.AGAIN),
        (AttemptResult("unknown"), (), NextStep.DONE),
        (AttemptResult("timed_out"), None, NextStep.AGAIN),
        (AttemptResult("cancelled"), None, NextStep.AGAIN),
        (AttemptResult("failed"), None, NextStep.AGAIN),
        (AttemptResult("failed", "internal", "a fault"), None, NextStep.AGAIN),
        (AttemptResult("failed", "storage", "no contexts"), None, NextStep.AGAIN),
        (AttemptResult("failed", "bad_input", "wrong"), None, NextStep.FAILED),
        (AttemptResult("failed", "estimate_above_cap", "dear"), None, NextStep.AGAIN),
        *((AttemptResult("failed", failure, "see"), None, NextStep.STOP) for failure in sorted(FATAL)),
    ],
)
def test_what_an_attempt_means(told: AttemptResult, failures: Sequence[str] | None, course: NextStep) -> None:
    """By how a job ended and what results it left a shard is done, sent again, failed, or stops the run."""
    reading = None if failures is None else read_shard_results(results(2, *failures))
    decision = judge(told, reading)
    assert decision.next_step is course
    assert course is NextStep.DONE or decision.sentence


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"documented_symbols": 3}', b"\xff"])
def test_what_is_no_results_document_is_none(body: bytes) -> None:
    """A shard whose results cannot be read has none."""
    assert read_shard_results(body) is None


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"status": "IN_QUEUE"}, None),
        ({"status": "IN_PROGRESS", "output": {"payload": {}}}, None),
        ({"status": "COMPLETED", "output": {"status": "success"}}, AttemptResult("completed")),
        (
            {"status": "FAILED", "error": "no", "output": {"failure": "no_quota"}},
            AttemptResult("failed", "no_quota", "no"),
        ),
        ({"status": "FAILED", "error": {"odd": 1}, "output": []}, AttemptResult("failed")),
        ({"status": "TIMED_OUT"}, AttemptResult("timed_out")),
    ],
)
def test_what_status_tells(status: dict[str, Any], told: AttemptResult | None) -> None:
    """The end of a job is read from /status, whatever form its output has."""
    assert result_of(status) == told


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {"completed": 1},
        {"completed": 1, "failed": 0, "total_tokens": 10**400, "total_cost": 0.5},
        {"completed": 1, "failed": 0, "total_tokens": 9, "total_cost": float("inf")},
        {"completed": 1, "failed": 0, "total_tokens": 9, "total_cost": 10**400},
        {"completed": [], "failed": 0, "total_tokens": 9, "total_cost": "n/a"},
    ],
)
def test_a_snapshot_that_makes_no_sense_is_none(payload: Any) -> None:
    """Progress with counts or costs that no job has is left out; one that makes sense is read."""
    good = {"completed": 2, "failed": 1, "total_tokens": 9, "total_cost": 0.5}
    assert counts_of({"payload": payload}) is None
    assert counts_of({"payload": good}) == Counts(2, 1, 9, 0.5)


def test_a_page_of_something_between_is_not_runpods_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a proxy, whatever their status, and broken replies neither lose a job nor refuse the key."""
    monkeypatch.setattr("generation.bulk.engines.runpod.api.FIRST_BACKOFF_S", 0.0)
    replies = [(404, "text/html", b"<html>"), (403, "text/html", b"<html>"), (200, "application/json", b"\xff")]
    good = json.dumps({"id": "job-1", "status": "IN_PROGRESS"}).encode()

    async def answer(request: web.Request) -> web.Response:
        status, kind, body = replies.pop(0) if replies else (200, "application/json", good)
        return web.Response(status=status, body=body, content_type=kind)

    async def ask() -> list[Any]:
        application = web.Application()
        application.router.add_route("*", "/{any:.*}", answer)
        async with TestServer(application) as server, aiohttp.ClientSession() as session:
            given = {"RUNPOD_API_KEY": "k", "RUNPOD_ENDPOINT_ID": "ep", "RUNPOD_API_URL": str(server.make_url("/v2"))}
            api = RunPodApi(RunPodSettings.from_env(given), session)
            found: list[Any] = [await api.status("job-1"), await api.status("job-1")]
            replies.append((403, "text/html", b"<html>"))
            with pytest.raises(Unreachable):
                await api.submit({}, None)
            replies.append((200, "application/json", b'{"id": "../job"}'))
            with pytest.raises(Unreachable) as caught:
                await api.submit({}, None)
            return [*found, caught.value.maybe_accepted]

    assert asyncio.run(ask()) == [{}, json.loads(good), True]


def test_a_purse_grants_no_more_than_its_cap() -> None:
    """Grants and what is spent stay below the cap; what a shard leaves of its grant goes to the next."""
    budget = RunBudget(1.0)
    assert budget.reserve("a", 0.4) == 0.8
    assert budget.reserve("b", 0.4) == 0
    budget.record_cost("a", 0.3)
    assert budget.reserve("b", 0.4) == pytest.approx(0.7)
    budget.record_cost("b", 0.65)
    assert budget.reserve("a", 0.01) == pytest.approx(0.35)
    assert budget.reserve("c", 0.0501) == 0
    assert RunBudget(None).reserve("a", 5.0) is None
    assert RunBudget(0.05).reserve("a", 0.05) == 0.05
    assert RunBudget(0.05).reserve("a", 0.050001) == 0
    assert RunBudget(1.0).reserve("a", 0.001) == MIN_RESERVATION_USD


def test_a_rate_holds_in_every_window() -> None:
    """However calls come, no window of ten seconds has more of them than the rate, and none waits without need."""

    async def call_all() -> list[float]:
        loop = asyncio.get_running_loop()
        rate = Rate(5, 2, now_s=loop.time)
        begun: list[float] = []

        async def call() -> None:
            async with rate.place():
                begun.append(loop.time())
                await asyncio.sleep(0.5)

        await asyncio.gather(*(call() for _ in range(14)))
        return begun

    begun = run_on_invented_time(call_all())
    assert len(begun) == 14
    assert all(later - first > 10.0 for first, later in zip(begun, begun[5:], strict=False))
    assert begun[4] - begun[0] == pytest.approx(1.0, abs=0.01)
    assert begun[13] - begun[0] < 22.0


async def submit_and_look(url: str, rates: Mapping[str, Rate]) -> Sequence[Mapping[str, Any] | None]:
    """What is known of each of 50 jobs, asked for twice; everything at once, as far as the rates allow it."""
    given = {"RUNPOD_API_KEY": "k", "RUNPOD_ENDPOINT_ID": "ep", "RUNPOD_API_URL": url.rpartition("/")[0]}
    async with aiohttp.ClientSession() as session:
        api = RunPodApi(RunPodSettings.from_env(given), session, rates)
        ids = await asyncio.gather(*(api.submit({"number": number}, None) for number in range(50)))
        return await asyncio.gather(*(api.status(runpod_id) for runpod_id in ids * 2))


def test_calls_keep_to_the_queues_rates() -> None:
    """A burst of submissions and looks is never refused by a queue that enforces RunPod's rates, scaled down."""
    clock = ManualClock()

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    # One at a time: a call that is late would otherwise count in the queue's next window.
    rates = {"run": Rate(20, 1, clock, sleep), "status": Rate(40, 1, clock, sleep)}
    with running_queue(rules=Rules(rates={"run": (20, 1), "status": (40, 1)}), clock_s=clock) as queue:
        statuses = asyncio.run(submit_and_look(queue.url, rates))
        calls = queue.calls()
    assert calls == {"run 200": 50, "status 200": 100}
    assert all(status and status["status"] == "IN_QUEUE" for status in statuses)


def test_no_more_calls_are_under_way_than_the_queue_allows() -> None:
    """However slow the answers, so many calls are under way at once and no more."""
    rates = {"run": Rate(1_000, 5), "status": Rate(1_000, 8)}
    with running_queue(rules=Rules(rates={"run": (1_000, 5), "status": (1_000, 8)}, answer_delay_s=0.01)) as queue:
        asyncio.run(submit_and_look(queue.url, rates))
        calls, at_once = queue.calls(), queue.most_at_once()
    assert calls == {"run 200": 50, "status 200": 100}
    assert at_once["run"] <= 5
    assert at_once["status"] <= 8


def test_submissions_are_found_again(tmp_path: Path) -> None:
    """Marks tell of the newest attempt of each shard, with its id where RunPod gave one."""

    async def mark() -> list[Submission | None]:
        storage = FolderStorage(tmp_path)
        first = Submissions(storage, "run")
        await first.begin("run.0.1", 1)
        await first.accepted("run.0.1", 1, "abc-u1")
        await first.begin("run.0.1", 2)
        await first.begin("run.0.2", 1)
        await first.accepted("run.0.2", 1, "def-u1")
        await first.begin("run.0.3", 1)
        await first.forget("run.0.3")
        second = Submissions(storage, "run")
        await second.load()
        assert second.runpod_ids() == ["def-u1"]
        return [second.newest(f"run.0.{number}") for number in (1, 2, 3)]

    assert asyncio.run(mark()) == [Submission(2), Submission(1, "def-u1"), None]


def test_a_manifest_of_another_version_is_refused(tmp_path: Path) -> None:
    """A run is read as it was written, one that exists is not replaced, and what is none is one sentence."""

    async def look() -> None:
        storage = FolderStorage(tmp_path)
        run = Run("r", "local", (Source(0, "a", "/a.json", True),), {"model": "offline"}, max_cost_usd=2.5)
        assert await save_new_run(storage, run)
        assert not await save_new_run(storage, run)
        assert await load_run(storage, "r") == run
        assert await load_run(storage, "other") is None
        await storage.write("bulk/r/manifest.json", b'{"name": "r"}')
        with pytest.raises(StorageError, match="no manifest of this version"):
            await load_run(storage, "r")

    asyncio.run(look())


def test_merged_results_are_a_jobs_results() -> None:
    """Records in any order become a document with every symbol once, in order, whose totals are their sum."""
    merger = Merger()
    usage = {"input_tokens": 1_000, "output_tokens": 100, "requests": 1}
    checks = {"passed": [], "findings": [{"check": "identifiers", "hard": False, "reason": "x"}]}
    documented = {"symbol_id": "b", "summary": "Does b.", "tokens_used": 1_100, "source": "model", "usage": usage}
    merger.add(1, {**documented, "checks": checks, "content_hash": "h"})
    merger.add(2, {"symbol_id": "c", "file_path": "f", "failure": "refused", "message": "no", "usage": usage})
    merger.add(0, {"symbol_id": "a", "summary": "Does a.", "tokens_used": 0, "source": "previous"})
    merger.add(1, {**documented, "summary": "Comes too late."})
    body, summary = merger.merged(Header("run/source", "gpt-5-nano", Pricing(1.0, 0.1, 10.0), removed=("gone",)))
    document = json.loads(body)
    assert [one["summary"] for one in document["documented_symbols"]] == ["Does a.", "Does b."]
    assert (document["status"], document["documented_count"], document["failed_count"]) == ("partial", 2, 1)
    assert (document["total_tokens"], document["total_cost"]) == (2_200, 0.004)
    assert document["checks"] == {"checked": 1, "passed_all": 0, "rejected": 0, "findings": {"identifiers": 1}}
    assert document["removed"] == ["gone"]
    assert (summary.documented, summary.taken_over, summary.failures) == (2, 1, {"refused": 1})
    read = read_results(body)
    assert read
    assert read.records["b"].content_hash == "h"
