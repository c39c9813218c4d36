"""Whatever a server's JSON holds: each value of any reply of the loopback servers replaced, or left out.

A job, a run through the Batch API or a call of RunPod's API meets replies in which one value is null, a list, a text, a
number of 400 digits or missing. It ends with a result of its own, loses no symbol but those of that reply, and buys
none more than MAX_RETRIES + 1 times. `make fuzz` plays 5,000 runs; FUZZ_RUNS sets their number.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generation.bulk.engines.batch import engine as batch_engine
from generation.bulk.engines.batch.api import Delays
from generation.bulk.engines.runpod.api import RunPodApi
from generation.bulk.engines.runpod.engine import counts_of, result_of
from generation.bulk.engines.runpod.settings import RunPodSettings
from generation.bulk.inputs import find_sources
from generation.bulk.manifest import Run
from generation.config import Settings
from generation.errors import JobError, Unreachable
from generation.storage.folder import FolderStorage
from tests.loopback.openai import Behaviour, RunningServer, running
from tests.support.contexts import item
from tests.support.jobs import run_job_to_dict
from tests.support.waiting import LIMIT_S

RUNS = int(os.environ.get("FUZZ_RUNS", "50"))
MAX_RETRIES = 3
MODEL = "some-model"
NAME = r"(?m)^Name: (.+)$"
KEYED = re.compile(r"(?m)^## Symbol (s\d+)\n\nLanguage: \S+\nName: (\S+)$")
MISSING = object()
REPLACEMENTS: list[Any] = [None, [], "text", 10**399, MISSING]
TEXT = "Keeps the books of a shop in order, customer by customer, and says which of them is late."

Place = tuple[Any, ...]


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    """Every place in a JSON value; the JSON in a text of it, as in a message, too."""
    if isinstance(value, str) and value.startswith("{"):
        value, path = json.loads(value), (*path, json)
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(pairs):
        yield (*path, key)
        yield from places(part, (*path, key))


def replaced(value: Any, place: Place, by: Any) -> Any:
    """A JSON value with another value at a place of it."""
    key, *rest = place
    if key is json:
        return json.dumps(replaced(json.loads(value), tuple(rest), by))
    changed = list(value) if isinstance(value, list) else dict(value)
    if rest:
        changed[key] = replaced(value[key], tuple(rest), by)
    elif by is MISSING:
        del changed[key]
    else:
        changed[key] = by
    return changed


class Mutator:
    """Replaces a value in some of the replies; which ones, where and by what depends on the seed alone.

    With `share` 0 it is one reply of the first eight, without a share none.
    """

    def __init__(self) -> None:
        self.begin(0, 0.0)

    def begin(self, seed: int, share: float | None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._share = share
        self._only = None if share is None else self._random.randrange(8)
        self._seen = 0
        self.struck: Counter[str] = Counter()

    def __call__(self, path: str, reply: Any) -> Any:
        self._seen += 1
        strikes = self._random.random() < self._share if self._share else self._seen - 1 == self._only
        found = list(places(reply)) if strikes else []
        if not found:
            return reply
        self.struck[path] += 1
        return replaced(reply, self._random.choice(found), self._random.choice(REPLACEMENTS))


def write(_request: Any, prompt: str) -> str:
    """Good summaries, each of its own."""
    keyed = KEYED.findall(prompt)
    summaries = [{"key": key, "summary": f"{TEXT} It is known as {name}."} for key, name in keyed]
    return json.dumps({"summaries": summaries} if keyed else {"summary": TEXT})


@pytest.fixture(scope="module")
def mutator() -> Mutator:
    return Mutator()


@pytest.fixture(scope="module")
def server(mutator: Mutator) -> Iterator[RunningServer]:
    with running(Behaviour(count_by="characters"), write, rewrite=mutator) as server:
        yield server


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One loop for all runs, so that they share one client."""
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the waits that back-off draws, the shortest."""
    monkeypatch.setattr(random, "uniform", lambda low, _: low)
    monkeypatch.setattr("generation.model.pacing.REFUSAL_HOLD_S", 0.0)
    monkeypatch.setattr("generation.bulk.engines.runpod.api.RETRY_S", 0.0)


SEEDS = st.integers(0, 2**32 - 1)


def runs(share: float) -> settings:
    """So many of all runs as examples; of the fixtures none changes from one to the next."""
    fixtures = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=max(1, round(RUNS * share)), suppress_health_check=fixtures)


@runs(0.6)
@given(seed=SEEDS, batch_mode=st.booleans(), share=st.sampled_from([0.0, 0.3, 1.0]), faults=st.booleans())
def test_a_job_survives_any_reply(  # noqa: PLR0913, PLR0917 - what is drawn and what is shared
    server: RunningServer,
    mutator: Mutator,
    loop: asyncio.AbstractEventLoop,
    tmp_path: Path,
    seed: int,
    batch_mode: bool,
    share: float,
    faults: bool,
) -> None:
    """Every symbol of a job has an outcome, one odd reply costs one symbol at most, and none is bought too often."""
    script = [{"fault": fault, "times": 1} for fault in ("rate_limited", "server_error")] if faults else []
    server.set_behaviour(Behaviour(count_by="characters", marker=NAME, models=[MODEL], fault_script=script))
    server.reset()
    mutator.begin(seed, share)
    given = {"OPENAI_API_KEY": "sk-loopback", "OPENAI_BASE_URL": server.base_url, "MODEL_NAME": MODEL}
    given |= {"RESULTS_DIR": str(tmp_path), "BATCH_MODE": str(batch_mode), "MAX_RETRIES": str(MAX_RETRIES)}
    symbols = [item(f"symbol_{number}", centrality=0.1) for number in range(5)]
    shutil.rmtree(tmp_path, ignore_errors=True)
    job = run_job_to_dict({"symbols": symbols}, Settings.from_env(given), default_job_id="job", emit=lambda _: None)
    output = loop.run_until_complete(asyncio.wait_for(job, LIMIT_S))

    outcomes = [one["symbol_id"] for key in ("documented_symbols", "failed_symbols") for one in output[key]]
    assert sorted(outcomes) == sorted(one["symbol_id"] for one in symbols)
    assert output["failed_count"] <= mutator.struck["/v1/chat/completions"]
    bought = server.bill()["bought"]
    assert max(bought.values(), default=0) <= MAX_RETRIES + 1, (bought, output["failed_symbols"])


DELAYS = Delays(first_s=0.0, most_s=0.001, outage_s=0.05, queue_s=1.0)
# Their replies hold the id of what was made, which decides; where it is wrong a run may end, and is resumed.
MAKING = {"/v1/files", "/v1/batches"}


@runs(0.2)
@given(seed=SEEDS, share=st.sampled_from([0.0, 0.0, 0.1]))
def test_a_run_of_batches_survives_any_reply(  # noqa: PLR0913, PLR0917 - what is drawn and what is shared
    server: RunningServer,
    mutator: Mutator,
    loop: asyncio.AbstractEventLoop,
    tmp_path: Path,
    seed: int,
    share: float,
) -> None:
    """A run through the Batch API ends with each symbol documented or failed, and buys none too often."""
    server.set_behaviour(Behaviour(count_by="characters", marker=NAME))
    server.reset()
    mutator.begin(seed, share)
    shutil.rmtree(tmp_path, ignore_errors=True)
    (tmp_path / "sources").mkdir(parents=True)
    symbols = [item(f"symbol_{number}") for number in range(3)]
    (tmp_path / "sources" / "one.jsonl").write_text("".join(json.dumps(one) + "\n" for one in symbols))
    given = {"OPENAI_API_KEY": "sk-loopback", "OPENAI_BASE_URL": server.base_url, "RESULTS_DIR": str(tmp_path)}
    configured = Settings.from_env(given)
    storage = FolderStorage(tmp_path)

    async def document() -> None:
        sources = await find_sources([str(tmp_path / "sources")], storage, None)
        run = Run("all", "batch", tuple(sources), {}, shard_size=10)
        await batch_engine.run(run, storage, configured, lambda _: None, asyncio.Event(), waits=DELAYS)

    try:
        loop.run_until_complete(asyncio.wait_for(document(), LIMIT_S))
    except JobError:
        assert share or mutator.struck.keys() & MAKING
        mutator.begin(seed, None)
        loop.run_until_complete(asyncio.wait_for(document(), LIMIT_S))
    results = json.loads((tmp_path / "all" / "one.json").read_bytes())
    assert results["documented_count"] + results["failed_count"] == len(symbols)
    assert results["failed_count"] <= mutator.struck.total()
    assert max(server.batch_bill()["bought"].values(), default=0) <= MAX_RETRIES + 1


STATUS = {
    "id": "job-1",
    "status": "IN_PROGRESS",
    "output": {"payload": {"completed": 1, "failed": 0, "total_tokens": 9, "total_cost": 0.1}},
    "error": "none",
}


@runs(0.2)
@given(seed=SEEDS)
def test_a_client_of_runpod_survives_any_reply(seed: int, loop: asyncio.AbstractEventLoop, mutator: Mutator) -> None:
    """A reply of RunPod's API is read, or is as if none had come."""
    mutator.begin(seed, 1.0)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(mutator(request.path, STATUS)), content_type="application/json")

    async def ask() -> None:
        application = web.Application()
        application.router.add_route("*", "/{any:.*}", answer)
        async with TestServer(application) as server, aiohttp.ClientSession() as session:
            given = {"RUNPOD_API_KEY": "k", "RUNPOD_ENDPOINT_ID": "ep", "RUNPOD_API_URL": str(server.make_url("/v2"))}
            api = RunPodApi(RunPodSettings.from_env(given), session)
            with contextlib.suppress(Unreachable):
                assert await api.submit({}, None) in {"job-1", "text"}
            status = await api.status("job-1")
            assert status is not None
            result_of(status)
            counts_of(status.get("output"))

    loop.run_until_complete(asyncio.wait_for(ask(), LIMIT_S))
