"""Several symbols in one request: every summary under its own id, and every token accounted for."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from generation.config import Settings
from generation.model.limiter import Limiter
from tests.loopback.openai import Behaviour, RunningServer, running
from tests.support.contexts import FUNCTIONS, item, payload
from tests.support.jobs import run_job_to_dict

KEYED = re.compile(r"(?m)^## Symbol (s\d+)\n\nLanguage: \S+\nName: (\S+)$")
NAME = re.compile(r"(?m)^Name: (\S+)$")
Entries = list[dict[str, str]]


def summary(name: str) -> str:
    return f"Does for its callers what only {name} can do."


def answer_with(change: Callable[[Entries], Entries]) -> Callable[[dict[str, Any], str], str]:
    """A model that answers each symbol by its name, its entries for several symbols changed in some way."""

    def write(_request: dict[str, Any], prompt: str) -> str:
        keyed = KEYED.findall(prompt)
        if keyed:
            return json.dumps({"summaries": change([{"key": key, "summary": summary(name)} for key, name in keyed])})
        return json.dumps({"summary": summary(NAME.findall(prompt)[0])})

    return write


def document(server: RunningServer, job: dict[str, Any], tmp_path: Any, **settings: str) -> dict[str, Any]:
    environ = {
        "OPENAI_API_KEY": "key",
        "OPENAI_BASE_URL": server.base_url,
        "RESULTS_DIR": str(tmp_path),
        "BATCH_MODE": "true",
        **settings,
    }
    return asyncio.run(run_job_to_dict(job, Settings.from_env(environ), default_job_id="job", emit=lambda _: None))


def own_summaries(output: dict[str, Any]) -> list[str]:
    """The ids whose summary is that of their own name."""
    return [
        one["symbol_id"]
        for one in output["documented_symbols"]
        if one["summary"] == summary(one["symbol_id"].split(":")[1])
    ]


def billed(server: RunningServer) -> int:
    bill = server.bill()
    return int(bill["input_tokens"] + bill["output_tokens"])


CHANGES: dict[str, Callable[[Entries], Entries]] = {
    "nothing": lambda entries: entries,
    "drops the second": lambda entries: [entries[0], *entries[2:]],
    "doubles the first": lambda entries: [*entries, {**entries[0], "summary": "Something else entirely."}],
    "reorders": lambda entries: entries[::-1],
    "renames the last": lambda entries: [*entries[:-1], {**entries[-1], "key": "s99"}],
    "empties the first": lambda entries: [{**entries[0], "summary": " "}, *entries[1:]],
    "answers nothing": lambda _: [],
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_symbol_comes_back_under_its_own_id(change: str, tmp_path: Any) -> None:
    """Whatever a model drops, doubles, reorders, renames or empties, each symbol has its own summary."""
    job = payload(24)
    with running(Behaviour(), answer_with(CHANGES[change])) as server:
        output = document(server, job, tmp_path)
        assert own_summaries(output) == [one["symbol_id"] for one in job["symbols"]]
        assert output["total_tokens"] == billed(server)
        assert output["usage"]["requests"] == sum(server.bill()["requests"].values())


def test_swapped_summaries_are_told_by_their_wording_and_asked_for_again(tmp_path: Any) -> None:
    """Where a model puts the summaries of two unlike symbols under each other's keys, both are asked for alone."""

    def swap(entries: Entries) -> Entries:
        first, second, *rest = entries
        return [{**first, "summary": second["summary"]}, {**second, "summary": first["summary"]}, *rest]

    job = payload(len(FUNCTIONS))
    with running(Behaviour(), answer_with(swap)) as server:
        output = document(server, job, tmp_path, CALLEES_FIRST="false")
        assert own_summaries(output) == [one["symbol_id"] for one in job["symbols"]]
        assert output["total_tokens"] == billed(server)


def test_the_parts_of_a_request_add_up_to_it(tmp_path: Any) -> None:
    """The tokens of the symbols of one request, in whole numbers, are together those of the request."""
    with running(Behaviour(), answer_with(CHANGES["nothing"])) as server:
        output = document(server, payload(7), tmp_path, CALLEES_FIRST="false")
        assert output["usage"]["requests"] < 7
        assert (
            sum(one["tokens_used"] for one in output["documented_symbols"]) == output["total_tokens"] == billed(server)
        )
        assert all(one["tokens_used"] > 0 for one in output["documented_symbols"])


@pytest.mark.parametrize("fault", ["refusal", "content_filter", "length", "wrong_schema", "server_error"])
def test_one_poisonous_symbol_costs_only_itself(fault: str, tmp_path: Any) -> None:
    """A symbol that spoils every request it is in is found by halving; all the others are documented."""
    items = [item(f"f{number}", centrality=0.1) for number in range(10)]
    script = [{"fault": fault, "contains": "Name: f3\n"}]
    with running(Behaviour(fault_script=script), answer_with(CHANGES["nothing"])) as server:
        output = document(server, {"symbols": items}, tmp_path, MAX_RETRIES="0")
        assert [one["symbol_id"].split(":")[1] for one in output["failed_symbols"]] == ["f3"]
        assert len(own_summaries(output)) == 9
        assert output["total_tokens"] == billed(server)


def test_a_request_that_times_out_is_halved_and_counted(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request for four symbols that hangs is sent as two for two each, not again; the job tells of the time-out."""
    items = [item(f"f{number}", centrality=0.1) for number in range(4)]
    script = [{"fault": "hang", "contains": "Name: f3\n", "times": 1}]
    with running(Behaviour(fault_script=script), answer_with(CHANGES["nothing"])) as server:
        jumping = functools.partial(
            Limiter, now_s=lambda: time.monotonic() + 300.0 * server.bill()["faults"].get("hang", 0)
        )
        monkeypatch.setattr("generation.model.client.Limiter", jumping)
        output = document(server, {"symbols": items}, tmp_path)
        assert len(server.bill()["arrived_at_s"]) == 3
    assert output["status"] == "success"
    assert (output["usage"]["requests"], output["usage"]["timeouts"]) == (3, 1)
    assert [text for text in output["warnings"] if text.startswith("1 of 3 requests timed out")]


def test_answers_that_are_never_any_good_are_bought_so_often_and_no_oftener(tmp_path: Any) -> None:
    """Whatever is in vain, alone or with others, no symbol is bought more than MAX_RETRIES + 1 times."""
    items = [item(f"f{number}", centrality=0.1) for number in range(10)]
    behaviour = Behaviour(fault_script=[{"fault": "wrong_schema"}], marker=NAME.pattern)
    with running(behaviour, answer_with(CHANGES["nothing"])) as server:
        output = document(server, {"symbols": items}, tmp_path, MAX_RETRIES="3")
        assert output["failed_count"] == 10
        assert set(server.bill()["bought"].values()) == {4}
        assert output["total_tokens"] == billed(server)


def test_an_answer_that_breaks_off_keeps_its_complete_entries(tmp_path: Any) -> None:
    """Of an answer whose JSON ends in the middle the entries before that are taken, and only the others asked for."""
    items = [item(f"f{number}", centrality=0.1) for number in range(10)]
    script = [{"fault": "truncated_json", "times": 1}]
    with running(Behaviour(fault_script=script, keep_requests=True), answer_with(CHANGES["nothing"])) as server:
        output = document(server, {"symbols": items}, tmp_path)
        first, *others = [NAME.findall(request["messages"][1]["content"]) for request in server.requests]
        assert len(own_summaries(output)) == 10
        assert 1 <= len(others) < 10
        assert sorted(name for names in others for name in names) == sorted(first[-len(others) :])


def test_nothing_is_asked_for_above_the_limits_of_a_request(tmp_path: Any) -> None:
    """No request has more than BATCH_SIZE symbols or MAX_BATCH_TOKENS of input; large and central ones are alone."""
    large = item("large", source_code="x = 1\n" * 1_000)
    central = item("central", centrality=0.9)
    items = [large, central, *(item(name, centrality=0.1) for name in FUNCTIONS)]
    behaviour = Behaviour(keep_requests=True)
    with running(behaviour, answer_with(CHANGES["nothing"])) as server:
        output = document(
            server, {"symbols": items}, tmp_path, BATCH_SIZE="4", MAX_BATCH_TOKENS="2000", CALLEES_FIRST="false"
        )
        prompts = [request["messages"][1]["content"] for request in server.requests]
    assert output["status"] == "success"
    assert all(len(KEYED.findall(prompt)) <= 4 for prompt in prompts)
    assert all(len(prompt) < 2_000 * 5 for prompt in prompts)
    assert {"large", "central"} == {NAME.findall(prompt)[0] for prompt in prompts if not KEYED.findall(prompt)}


def test_a_group_that_turns_out_too_large_is_split_before_it_is_sent(tmp_path: Any) -> None:
    """Where the exact count of a group is above MAX_BATCH_TOKENS and its estimate was not, it is not sent."""
    dense = "".join(chr(0x4E00 + number) for number in range(900))
    items = [item(f"f{number}", source_code=dense) for number in range(6)]
    with running(Behaviour(keep_requests=True), answer_with(CHANGES["nothing"])) as server:
        output = document(server, {"symbols": items}, tmp_path, MAX_BATCH_TOKENS="2500")
        assert output["status"] == "success"
        assert server.bill()["input_tokens"] / len(server.requests) <= 2_500
        assert len(server.requests) > 2


def test_symbols_of_different_languages_are_not_asked_for_together(tmp_path: Any) -> None:
    """A request holds symbols of one language."""
    items = [item(f"f{number}", language="python" if number % 2 else "rust") for number in range(8)]
    with running(Behaviour(keep_requests=True), answer_with(CHANGES["nothing"])) as server:
        document(server, {"symbols": items}, tmp_path)
        for request in server.requests:
            assert len(set(re.findall(r"(?m)^Language: (\S+)$", request["messages"][1]["content"]))) == 1


def test_a_callees_summary_is_in_its_callers_prompt(tmp_path: Any) -> None:
    """A caller is asked for after its callees, with the summary of the good one; the failed one delays nobody."""
    items = [item("caller", calls=["good", "bad"]), item("good"), item("bad")]
    script = [{"fault": "refusal", "contains": "Name: bad\n"}]
    with running(Behaviour(keep_requests=True, fault_script=script), answer_with(CHANGES["nothing"])) as server:
        output = document(server, {"symbols": items}, tmp_path, BATCH_MODE="false")
        prompts = [request["messages"][1]["content"] for request in server.requests]
    assert [one["symbol_id"].split(":")[1] for one in output["failed_symbols"]] == ["bad"]
    assert "Name: caller\n" in prompts[-1]
    assert f"- good: {summary('good')}" in prompts[-1]


def test_a_dry_run_tells_the_plan_and_its_price_and_calls_nothing(tmp_path: Any) -> None:
    """dry_run answers with requests, tokens and dollars; the server hears nothing and nothing is stored."""
    with running(Behaviour()) as server:
        output = document(server, {**payload(30), "options": {"dry_run": True}}, tmp_path)
        assert server.bill()["requests"] == {}
    assert output["status"] == "planned"
    assert output["plan"]["symbols"] == 30
    assert 0 < output["plan"]["requests"] < 30
    assert output["plan"]["estimated_cost"] > 0
    assert list(tmp_path.iterdir()) == []


def test_an_estimate_above_the_cap_is_refused_before_the_first_call(tmp_path: Any) -> None:
    """With max_cost_usd below the estimate the job ends in a sentence that names both, and the server hears nothing."""
    from generation.errors import InputError

    with running(Behaviour()) as server:
        with pytest.raises(InputError, match="max_cost_usd") as refused:
            document(server, {**payload(30), "options": {"max_cost_usd": 0.0001}}, tmp_path)
        assert refused.value.failure == "estimate_above_cap"
        assert server.bill()["requests"] == {}


def test_symbols_below_min_centrality_are_written_offline_and_labelled(tmp_path: Any) -> None:
    """Below min_centrality the summary comes from the facts, costs nothing and says so; above it from the model."""
    items = [item("low", centrality=0.1), item("high", centrality=0.8)]
    with running(Behaviour(), answer_with(CHANGES["nothing"])) as server:
        output = document(server, {"symbols": items, "options": {"min_centrality": 0.5}}, tmp_path)
    low, high = output["documented_symbols"]
    assert (low["source"], low["tokens_used"], high["source"]) == ("offline", 0, "model")
    assert high["tokens_used"] == output["total_tokens"] > 0
