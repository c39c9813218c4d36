"""A run through the Batch API, the real client against the loopback server: what is bought, once, and what stays."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import resource
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generation.bulk.engines.batch import engine as batch_engine
from generation.bulk.engines.batch import store as store_module
from generation.bulk.engines.batch.api import Delays
from generation.bulk.engines.batch.engine import Limits
from generation.bulk.engines.batch.rows import NEW, Row, judge, next_state, read_lines
from generation.bulk.engines.batch.store import Part, PartStore
from generation.bulk.inputs import find_sources
from generation.bulk.manifest import Run, Summary, load_state
from generation.bulk.progress import Progress
from generation.config import Settings
from generation.domain.context import SymbolContext
from generation.domain.finding import Finding, Findings
from generation.domain.outcome import Documented, Failed, Symbol
from generation.domain.usage import Usage, cost_usd
from generation.errors import JobError, Stopped, StorageError, Taken
from generation.repairs import Review
from generation.storage.folder import FolderStorage
from tests.loopback.openai import BatchBehaviour, Behaviour, RunningServer, running
from tests.support.contexts import SEED, payload
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.worker_process import REPOSITORY_ROOT, running_process

NAME = r"(?m)^Name: (.+)$"
DELAYS = Delays(first_s=0.005, most_s=0.02, outage_s=5.0, queue_s=5.0)


def cheap(**batch: Any) -> Behaviour:
    return Behaviour(count_by="characters", marker=NAME, batch=BatchBehaviour(**batch))


def good(_body: Any, prompt: str) -> str:
    """A summary that no check finds fault with."""
    return json.dumps({"summary": f"Keeps the books of a shop in order, customer by customer, {len(prompt)} times."})


class Bulk:
    """A run of one folder of sources, started as often as a test likes."""

    def __init__(self, server: RunningServer, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.environment = {
            "OPENAI_API_KEY": "sk-loopback",
            "OPENAI_BASE_URL": server.base_url,
            "RESULTS_DIR": str(folder / "results"),
            **{name.upper(): str(value) for name, value in settings.items()},
        }
        self.settings = Settings.from_env(self.environment)
        self.storage = FolderStorage(self.settings.results_dir)
        self.told: list[Progress] = []
        self.options: dict[str, Any] = {}

    def put(self, name: str, items: Sequence[Any]) -> None:
        file = self.folder / "sources" / f"{name}.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")

    async def manifest(self, name: str, previous: str | None = None, cap_usd: float | None = None) -> Run:
        sources = await find_sources([str(self.folder / "sources")], self.storage, previous)
        return Run(name, "batch", tuple(sources), self.options, shard_size=10, max_cost_usd=cap_usd)

    def run(  # noqa: PLR0913 - what a start may differ in
        self,
        name: str = "all",
        previous: str | None = None,
        cap_usd: float | None = None,
        limits: Limits = batch_engine.LIMITS,
        *,
        finish_now: bool = False,
        storage: FolderStorage | None = None,
    ) -> dict[str, Any]:
        async def main() -> None:
            run = await self.manifest(name, previous, cap_usd)
            start = batch_engine.run(
                run,
                storage or self.storage,
                self.settings,
                self.told.append,
                self.stopping,
                finish_now=finish_now,
                waits=DELAYS,
                limits=limits,
            )
            await asyncio.wait_for(start, LIMIT_S)

        self.stopping = asyncio.Event()
        asyncio.run(main())
        return self.document(name) if not self.stopping.is_set() else {}

    def stop_when(self, condition: Callable[[], bool]) -> None:
        """Let the next run be stopped at the first progress at which the condition holds."""
        bulk = self

        class UntilThen(list[Progress]):
            def append(self, progress: Progress) -> None:
                super().append(progress)
                if condition():
                    bulk.stopping.set()

        self.told = UntilThen()

    def cancel(self) -> dict[str, Any]:
        async def main() -> None:
            run = await self.manifest("all")
            start = batch_engine.cancel(run, self.storage, self.settings, self.told.append, waits=DELAYS)
            self.cancelled = await asyncio.wait_for(start, LIMIT_S)

        self.told = []

        asyncio.run(main())
        return self.document()

    def document(self, name: str = "all", source: str = "one") -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.settings.results_dir / name / f"{source}.json").read_bytes())
        return document

    def left(self, name: str = "all") -> list[str]:
        """What the store has of a run beside its manifest and its sources' states."""
        folder = self.settings.results_dir / "bulk" / name
        return sorted(
            path.relative_to(folder).as_posix() for path in folder.rglob("*.json*") if path.parent.name != "sources"
        )


def items(count: int) -> list[Any]:
    symbols: list[Any] = payload(count)["symbols"]
    return symbols


def names_of(symbols: Sequence[Any]) -> list[str]:
    return [one["context"]["name"] for one in symbols]


def ids_of(document: Mapping[str, Any]) -> list[str]:
    return [one["symbol_id"] for one in document["documented_symbols"]]


def half_price(bill: Mapping[str, Any], settings: Settings) -> float:
    usage = Usage(bill["input_tokens"], bill["cached_input_tokens"], bill["output_tokens"], bill["reasoning_tokens"])
    return cost_usd(usage, settings.pricing) / 2


def files_of_requests(server: RunningServer) -> list[str]:
    """The names of the files that hold source code, as the server has them now."""
    url = f"{server.base_url}/files?purpose=batch"
    request = urllib.request.Request(url, headers={"Authorization": "Bearer sk-loopback"})
    with urllib.request.urlopen(request, timeout=LIMIT_S) as reply:
        return [file["filename"] for file in json.load(reply)["data"]]


def test_every_symbol_is_bought_once_at_half_the_price(tmp_path: Path) -> None:
    """All symbols of all sources are documented in their order; what is reported is the bill, halved."""
    with running(cheap(), good) as server:
        bulk = Bulk(server, tmp_path)
        symbols = items(40)
        bulk.put("one", symbols[:25])
        bulk.put("two", symbols[25:])
        one = bulk.run(limits=Limits(rows=12))
        two = bulk.document(source="two")
    bill = server.batch_bill()
    assert (one["status"], two["status"]) == ("success", "success")
    assert ids_of(one) + ids_of(two) == [symbol["symbol_id"] for symbol in symbols]
    assert bill["bought"] == dict.fromkeys(names_of(symbols), 1)
    assert bill["batches"] == {"completed": 4}
    assert one["usage"]["input_tokens"] + two["usage"]["input_tokens"] == bill["input_tokens"]
    assert one["usage"]["output_tokens"] + two["usage"]["output_tokens"] == bill["output_tokens"]
    assert one["total_cost"] + two["total_cost"] == pytest.approx(half_price(bill, bulk.settings), abs=2e-6)
    last = bulk.told[-1]
    assert (last.counts.documented, last.counts.failed) == (40, 0)
    assert (last.symbols, last.sources_done, last.in_flight) == (40, 2, 0)
    assert last.counts.total_cost == pytest.approx(half_price(bill, bulk.settings), abs=2e-6)


def striking(fault: str, name: str, times: int = 1) -> dict[str, Any]:
    return {"fault": fault, "contains": f"Name: {name}\n", "times": times}


def odd_batch(batch: Any) -> Any:
    """A batch whose bookkeeping is nonsense, and whose id, status and files are as they should be."""
    nonsense = {"usage": {"input_tokens": None}, "request_counts": {"completed": "x"}, "errors": [], "created_at": None}
    return {**batch, **nonsense, "metadata": {**(batch["metadata"] or {}), "others": 7}}


def test_nonsense_around_an_answer_decides_nothing(tmp_path: Path) -> None:
    """Batches with senseless counts, lists with other people's entries and odd lines lose no paid answer."""

    def rewrite(path: str, reply: Any) -> Any:
        if path.endswith("/content"):
            return {**reply, "error": ["odd"], "response": {**reply["response"], "status_code": "200"}}
        if path in ("/v1/batches", "/v1/files") and "data" in reply:
            entries = [odd_batch(one) if path.endswith("batches") else one for one in reply["data"]]
            return {**reply, "data": [None, 7, {"id": None}, {"id": "x", "metadata": []}, *entries]}
        return odd_batch(reply) if path.startswith("/v1/batches") else reply

    # Broken after it was carried out, the creation is searched for in the list.
    script = [{"fault": "server_error_after", "only": ["POST /v1/batches"], "times": 1}]
    with running(cheap(call_script=script), good, rewrite=rewrite) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", items(6))
        document = bulk.run()
    assert document["status"] == "success"
    assert server.batch_bill()["bought"] == dict.fromkeys(names_of(items(6)), 1)
    assert server.batch_bill()["batches"] == {"completed": 1}


def test_a_part_whose_file_is_gone_ends_without_answers(tmp_path: Path) -> None:
    """An output file that the API has no longer does not stop the run: its symbols are asked for again."""
    gone: list[str] = []

    def rewrite(path: str, reply: Any) -> Any:
        if path.startswith("/v1/batches/") and reply.get("output_file_id") and not gone:
            gone.append(reply["output_file_id"])
        if path.startswith("/v1/batches/") and reply.get("output_file_id") in gone:
            return {**reply, "output_file_id": "file-gone"}
        return reply

    with running(cheap(), good, rewrite=rewrite) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", items(4))
        document = bulk.run()
    assert document["status"] == "success"
    assert server.batch_bill()["bought"] == dict.fromkeys(names_of(items(4)), 2)
    # The API's total of the lost answers is counted too.
    assert document["usage"]["input_tokens"] == server.batch_bill()["input_tokens"]


def test_a_damaged_line_of_the_store_costs_its_own_symbol(tmp_path: Path) -> None:
    """What cannot be read of saved answers is left out, and all others are there."""

    async def main() -> list[tuple[int, int]]:
        store, part = PartStore(storage, "all"), Part(0, 3, status="ended", answers=1)
        outcomes = [(0, Documented(number, f"s{number}", "Adds.")) for number in range(3)]
        await store.write_answers(part, 0, outcomes)
        [key] = await storage.list_keys("bulk/all/batch/answers/")
        stored = await storage.read(key)
        assert stored is not None
        first, _, last = stored.body.splitlines()
        odd = [b"", b"\xff", b"[]", b'{"place": [0]}', b'{"place": ["a", {}], "record": {}}', first[:-9], b"[" * 9_999]
        await storage.write(key, b"\n".join([*odd, last]))
        return [(source, outcome.position) async for source, outcome in store.answers(part)]

    storage = FolderStorage(tmp_path)
    assert asyncio.run(main()) == [(0, 2)]


# A row that is sold and lost is bought anew; one that was never executed is bought when it is.
ASKED_AGAIN = {
    "expired": 1, "server_error": 1, "overloaded": 1, "slow_down": 1, "missing": 2, "broken_line": 2,
    "truncated_json": 2, "wrong_schema": 2, "length": 2, "empty_content": 2,
}  # fmt: skip


def test_rows_that_bring_no_summary_are_asked_again_and_no_others(tmp_path: Path) -> None:
    """Whatever is wrong with a row costs only its own symbol another row, and all that was billed is counted."""
    symbols = items(len(ASKED_AGAIN) + 2)
    names = names_of(symbols)
    script = [striking(fault, name) for fault, name in zip(ASKED_AGAIN, names, strict=False)]
    with running(cheap(row_script=script), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", symbols)
        document = bulk.run()
    bill = server.batch_bill()
    assert document["status"] == "success"
    assert bill["bought"] == dict(zip(names, [*ASKED_AGAIN.values(), 1, 1], strict=True))
    assert bill["faults"] == dict.fromkeys(ASKED_AGAIN, 1)
    usage = document["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (bill["input_tokens"], bill["output_tokens"])
    assert (usage["requests"], usage["retries"]) == (len(symbols) + len(ASKED_AGAIN), len(ASKED_AGAIN))
    assert document["total_cost"] == pytest.approx(half_price(bill, bulk.settings), abs=2e-6)


def test_what_asking_again_cannot_change_is_final(tmp_path: Path) -> None:
    """A refusal, the content filter and an answer cut off twice fail their symbols, with what they have cost."""
    symbols = items(5)
    names = names_of(symbols)
    script = [striking("refusal", names[0]), striking("content_filter", names[1]), striking("length", names[2], 2)]
    caps: list[int] = []

    def write(body: Any, prompt: str) -> str:
        caps.extend([body["max_completion_tokens"]] if f"Name: {names[2]}\n" in prompt else [])
        return good(body, prompt)

    with running(cheap(row_script=script), write) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", symbols)
        document = bulk.run()
        assert bulk.run() == document
    failures = {one["symbol_id"].split(":")[1]: one["failure"] for one in document["failed_symbols"]}
    assert failures == {names[0]: "refused", names[1]: "content_filter", names[2]: "answer_cut_off"}
    assert server.batch_bill()["bought"] == {**dict.fromkeys(names, 1), names[2]: 2}
    assert caps[1] == bulk.settings.max_completion_tokens > caps[0]
    assert document["usage"]["output_tokens"] == server.batch_bill()["output_tokens"]


def test_a_row_that_always_fails_ends_and_has_its_chance_when_the_run_is_resumed(tmp_path: Path) -> None:
    """After MAX_RETRIES further rows a symbol fails; a new start of the run asks for it, and for nothing else."""
    symbols = items(4)
    names = names_of(symbols)
    with running(cheap(row_script=[striking("server_error", names[1], 3)]), good) as server:
        bulk = Bulk(server, tmp_path, max_retries=2)
        bulk.put("one", symbols)
        first = bulk.run()
        tried = server.batch_bill()["faults"]
        second = bulk.run()
    assert (first["status"], first["documented_count"]) == ("partial", 3)
    assert [one["failure"] for one in first["failed_symbols"]] == ["server_error"]
    assert (tried, second["status"]) == ({"server_error": 3}, "success")
    assert server.batch_bill()["bought"] == dict.fromkeys(names, 1)
    assert second["usage"]["input_tokens"] == server.batch_bill()["input_tokens"]


@pytest.mark.parametrize("list_cancelled_rows", [False, True])
def test_batches_that_fail_expire_or_are_cancelled_lose_nothing(tmp_path: Path, list_cancelled_rows: bool) -> None:
    """What a batch has finished is kept, and what it has not is bought by another one."""
    fates = [(1, "failed"), (2, "expired"), (3, "cancelled")]
    with running(cheap(fates=fates, list_cancelled_rows=list_cancelled_rows), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", items(30))
        document = bulk.run(limits=Limits(rows=10))
    assert document["status"] == "success"
    assert server.batch_bill()["bought"] == dict.fromkeys(names_of(items(30)), 1)
    assert server.batch_bill()["batches"]["failed"] == 1
    assert document["usage"]["input_tokens"] == server.batch_bill()["input_tokens"]


@pytest.mark.parametrize("rows", [10, 40])
def test_the_accounts_queue_is_waited_for(tmp_path: Path, rows: int) -> None:
    """Batches beyond the account's queued tokens are submitted when others have left, smaller where they must be."""
    room = 12 * 700
    with running(cheap(enqueued_tokens=room, in_progress_s=100 * LIMIT_S), good) as server:

        class UntilOneHasFailed(list[Progress]):
            """No batch leaves the queue before another has found it full."""

            def append(self, progress: Progress) -> None:
                super().append(progress)
                if server.batch_bill()["batches"].get("failed"):
                    server.set_behaviour(cheap(enqueued_tokens=room))

        bulk = Bulk(server, tmp_path)
        bulk.told = UntilOneHasFailed()
        bulk.put("one", items(40))
        document = bulk.run(limits=Limits(rows=rows))
    bill = server.batch_bill()
    assert document["status"] == "success"
    assert bill["bought"] == dict.fromkeys(names_of(items(40)), 1)
    assert bill["batches"]["failed"] >= 1
    assert bill["batches"]["completed"] >= 2


def test_files_stay_below_their_limits(tmp_path: Path) -> None:
    """No file has more bytes than it may, and rows that do not fit go into the next."""
    with running(cheap(max_file_bytes=20_000, max_requests=6), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", items(30))
        document = bulk.run(limits=Limits(rows=6, file_bytes=20_000))
    assert document["status"] == "success"
    assert server.batch_bill()["batches"]["completed"] >= 5
    assert server.batch_bill()["calls"] == {**server.batch_bill()["calls"], "POST /v1/batches 200": 5}


def test_a_summary_with_hard_findings_is_asked_about_once_more(tmp_path: Path) -> None:
    """The second row says what was wrong with the first summary; one that is no better gives way to an offline one."""
    symbols = items(3)
    names = names_of(symbols)

    def write(body: Any, prompt: str) -> str:
        if f"Name: {names[0]}\n" in prompt and "An earlier answer was not accepted" not in prompt:
            return json.dumps({"summary": "I'm sorry, but I cannot describe this symbol."})
        if f"Name: {names[1]}\n" in prompt:
            return json.dumps({"summary": "I'm sorry, but I cannot describe any symbol."})
        return good(body, prompt)

    with running(cheap(), write) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", symbols)
        document = bulk.run()
    assert server.batch_bill()["bought"] == {names[0]: 2, names[1]: 2, names[2]: 1}
    assert [one["source"] for one in document["documented_symbols"]] == ["model", "offline", "model"]
    assert "sorry" not in document["documented_symbols"][1]["summary"]
    assert (document["checks"]["rejected"], document["checks"]["findings"]) == (1, {"refusal": 1})
    assert [one for one in document["warnings"] if symbols[1]["symbol_id"] in one]
    assert document["usage"]["output_tokens"] == server.batch_bill()["output_tokens"]


class Killed(BaseException):
    """Nothing that the engine catches."""


class DyingStorage(FolderStorage):
    """A folder at whose nth change the process dies: before it is made, or when it is."""

    def __init__(self, folder: Path, at: int, *, before: bool) -> None:
        super().__init__(folder)
        self._left = at
        self._before = before

    async def write(self, key: str, body: bytes) -> None:
        self._count(before=True)
        await super().write(key, body)
        self._count(before=False)

    async def put_if_match(self, key: str, body: bytes, version: str | None) -> bool:
        self._count(before=True)
        is_there = await super().put_if_match(key, body, version)
        self._count(before=False)
        return is_there

    def _count(self, *, before: bool) -> None:
        if before == self._before:
            self._left -= 1
            if not self._left:
                raise Killed


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("before", [True, False])
def test_killed_at_any_step_a_run_goes_on_and_buys_nothing_twice(tmp_path: Path, before: bool) -> None:
    """Died at each change of the store in turn, the next start brings the run to its end with every symbol bought
    once, and leaves no file of requests behind."""
    symbols = items(8)
    script = [striking("expired", names_of(symbols)[3])]
    deaths = 0
    with running(cheap(row_script=script), good) as server:
        while True:
            server.reset()
            bulk = Bulk(server, tmp_path / f"{deaths}")
            bulk.folder.mkdir()
            bulk.put("one", symbols)
            dying = DyingStorage(bulk.settings.results_dir, deaths + 1, before=before)
            try:
                bulk.run(limits=Limits(rows=5), storage=dying)
            except Killed:
                deaths += 1
                document = bulk.run(limits=Limits(rows=5))
            else:
                break
            assert document["status"] == "success", deaths
            bill = server.batch_bill()
            assert bill["bought"] == dict.fromkeys(names_of(symbols), 1), deaths
            assert document["usage"]["input_tokens"] == bill["input_tokens"], deaths
            assert files_of_requests(server) == [], deaths
    assert deaths > 15


def drive(folder: str) -> None:
    """What a process of its own does: the whole run, with files of five rows."""
    bulk = Bulk.__new__(Bulk)
    bulk.folder, bulk.told, bulk.options = Path(folder), [], {}
    bulk.settings = Settings.from_env(os.environ)
    bulk.storage = FolderStorage(bulk.settings.results_dir)
    bulk.run(limits=Limits(rows=5))


def changes_so_far(server: RunningServer) -> int:
    """The calls that a server got, but for those that look at batches: a run of four files makes sixteen."""
    calls: dict[str, int] = server.batch_bill()["calls"]
    return sum(count for call, count in calls.items() if not call.startswith("GET /v1/batches"))


@pytest.mark.parametrize("seed", range(3))
def test_a_process_that_is_killed_leaves_a_run_that_goes_on(tmp_path: Path, seed: int) -> None:
    """SIGKILL at a point that the seed draws: the next start ends the run, and every symbol is bought once."""
    symbols = items(20)
    chance = random.Random(SEED + seed)  # noqa: S311 - no secret
    slow = {"validating_s": 0.02, "in_progress_s": 0.2, "finalizing_s": 0.02}
    with running(cheap(**slow), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", symbols)
        calls = chance.randint(1, 12)
        command = [
            sys.executable,
            "-c",
            "import sys; from tests.generation.bulk.test_batch import drive; drive(sys.argv[1])",
        ]
        environment = {**bulk.environment, "TIKTOKEN_CACHE_DIR": os.environ["TIKTOKEN_CACHE_DIR"]}
        with running_process([*command, str(tmp_path)], environment, REPOSITORY_ROOT) as process:
            wait_until(lambda: changes_so_far(server) >= calls or process.returncode is not None, f"{calls} calls")
            process.kill()
            process.wait(LIMIT_S)
        document = bulk.run(limits=Limits(rows=5))
        assert files_of_requests(server) == []
    assert document["status"] == "success"
    assert server.batch_bill()["bought"] == dict.fromkeys(names_of(symbols), 1)
    assert document["usage"]["input_tokens"] == server.batch_bill()["input_tokens"]


POST_BATCH, POST_FILE = "POST /v1/batches", "POST /v1/files"


@pytest.mark.parametrize("fault", ["disconnect_after", "server_error_after", "disconnect", "server_error", "too_many"])
@pytest.mark.parametrize("call", [POST_BATCH, POST_FILE])
def test_a_call_that_breaks_is_not_carried_out_twice(tmp_path: Path, call: str, fault: str) -> None:
    """A batch whose creation was accepted without an answer is found and not created again; a file that was uploaded
    without one is removed."""
    script = [{"fault": fault, "only": [call], "times": 2}]
    with running(cheap(call_script=script), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", items(10))
        document = bulk.run(limits=Limits(rows=5))
        assert files_of_requests(server) == []
    assert document["status"] == "success"
    assert server.batch_bill()["bought"] == dict.fromkeys(names_of(items(10)), 1)
    assert server.batch_bill()["batches"] == {"completed": 2}


def test_a_batch_that_the_list_does_not_show_at_once_is_found(tmp_path: Path) -> None:
    """A batch whose creation was accepted without an answer is looked for three times before it is created again."""
    script = [{"fault": "disconnect_after", "only": [POST_BATCH], "times": 1}]
    with running(cheap(call_script=script, unlisted_looks=2), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", items(5))
        document = bulk.run()
    assert document["status"] == "success"
    assert server.batch_bill()["bought"] == dict.fromkeys(names_of(items(5)), 1)
    assert server.batch_bill()["batches"] == {"completed": 1}


def test_calls_that_fail_for_a_while_cost_time_only(tmp_path: Path) -> None:
    """Looking at batches and fetching their files is tried again, and half a download is none."""
    calls = ["GET /v1/batches/{id}", "GET /v1/files/{id}/content", "DELETE /v1/files/{id}"]
    script = [
        {"fault": fault, "only": [call], "times": 2} for call in calls for fault in ("disconnect", "server_error")
    ]
    with running(cheap(call_script=script), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", items(10))
        document = bulk.run()
    assert document["status"] == "success"
    assert server.batch_bill()["bought"] == dict.fromkeys(names_of(items(10)), 1)


def test_a_server_that_stays_away_stops_the_run_and_keeps_it(tmp_path: Path) -> None:
    """After so long an outage the run ends with a sentence, and goes on when it is started again."""
    script = [{"fault": "server_error", "only": ["GET /v1/batches/{id}"]}]
    with running(cheap(call_script=script), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", items(5))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.modules[__name__], "DELAYS", replace(DELAYS, outage_s=0.05))
            with pytest.raises(Stopped, match="resume the run later"):
                bulk.run()
        server.set_behaviour(cheap())
        document = bulk.run()
    assert document["status"] == "success"
    assert server.batch_bill()["bought"] == dict.fromkeys(names_of(items(5)), 1)


def test_only_what_has_changed_is_bought(tmp_path: Path) -> None:
    """With earlier results, unchanged symbols are taken over at no cost, gone ones are listed, the others bought."""
    symbols = items(12)
    with running(cheap(), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", symbols)
        first = bulk.run("first")
        symbols[4]["context"]["source_code"] += "    # changed"
        bulk.put("one", symbols[:10])
        server.reset()
        second = bulk.run("second", previous="results/first/")
    assert server.batch_bill()["bought"] == {names_of(symbols)[4]: 1}
    assert (first["status"], second["status"]) == ("success", "success")
    assert [one["source"] for one in second["documented_symbols"]] == ["previous"] * 4 + ["model"] + ["previous"] * 5
    assert second["removed"] == [one["symbol_id"] for one in symbols[10:]]
    assert second["usage"]["input_tokens"] == server.batch_bill()["input_tokens"]


def test_what_batches_leave_can_be_finished_at_once_and_at_full_price(tmp_path: Path) -> None:
    """With `finish_now` rows that brought no summary are asked for directly, with the reason where there is one; each
    part of the bill has its own price."""
    symbols = items(12)
    names = names_of(symbols)

    def write(body: Any, prompt: str) -> str:
        if f"Name: {names[2]}\n" in prompt and "An earlier answer was not accepted" not in prompt:
            return json.dumps({"summary": "I'm sorry, but I cannot describe this symbol."})
        return good(body, prompt)

    script = [striking("expired", names[0]), striking("missing", names[1])]
    with running(cheap(row_script=script), write) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", symbols)
        document = bulk.run(finish_now=True)
    batch, direct = server.batch_bill(), server.bill()
    assert document["status"] == "success"
    assert direct["bought"] == dict.fromkeys(names[:3], 1)
    assert batch["bought"] == dict.fromkeys(names[1:], 1)
    assert document["usage"]["input_tokens"] == batch["input_tokens"] + direct["input_tokens"]
    expected = half_price(batch, bulk.settings) + 2 * half_price(direct, bulk.settings)
    assert document["total_cost"] == pytest.approx(expected, abs=2e-6)
    assert bulk.told[-1].counts.total_cost == pytest.approx(expected, abs=2e-6)


def test_no_more_is_spent_than_the_run_may(tmp_path: Path) -> None:
    """Nothing is submitted that could exceed the cap: what is left fails, and a higher cap buys it and no more."""
    symbols = items(40)
    with running(cheap(), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", symbols)
        cap_usd = 0.001
        first = bulk.run(cap_usd=cap_usd)
        spent_usd = half_price(server.batch_bill(), bulk.settings)
        second = bulk.run(cap_usd=1.0)
    assert 0.5 * cap_usd < spent_usd <= cap_usd
    assert {one["failure"] for one in first["failed_symbols"]} == {"cost_cap_reached"}
    assert 0 < first["documented_count"] < 40
    assert "--max-cost-usd" in "".join(one.note for one in bulk.told)
    assert second["status"] == "success"
    assert server.batch_bill()["bought"] == dict.fromkeys(names_of(symbols), 1)


def test_a_fault_of_the_account_ends_the_run_and_keeps_what_is_done(tmp_path: Path) -> None:
    """Rows that met an empty account are no answers; with credit the run buys them, and only them."""
    symbols = items(6)
    names = names_of(symbols)
    with running(cheap(row_script=[striking("quota", names[2], 9)]), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", symbols)
        with pytest.raises(JobError, match="no quota left"):
            bulk.run()
        server.set_behaviour(cheap())
        document = bulk.run()
    assert document["status"] == "success"
    assert server.batch_bill()["bought"] == dict.fromkeys(names, 1)


def test_a_refused_key_ends_the_run_before_anything_is_bought(tmp_path: Path) -> None:
    """The first call says it."""
    with running(replace(cheap(), api_key="another"), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", items(3))
        with pytest.raises(JobError, match="OPENAI_API_KEY was refused"):
            bulk.run()
    assert server.batch_bill()["calls"] == {}


def test_stopped_cancelled_and_resumed_a_run_buys_each_symbol_once(tmp_path: Path) -> None:
    """A run that is stopped leaves its batches at work; cancelled, it keeps what they finished; resumed, it buys the
    rest."""
    symbols = items(30)
    with running(cheap(in_progress_s=LIMIT_S, cancelling_s=0.02), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", symbols)

        class UntilOneIsAnswered(list[Progress]):
            def append(self, progress: Progress) -> None:
                super().append(progress)
                if progress.note.startswith("1 of 30 requests"):
                    bulk.stopping.set()

        bulk.told = UntilOneIsAnswered()
        bulk.run()
        bulk.told = []
        assert server.batch_bill()["batches"] == {"in_progress": 1}
        cancelled = bulk.cancel()
        assert server.batch_bill()["batches"] == {"cancelled": 1}
        bought = server.batch_bill()["bought"]
        server.set_behaviour(cheap())
        document = bulk.run()
    assert cancelled["documented_count"] == len(bought) >= 1
    assert {one["failure"] for one in cancelled["failed_symbols"]} == {"worker_stopping"}
    assert document["status"] == "success"
    assert server.batch_bill()["bought"] == dict.fromkeys(names_of(symbols), 1)


@pytest.mark.parametrize("fault", ["refused", "gone"])
def test_one_batch_that_is_not_cancelled_leaves_the_others_cancelled(tmp_path: Path, fault: str) -> None:
    """A batch that the server refuses to cancel, or does not know any more, stops neither the others nor the merge."""
    symbols = items(30)
    slow = cheap(in_progress_s=LIMIT_S, cancelling_s=0.02, unlisted_looks=1_000 if fault == "gone" else 0)
    with running(slow, good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", symbols)
        bulk.stop_when(lambda: server.batch_bill()["batches"].get("in_progress") == 3)
        bulk.run(limits=Limits(rows=10))
        script = [{"fault": fault, "only": ["POST /v1/batches/{id}/cancel"], "times": 1}]
        server.set_behaviour(cheap(in_progress_s=LIMIT_S, cancelling_s=0.02, call_script=script))
        document = bulk.cancel()
        ended = server.batch_bill()["batches"]
    assert bulk.cancelled == 3
    assert ended == ({"cancelled": 3} if fault == "refused" else {"cancelled": 2, "in_progress": 1})
    assert document["documented_count"] + document["failed_count"] == len(symbols)


def test_batches_that_the_server_does_not_know_are_an_error(tmp_path: Path) -> None:
    """Where the server knows none of a run's batches, the key is another account's, and the error says what to do."""
    with running(cheap(in_progress_s=LIMIT_S, unlisted_looks=1_000), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", items(3))
        bulk.stop_when(lambda: server.batch_bill()["batches"].get("in_progress") == 1)
        bulk.run()
        script = [{"fault": "gone", "only": ["POST /v1/batches/{id}/cancel"]}]
        server.set_behaviour(cheap(in_progress_s=LIMIT_S, call_script=script))
        with pytest.raises(JobError, match=r"is not known to the server \(HTTP 404\): use the key that began the run"):
            bulk.cancel()


def test_a_symbol_that_the_disk_takes_in_pieces_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system writes less than it is asked to, the rest is written too."""
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: write(file, bytes(data[:7]), offset))
    spool = store_module._Spool()
    starts = [spool.add(text) for text in (b"a" * 100, b"", b"b" * 20)]
    assert [spool.read(start) for start in starts] == [b"a" * 100, b"", b"b" * 20]
    spool.close()


def test_a_symbol_that_the_disk_has_no_room_for_is_an_error() -> None:
    """A record that does not fit on the disk is refused with the system's words, and what was there is still whole."""
    spool = store_module._Spool()
    first = spool.add(b"a" * 1_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500, hard))
    try:
        with pytest.raises(StorageError, match="File too large"):
            spool.add(b"b" * 1_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    second = spool.add(b"c" * 1_000)
    assert (spool.read(first), spool.read(second)) == (b"a" * 1_000, b"c" * 1_000)
    spool.close()


def test_a_run_that_has_ended_leaves_its_results_and_nothing_else(tmp_path: Path) -> None:
    """Contexts, rows and answers are removed; started again, it asks for nothing."""
    with running(cheap(), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", items(5))
        document = bulk.run()
        calls = server.batch_bill()["calls"]
        told = bulk.told[-1]
        assert bulk.run() == document
        assert server.batch_bill()["calls"] == calls
    assert bulk.told[-1].counts == told.counts
    assert told.counts.documented > 0 < told.counts.total_tokens
    assert bulk.left() == ["batch/run.json"]


def test_two_processes_do_not_work_on_one_part(tmp_path: Path) -> None:
    """Who saves a part that another has saved since is told so, and submits nothing."""

    async def main() -> None:
        storage = FolderStorage(tmp_path)
        stores = [PartStore(storage, "all") for _ in range(2)]
        for store in stores:
            await store.open()
        part = Part(0, 1)
        await stores[0].add(part, [(0, 0)])
        assert await stores[1].parts() == [part]
        await stores[0].save(replace(part, status="uploaded", file_id="file-1"))
        with pytest.raises(Taken):
            await stores[1].save(replace(part, status="begun"))
        with pytest.raises(Taken):
            await stores[1].add(Part(0, 1), [(0, 0)])
        assert stores[0].token == stores[1].token

    asyncio.run(main())


def test_invalid_symbols_and_sources_stand_in_the_results(tmp_path: Path) -> None:
    """What is no symbol fails by itself; a source that is none has its fault and no results."""
    with running(cheap(), good) as server:
        bulk = Bulk(server, tmp_path, min_centrality=0.5)
        symbols = items(6)
        for number, symbol in enumerate(symbols):
            symbol["context"]["centrality"] = 0.1 if number == 1 else 0.9
        bulk.put("one", [*symbols[:3], {"symbol_id": "x"}, *symbols[3:]])
        (bulk.folder / "sources" / "two.json").write_text("{", encoding="utf-8")
        document = bulk.run()
        run = asyncio.run(bulk.manifest("all"))
        states = [asyncio.run(load_state(bulk.storage, "all", source)) for source in run.sources]
    assert [one["failure"] for one in document["failed_symbols"]] == ["invalid_symbol"]
    assert [one["source"] for one in document["documented_symbols"]].count("offline") == 1
    assert sorted(server.batch_bill()["bought"]) == sorted(set(names_of(symbols)) - {names_of(symbols)[1]})
    assert all(isinstance(state, Summary) for state in states)
    assert [bool(state.fault) for state in states if isinstance(state, Summary)] == [False, True]


LINE = {"custom_id": "r/0/0/0/aa", "response": {"status_code": 200, "body": {}}, "error": None}
STRANGE_LINES: list[Any] = [
    b"", b"\xff\n", b"[]", b"null", b"{}", b'{"custom_id": 1}', b'{"custom_id": "a", "response": 3}', b"[" * 9_999,
]  # fmt: skip
STRANGE_BODIES: list[Any] = [None, [], "text", 7, {}, {"choices": []}, {"choices": None}, {"error": "text"}]


def test_no_line_of_a_file_is_more_than_one_symbols_failure() -> None:
    """Whatever a line or an answer in it looks like, it is none, or an answer that is asked for again or fails."""
    assert list(read_lines(STRANGE_LINES)) == []
    symbol = Symbol(0, SymbolContext("a", "f", "function", "python", "a.py"))
    settings = Settings.from_env({"OPENAI_API_KEY": "key"})
    for status in (200, 400, 404, 500, 302, -1):
        for body in STRANGE_BODIES:
            response = {"status_code": status, "body": body}
            [line] = read_lines([json.dumps({**LINE, "response": response}).encode()])
            answer = judge(line, 1, symbol, lambda text, _: Review(text, Findings((), ())), settings)
            assert isinstance(answer, Failed)
            assert (answer.usage, answer.symbol_id) == (Usage(requests=1, retries=1), "a")


def test_rows_have_ids_of_their_own_that_fit() -> None:
    """Another turn, another place and another content have another id, never longer than the API takes."""
    rows = [Row(0, 1, 0), Row(0, 1, 1), Row(1, 0, 1), Row(10, 1, 0), Row(1, 1, 10)]
    ids = {row.custom_id("r" * 100, content_hash * 16) for row in rows for content_hash in ("ab", "cd")}
    assert len(ids) == 2 * len(rows)
    assert max(map(len, ids)) <= 512


def test_a_symbol_is_asked_so_often_and_no_oftener() -> None:
    """Whatever comes in whatever order, a symbol ends within six turns: each remedy once, and MAX_RETRIES further."""
    codes = ["answer_cut_off", "context_too_long", "bad_answer", "timeout", "server_error", "hard"]
    hard = Findings((), (Finding("filler", hard=True, reason="It opens with filler."),))
    cost = Usage(input_tokens=3, output_tokens=1, requests=1)
    symbol = Symbol(0, SymbolContext("a", "f", "function", "python", "a.py"))
    unfinished = [NEW]
    for asked in range(1, 7):
        states = []
        for before, code in itertools.product(unfinished, codes):
            bad = Documented(0, "a", "This function.", cost, checks=hard)
            answer = bad if code == "hard" else Failed(0, "a", None, code, "no", cost)
            states.append(next_state(before, answer, symbol, 2))
        assert all(state.usage == Usage(3 * asked, 0, asked, 0, asked, 0) for state in states)
        assert all(state.outcome.usage == state.usage for state in states if state.outcome)
        unfinished = [state for state in states if state.outcome is None]
    assert unfinished == []


def test_a_run_that_is_cancelled_from_elsewhere_ends(tmp_path: Path) -> None:
    """Whoever is at work on the run submits nothing more and ends with a sentence; the results have what is done."""
    symbols = items(30)

    async def main(bulk: Bulk) -> BaseException | None:
        run = await bulk.manifest("all")
        has_answers = asyncio.Event()

        def report(progress: Progress) -> None:
            if progress.note.startswith("3 of 30 requests"):
                has_answers.set()

        given = (run, bulk.storage, bulk.settings, report)
        working = asyncio.create_task(batch_engine.run(*given, asyncio.Event(), waits=DELAYS, limits=Limits(rows=10)))
        await asyncio.wait_for(has_answers.wait(), LIMIT_S)
        await asyncio.wait_for(batch_engine.cancel(*given, waits=DELAYS), LIMIT_S)
        await asyncio.wait([working], timeout=LIMIT_S)
        return working.exception()

    with running(cheap(in_progress_s=LIMIT_S, cancelling_s=0.02), good) as server:
        bulk = Bulk(server, tmp_path)
        bulk.put("one", symbols)
        fault = asyncio.run(main(bulk))
        assert set(server.batch_bill()["batches"]) == {"cancelled"}
        document = bulk.document()
        bought = server.batch_bill()["bought"]
        server.set_behaviour(cheap())
        resumed = bulk.run()
    assert isinstance(fault, Stopped)
    assert document["documented_count"] == len(bought)
    assert resumed["status"] == "success"
    assert server.batch_bill()["bought"] == dict.fromkeys(names_of(symbols), 1)
