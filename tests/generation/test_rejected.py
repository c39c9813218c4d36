"""What a model wrote and no repair can make good is not published as the model's, and is bought once."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from generation.config import Settings
from tests.loopback.openai import Behaviour, RunningServer, running
from tests.support.contexts import item
from tests.support.jobs import run_job_to_dict

NAME = re.compile(r"(?m)^Name: (\S+)$")
KEYED = re.compile(r"(?m)^## Symbol (s\d+)\n\nLanguage: \S+\nName: (\S+)$")
ITEMS = [item("caller", calls=["bad", "wordy"]), item("bad"), item("wordy"), item("late")]
ANSWERS = {
    "caller": "Brings the parts of an order together for the till.",
    "bad": "I'm sorry, but I cannot describe this symbol.",
    "wordy": "This function keeps the books of a `shop`. It is called by caller. It closes them. It is done.",
}


def answer(_request: dict[str, Any], prompt: str) -> str:
    """Refuse `bad` each time, and `late` once; write too much of `wordy`."""

    def summary(name: str) -> str:
        late = "Comes after the others." if "not accepted" in prompt else "import shop"
        return ANSWERS.get(name, late)

    if keyed := KEYED.findall(prompt):
        return json.dumps({"summaries": [{"key": key, "summary": summary(name)} for key, name in keyed]})
    return json.dumps({"summary": summary(NAME.findall(prompt)[0])})


def document(server: RunningServer, tmp_path: Path, job_id: str, previous: str | None = None, **settings: str) -> Any:
    environ = {"OPENAI_API_KEY": "key", "OPENAI_BASE_URL": server.base_url, "RESULTS_DIR": str(tmp_path), **settings}
    job: dict[str, Any] = {"symbols": ITEMS, "job_id": job_id}
    if previous:
        job["previous_results_key"] = previous
    return asyncio.run(run_job_to_dict(job, Settings.from_env(environ), default_job_id=job_id, emit=lambda _: None))


def by_name(output: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["symbol_id"].split(":")[1]: one for one in output["documented_symbols"]}


@pytest.mark.parametrize("batch_mode", ["false", "true"])
def test_a_bad_summary_gives_way_to_an_offline_one_and_is_asked_for_twice_at_most(
    batch_mode: str, tmp_path: Path
) -> None:
    """It is counted, named in a warning, in no prompt, and never bought again; a repaired one is bought once."""
    with running(Behaviour(keep_requests=True), answer) as server:
        output = document(server, tmp_path, "job", BATCH_MODE=batch_mode)
        prompts = [request["messages"][1]["content"] for request in server.requests]
        again = document(server, tmp_path, "job", BATCH_MODE=batch_mode)
        later = document(server, tmp_path, "later", output["results"]["key"], BATCH_MODE=batch_mode)
        assert len(server.requests) == len(prompts)
    asked = {name: sum(name in NAME.findall(prompt) for prompt in prompts) for name in (*ANSWERS, "late")}
    assert asked == {"caller": 1, "bad": 2, "wordy": 1, "late": 2}

    assert {name: one["source"] for name, one in by_name(output).items()} == {
        "caller": "model",
        "bad": "offline",
        "wordy": "model",
        "late": "model",
    }
    summaries = {name: one["summary"] for name, one in by_name(output).items()}
    assert summaries["wordy"] == "Keeps the books of a shop. It closes them."
    assert summaries["late"] == "Comes after the others."
    assert "sorry" not in summaries["bad"]
    assert output["status"] == "success"
    assert (output["checks"]["rejected"], output["checks"]["findings"]) == (1, {"refusal": 1})
    assert [one for one in output["warnings"] if "shop/orders.py:bad" in one]
    [caller] = [prompt for prompt in prompts if "caller" in NAME.findall(prompt)]
    assert "- wordy: Keeps the books of a shop." in caller
    assert "- bad:" not in caller
    for same in (again, later):
        assert {name: one["summary"] for name, one in by_name(same).items()} == summaries
        assert (by_name(same)["bad"]["source"], same["checks"]["rejected"]) == ("offline", 1)


def test_the_record_of_a_symbol_says_what_was_repaired_and_what_was_found(tmp_path: Path) -> None:
    """The results document has each step of a repair, and the findings for which a summary was rejected."""
    with running(Behaviour(), answer) as server:
        document(server, tmp_path, "job")
    [results] = [json.loads(path.read_bytes()) for path in tmp_path.rglob("*.json")]
    records = by_name(results)
    assert records["wordy"]["repairs"] == ["off_topic", "length", "opening", "backticks"]
    assert [finding["check"] for finding in records["bad"]["checks"]["findings"]] == ["refusal"]
    assert "repairs" not in records["bad"]
    assert "repairs" not in records["caller"]
