"""That the loopback server behaves as it says: through the real `openai` client, and its arithmetic by hand."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from tests.loopback.limits import Bucket, Turnstile, Window, duration_text, stretches
from tests.loopback.openai import Behaviour, Limits, RunningServer, encoding, ideal_makespan_s, running, running_process
from tests.support.waiting import LIMIT_S, ManualClock, wait_until

CHEAP = Behaviour(count_by="characters")
SUMMARY = {
    "type": "object",
    "properties": {"summary": {"type": "string"}},
    "required": ["summary"],
    "additionalProperties": False,
}


def request(prompt: str = "symbol_id: a.py:f\ndef f(items): return sum(items)", **changes: Any) -> dict[str, Any]:
    form = {"type": "json_schema", "json_schema": {"name": "doc", "strict": True, "schema": SUMMARY}}
    messages = [{"role": "system", "content": "You document code."}, {"role": "user", "content": prompt}]
    base = {"model": "gpt-5-nano", "reasoning_effort": "minimal", "messages": messages, "response_format": form}
    return {**base, **changes}


@contextmanager
def client(server: RunningServer, **options: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, **{"api_key": "sk-test", "max_retries": 0, **options}) as sdk:
        yield sdk


def ask(server: RunningServer, prompt: str = "symbol_id: a.py:f", **changes: Any) -> Any:
    with client(server) as sdk:
        return sdk.chat.completions.create(**request(prompt, **changes))


def refused(server: RunningServer, **changes: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(server, **changes)
    return caught.value


def raw_post(server: RunningServer, body: bytes, key: str = "k") -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc)
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {key}"})
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, json.loads(content)


@pytest.fixture(scope="module")
def plain() -> Iterator[RunningServer]:
    with running(CHEAP) as server:
        yield server


def test_an_answer_satisfies_its_schema_and_is_billed_token_by_token() -> None:
    """Content, usage and bill of one request agree with a count made here."""
    with running(Behaviour(keep_requests=True)) as server:
        completion = ask(server, "symbol_id: a.py:f\nnaïve", reasoning_effort="low")
    content = completion.choices[0].message.content
    summary = json.loads(content)["summary"]
    assert set(json.loads(content)) == {"summary"}
    assert 12 <= len(summary.split()) <= 25
    usage = completion.usage
    texts = ("system", "You document code.", "user", "symbol_id: a.py:f\nnaïve")
    assert usage.prompt_tokens == 3 * 2 + sum(len(encoding().encode(text)) for text in texts) + 3
    assert usage.completion_tokens_details.reasoning_tokens == 64
    assert usage.completion_tokens == 64 + len(encoding().encode(content))
    bill = server.bill()
    assert bill["requests"] == {"200": 1}
    assert (bill["input_tokens"], bill["output_tokens"]) == (usage.prompt_tokens, usage.completion_tokens)
    assert bill["bought"] == {"a.py:f": 1}
    assert server.requests[0]["messages"][0]["content"] == "You document code."


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"temperature": 0.2}, 400, "unsupported_value"),
        ({"max_tokens": 100}, 400, "unsupported_parameter"),
        ({"reasoning_effort": "none"}, 400, "unsupported_value"),
        ({"model": "gpt-6-luna"}, 400, "unsupported_value"),
        ({"model": "gpt-4o-mini"}, 400, "unsupported_parameter"),
        ({"model": "gpt-9"}, 404, "model_not_found"),
        ({"max_completion_tokens": 128_001}, 400, "invalid_value"),
        ({"extra_body": {"max_output": 1}}, 400, "unknown_parameter"),
        ({"messages": []}, 400, None),
    ],
)
def test_parameters_are_checked_as_the_models_do(
    plain: RunningServer, changes: dict[str, Any], status: int, code: str | None
) -> None:
    """Each model refuses the parameters that its real self refuses."""
    error = refused(plain, **changes)
    assert (error.status_code, error.code) == (status, code)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({**SUMMARY, "additionalProperties": True}, "additionalProperties"),
        ({**SUMMARY, "required": []}, "Missing 'summary'"),
        ({"type": "array", "items": SUMMARY}, "schema must be"),
        ({**SUMMARY, "properties": {"summary": {"type": "string", "default": ""}}}, "('properties', 'summary')"),
        ({**SUMMARY, "$defs": {"Item": {"type": "object", "properties": {}}}}, "('$defs', 'Item')"),
    ],
)
def test_a_strict_schema_is_checked(plain: RunningServer, schema: dict[str, Any], words: str) -> None:
    """What strict mode does not take is a 400 that names the place."""
    form = {"type": "json_schema", "json_schema": {"name": "doc", "strict": True, "schema": schema}}
    error = refused(plain, response_format=form)
    assert (error.status_code, error.param) == (400, "response_format")
    assert words in error.message


def test_only_a_body_of_utf8_and_json_is_read(plain: RunningServer) -> None:
    """Bad UTF-8, bad JSON, NaN and a lone surrogate are all unreadable."""
    lone = json.dumps(request("\ud800")).encode()
    for body in (b'{"model": "\xff"}', b"{", b"[]", b'{"a": NaN}', lone):
        status, answer = raw_post(plain, body)
        assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
        assert "could not parse" in answer["error"]["message"]


def test_key_context_and_retired_models_are_checked() -> None:
    """A wrong key is a 401, a prompt beyond the context a 400, a retired model a 404 that is not listed."""
    behaviour = Behaviour(api_key="sk-right", retired_models=["gpt-5-nano"], context_tokens=50, count_by="characters")
    with running(behaviour) as server:
        assert refused(server).code == "invalid_api_key"
        assert raw_post(server, json.dumps(request()).encode(), "sk-right")[0] == 404
        body = json.dumps(request("x" * 400, model="gpt-5-mini")).encode()
        status, answer = raw_post(server, body, "sk-right")
        assert (status, answer["error"]["code"]) == (400, "context_length_exceeded")
        with client(server, api_key="sk-right") as sdk:
            assert "gpt-5-nano" not in [model.id for model in sdk.models.list()]
            assert sdk.models.retrieve("gpt-5-mini").shutdown_date == "2026-12-11"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("rate_limited", 429, "rate_limit_exceeded"),
        ("slow_down", 429, "slow_down"),
        ("overloaded", 503, "server_is_overloaded"),
        ("loading", 503, None),
        ("too_many", 429, "rate_limit_exceeded"),
        ("server_error", 500, None),
        ("bad_gateway", 502, None),
        ("quota", 429, "insufficient_quota"),
        ("bad_key", 401, "invalid_api_key"),
        ("forbidden", 403, "unsupported_country_region_territory"),
        ("too_large", 429, "rate_limit_exceeded"),
        ("unsupported_parameter", 400, "unsupported_parameter"),
    ],
)
def test_a_fault_that_refuses_is_not_billed(fault: str, status: int, code: str | None) -> None:
    """The scripted fault comes as often as the script says; then the answer, which alone is billed."""
    script = [{"fault": fault, "contains": "a.py", "times": 1}]
    with running(Behaviour(fault_script=script, count_by="characters")) as server:
        error = refused(server)
        assert (error.status_code, error.code) == (status, code)
        assert ask(server).choices[0].finish_reason == "stop"
        assert ("retry-after-ms" in error.response.headers) == (fault == "rate_limited")
        assert ("retry-after" in error.response.headers) == (fault in {"rate_limited", "too_many"})
        assert ("Request too large for gpt-5-nano" in error.message) == (fault == "too_large")
    assert server.bill()["requests"] == {str(status): 1, "200": 1}
    assert server.bill()["bought"] == {"a.py:f": 1}


def choice_with(fault: str, **changes: Any) -> tuple[Any, Any]:
    with running(Behaviour(fault_rates={fault: 1.0}, count_by="characters")) as server:
        completion = ask(server, **changes)
    assert server.bill()["bought"] == {"a.py:f": 1}, "an answer is paid for, whatever is in it"
    return completion.choices[0], completion.usage


def test_a_fault_of_the_content_is_billed() -> None:
    """Answers that are of no use come as HTTP 200, each spoiled in its own way."""
    with pytest.raises(json.JSONDecodeError):
        json.loads(choice_with("truncated_json")[0].message.content)
    assert "summary" not in json.loads(choice_with("wrong_schema")[0].message.content)
    assert "\ud800" in json.loads(choice_with("surrogate")[0].message.content)["summary"]
    assert "\x00" in json.loads(choice_with("control")[0].message.content)["summary"]
    assert choice_with("length")[0].finish_reason == "length"
    assert choice_with("content_filter")[0].finish_reason == "content_filter"
    refusal, _ = choice_with("refusal")
    assert (refusal.message.content, bool(refusal.message.refusal)) == (None, True)
    empty, usage = choice_with("empty_content", max_completion_tokens=400)
    assert (empty.message.content, empty.finish_reason) == ("", "length")
    assert usage.completion_tokens == usage.completion_tokens_details.reasoning_tokens == 400
    assert choice_with("no_usage")[1] is None


def test_a_fault_of_the_transport_breaks_the_exchange() -> None:
    """A closed socket, half a body and a body that is no JSON; only what was generated is billed."""
    script = [{"fault": fault, "contains": fault} for fault in ("disconnect", "half_answer", "not_json_body")]
    with running(Behaviour(fault_script=script, count_by="characters")) as server:
        for fault in ("disconnect", "half_answer"):
            with pytest.raises(openai.APIConnectionError):
                ask(server, f"symbol_id: {fault}")
        with pytest.raises(json.JSONDecodeError):
            ask(server, "symbol_id: not_json_body")
        assert server.bill()["bought"] == {"half_answer": 1, "not_json_body": 1}


def wait_for_hangs(server: RunningServer, wanted: int) -> None:
    wait_until(lambda: server.bill()["faults"] == {"hang": wanted}, f"{wanted} requests that hang")


def test_who_leaves_early_pays_nothing() -> None:
    """A request that its client gave up is abandoned and not billed."""

    async def leave(server: RunningServer) -> None:
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as sdk:
            asked = asyncio.ensure_future(sdk.chat.completions.create(**request()))
            await asyncio.to_thread(wait_for_hangs, server, 1)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    with running(Behaviour(fault_rates={"hang": 1.0}, count_by="characters")) as server:
        asyncio.run(leave(server))
        wait_until(lambda: server.bill()["abandoned"] == 1, "the server to notice")
    assert server.bill()["requests"] == {}


def test_hangs_do_not_hold_up_the_end() -> None:
    """A request that still hangs when the server ends is cut off, and its client told so."""
    with ThreadPoolExecutor() as pool:
        with running(Behaviour(fault_rates={"hang": 1.0}, count_by="characters")) as server, client(server) as sdk:
            held = pool.submit(lambda: sdk.chat.completions.create(**request(), timeout=10 * LIMIT_S))
            wait_for_hangs(server, 1)
        with pytest.raises(openai.APIConnectionError):
            held.result(LIMIT_S)
    assert server.bill()["requests"] == {}


def test_requests_can_be_held_until_the_behaviour_changes() -> None:
    """Beyond `hold_after` answers a request waits, however long; with another behaviour it is answered."""
    with (
        ThreadPoolExecutor() as pool,
        running(Behaviour(hold_after=2, count_by="characters")) as server,
        client(server) as sdk,
    ):
        prompts = [f"symbol_id: {number}" for number in range(5)]
        asked = [pool.submit(partial(sdk.chat.completions.create, **request(prompt))) for prompt in prompts]
        wait_until(lambda: server.bill()["highest_in_flight"] >= 3, "a request that is held")
        wait_until(lambda: sum(one.done() for one in asked) == 2, "the first two answers")
        assert server.bill()["requests"] == {"200": 2}
        server.set_behaviour(Behaviour(count_by="characters"))
        for one in asked:
            one.result(LIMIT_S)
    assert server.bill()["requests"] == {"200": 5}


def test_chance_does_not_depend_on_the_order() -> None:
    """The same prompts in the opposite order, all at once, meet the same faults and the same latencies."""

    async def outcome(sdk: openai.AsyncOpenAI, number: int) -> tuple[int, str]:
        try:
            await sdk.chat.completions.create(**request(f"symbol_id: {number}"))
        except openai.APIStatusError as error:
            return number, str(error.code)
        return number, "documented"

    async def outcomes(server: RunningServer, numbers: range) -> dict[int, str]:
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as sdk:
            return dict(await asyncio.gather(*(outcome(sdk, number) for number in numbers)))

    rates = {"rate_limited": 0.3, "quota": 0.2}
    with running(Behaviour(fault_rates=rates, seed=7, latency_mean_s=0.01, count_by="characters")) as server:
        forward = asyncio.run(outcomes(server, range(60)))
        server.reset()
        backward = asyncio.run(outcomes(server, range(59, -1, -1)))
    assert forward == backward
    assert set(forward.values()) == {"rate_limit_exceeded", "insufficient_quota", "documented"}


def test_a_refusal_by_the_limits_names_the_wait_that_suffices() -> None:
    """Who waits as long as retry-after-ms says is admitted, and every reply carries the six headers."""
    limits = Limits(requests_per_min=600, tokens_per_min=60_000)
    clock = ManualClock()
    with running(Behaviour(limits=limits, count_by="characters"), clock_s=clock) as server, client(server) as sdk:
        first = sdk.chat.completions.with_raw_response.create(**request(max_completion_tokens=60_000))
        assert first.headers["x-ratelimit-remaining-requests"] == "599"
        assert first.headers["x-ratelimit-limit-tokens"] == "60000"
        assert int(first.headers["x-ratelimit-remaining-tokens"]) < 100
        error = refused(server, max_completion_tokens=300)
        wait_s = int(error.response.headers["retry-after-ms"]) / 1000
        assert wait_s == 0.3
        assert "Rate limit reached for gpt-5-nano" in error.message
        assert error.response.headers["x-ratelimit-reset-tokens"].startswith(("59.", "1m0s"))
        clock.advance(wait_s)
        ask(server, max_completion_tokens=300)
        assert "Request too large" in refused(server, max_completion_tokens=60_001).message
        server.set_behaviour(Behaviour(limits=limits, send_limit_headers=False, count_by="characters"))
        bare = refused(server, max_completion_tokens=30_000).response.headers
        assert not [name for name in bare if name.startswith("x-ratelimit")]
    assert server.bill()["charges"] == [60_000, 300]


def test_a_server_without_limits_is_overloaded_above_its_width() -> None:
    """Above max_in_flight the answer is 503, and the width that was reached is told."""

    async def five(server: RunningServer) -> list[Any]:
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as sdk:
            calls = [
                asyncio.ensure_future(sdk.chat.completions.create(**request(f"symbol_id: {number}")))
                for number in range(5)
            ]
            await asyncio.to_thread(wait_until, lambda: sum(call.done() for call in calls) == 2, "two refusals")
            server.set_behaviour(Behaviour(count_by="characters"))
            return await asyncio.gather(*calls, return_exceptions=True)

    with running(Behaviour(max_in_flight=3, hold_after=0, count_by="characters")) as server:
        results = asyncio.run(five(server))
    assert sum(isinstance(result, openai.InternalServerError) for result in results) == 2
    assert server.bill()["highest_in_flight"] == 3


def test_a_common_prefix_is_cached_in_steps() -> None:
    """The second request with a long common prefix gets 1,024 tokens of it, and every 128 more, from the cache."""
    prefix = " word" * 1100
    with running(Behaviour()) as server:
        cached = [
            ask(server, prefix + tail, prompt_cache_key=key).usage.prompt_tokens_details.cached_tokens
            for tail, key in ((" a", "k"), (" b", "k"), (" b", "other"))
        ]
        assert ask(server, " word" * 900).usage.prompt_tokens_details.cached_tokens == 0
    assert cached == [0, 1024, 0]


def test_reasoning_counts_against_the_cap() -> None:
    """Medium effort spends 256 tokens before the first word: a cap below that leaves nothing to read."""
    with running(CHEAP) as server:
        low = ask(server, reasoning_effort="medium", max_completion_tokens=200)
        middling = ask(server, reasoning_effort="medium", max_completion_tokens=260)
    assert (low.choices[0].message.content, low.choices[0].finish_reason) == ("", "length")
    assert low.usage.completion_tokens_details.reasoning_tokens == 200
    assert len(middling.choices[0].message.content) == 16


def test_an_array_gets_an_item_for_each_key() -> None:
    """With a marker and a key property, several symbols in one request are answered one by one."""
    item = {**SUMMARY, "properties": {"id": {"type": "string"}, "summary": {"type": "string"}}}
    item["required"] = ["id", "summary"]
    schema = {**SUMMARY, "properties": {"items": {"type": "array", "items": item}}, "required": ["items"]}
    form = {"type": "json_schema", "json_schema": {"name": "docs", "strict": True, "schema": schema}}
    behaviour = Behaviour(item_marker=r"(?m)^symbol_id: (.+)$", item_key="id", count_by="characters")
    with running(behaviour) as server:
        content = ask(server, "symbol_id: a\nsymbol_id: b", response_format=form).choices[0].message.content
    items = json.loads(content)["items"]
    assert [entry["id"] for entry in items] == ["a", "b"]
    assert items[0]["summary"] != items[1]["summary"]
    assert server.bill()["bought"] == {"a": 1, "b": 1}


def test_the_writer_of_answers_can_be_replaced() -> None:
    """Whoever starts the server may say what the model says."""
    with running(CHEAP, write_answer=lambda body, prompt: f"{body['model']}: {prompt}") as server:
        assert ask(server, "hello").choices[0].message.content == "gpt-5-nano: hello"


def test_the_process_behaves_like_the_thread() -> None:
    """In a process of its own: the same handle, the same bill, a change in mid-run, a prompt end."""
    with running_process(Behaviour(count_by="characters", keep_requests=True)) as server:
        ask(server)
        server.set_behaviour(Behaviour(count_by="characters", fault_rates={"quota": 1.0}))
        assert refused(server).code == "insufficient_quota"
    assert server.bill()["requests"] == {"200": 1, "429": 1}
    assert len(server.requests) == 1


def test_bad_headers_are_absurd() -> None:
    """The fault replaces every rate-limit header by something no client should trust."""
    with running(Behaviour(fault_rates={"bad_headers": 1.0}, count_by="characters")) as server, client(server) as sdk:
        headers = sdk.chat.completions.with_raw_response.create(**request()).headers
    values = [value for name, value in headers.items() if name.startswith("x-ratelimit")]
    assert len(values) == 6
    assert set(values) == {"", "-1", "87600h", "abc"}


def test_a_bucket_by_hand() -> None:
    """600 a minute: full at first, then 10 a second, and 5 from second 10 on, when the limit is halved."""
    bucket = Bucket(stretches(600, Limits(changes=[(10, 0.5)])))
    bucket.level -= 600
    assert bucket.wait_s(50) == pytest.approx(5)
    assert bucket.wait_s(150) == pytest.approx(20)
    assert bucket.wait_s(301) == float("inf")
    bucket.advance(12)
    assert bucket.level == pytest.approx(110)
    bucket.advance(1000)
    assert bucket.level == 300


def test_a_window_by_hand() -> None:
    """600 a minute, second by second: 10 each second, nothing saved; 25 takes an untouched second and the next 1.5."""
    window = Window(stretches(600, Limits(enforced_per_second=True)))
    assert window.wait_s(10) == 0
    window.level -= 10
    window.advance(0.4)
    assert window.wait_s(1) == pytest.approx(0.6)
    window.advance(7)
    assert window.wait_s(25) == 0
    window.level -= 25
    assert window.wait_s(5) == pytest.approx(2)
    assert window.wait_s(6) == pytest.approx(3)


def test_a_refused_request_takes_nothing() -> None:
    """Of two limits the longer wait is told, and neither is charged."""
    turnstile = Turnstile(Limits(requests_per_min=60, tokens_per_min=600))
    assert turnstile.admit(0, 600) is None
    refusal = turnstile.admit(0, 100)
    assert refusal is not None
    assert refusal[:4] == ("tokens", 600, 600, 100)
    assert refusal.wait_s == pytest.approx(10)
    assert turnstile.headers(0)["x-ratelimit-remaining-requests"] == "59"


def test_the_ideal_by_hand() -> None:
    """600 tokens a minute, 20 requests of 60: 600 at once, then 10 a second; by the second, one each second."""
    charges = [60] * 20
    assert ideal_makespan_s(charges, Limits(tokens_per_min=600), 1.0) == pytest.approx(62)
    assert ideal_makespan_s(charges, Limits(requests_per_min=12, tokens_per_min=6000)) == pytest.approx(40)
    halved = Limits(tokens_per_min=600, changes=[(20, 0.5)])
    assert ideal_makespan_s(charges, halved) == pytest.approx(20 + 400 / 5)
    shared = Limits(tokens_per_min=600, other_worker_share=0.5, other_worker_from_s=30)
    assert ideal_makespan_s(charges, shared) == pytest.approx(30 + 300 / 5)
    assert ideal_makespan_s(charges, Limits(tokens_per_min=6000, enforced_per_second=True)) == 19
    assert ideal_makespan_s(charges, Limits(), 1.5) == 3


def test_durations_have_the_form_of_openai() -> None:
    """As in OpenAI's reset headers."""
    seconds = (0, 0.012, 1, 72.5, 360, 3600, 59.9995)
    assert [duration_text(each) for each in seconds] == ["0s", "12ms", "1s", "1m12.5s", "6m0s", "1h0m0s", "1m0s"]
