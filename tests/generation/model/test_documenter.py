"""The real OpenAI client, asked through `OpenAIDocumenter`, against the loopback server: what is sent, what comes of
every fault, and what is paid."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http
import http.server
import itertools
import json
import logging
import random
import re
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import httpx2
import openai
import pytest
import trustme
from openai.types.chat import ChatCompletion

from generation.config import VOCABULARY_DIR, Settings
from generation.domain.catalogue import find_model
from generation.domain.context import SymbolContext
from generation.domain.finding import Findings
from generation.domain.outcome import Documented, Failed, Outcome, Request, Symbol
from generation.domain.usage import Usage
from generation.errors import AccountError, CutOff, DoctownError, JobError, Rejected, SlowDown, Transient
from generation.model.client import probe_model, shared_client_and_limiter, shared_window, translate
from generation.model.documenter import OpenAIDocumenter
from generation.model.limiter import JobQueue, Limiter
from generation.prompts.builder import MARKER, NO_NOTES, rules
from generation.prompts.formats import ONE_SUMMARY
from generation.prompts.tokens import TokenCounter
from generation.repairs import Review
from tests.loopback.limits import CATALOGUE
from tests.loopback.openai import FAULTS, Behaviour, Limits, RunningServer, encoding, running
from tests.support.contexts import context
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.wire import free_port
from tests.support.worker_process import REPOSITORY_ROOT

KEY = "sk-loopback-key-that-nobody-may-see"
UNLISTED = "llama3.2:3b"
NAME = r"(?m)^Name: (.+)$"
LONG_SOURCE = "\n".join(f"    total_{number} = add(total_{number - 1}, item_{number})" for number in range(1, 400))

FREE_OF_ATTEMPTS = ("rate_limited", "slow_down", "overloaded", "too_many", "loading")
RETRIED_UNBILLED = (*FREE_OF_ATTEMPTS, "server_error", "bad_gateway", "disconnect", "hang")
RETRIED_BILLED = ("truncated_json", "wrong_schema", "surrogate")
RETRIED_BILL_UNSEEN = ("half_answer", "not_json_body")
FINAL = {"refusal": "refused", "content_filter": "content_filter", "too_large": "request_too_large"}
CUT_OFF = ("length", "empty_content")
HARMLESS = ("control", "no_usage", "bad_headers")
ACCOUNT = {
    "quota": ("no_quota", "add credit"),
    "bad_key": ("key_refused", "OPENAI_API_KEY"),
    "forbidden": ("not_permitted", "permissions and region"),
    "unsupported_parameter": ("unsupported_parameter", "MODEL_NAME"),
}


@pytest.fixture(autouse=True)
def _least_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the waits that back-off draws, the shortest: what is waited for here is the server."""
    monkeypatch.setattr(random, "uniform", lambda low, _: low)


@pytest.fixture
def _unhurried_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine however busy, who waits for the first answer waits until it is there."""
    monkeypatch.setattr("generation.model.pacing.CANARY_WAIT_S", LIMIT_S)


HANG_S = 300.0

RawHandler = http.server.BaseHTTPRequestHandler


@contextlib.contextmanager
def raw_server(answer: Callable[[RawHandler, bytes], None], context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server whose every byte is `answer`'s own, which gets a request and its body; its base URL."""

    class Handler(RawHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # noqa: N802 - the name is the library's
            answer(self, self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self) -> None:  # noqa: N802
            answer(self, b"")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Say nothing: clients hang up."""

    server = Server(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def time_passes_in_hangs(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunningServer], None]:
    """Let the limiter's clock jump by HANG_S whenever a request hangs: it is given up then, and no other one is."""

    def use(server: RunningServer) -> None:
        def now_s() -> float:
            hangs: int = server.bill()["faults"].get("hang", 0)
            return time.monotonic() + HANG_S * hangs

        monkeypatch.setattr("generation.model.client.Limiter", functools.partial(Limiter, now_s=now_s))

    return use


def say_what_it_is_for(_request: dict[str, Any], prompt: str) -> str:
    found = re.search(NAME, prompt)
    return json.dumps({"summary": f"Tells what {found[1] if found else 'nothing'} is for."})


def behaviour(*script: Mapping[str, Any], **changes: Any) -> Behaviour:
    return Behaviour(fault_script=script, marker=NAME, keep_requests=True, **changes)


def settings_for(server: RunningServer, **changes: Any) -> Settings:
    given = {"openai_api_key": KEY, "openai_base_url": server.base_url, **changes}
    return Settings.from_env({name.upper(): str(value) for name, value in given.items()})


def symbol(name: str = "add", position: int = 0, **fields: Any) -> Symbol:
    return Symbol(position, SymbolContext(**context(name, **fields)))


def documenter_for(
    settings: Settings, counter: TokenCounter, **options: Any
) -> Callable[[Symbol], Coroutine[Any, Any, Outcome]]:
    """Asks for each symbol alone, knows nothing beyond its context, and finds every summary good."""
    documenter = OpenAIDocumenter(
        settings, counter, lambda _: NO_NOTES, lambda text, *_: Review(text, Findings((), ())), **options
    )

    async def ask(symbol: Symbol) -> Outcome:
        (outcome,) = await documenter(Request((symbol,)))
        assert not isinstance(outcome, Request)
        return outcome

    return ask


def document(settings: Settings, counter: TokenCounter, *symbols: Symbol, **options: Any) -> list[Outcome]:
    """The outcomes of the symbols, all asked for at once, in an event loop of their own."""

    async def ask() -> list[Outcome]:
        documenter = documenter_for(settings, counter, **options)
        return await asyncio.wait_for(asyncio.gather(*map(documenter, symbols)), LIMIT_S)

    return asyncio.run(ask())


def sent(server: RunningServer) -> int:
    """How many requests arrived."""
    return len(server.bill()["arrived_at_s"])


def billed(server: RunningServer) -> Usage:
    """The server's bill as a usage; of requests it has no better count than their arrivals."""
    bill = server.bill()
    kinds = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens")
    return Usage(*(bill[kind] for kind in kinds))


def tokens_of(*outcomes: Outcome) -> Usage:
    """What the outcomes say that was billed, without the counts of requests."""
    usage = sum((outcome.usage for outcome in outcomes), Usage())
    return Usage(usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.reasoning_tokens)


# What is sent, and what comes back.


def test_each_symbol_is_one_request_that_begins_with_the_rules(counter: TokenCounter) -> None:
    """Every symbol is one request: strict schema, the same rules first to the byte, then the symbol, one cache key."""
    with running(behaviour(), say_what_it_is_for) as server:
        outcomes = document(settings_for(server), counter, symbol("add"), symbol("sub", 1), symbol("mul", 2))
    requests = server.requests
    assert server.bill()["bought"] == {"add": 1, "sub": 1, "mul": 1}
    assert [outcome.symbol_id for outcome in outcomes] == [symbol(name).symbol_id for name in ("add", "sub", "mul")]
    assert all(request["messages"][0] == {"role": "system", "content": rules()} for request in requests)
    assert [len(request["messages"]) for request in requests] == [2, 2, 2]
    assert all(request["response_format"] == ONE_SUMMARY for request in requests)
    assert ONE_SUMMARY["json_schema"]["strict"] is True
    (cache_key,) = {request["prompt_cache_key"] for request in requests}
    assert cache_key


def test_summary_and_usage_are_those_that_the_server_billed(counter: TokenCounter) -> None:
    """The summary is the one sold, and the usage of the outcomes is the bill, cached and reasoning tokens too."""
    settings = {"reasoning_effort": "low", "max_prompt_tokens": 4_000}
    twin = symbol("add", source_code=LONG_SOURCE)
    with running(behaviour(), say_what_it_is_for) as server:
        # The prefix that is cached has to be there before it is asked for again.
        first = document(settings_for(server, **settings), counter, twin)
        second = document(settings_for(server, **settings), counter, twin)
    outcomes = first + second
    summaries = [outcome.summary for outcome in outcomes if isinstance(outcome, Documented)]
    assert summaries == ["Tells what add is for."] * 2
    assert tokens_of(*outcomes) == billed(server)
    assert second[0].usage.cached_input_tokens >= 1024
    assert second[0].usage.reasoning_tokens == 64
    assert [(outcome.usage.requests, outcome.usage.retries) for outcome in outcomes] == [(1, 0)] * 2
    latencies = [outcome.latency_ms for outcome in outcomes if isinstance(outcome, Documented)]
    assert all(latency_ms is not None for latency_ms in latencies), "how long each answer took is kept"


@pytest.mark.parametrize("model", [*CATALOGUE, UNLISTED])
def test_a_model_gets_only_parameters_that_it_takes(counter: TokenCounter, model: str) -> None:
    """Each listed model, which refuses what its real self refuses, answers; an unlisted one gets nothing special."""
    with running(behaviour(models=[*CATALOGUE, UNLISTED]), say_what_it_is_for) as server:
        (outcome,) = document(settings_for(server, model_name=model), counter, symbol())
    (request,) = server.requests
    assert isinstance(outcome, Documented)
    special = set(request) - {"model", "messages", "max_completion_tokens", "response_format"}
    if model == UNLISTED:
        assert special == set()
    else:
        parameter = "reasoning_effort" if CATALOGUE[model].efforts else "temperature"
        assert special == {"prompt_cache_key", parameter}
        assert request[parameter] == (CATALOGUE[model].efforts[0] if CATALOGUE[model].efforts else 0)


def test_every_reasoning_effort_of_a_model_is_accepted(counter: TokenCounter) -> None:
    """Each effort that the catalogue says a model takes is sent as set, and the model takes it."""
    efforts = [(model, effort) for model in CATALOGUE for effort in find_model(model).reasoning_efforts]
    with running(behaviour(), say_what_it_is_for) as server:
        for model, effort in efforts:
            settings = settings_for(server, model_name=model, reasoning_effort=effort)
            (outcome,) = document(settings, counter, symbol())
            assert isinstance(outcome, Documented)
    assert [(request["model"], request["reasoning_effort"]) for request in server.requests] == efforts


def test_the_completion_cap_reserves_no_more_than_the_prompt_counts_for(counter: TokenCounter) -> None:
    """With least reasoning a request is charged for its own length or 256 tokens, not for a cap that it never uses."""
    with running(behaviour(), say_what_it_is_for) as server:
        document(settings_for(server), counter, symbol("short", source_code="pass"))
        document(settings_for(server), counter, symbol("long", source_code=LONG_SOURCE))
    for charge, request in zip(server.bill()["charges"], server.requests, strict=True):
        chars = sum(len(message["content"]) for message in request["messages"])
        assert charge == max(256, -(-chars // 4))


# Faults, each alone.


def test_every_fault_of_the_server_is_tested_here() -> None:
    """The tables of this module leave out no fault that the loopback server has."""
    tables = (RETRIED_UNBILLED, RETRIED_BILLED, RETRIED_BILL_UNSEEN, FINAL, CUT_OFF, HARMLESS, ACCOUNT)
    assert sorted(itertools.chain(*tables)) == sorted(FAULTS)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("fault", [*RETRIED_UNBILLED, *RETRIED_BILLED, *RETRIED_BILL_UNSEEN])
def test_a_passing_fault_is_tried_again_until_the_symbol_is_documented(
    counter: TokenCounter, fault: str, times: int, time_passes_in_hangs: Callable[[RunningServer], None]
) -> None:
    """A fault that passes costs a request each time and then the symbol is documented, with all that was reported."""
    with running(behaviour({"fault": fault, "times": times}), say_what_it_is_for) as server:
        time_passes_in_hangs(server)
        settings = settings_for(server)
        (outcome,) = document(settings, counter, symbol())
    bill = server.bill()
    assert isinstance(outcome, Documented)
    assert outcome.summary == "Tells what add is for."
    assert bill["faults"] == {fault: times}
    assert sent(server) == times + 1
    assert (outcome.usage.requests, outcome.usage.retries) == (times + 1, times)
    assert outcome.usage.timeouts == (times if fault == "hang" else 0)
    sold = bill["requests"]["200"]
    assert sold == (1 if fault in RETRIED_UNBILLED else times + 1)
    # Of an answer whose body is broken nobody can know what it cost.
    reported = 1 if fault in RETRIED_BILL_UNSEEN else sold
    assert outcome.usage.input_tokens * sold == bill["input_tokens"] * reported
    if reported == sold:
        assert tokens_of(outcome) == billed(server)


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        ("server_error", "server_error"),
        ("bad_gateway", "server_error"),
        ("disconnect", "connection"),
        ("half_answer", "connection"),
        ("hang", "timeout"),
        ("truncated_json", "bad_answer"),
        ("not_json_body", "bad_answer"),
        ("wrong_schema", "bad_answer"),
        ("surrogate", "bad_answer"),
    ],
)
@pytest.mark.parametrize("max_retries", [0, 2])
def test_a_fault_that_stays_fails_the_symbol_after_max_retries(
    counter: TokenCounter,
    fault: str,
    failure: str,
    max_retries: int,
    time_passes_in_hangs: Callable[[RunningServer], None],
) -> None:
    """After MAX_RETRIES + 1 attempts the symbol fails with the fault's code, and what was billed is counted."""
    with running(behaviour({"fault": fault})) as server:
        time_passes_in_hangs(server)
        settings = settings_for(server, max_retries=max_retries)
        (outcome,) = document(settings, counter, symbol())
    assert isinstance(outcome, Failed)
    assert outcome.failure == failure
    assert (outcome.symbol_id, outcome.file_path) == (symbol().symbol_id, symbol().context.file_path)
    assert sent(server) == outcome.usage.requests == max_retries + 1
    if fault not in RETRIED_BILL_UNSEEN:
        assert tokens_of(outcome) == billed(server)


@pytest.mark.parametrize("fault", FREE_OF_ATTEMPTS)
def test_slow_down_costs_no_attempt(counter: TokenCounter, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A symbol that is told 20 times to slow down is documented, even where no retry is allowed."""
    monkeypatch.setattr("generation.model.pacing.OVERLOAD_HOLD_S", 0.01)
    monkeypatch.setattr("generation.model.breaker.MAX_PROBE_S", 0.01)
    monkeypatch.setattr("generation.model.breaker.MAX_RETRY_AFTER_S", 0.01)
    monkeypatch.setattr("generation.model.pacing.MAX_LEARNED_SPACING_S", 0.01)
    with running(behaviour({"fault": fault, "times": 20}), say_what_it_is_for) as server:
        (outcome,) = document(settings_for(server, max_retries=0), counter, symbol())
    assert isinstance(outcome, Documented)
    assert server.bill()["faults"] == {fault: 20}
    assert outcome.usage.requests == 21
    assert tokens_of(outcome) == billed(server)


def test_a_rate_limit_delays_a_symbol_and_loses_none(counter: TokenCounter) -> None:
    """Under a limit that admits a few of the requests at once, every symbol is documented without a retry allowed."""
    symbols = [symbol(f"name_{number}", number) for number in range(12)]
    limits = Limits(requests_per_min=600, enforced_per_second=True)
    with running(behaviour(limits=limits), say_what_it_is_for) as server:
        outcomes = document(settings_for(server, max_retries=0), counter, *symbols)
    assert all(isinstance(outcome, Documented) for outcome in outcomes)
    assert tokens_of(*outcomes) == billed(server)


@pytest.mark.parametrize(("fault", "failure"), FINAL.items())
def test_what_asking_again_cannot_help_fails_at_once(counter: TokenCounter, fault: str, failure: str) -> None:
    """A refusal, a content filter or a request too large fails its symbol after one request, and only that symbol."""
    with running(behaviour({"fault": fault, "contains": "Name: bad"}), say_what_it_is_for) as server:
        good, bad = document(settings_for(server), counter, symbol("good"), symbol("bad", 1))
    assert isinstance(good, Documented)
    assert isinstance(bad, Failed)
    assert bad.failure == failure
    assert bad.usage.requests == 1
    # The API's own words name the organization.
    assert "org-loopback" not in bad.message
    assert sent(server) == 2
    assert tokens_of(good, bad) == billed(server)


@pytest.mark.parametrize("fault", CUT_OFF)
def test_an_answer_that_was_cut_off_is_asked_for_with_a_larger_cap(counter: TokenCounter, fault: str) -> None:
    """An answer cut off by its cap is asked for once more with more room, and both are paid and counted."""
    with running(behaviour({"fault": fault, "times": 1}), say_what_it_is_for) as server:
        (outcome,) = document(settings_for(server), counter, symbol())
    first, second = (request["max_completion_tokens"] for request in server.requests)
    assert isinstance(outcome, Documented)
    assert second > first
    assert outcome.usage.requests == 2
    assert tokens_of(outcome) == billed(server)


@pytest.mark.parametrize("fault", CUT_OFF)
def test_an_answer_that_is_cut_off_twice_fails(counter: TokenCounter, fault: str) -> None:
    """An answer cut off again fails the symbol after two requests, in words that name the setting."""
    with running(behaviour({"fault": fault})) as server:
        (outcome,) = document(settings_for(server), counter, symbol())
    assert isinstance(outcome, Failed)
    assert (outcome.failure, outcome.usage.requests) == ("answer_cut_off", 2)
    assert "MAX_COMPLETION_TOKENS" in outcome.message
    assert tokens_of(outcome) == billed(server)


def test_reasoning_that_fills_the_cap_gets_a_larger_one(counter: TokenCounter) -> None:
    """Reasoning counts as completion: where it fills MAX_COMPLETION_TOKENS the second cap has room for the answer."""
    with running(behaviour(), say_what_it_is_for) as server:
        settings = settings_for(server, reasoning_effort="high", max_completion_tokens=600)
        (outcome,) = document(settings, counter, symbol())
    assert isinstance(outcome, Documented)
    assert [request["max_completion_tokens"] for request in server.requests] == [600, 1200]
    assert tokens_of(outcome) == billed(server)


@pytest.mark.parametrize("cap", [256, 4_096])
def test_an_unlisted_model_gets_a_larger_cap_too(counter: TokenCounter, cap: int) -> None:
    """Where the context has room for it the second cap is larger than the first, whatever the setting is."""
    with running(behaviour({"fault": "length", "times": 1}, models=[UNLISTED]), say_what_it_is_for) as server:
        settings = settings_for(server, model_name=UNLISTED, max_completion_tokens=cap)
        (outcome,) = document(settings, counter, symbol())
    first, second = (request["max_completion_tokens"] for request in server.requests)
    assert isinstance(outcome, Documented)
    assert first == cap
    assert second > first


def test_an_answer_cut_off_by_the_context_is_not_asked_for_again(counter: TokenCounter) -> None:
    """Where the context is what cuts an answer off, a larger cap cannot help and is not paid for."""
    with running(behaviour({"fault": "length"}, models=[UNLISTED])) as server:
        settings = settings_for(server, model_name=UNLISTED, model_context_tokens=2_048)
        (outcome,) = document(settings, counter, symbol())
    (request,) = server.requests
    assert isinstance(outcome, Failed)
    assert outcome.failure == "answer_cut_off"
    assert request["max_completion_tokens"] < 2_048


def refuse(handler: RawHandler, message: str, **fields: Any) -> None:
    error = {"message": message, "type": "BadRequestError", "param": None, "code": 400, **fields}
    send(handler, 400, json.dumps({"error": error}).encode(), "application/json")


def sizes(body: bytes) -> tuple[int, int]:
    """The tokens of a prompt, roughly, and the completion cap."""
    request = json.loads(body)
    return sum(len(one["content"]) for one in request["messages"]) // 4, request["max_completion_tokens"]


def test_a_cap_that_is_too_large_for_the_context_is_made_smaller_once(counter: TokenCounter) -> None:
    """A server of the kind of vLLM, which counts the cap, is asked for less; the other symbols profit from its word."""
    asked: list[tuple[int, int]] = []

    def answer(handler: RawHandler, body: bytes) -> None:
        prompt, cap = sizes(body)
        asked.append((prompt, cap))
        if prompt + cap > 4_096:
            words = f"This model's maximum context length is 4096 tokens and your request has {prompt} input tokens"
            refuse(handler, f"'max_completion_tokens' is too large: {cap}. {words} ({cap} > 4096 - {prompt}).")
        else:
            send(handler, 200, COMPLETED, "application/json")

    async def ask() -> list[Outcome]:
        documenter = documenter_for(settings, counter)
        return [await documenter(symbol(f"name_{number}", number)) for number in range(5)]

    with raw_server(answer) as url:
        settings = Settings(openai_api_key=KEY, openai_base_url=url, model_name=UNLISTED)
        outcomes = asyncio.run(ask())
    assert [type(outcome) for outcome in outcomes] == [Documented] * 5
    assert len(asked) == 6
    assert asked[0][0] == asked[1][0]


@pytest.mark.parametrize("tells", [True, False])
def test_a_prompt_that_llama_cpp_has_no_room_for_is_cut_to_what_it_says(counter: TokenCounter, *, tells: bool) -> None:
    """The second prompt fits into the context that the refusal names; without sizes it is three quarters."""
    asked: list[int] = []

    def answer(handler: RawHandler, body: bytes) -> None:
        prompt, _ = sizes(body)
        asked.append(prompt)
        if prompt > 1_300:
            told = {"n_ctx": 1_500, "n_prompt_tokens": prompt} if tells else {}
            refuse(handler, "the request exceeds the available context size", type="exceed_context_size_error", **told)
        else:
            send(handler, 200, COMPLETED, "application/json")

    with raw_server(answer) as url:
        settings = Settings(openai_api_key=KEY, openai_base_url=url, model_name=UNLISTED)
        (outcome,) = document(settings, counter, symbol(source_code=LONG_SOURCE))
    assert len(asked) == 2
    assert asked[1] <= 0.8 * asked[0]
    assert isinstance(outcome, Documented) is tells or asked[1] <= 1_300
    if isinstance(outcome, Failed):
        assert outcome.failure == "context_too_long"


def listed(**entry: Any) -> dict[str, Any]:
    return {"GET /v1/models": {"data": [None, {"id": UNLISTED, **entry}]}}


OWN_CONTEXT = {"model_info": {"llama.context_length": 131_072}}
TOLD: dict[str, tuple[dict[str, Any], int]] = {
    "vLLM": (listed(max_model_len=4_096), 4_096),
    "OpenRouter": (listed(context_length=32_768), 32_768),
    "llama.cpp": ({**listed(id="m"), "GET /props": {"default_generation_settings": {"n_ctx": 2_048}}}, 2_048),
    "Ollama": ({**listed(owned_by="library"), "POST /api/show": {**OWN_CONTEXT, "parameters": "num_ctx 4096"}}, 4_096),
    "Ollama's model": ({**listed(owned_by="library"), "POST /api/show": OWN_CONTEXT}, 131_072),
    "nonsense": ({**listed(max_model_len=10**400), "GET /props": []}, 3_000),
    "silent": ({}, 3_000),
}


@pytest.mark.parametrize(("replies", "tokens"), TOLD.values(), ids=TOLD)
def test_the_context_of_an_unlisted_model_is_asked_of_its_server(replies: dict[str, Any], tokens: int) -> None:
    """Each server is asked in its own way, at no cost; one that tells nothing leaves it to MODEL_CONTEXT_TOKENS."""

    def answer(handler: RawHandler, _body: bytes) -> None:
        reply = replies.get(f"{handler.command} {handler.path}")
        send(handler, 404 if reply is None else 200, json.dumps(reply).encode(), "application/json")

    async def ask() -> int:
        return (await shared_window(settings)).tokens

    with raw_server(answer) as url:
        settings = Settings(openai_api_key=KEY, openai_base_url=url, model_name=UNLISTED, model_context_tokens=3_000)
        assert asyncio.run(ask()) == tokens


@pytest.mark.parametrize(
    ("path", "replies", "words"),
    [
        ("/v1", {"/v1/models": {"data": [{"id": UNLISTED}]}}, None),
        ("/v1", {"/v1/models": {"data": [{"id": "m.gguf", "owned_by": "llamacpp"}]}}, None),
        ("/v1", {"/v1/models": {"data": []}}, None),
        ("/v1", {"/v1/models": {"data": [{"id": "a"}, {"id": "b"}]}}, "does not list the model"),
        ("", {"/v1/models": {"data": [{"id": UNLISTED}]}}, "OPENAI_BASE_URL"),
        ("", {f"/models/{UNLISTED}": "<html>"}, "/v1 been forgotten"),
    ],
    ids=["listed", "any name", "empty list", "another", "forgotten", "a page"],
)
def test_a_probe_asks_whether_jobs_would_work(path: str, replies: dict[str, Any], words: str | None) -> None:
    """Without an entry for the model the list decides, and an address without an API is named by its setting."""

    def answer(handler: RawHandler, _body: bytes) -> None:
        reply = replies.get(handler.path.replace("%3A", ":"))
        send(handler, 404 if reply is None else 200, json.dumps(reply).encode(), "application/json")

    with raw_server(answer) as url:
        address = url.removesuffix("/v1") + path
        reason = asyncio.run(probe_model(Settings(openai_api_key=KEY, openai_base_url=address, model_name=UNLISTED)))
    assert words in reason if words and reason else reason is None


def test_a_temperature_is_sent_to_models_that_take_it(counter: TokenCounter) -> None:
    """TEMPERATURE goes to a model of the catalogue that takes one and to one that is not listed, and to no other."""
    models = ["gpt-4o", UNLISTED, "gpt-5-nano"]
    with running(behaviour(models=models), say_what_it_is_for) as server:
        for model in models:
            document(settings_for(server, model_name=model, temperature=0.5), counter, symbol())
    assert [request.get("temperature") for request in server.requests] == [0.5, 0.5, None]


def test_a_prompt_beyond_the_context_is_cut_to_three_quarters(counter: TokenCounter) -> None:
    """A prompt that the model has no room for is cut to 75 % of its tokens, marked, and documented by the second."""
    with running(behaviour(context_tokens=1_600), say_what_it_is_for) as server:
        (outcome,) = document(settings_for(server), counter, symbol(source_code=LONG_SOURCE))
    first, second = (request["messages"] for request in server.requests)
    assert isinstance(outcome, Documented)
    assert 0.7 * counter.count_messages(first) <= counter.count_messages(second) <= 0.75 * counter.count_messages(first)
    assert MARKER in second[1]["content"]
    assert first[0] == second[0]
    assert tokens_of(outcome) == billed(server)


def test_a_prompt_is_cut_to_the_size_that_the_server_gives(counter: TokenCounter) -> None:
    """Where three quarters are still too long and the refusal says for how much there is room, the second fits."""
    with running(behaviour(context_tokens=1_100), say_what_it_is_for) as server:
        (outcome,) = document(settings_for(server), counter, symbol(source_code=LONG_SOURCE))
    _, second = server.requests
    assert isinstance(outcome, Documented)
    assert counter.count_messages(second["messages"]) + second["max_completion_tokens"] <= 1_100


def test_a_prompt_beyond_the_context_twice_fails_clearly(counter: TokenCounter) -> None:
    """A prompt that is too long even when cut fails after two requests, in words that name the setting."""
    with running(behaviour(context_tokens=500)) as server:
        (outcome,) = document(settings_for(server), counter, symbol(source_code=LONG_SOURCE))
    assert isinstance(outcome, Failed)
    assert (outcome.failure, outcome.usage.requests) == ("context_too_long", 2)
    assert "MAX_PROMPT_TOKENS" in outcome.message


def test_no_prompt_beyond_the_context_is_sent_a_second_time_as_it_was(counter: TokenCounter) -> None:
    """A short prompt that the model has no room for either is cut like any other, or not sent again."""
    short = symbol(source_code="\n".join(LONG_SOURCE.splitlines()[:10]))
    with running(behaviour(context_tokens=300)) as server:
        (outcome,) = document(settings_for(server), counter, short)
    prompts = [request["messages"][1]["content"] for request in server.requests]
    assert isinstance(outcome, Failed)
    assert outcome.failure == "context_too_long"
    assert len(set(prompts)) == len(prompts)


@pytest.mark.parametrize("fault", ["control", "bad_headers"])
def test_a_harmless_fault_changes_nothing(counter: TokenCounter, fault: str) -> None:
    """Control characters in a summary and senseless rate-limit headers cost nothing, and neither gets out."""
    with running(behaviour({"fault": fault}), say_what_it_is_for) as server:
        outcomes = document(settings_for(server), counter, symbol("add"), symbol("sub", 1))
    for outcome, name in zip(outcomes, ("add", "sub"), strict=True):
        assert isinstance(outcome, Documented)
        assert outcome.summary.endswith(f"Tells what {name} is for.")
        assert outcome.summary.isprintable()
    assert sent(server) == 2
    assert tokens_of(*outcomes) == billed(server)


def test_an_answer_without_usage_documents_its_symbol(counter: TokenCounter) -> None:
    """A server that reports no usage is believed: the symbol is documented and costs what was reported, nothing."""
    with running(behaviour({"fault": "no_usage"}), say_what_it_is_for) as server:
        (outcome,) = document(settings_for(server), counter, symbol())
    assert isinstance(outcome, Documented)
    assert outcome.usage == Usage(requests=1)


def test_several_faults_in_a_row_are_all_overcome(counter: TokenCounter) -> None:
    """One symbol meets a refusal to hurry, a 500, a cut answer and broken JSON, is documented, and all is counted."""
    script = [{"fault": fault, "times": 1} for fault in ("rate_limited", "server_error", "length", "truncated_json")]
    with running(behaviour(*script), say_what_it_is_for) as server:
        (outcome,) = document(settings_for(server), counter, symbol())
    assert isinstance(outcome, Documented)
    assert (outcome.usage.requests, outcome.usage.retries) == (5, 4)
    assert tokens_of(outcome) == billed(server)


def test_a_request_that_hangs_is_given_up_after_a_time_learned_from_others(
    counter: TokenCounter, time_passes_in_hangs: Callable[[RunningServer], None]
) -> None:
    """After twenty quick answers a hanging request is given up long before REQUEST_TIMEOUT_S, and tried again."""
    quick = [symbol(f"quick_{number}", number) for number in range(20)]
    hanging = symbol("hanging", 20)

    async def ask() -> list[Outcome]:
        documenter = documenter_for(settings, counter)
        return [*(await asyncio.gather(*map(documenter, quick))), await asyncio.wait_for(documenter(hanging), LIMIT_S)]

    script = {"fault": "hang", "contains": "Name: hanging", "times": 1}
    with running(behaviour(script), say_what_it_is_for) as server:
        time_passes_in_hangs(server)
        settings = settings_for(server, request_timeout_s=3 * HANG_S)
        outcomes = asyncio.run(ask())
    assert all(isinstance(outcome, Documented) for outcome in outcomes)
    assert server.bill()["abandoned"] == 1
    assert outcomes[-1].usage.requests == 2


def test_the_wait_after_a_server_error_grows_with_errors_only(
    counter: TokenCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back-off doubles with each failed attempt; being told to slow down before neither waits nor makes it longer."""
    monkeypatch.setattr(random, "uniform", lambda _, high: high)
    waits_s: list[float] = []

    async def sleep_unless_stopped(_limiter: Limiter, _queue: JobQueue, wait_s: float) -> None:
        waits_s.append(wait_s)

    monkeypatch.setattr(Limiter, "sleep_unless_stopped", sleep_unless_stopped)
    script = [{"fault": "rate_limited", "times": 6}, {"fault": "server_error", "times": 2}]
    with running(behaviour(*script, fault_retry_after_s=0.001), say_what_it_is_for) as server:
        (outcome,) = document(settings_for(server), counter, symbol())
    assert isinstance(outcome, Documented)
    assert waits_s[:6] == [0.0] * 6
    assert waits_s[6:] == [0.5, 1.0]


# A server that is away.


def away_settings(port: int, **changes: Any) -> Settings:
    url = f"http://127.0.0.1:{port}/v1"
    return Settings(openai_api_key=KEY, openai_base_url=url, max_retries=0, **changes)


def test_a_server_that_is_not_there_ends_the_job(counter: TokenCounter) -> None:
    """Where nothing listens for OUTAGE_S, every symbol gets one fault of the job, which names the address only."""
    port = free_port()

    async def ask() -> list[Any]:
        documenter = documenter_for(away_settings(port, outage_s=0.0), counter)
        calls = [documenter(symbol(f"name_{number}", number)) for number in range(30)]
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), LIMIT_S)

    faults = asyncio.run(ask())
    assert {(type(fault), fault.failure) for fault in faults} == {(AccountError, "server_unavailable")}
    (sentence,) = {str(fault) for fault in faults}
    assert f"http://127.0.0.1:{port}/v1" in sentence
    assert "OUTAGE_S" in sentence
    assert KEY not in sentence


@contextlib.contextmanager
def quick_probes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("generation.model.breaker.FIRST_PROBE_S", 0.01)
    monkeypatch.setattr("generation.model.breaker.MAX_PROBE_S", 0.05)
    yield


async def is_away(settings: Settings) -> None:
    """Return when the limiter has noticed that the server is away, and has met it so three times since."""
    breaker = shared_client_and_limiter(settings)[1].pace.breaker
    while breaker.failed_probes < 3 or not breaker.is_open:  # noqa: ASYNC110 - no event tells of a probe
        await asyncio.sleep(0.01)


def start(stack: contextlib.ExitStack, port: int, *script: Mapping[str, Any], **changes: Any) -> RunningServer:
    return stack.enter_context(running(behaviour(*script, **changes), say_what_it_is_for, port=port))


def test_a_server_that_goes_away_in_mid_run_costs_no_attempt(
    counter: TokenCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is cut off with five requests in flight, is refused for a while, loads its model, and is back: with no
    retry allowed every symbol is documented, and only one request at a time asked whether it was there.
    """
    port = free_port()
    settings = away_settings(port, max_concurrent_requests=5)
    symbols = [symbol(f"name_{number}", number) for number in range(12)]

    async def ask(first: contextlib.ExitStack, second: contextlib.ExitStack) -> tuple[list[Outcome], RunningServer]:
        documenter = documenter_for(settings, counter)
        outcomes = asyncio.gather(*map(documenter, symbols))
        await asyncio.to_thread(wait_until, lambda: before.bill()["in_flight"] == 5, "five requests in flight")
        await asyncio.to_thread(first.close)
        await is_away(settings)
        after = await asyncio.to_thread(start, second, port, {"fault": "loading", "times": 4})
        return await asyncio.wait_for(outcomes, LIMIT_S), after

    with quick_probes(monkeypatch), contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        before = start(first, port, hold_after=3)
        outcomes, after = asyncio.run(ask(first, second))
        bill = after.bill()
    assert all(isinstance(outcome, Documented) for outcome in outcomes)
    assert bill["faults"] == {"loading": 4}
    assert sum(before.bill()["bought"].values()) == 3
    assert bill["requests"] == {"503": 4, "200": 9}


def test_a_connection_that_breaks_while_the_server_is_there_costs_its_symbol_an_attempt(counter: TokenCounter) -> None:
    """A prompt at which the server cuts the connection fails its symbol; the others go on, and none waits."""
    with running(behaviour({"fault": "disconnect", "contains": "Name: bad"}), say_what_it_is_for) as server:
        symbols = [symbol("good"), symbol("bad", 1), symbol("fine", 2)]
        outcomes = document(settings_for(server, max_retries=1), counter, *symbols)
    assert [type(outcome) for outcome in outcomes] == [Documented, Failed, Documented]
    assert server.bill()["disconnected"] == 2


# The account and the model.


def account_fault(server: RunningServer, counter: TokenCounter, **changes: Any) -> AccountError:
    """The one error that every one of 30 symbols, asked for at once, ends with."""
    settings = settings_for(server, **changes)

    async def ask() -> list[Any]:
        documenter = documenter_for(settings, counter)
        symbols = [symbol(f"name_{number}", number) for number in range(30)]
        return await asyncio.wait_for(asyncio.gather(*map(documenter, symbols), return_exceptions=True), LIMIT_S)

    errors = asyncio.run(ask())
    assert {type(error) for error in errors} == {AccountError}
    assert len({str(error) for error in errors}) == 1
    error = errors[0]
    assert isinstance(error, AccountError)
    return error


@pytest.mark.usefixtures("_unhurried_lead")
@pytest.mark.parametrize(("fault", "failure", "advice"), [(fault, *meaning) for fault, meaning in ACCOUNT.items()])
def test_a_fault_of_the_account_ends_the_job_after_one_request(
    counter: TokenCounter, fault: str, failure: str, advice: str
) -> None:
    """A fault of the account is met once: 30 symbols at once are one request, and the error says what to do."""
    with running(behaviour({"fault": fault})) as server:
        error = account_fault(server, counter)
    assert error.failure == failure
    assert advice in str(error)
    assert sent(server) == 1
    assert billed(server) == Usage()


@pytest.mark.usefixtures("_unhurried_lead")
def test_a_key_that_the_server_does_not_know_is_not_shown(counter: TokenCounter) -> None:
    """A real 401 names the setting and repeats no part of the key."""
    with running(behaviour(api_key="sk-another")) as server:
        error = account_fault(server, counter)
    assert sent(server) == 1
    assert "OPENAI_API_KEY" in str(error)
    assert not any(part in str(error) for part in ("sk-", "nobody", "back"))


@pytest.mark.usefixtures("_unhurried_lead")
def test_a_forgotten_v1_is_asked_for(counter: TokenCounter) -> None:
    """A 404 of an address without /v1 speaks of no model, not even of one that is shut down soon."""
    with running(behaviour()) as server:
        address = server.base_url.removesuffix("/v1")
        error = account_fault(server, counter, model_name="gpt-5-nano", openai_base_url=address)
    assert "has the /v1 of OPENAI_BASE_URL been forgotten?" in str(error)


@pytest.mark.usefixtures("_unhurried_lead")
@pytest.mark.parametrize(
    ("model", "advice"),
    [("gpt-5-nano", "set MODEL_NAME=gpt-5.6-luna"), (UNLISTED, "set MODEL_NAME to a model of this server")],
)
def test_a_model_that_is_gone_ends_the_job_after_one_request(counter: TokenCounter, model: str, advice: str) -> None:
    """A retired model is met once, and the error names its replacement, or the setting where none is known."""
    with running(behaviour(retired_models=["gpt-5-nano"])) as server:
        error = account_fault(server, counter, model_name=model)
    assert error.failure == "model_not_found"
    assert model in str(error)
    assert advice in str(error)
    assert sent(server) == 1


@pytest.mark.usefixtures("_unhurried_lead")
def test_an_account_that_fails_between_two_jobs_is_met_once_too(
    counter: TokenCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the account's last good answer is some time ago, the next job ends after one request as well."""
    monkeypatch.setattr("generation.model.pacing.ACCOUNT_OK_TTL_S", 0.0)

    async def ask() -> list[Any]:
        first = documenter_for(settings, counter)
        for outcome in await asyncio.gather(*(first(symbol(f"name_{number}", number)) for number in range(5))):
            assert isinstance(outcome, Documented)
        await asyncio.to_thread(server.set_behaviour, behaviour({"fault": "quota"}))
        second = documenter_for(settings, counter)
        calls = [second(symbol(f"name_{number}", number)) for number in range(30)]
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), LIMIT_S)

    with running(behaviour(), say_what_it_is_for) as server:
        settings = settings_for(server)
        refused = asyncio.run(ask())
    assert {type(error) for error in refused} == {AccountError}
    assert server.bill()["faults"] == {"quota": 1}


@pytest.mark.usefixtures("_unhurried_lead")
def test_the_first_request_goes_ahead_alone_in_every_job(counter: TokenCounter) -> None:
    """After an account fault the next job asks once more, and goes on as soon as the account is in order again."""

    async def ask() -> list[Any]:
        results: list[Any] = []
        for _ in range(2):
            documenter = documenter_for(settings, counter)
            symbols = [symbol(f"name_{number}", number) for number in range(5)]
            results.append(await asyncio.gather(*map(documenter, symbols), return_exceptions=True))
        return results

    with running(behaviour({"fault": "quota", "times": 1}), say_what_it_is_for) as server:
        settings = settings_for(server)
        refused, documented = asyncio.run(ask())
    assert {type(error) for error in refused} == {AccountError}
    assert all(isinstance(outcome, Documented) for outcome in documented)
    assert sent(server) == 6


# One client, one limiter, and nothing left behind.


def test_jobs_of_one_loop_share_client_and_limiter(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one loop all jobs have one client for a server and key, and one limiter for each model of it."""
    settings = Settings(openai_api_key=KEY, openai_base_url="http://127.0.0.1:1/v1")
    other_key = settings.model_copy(update={"openai_api_key": Settings(openai_api_key="sk-other").openai_api_key})

    async def ask() -> None:
        client, limiter = shared_client_and_limiter(settings)
        assert shared_client_and_limiter(settings.model_copy(update={"max_symbols": 1})) == (client, limiter)
        same_client, other_limiter = shared_client_and_limiter(settings.with_options({"model_name": "gpt-5-mini"}))
        assert same_client is client
        assert other_limiter is not limiter
        stranger, strange_limiter = shared_client_and_limiter(other_key)
        assert stranger is not client
        assert strange_limiter is not limiter

    asyncio.run(ask())


def test_two_loops_share_nothing() -> None:
    """A second loop gets a client and a limiter of its own, and the first loop's client is closed by then."""
    settings = Settings(openai_api_key=KEY, openai_base_url="http://127.0.0.1:1/v1")

    async def ask() -> tuple[openai.AsyncOpenAI, Any]:
        return shared_client_and_limiter(settings)

    first, second = asyncio.run(ask()), asyncio.run(ask())
    assert first[0] is not second[0]
    assert first[1] is not second[1]
    assert first[0].is_closed()


LEAVES_NOTHING = """
import asyncio, gc, os, sys
from pathlib import Path
from generation.config import Settings
from generation.model.documenter import OpenAIDocumenter
from generation.domain.finding import Findings
from generation.domain.outcome import Request, Symbol
from generation.prompts.builder import NO_NOTES
from generation.domain.context import SymbolContext
from generation.prompts.tokens import load_counter
from generation.repairs import Review

settings = Settings.from_env(os.environ)
counter = load_counter("o200k_base", settings.tiktoken_cache_dir)

def documenter():
    ask = OpenAIDocumenter(settings, counter, lambda _: NO_NOTES, lambda text, *_: Review(text, Findings((), ())))
    return lambda symbol: ask(Request((symbol,)))

def symbols(kind):
    return [Symbol(n, SymbolContext(f"{kind}{n}", f"{kind}{n}", "function", "python", "a.py")) for n in range(5)]

async def finish():
    document = documenter()
    await asyncio.gather(*map(document, symbols("quick")))

async def be_cancelled():
    document = documenter()
    calls = [asyncio.create_task(document(symbol)) for symbol in symbols("hanging")]
    _, waiting = await asyncio.wait([*calls, asyncio.create_task(finish())], return_when=asyncio.FIRST_COMPLETED)
    for call in waiting:
        call.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

async def leave_in_mid_run():
    document = documenter()
    calls = [asyncio.create_task(document(symbol)) for symbol in symbols("hanging")]
    await finish()

def sockets():
    targets = [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sorted(target for target in targets if target.startswith("socket:"))

before = sockets()
for scenario in (finish, be_cancelled, leave_in_mid_run):
    asyncio.run(scenario())
    gc.collect()
assert sockets() == before, sockets()
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="open sockets are counted in /proc")
def test_no_task_and_no_socket_is_left_behind() -> None:
    """After asyncio.run, also of a job cancelled in mid-run, no socket is open and Python complains of nothing."""
    with running(behaviour({"fault": "hang", "contains": "Name: hanging"}), say_what_it_is_for) as server:
        environment = {
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": server.base_url,
            "TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR),
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", LEAVES_NOTHING],
            cwd=REPOSITORY_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


def test_closing_a_cancelled_call_gives_its_place_back(counter: TokenCounter) -> None:
    """With one request in flight at most, a call that is cancelled in mid-flight makes room for the next."""

    async def ask(server: RunningServer) -> Outcome:
        documenter = documenter_for(settings_for(server, max_concurrent_requests=1), counter)
        hanging = asyncio.create_task(documenter(symbol("hanging")))
        await asyncio.to_thread(wait_until, lambda: sent(server) == 1)
        next_one = asyncio.create_task(documenter(symbol("next", 1)))
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        return await asyncio.wait_for(next_one, LIMIT_S)

    with running(behaviour({"fault": "hang", "contains": "Name: hanging"}), say_what_it_is_for) as server:
        outcome = asyncio.run(ask(server))
    assert isinstance(outcome, Documented)
    assert server.bill()["highest_in_flight"] == 1


# What the SDK's exceptions mean.

SPOKEN = "def secret_source(): 'sk-part-of-a-key'"
Make = Callable[[type[Any]], Exception]


def api_request() -> httpx2.Request:
    return httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")


def with_status(status: int, code: str = "some_code", **headers: str) -> Make:
    body = {"message": SPOKEN, "code": code, "param": SPOKEN, "type": SPOKEN}
    response = httpx2.Response(status, json={"error": body}, headers=headers, request=api_request())
    return lambda kind: kind(SPOKEN, response=response, body=body)


def without_message(status: int) -> Make:
    body = {"error": SPOKEN}
    response = httpx2.Response(status, json=body, request=api_request())
    return lambda kind: kind(response=response, body=body)


COMPLETION = ChatCompletion.model_validate(
    {"id": SPOKEN, "choices": [], "created": 0, "model": SPOKEN, "object": "chat.completion"}
)
PLAIN: Make = lambda kind: kind(SPOKEN)  # noqa: E731 - one of a table of makers

MEANINGS: dict[str, tuple[Make, type[DoctownError], str | None]] = {
    "APIConnectionError": (lambda kind: kind(message=SPOKEN, request=api_request()), Transient, "connection"),
    "APIError": (lambda kind: kind(SPOKEN, api_request(), body=None), Transient, "bad_answer"),
    "APIResponseValidationError": (
        lambda kind: kind(httpx2.Response(200, request=api_request()), SPOKEN, message=SPOKEN),
        Transient,
        "bad_answer",
    ),
    "APIStatusError": (with_status(418), Rejected, "bad_request"),
    "APITimeoutError": (lambda kind: kind(api_request()), Transient, "timeout"),
    "AuthenticationError": (with_status(401), AccountError, "key_refused"),
    "BadRequestError": (with_status(400), Rejected, "bad_request"),
    "ConflictError": (with_status(409), Transient, "server_error"),
    "ContentFilterFinishReasonError": (
        lambda kind: kind(completion=COMPLETION),
        Rejected,
        "content_filter",
    ),
    "InternalServerError": (with_status(500), Transient, "server_error"),
    "LengthFinishReasonError": (lambda kind: kind(completion=COMPLETION), CutOff, "answer_cut_off"),
    "NotFoundError": (with_status(404), AccountError, "model_not_found"),
    "OAuthError": (without_message(401), AccountError, "key_refused"),
    "OpenAIError": (PLAIN, AccountError, None),
    "PermissionDeniedError": (with_status(403), AccountError, "not_permitted"),
    "RateLimitError": (with_status(429), SlowDown, "rate_limited"),
    "UnprocessableEntityError": (with_status(422), Rejected, "bad_request"),
    "WebSocketConnectionClosedError": (lambda kind: kind(SPOKEN, unsent_messages=[]), AccountError, None),
    "WebSocketQueueFullError": (PLAIN, AccountError, None),
    "_AmbiguousModuleClientUsageError": (lambda kind: kind(), AccountError, None),
}


def exported(base: type[Exception]) -> dict[str, type[Exception]]:
    """The exceptions of a kind that the package exports. Its other names are imported when they are looked at."""
    classes = {name: value for name, value in vars(openai).items() if issubclass(type(value), type)}
    return {name: kind for name, kind in classes.items() if issubclass(kind, base)}


def test_every_exception_of_the_sdk_has_a_case_here() -> None:
    """An exception class that a new SDK brings fails this test until someone says what it means."""
    assert set(exported(openai.OpenAIError)) == set(MEANINGS)
    # No call of the API raises this one: it is for those who receive webhooks.
    assert set(exported(Exception)) - set(MEANINGS) == {"InvalidWebhookSignatureError"}


@pytest.mark.parametrize("name", MEANINGS)
def test_every_exception_of_the_sdk_is_translated_and_its_text_left_behind(name: str) -> None:
    """Each exception means what the table says, and nothing that the API said is repeated."""
    make, kind, failure = MEANINGS[name]
    translated = translate(make(exported(openai.OpenAIError)[name]), Settings(openai_api_key=KEY))
    assert type(translated) is kind
    assert failure is None or translated.failure == failure  # type: ignore[attr-defined]
    assert "secret_source" not in str(translated)
    assert "sk-part" not in str(translated)


@pytest.mark.parametrize("status", sorted(status.value for status in http.HTTPStatus if status >= 400))
def test_every_error_status_is_translated(status: int) -> None:
    """No status of HTTP is left without a meaning: the job's fault, or the request's, and 5xx always the server's."""
    error = with_status(status)(openai.APIStatusError)
    translated = translate(error, Settings(openai_api_key=KEY))
    assert isinstance(translated, Transient) is (status in {408, 409, *range(500, 600)} - {503})
    assert isinstance(translated, SlowDown) is (status in {429, 503})
    assert isinstance(translated, JobError) is (status in {401, 402, 403, 404})
    assert str(status) in str(translated)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wednesday, 21-Oct-26 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed Oct 21 07:28:30 2026", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 99 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after-ms": "nan"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_a_refusal_asks_for_is_read(headers: dict[str, str], seconds: float | None) -> None:
    """`retry-after-ms` comes before `retry-after`, and what makes no sense is as if it were not there."""
    error = with_status(429, **headers)(openai.RateLimitError)
    translated = translate(error, Settings(openai_api_key=KEY))
    assert isinstance(translated, SlowDown)
    assert translated.retry_after_s == seconds


def test_a_page_of_something_between_is_not_the_apis_word(counter: TokenCounter) -> None:
    """A firewall that answers one prompt with a page, whatever its status, costs that symbol its attempts only."""

    def answer(handler: RawHandler, body: bytes) -> None:
        blocked = b"Name: blocked" in body
        status, kind = (403, "text/html") if blocked else (200, "application/json")
        send(handler, status, b"<html>blocked</html>" if blocked else COMPLETED, kind)

    with raw_server(answer) as url:
        settings = Settings(openai_api_key=KEY, openai_base_url=url, max_retries=1)
        good, blocked, other = document(settings, counter, symbol("good"), symbol("blocked", 1), symbol("other", 2))
    assert isinstance(good, Documented)
    assert isinstance(other, Documented)
    assert isinstance(blocked, Failed)
    assert (blocked.failure, blocked.usage.requests) == ("server_error", 2)
    assert "OPENAI_BASE_URL" in blocked.message


# The server closes each connection after such a reply; said in the reply, no client takes it for the next request.
CLOSE = b"Connection: close\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + CLOSE
COMPLETED = json.dumps({"choices": [{"message": {"content": '{"summary": "Says what it is for."}'}}]}).encode()
LENGTH = b"Content-Length: %d\r\n" % len(COMPLETED)
MALFORMED = {
    "a long header": HEAD + b"Set-Cookie: a=" + b"a" * 9_000 + b"\r\n" + LENGTH + b"\r\n" + COMPLETED,
    "two lengths": HEAD + LENGTH * 2 + b"\r\n" + COMPLETED,
    "no HTTP": b"\x15\x03\x03\x00\x02\x02\x16",
    "a bad chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n" + COMPLETED,
    "no gzip": HEAD + b"Content-Encoding: gzip\r\n" + LENGTH + b"\r\n" + COMPLETED,
    "bytes that are no text": HEAD + b"Content-Length: 2\r\n\r\n\xff\xfe",
    "a redirect to nowhere": b"HTTP/1.1 307 Moved\r\nLocation: http://[\r\n" + CLOSE + b"Content-Length: 0\r\n\r\n",
    "a status beyond HTTP": b"HTTP/1.1 999 Odd\r\n" + CLOSE + b"Content-Length: 0\r\n\r\n",
}


def test_whatever_an_exchange_raises_is_an_attempt(counter: TokenCounter) -> None:
    """Replies that are no HTTP, or not what their headers say, cost their symbol an attempt and the job nothing."""
    broken: set[str] = set()

    def answer(handler: RawHandler, body: bytes) -> None:
        name = next((name for name in MALFORMED if rf"Name: {name}\n".encode() in body), "")
        if name and name not in broken:
            broken.add(name)
            handler.wfile.write(MALFORMED[name])
            handler.close_connection = True
        else:
            send(handler, 200, COMPLETED, "application/json")

    async def ask() -> list[Outcome]:
        # One after the other: so many broken connections at once would be an outage.
        documenter = documenter_for(settings, counter)
        return [await documenter(symbol(name, place)) for place, name in enumerate(MALFORMED)]

    with raw_server(answer) as url:
        settings = Settings(openai_api_key=KEY, openai_base_url=url)
        outcomes = asyncio.run(ask())
    assert broken == set(MALFORMED)
    assert [type(outcome) for outcome in outcomes] == [Documented] * len(MALFORMED)
    assert {outcome.usage.requests for outcome in outcomes} == {2}


def test_a_certificate_that_is_not_trusted_ends_the_job_and_names_the_variable(counter: TokenCounter) -> None:
    """Each request would fail for it: the job ends at the first, in words that say what to set."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    asked: list[bytes] = []
    with raw_server(lambda _handler, body: asked.append(body), context) as url:
        settings = Settings(openai_api_key=KEY, openai_base_url=url)
        with pytest.raises(AccountError, match="SSL_CERT_FILE") as caught:
            document(settings, counter, symbol())
    assert caught.value.failure == "bad_setting"
    assert asked == []


def send(handler: RawHandler, status: int, body: bytes, kind: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


# What must never get out.


@pytest.mark.parametrize(
    "summary",
    ["\ud800 lone", "bell\a and \x1b[31mred", "two\nlines", "nul\0", "\u2028 separator", "\x85 next line", "", " \n "],
)
def test_a_summary_that_cannot_be_sent_or_shown_never_gets_out(counter: TokenCounter, summary: str) -> None:
    """Whatever the model says, a summary is one line of printable text that is not empty, or the symbol fails."""
    answer = json.dumps({"summary": summary}) if summary.isascii() else f'{{"summary": "{summary}"}}'
    with running(behaviour(count_by="characters"), lambda *_: answer) as server:
        (outcome,) = document(settings_for(server, max_retries=1), counter, symbol())
    if isinstance(outcome, Documented):
        assert outcome.summary.isprintable()
        assert outcome.summary.strip()
        outcome.summary.encode()
    else:
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.usage.requests) == ("bad_answer", 2)


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_the_key_shows_nowhere(
    counter: TokenCounter,
    fault: str,
    caplog: pytest.LogCaptureFixture,
    time_passes_in_hangs: Callable[[RunningServer], None],
) -> None:
    """Whatever goes wrong, the key is in no log record, not even at DEBUG, in no outcome and in no error."""
    caplog.set_level(logging.DEBUG)
    shown: list[object] = []
    with running(behaviour({"fault": fault, "times": 1}), say_what_it_is_for) as server:
        time_passes_in_hangs(server)
        settings = settings_for(server, max_retries=1)
        try:
            shown += document(settings, counter, symbol())
        except JobError as error:
            shown += [error, error.args, error.__cause__, error.__context__]
    records = [record.getMessage() for record in caplog.records]
    assert records
    assert not [text for text in (*map(repr, shown), *records, caplog.text, repr(settings)) if KEY in text]


def test_source_code_shows_in_no_log_of_the_worker(counter: TokenCounter, caplog: pytest.LogCaptureFixture) -> None:
    """At the least level that a deployment logs, no line of the source that is sent shows in the worker's own log."""
    caplog.set_level(logging.DEBUG, logger="generation")
    script = [{"fault": fault, "times": 1} for fault in ("server_error", "length", "refusal")]
    with running(behaviour(*script)) as server:
        document(settings_for(server), counter, symbol(source_code="planted_source()"))
        assert any("planted_source()" in request["messages"][1]["content"] for request in server.requests)
    assert "planted_source" not in caplog.text


def test_the_server_and_the_worker_count_alike(counter: TokenCounter) -> None:
    """The exact count of a prompt is what the server bills as its input."""
    with running(behaviour(), say_what_it_is_for) as server:
        (outcome,) = document(settings_for(server), counter, symbol(source_code="naïve = '€' * 3  # 漢字 😀"))
    (request,) = server.requests
    texts = [text for message in request["messages"] for text in (message["role"], message["content"])]
    by_hand = 3 * 2 + sum(len(encoding().encode(text)) for text in texts) + 3
    assert outcome.usage.input_tokens == counter.count_messages(request["messages"]) == by_hand
