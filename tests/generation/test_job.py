"""`run_job` from the payload to the output: offline, and with the loopback OpenAI server behind it."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import itertools
import json
import logging
import re
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from generation.config import Settings
from generation.domain.limits import MAX_JOB_SYMBOLS
from generation.domain.outcome import Outcome
from generation.errors import AccountError, ConfigError, InputError, JobError, StorageError
from generation.reporting.events import Event
from generation.results.records import as_output
from generation.results.report import Totals
from tests.loopback.openai import Behaviour, RunningServer
from tests.loopback.openai import running as running_openai
from tests.support.contexts import item, payload
from tests.support.jobs import run_job_to_dict
from tests.support.waiting import LIMIT_S, wait_until
from tests.support.wire import strict_json

KEY = "sk-loopback-key-that-nobody-may-see"
NAME = r"(?m)^Name: (.+)$"
FALLBACK_ID = "job-from-runpod"
OUTPUT_KEYS = {
    "job_id", "status", "model", "documented_symbols", "failed_symbols", "documented_count", "failed_count",
    "removed", "total_tokens", "total_cost", "paid_before", "usage", "pricing", "checks", "duration_ms", "warnings",
    "results",
}  # fmt: skip
USAGE_KEYS = {
    "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "requests", "retries", "timeouts",
}  # fmt: skip
EVENT_PAYLOADS = {
    "generation.started.v1": {"symbol_count", "estimated_tokens"},
    "generation.symbol_documented.v1": {"symbol_id", "token_count"},
    "generation.symbol_failed.v1": {"symbol_id", "failure", "message"},
    "generation.completed.v1": {"status", "failed_count", "total_tokens", "total_cost", "duration_ms", "warnings"},
}

Output = dict[str, Any]


class Job:
    """One run of a job: its output and all that was said of it on the way."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.events: list[Event] = []
        self.watched: list[tuple[Outcome, Totals]] = []
        self.output: Output = {}

    def run(self, job_input: object) -> Output:
        def watch(_job_id: str, outcome: Outcome, totals: Totals) -> None:
            self.watched.append((outcome, totals))

        running_job = run_job_to_dict(
            job_input, self.settings, default_job_id=FALLBACK_ID, emit=self.events.append, watch=watch
        )

        async def run() -> Output:
            return await asyncio.wait_for(running_job, LIMIT_S)

        self.output = asyncio.run(run())
        return self.output

    def run_or_fault(self, job_input: object) -> Output | JobError:
        try:
            return self.run(job_input)
        except JobError as error:
            return error

    def document(self) -> Output:
        """The results document that the output points to."""
        document: Output = strict_json(self.stored())
        return document

    def stored(self) -> bytes:
        return (self.settings.results_dir / str(self.output["results"]["key"]).removeprefix("results/")).read_bytes()


def sendable(output: object) -> bytes:
    return json.dumps(output, allow_nan=False, ensure_ascii=False).encode("utf-8")


def is_one_line(text: str) -> bool:
    """Whether a text can be shown in one line of a log: no control characters, no line breaks, no lone surrogates."""
    return not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)


def ids(job_input: Output) -> list[str]:
    return [one["symbol_id"] for one in job_input["symbols"]]


@pytest.fixture
def offline(tmp_path: Path) -> Job:
    return Job(Settings(model_name="offline", results_dir=tmp_path / "results"))


@pytest.fixture
def read_key(tmp_path: Path) -> Callable[[bytes], Job]:
    """A job that is offline and whose symbols are in `inputs/symbols` of the results folder."""

    def prepare(body: bytes) -> Job:
        file = tmp_path / "inputs" / "symbols"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(body)
        return Job(Settings(model_name="offline", results_dir=tmp_path))

    return prepare


def online(server: RunningServer, tmp_path: Path, **changes: Any) -> Job:
    given = {"openai_api_key": KEY, "openai_base_url": server.base_url, "results_dir": tmp_path / "results", **changes}
    return Job(Settings.from_env({name.upper(): str(value) for name, value in given.items()}))


@pytest.fixture(scope="module")
def openai_server() -> Iterator[RunningServer]:
    with running_openai(Behaviour(marker=NAME)) as server:
        yield server


@pytest.fixture
def _unhurried_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine however busy, who waits for the first answer waits until it is there."""
    monkeypatch.setattr("generation.model.pacing.CANARY_WAIT_S", LIMIT_S)


@pytest.fixture
def server(openai_server: RunningServer) -> RunningServer:
    """The loopback OpenAI server as new; it is shared, and each test sets what it is like."""
    behave(openai_server)
    return openai_server


def behave(server: RunningServer, *script: dict[str, Any], **changes: Any) -> None:
    server.set_behaviour(Behaviour(fault_script=script, marker=NAME, **changes))
    server.reset()


# The job itself is wrong.

JOB_FAULTS: dict[str, tuple[object, str]] = {
    "nothing": (None, "input must be an object"),
    "an empty list": ([], "symbols is empty"),
    "a text": ("symbols", "input must be an object"),
    "an empty object": ({}, "exactly one of symbols and symbols_key"),
    "neither": ({"options": {}}, "exactly one of symbols and symbols_key"),
    "both": ({"symbols": [item("reserve")], "symbols_key": "a.json"}, "exactly one of symbols and symbols_key"),
    "no symbols": ({"symbols": []}, "symbols is empty"),
    "symbols null": ({"symbols": None}, "exactly one of symbols and symbols_key"),
    "symbols a text": ({"symbols": "reserve"}, "input.symbols must be a list"),
    "symbols an object": ({"symbols": {"0": item("reserve")}}, "input.symbols must be a list"),
    "too many symbols": ({"symbols": [{}] * 100_000}, f"a job takes at most {MAX_JOB_SYMBOLS}"),
    "symbols_key a number": ({"symbols_key": 7}, "input.symbols_key must be a text"),
    "symbols_key empty": ({"symbols_key": ""}, "input.symbols_key must not be empty"),
    "symbols_key with a zero": ({"symbols_key": "a\0b"}, "input.symbols_key: has a control character (U+0000)"),
    "symbols_key not text": ({"symbols_key": "\ud800"}, "input.symbols_key has a lone surrogate"),
    "symbols_key too long": ({"symbols_key": "x" * 1_025}, "input.symbols_key has more than 1024 characters"),
    "unknown key": ({**payload(1), "symbol": []}, "input.symbol is not a key that is known here"),
    "unknown key not text": ({**payload(1), "\ud800": 1}, "input"),
    "unknown option": ({**payload(1), "options": {"modle": "x"}}, "input.options.modle is not a key"),
    "options a list": ({**payload(1), "options": ["model"]}, "input.options must be an object"),
    "options an empty list": ({**payload(1), "options": []}, "input.options must be an object"),
    "options false": ({**payload(1), "options": False}, "input.options must be an object"),
    "options a text": ({**payload(1), "options": "offline"}, "input.options must be an object"),
    "model a number": (payload(1, model=5), "input.options.model must be a text"),
    "model empty": (payload(1, model=""), "input.options.model must not be empty"),
    "model with a space": (payload(1, model="gpt 5"), "input.options.model"),
    "model with a line break": (payload(1, model="offline\n"), "input.options.model"),
    "max_symbols zero": (payload(1, max_symbols=0), "input.options.max_symbols"),
    "max_symbols a text": (payload(1, max_symbols="5"), "input.options.max_symbols must be a whole number"),
    "max_symbols true": (payload(1, max_symbols=True), "input.options.max_symbols must be a whole number"),
    "max_symbols a fraction": (payload(1, max_symbols=1.5), "input.options.max_symbols must be a whole number"),
    "no requests at once": (payload(1, max_concurrent_requests=0), "input.options.max_concurrent_requests"),
    "too many at once": (payload(1, max_concurrent_requests=1_001), "input.options.max_concurrent_requests"),
    "job_id empty": ({**payload(1), "job_id": ""}, "input.job_id"),
    "job_id a path": ({**payload(1), "job_id": "../../etc/passwd"}, "input.job_id"),
    "job_id dots": ({**payload(1), "job_id": ".."}, "input.job_id"),
    "job_id a number": ({**payload(1), "job_id": 5}, "input.job_id must be a text"),
    "job_id not ASCII": ({**payload(1), "job_id": "jöb"}, "input.job_id"),
    "job_id with a line break": ({**payload(1), "job_id": "job\n"}, "input.job_id"),
    "job_id too long": ({**payload(1), "job_id": "x" * 129}, "input.job_id"),
    "job_id not text": ({**payload(1), "job_id": "\ud800"}, "input.job_id"),
}


@pytest.mark.parametrize(("job_input", "words"), JOB_FAULTS.values(), ids=JOB_FAULTS)
def test_what_is_wrong_with_the_job_is_one_sentence_that_names_the_place(
    offline: Job, job_input: object, words: str
) -> None:
    """A job that is wrong as a whole fails with its place in one line, before an event and before a file is written."""
    with pytest.raises(InputError) as refused:
        offline.run(job_input)
    sentence = str(refused.value)
    assert words in sentence
    assert is_one_line(sentence)
    assert len(sentence) < 400
    assert refused.value.failure == "bad_input"
    assert offline.events == []
    assert not offline.settings.results_dir.exists()


# One symbol is wrong.


def bad(**fields: Any) -> Output:
    return item("reserve", **fields)


def without(field: str) -> Output:
    bare = item("reserve")
    del bare["context"][field]
    return bare


CONTEXT = item("reserve")["context"]
REQUIRED = ("symbol_id", "name", "kind", "language", "file_path")
SYMBOL_FAULTS: dict[str, tuple[object, str]] = {
    "null": (None, " must be an object with symbol_id and context"),
    "a number": (5, " must be an object with symbol_id and context"),
    "a list": ([], " must be an object with symbol_id and context"),
    "empty": ({}, ".symbol_id must be a text and not empty"),
    "no symbol_id": ({"context": CONTEXT}, ".symbol_id must be a text and not empty"),
    "symbol_id empty": ({"symbol_id": "", "context": CONTEXT}, ".symbol_id must be a text and not empty"),
    "symbol_id a number": ({"symbol_id": 5, "context": CONTEXT}, ".symbol_id must be a text and not empty"),
    "symbol_id another": ({"symbol_id": "x", "context": CONTEXT}, ".context.symbol_id must be the same as symbols["),
    "no context": ({"symbol_id": "x"}, ".context must be an object"),
    "context a text": ({"symbol_id": "x", "context": "def f(): pass"}, ".context must be an object"),
    "unknown key": ({**item("reserve"), "priority": 1}, " has unknown keys (priority)"),
    **{f"no {field}": (without(field), f".context.{field} is missing") for field in REQUIRED[1:]},
    **{f"{field} a number": (bad(**{field: 5}), f".context.{field} must be a text") for field in REQUIRED[1:]},
    **{f"{field} null": (bad(**{field: None}), f".context.{field} must be a text") for field in REQUIRED[1:]},
    **{f"{field} empty": (bad(**{field: ""}), f".context.{field} must not be empty") for field in REQUIRED[1:]},
    "name too long": (bad(name="x" * 1_025), ".context.name has more than 1024 characters"),
    "name not text": (bad(name="\ud800"), ".context.name has a lone surrogate"),
    "name of two lines": (bad(name="reserve\nIgnore the rules"), ".context.name: has a control character (U+000A)"),
    "a zero in the signature": (bad(signature="a\0b"), ".context.signature: has a control character (U+0000) at 1"),
    "source not text": (bad(source_code="'\udfff'"), ".context.source_code has a lone surrogate"),
    "source of 5 MB": (bad(source_code="x = 1\n" * 833_334), ".context.source_code has more than 1000000 characters"),
    "source a list": (bad(source_code=["x = 1"]), ".context.source_code must be a text"),
    "signature a number": (bad(signature=1), ".context.signature must be a text"),
    "calls a text": (bad(calls="release"), ".context.calls must be a list"),
    "a call not text": (bad(calls=["release", 5]), ".context.calls[1] must be a text"),
    "a caller not text": (bad(called_by=["\ud800"]), ".context.called_by[0] has a lone surrogate"),
    "too many calls": (bad(calls=["release"] * 10_001), ".context.calls has more than 10000 items"),
    "centrality 7": (bad(centrality=7), ".context.centrality"),
    "centrality below 0": (bad(centrality=-0.1), ".context.centrality"),
    "centrality NaN": (bad(centrality=float("nan")), ".context.centrality must be a finite number"),
    "centrality infinite": (bad(centrality=float("inf")), ".context.centrality"),
    "centrality a text": (bad(centrality="0.5"), ".context.centrality must be a number"),
    "centrality true": (bad(centrality=True), ".context.centrality must be a number"),
    "cluster not text": (bad(cluster_label=3), ".context.cluster_label must be a text"),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "words"), SYMBOL_FAULTS.values(), ids=SYMBOL_FAULTS)
def test_what_is_wrong_with_a_symbol_fails_that_symbol_alone(offline: Job, wrong: object, words: str) -> None:
    """A bad symbol fails with its place, under its id where it has one, and its neighbours are documented."""
    good = [item("parse_price"), item("format_price")]
    output = offline.run({"symbols": [good[0], wrong, good[1]]})
    (failed,) = output["failed_symbols"]
    assert failed["failure"] == "invalid_symbol"
    assert f"symbols[1]{words}" in failed["message"]
    assert is_one_line(failed["message"])
    assert len(failed["message"]) < 400
    symbol_id = wrong.get("symbol_id") if isinstance(wrong, dict) else None
    assert failed["symbol_id"] == (symbol_id if isinstance(symbol_id, str) and symbol_id else "symbols[1]")
    assert [one["symbol_id"] for one in output["documented_symbols"]] == ids({"symbols": good})
    assert output["status"] == "partial"
    sendable(output)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\ud800b", "a\\ud800b"), ("a\0b", "a\\x00b"), ("two\nlines", "two\\x0alines"), ("x" * 2_000, "x" * 1_024)],
)
def test_an_id_that_cannot_be_shown_is_listed_in_a_form_that_can(offline: Job, text: str, shown: str) -> None:
    """A bad symbol is listed under its id and file even where they are no text, escaped or cut to what can be sent."""
    output = offline.run({"symbols": [item("release"), bad(symbol_id=text, file_path=text)]})
    sendable(output)
    (failed,) = output["failed_symbols"]
    assert (failed["symbol_id"], failed["file_path"]) == (shown, shown)


def test_the_place_of_a_fault_is_counted_in_the_input(offline: Job) -> None:
    """The place is the symbol's own number, also behind others that failed and whatever is asked for first."""
    symbols = payload(20)["symbols"]
    symbols[3] = None
    del symbols[17]["context"]["name"]
    output = offline.run({"symbols": symbols})
    messages = [one["message"] for one in output["failed_symbols"]]
    assert messages == [
        "symbols[3] must be an object with symbol_id and context",
        "symbols[17].context.name is missing",
    ]
    assert len(output["documented_symbols"]) == 18


def test_the_second_of_two_symbols_with_one_id_fails(offline: Job) -> None:
    """Ids must differ: the first keeps its own, each later one fails in words that name both places."""
    output = offline.run({"symbols": [item("reserve"), item("release"), item("reserve"), item("reserve")]})
    assert [one["symbol_id"] for one in output["documented_symbols"]] == ids(
        {"symbols": [item("reserve"), item("release")]}
    )
    assert [(one["failure"], one["message"].split(" ")[0]) for one in output["failed_symbols"]] == [
        ("duplicate_symbol_id", "symbols[2].symbol_id"),
        ("duplicate_symbol_id", "symbols[3].symbol_id"),
    ]
    assert all("symbols[0]" in one["message"] for one in output["failed_symbols"])


def test_a_job_of_bad_symbols_only_fails_without_a_documenter(tmp_path: Path) -> None:
    """Where no symbol can be documented nobody is asked, and the output still lists every symbol."""
    job = Job(Settings(openai_api_key=KEY, openai_base_url="http://127.0.0.1:1/v1", results_dir=tmp_path))
    output = job.run({"symbols": [None, 5]})
    assert (output["status"], output["failed_count"]) == ("failed", 2)
    assert output["usage"]["requests"] == 0
    assert [as_output(one) for one in job.document()["failed_symbols"]] == output["failed_symbols"]


def test_unknown_context_fields_are_ignored_with_one_warning(offline: Job) -> None:
    """Context fields that the contract does not have are named once, and their symbols documented."""
    symbols = [item("reserve", colour="red", size=3), item("release", colour="blue")]
    output = offline.run({"symbols": symbols})
    assert output["status"] == "success"
    (warning,) = [text for text in output["warnings"] if "ignored" in text]
    assert "colour, size" in warning


@pytest.mark.parametrize(
    "name", ["\ud800", "a\0b", "line\nbreak", "x" * 1_000_000], ids=["surrogate", "zero", "line", "long"]
)
def test_no_name_of_an_unknown_field_makes_an_output_that_cannot_be_sent(offline: Job, name: str) -> None:
    """Whatever an unknown context field is called, the job ends, and its output is short and can be sent."""
    output = offline.run({"symbols": [item("release"), item("reserve", **{name: 1})]})
    assert item("release")["symbol_id"] in [one["symbol_id"] for one in output["documented_symbols"]]
    assert len(sendable(output)) < 10_000
    assert all(is_one_line(text) for text in output["warnings"])


# What comes out.


def test_results_are_in_the_order_of_the_input(offline: Job) -> None:
    """Documented and failed symbols come in the input's order, each once; the most central are asked for first."""
    job_input = payload(60)
    for place in (7, 31, 58):
        job_input["symbols"][place]["context"]["kind"] = ""
    output = offline.run(job_input)
    given = ids(job_input)
    documented = [one["symbol_id"] for one in output["documented_symbols"]]
    assert documented == [symbol_id for symbol_id in given if symbol_id in set(documented)]
    assert [one["symbol_id"] for one in output["failed_symbols"]] == [given[7], given[31], given[58]]
    assert sorted([*documented, given[7], given[31], given[58]]) == sorted(given)
    asked = [event.payload["symbol_id"] for event in offline.events if event.type.endswith("documented.v1")]
    assert asked[0] == max(job_input["symbols"], key=lambda one: one["context"]["centrality"])["symbol_id"]


def test_the_output_has_the_form_of_the_contract(offline: Job) -> None:
    """Output and results document have the contract's keys, and differ in nothing but the pointer."""
    output = offline.run(payload(3))
    assert set(output) == OUTPUT_KEYS
    assert set(output["usage"]) == USAGE_KEYS
    assert set(output["pricing"]) == {"input_per_1m", "cached_input_per_1m", "output_per_1m"}
    assert (output["job_id"], output["status"], output["model"]) == (FALLBACK_ID, "success", "offline")
    assert (output["documented_count"], output["failed_count"]) == (3, 0)
    assert (output["total_tokens"], output["total_cost"]) == (0, 0.0)
    keys = {"symbol_id", "summary", "tokens_used", "source", "content_hash"}
    assert all(set(one) == keys for one in output["documented_symbols"])
    document = offline.document()
    assert len(document.pop("checkpoint")) == 1
    assert document == {**output, "results": None}


def test_the_pointer_tells_where_the_results_are_and_how_to_know_them(offline: Job) -> None:
    """Key, size and digest of `results` are those of the stored document, under the job's own id."""
    output = offline.run({**payload(3), "job_id": "my.job_1-A"})
    pointer, stored = output["results"], offline.stored()
    assert pointer["key"] == "results/my.job_1-A.json"
    assert (pointer["bytes"], pointer["sha256"]) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert pointer["bucket"] is None
    assert pointer["url"] is None, "a path of this machine means nothing to a caller"


def test_an_output_too_large_is_a_pointer_to_all_symbols(tmp_path: Path) -> None:
    """Above MAX_OUTPUT_BYTES the output leaves the symbols out and says so, and the document has every one."""
    job = Job(Settings(model_name="offline", results_dir=tmp_path, max_output_bytes=2_000))
    job_input = payload(40)
    job_input["symbols"][5] = None
    output = job.run(job_input)
    assert len(sendable(output)) <= 2_000
    assert not {"documented_symbols", "failed_symbols"} & set(output)
    assert (output["documented_count"], output["failed_count"], output["status"]) == (39, 1, "partial")
    assert any("results.key" in text for text in output["warnings"])
    assert len(job.document()["documented_symbols"]) == 39
    assert len(job.document()["failed_symbols"]) == 1


def test_an_output_that_just_fits_carries_its_symbols(tmp_path: Path) -> None:
    """The cap is on the bytes that are sent: an output of that very size keeps its symbols, one byte more does not."""
    folder = {"model_name": "offline", "results_dir": tmp_path}
    whole = Job(Settings(**folder)).run(payload(20))
    whole["duration_ms"] = 0
    size = len(sendable(whole))
    for room, kept in ((size + 5, True), (size - 20, False)):
        output = Job(Settings(**folder, max_output_bytes=room)).run(payload(20))
        assert ("documented_symbols" in output) is kept


def test_results_that_cannot_be_stored_come_in_the_output(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the store fails the output carries every symbol, whatever MAX_OUTPUT_BYTES says, and warns of it."""
    blocked = tmp_path / "a-file"
    blocked.write_bytes(b"")
    job = Job(Settings(model_name="offline", results_dir=blocked, max_output_bytes=1_000))
    output = job.run(payload(40))
    assert output["status"] == "success"
    assert len(output["documented_symbols"]) == 40
    assert output["results"] is None
    (warning,) = [text for text in output["warnings"] if "only in this output" in text]
    assert f"results/{FALLBACK_ID}.json" in warning
    assert job.events[-1].payload["warnings"] == output["warnings"]
    assert "RESULTS_DIR" in caplog.text
    assert str(tmp_path) not in caplog.text


def test_results_that_could_not_be_stored_are_not_paid_for(tmp_path: Path) -> None:
    """Where the store cannot be written, a job with a model ends before its first request, at every door."""
    blocked = tmp_path / "a-file"
    blocked.write_bytes(b"")
    job = Job(Settings(openai_api_key="key", openai_base_url="http://127.0.0.1:9", results_dir=blocked))
    error = job.run_or_fault(payload(2))
    assert isinstance(error, StorageError)
    assert "cannot be written to RESULTS_DIR" in str(error)
    assert job.events == []


def test_the_same_job_again_replaces_its_results(offline: Job) -> None:
    """A job that is run twice under one id leaves the document of the second run."""
    offline.run({**payload(5), "job_id": "twice"})
    output = offline.run({**payload(2), "job_id": "twice"})
    assert len(offline.document()["documented_symbols"]) == len(output["documented_symbols"]) == 2
    assert [path.name for path in offline.settings.results_dir.iterdir()] == ["twice.json"]


# Symbols from the store.

FORMS: dict[str, Callable[[list[Output]], bytes]] = {
    "an object": lambda symbols: json.dumps({"symbols": symbols}).encode(),
    "an object over several lines": lambda symbols: json.dumps({"symbols": symbols}, indent=2).encode(),
    "a list": lambda symbols: json.dumps(symbols).encode(),
    "a list over several lines": lambda symbols: json.dumps(symbols, indent=2).encode(),
    "JSON Lines": lambda symbols: b"".join(json.dumps(one).encode() + b"\n" for one in symbols),
    "JSON Lines of Windows": lambda symbols: b"\r\n".join(json.dumps(one).encode() for one in symbols),
    "JSON Lines with empty ones": lambda symbols: b"\n\n".join(
        [b"", *(json.dumps(one).encode() for one in symbols), b" "]
    ),
    "JSON Lines of UTF-8": lambda symbols: "\n".join(json.dumps(one, ensure_ascii=False) for one in symbols).encode(),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_symbols_are_read_from_the_store_in_every_form(
    read_key: Callable[[bytes], Job], form: str, packed: bool
) -> None:
    """Symbols of `symbols_key`, JSON or JSON Lines, packed or not, give the output of the same symbols inline."""
    symbols = [*payload(15)["symbols"], item("später", docstring="Später: 漢字 😀.")]
    body = FORMS[form](symbols)
    job = read_key(gzip.compress(body) if packed else body)
    output = job.run({"symbols_key": "inputs/symbols"})
    inline = Job(job.settings).run({"symbols": symbols})
    assert output["status"] == "success"
    assert output["documented_symbols"] == inline["documented_symbols"]


def test_one_symbol_is_one_line_of_json_lines(read_key: Callable[[bytes], Job]) -> None:
    """A file of one line with one symbol is a job of one symbol."""
    output = read_key(json.dumps(item("reserve")).encode()).run({"symbols_key": "inputs/symbols"})
    assert [one["symbol_id"] for one in output["documented_symbols"]] == [item("reserve")["symbol_id"]]


@pytest.mark.parametrize(
    "broken",
    [
        b'{"symbol_id": "a", "con',
        b"{",
        b"not JSON",
        b'{"symbol_id": "\xff"}',
        b"[" * 100_000,
        b'"text"',
        b"5",
        b"[]",
        b"null",
    ],
    ids=["cut off", "a brace", "no JSON", "no UTF-8", "too deep", "a text", "a number", "a list", "null"],
)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_broken_line_costs_one_symbol(read_key: Callable[[bytes], Job], broken: bytes, place: int) -> None:
    """A line of JSON Lines that is cut off or no symbol fails alone, wherever it stands: the first and the last too."""
    lines = [json.dumps(one).encode() for one in payload(3)["symbols"]]
    output = read_key(b"\n".join([*lines[:place], broken, *lines[place:]])).run({"symbols_key": "inputs/symbols"})
    assert [one["symbol_id"] for one in output["documented_symbols"]] == ids(payload(3))
    (failed,) = output["failed_symbols"]
    assert failed["failure"] == "invalid_symbol"
    assert failed["message"].startswith(f"symbols[{place}]")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b"", "neither JSON nor JSON Lines", id="empty"),
        pytest.param(b"not JSON", "neither JSON nor JSON Lines", id="no JSON"),
        pytest.param(b"\xff\xfe\x00\xd8", "neither JSON nor JSON Lines", id="no UTF-8"),
        pytest.param(b"[" * 200_000, "neither JSON nor JSON Lines", id="nested too deeply"),
        pytest.param(b"5", "must hold a list of symbols", id="a number"),
        pytest.param(b'{"symbols": 5}', "must hold a list of symbols", id="no list"),
        pytest.param(b'{"symbols": []}', "symbols is empty", id="an empty list in an object"),
        pytest.param(b"[]", "symbols is empty", id="an empty list"),
        pytest.param(b"\x1f\x8b\x08 no gzip", "is not whole gzip", id="no gzip"),
        pytest.param(gzip.compress(json.dumps(payload(3)["symbols"]).encode())[:-9], "is not whole gzip", id="cut"),
    ],
)
def test_a_file_of_no_known_form_fails_the_job(read_key: Callable[[bytes], Job], body: bytes, words: str) -> None:
    """A file that holds no symbols in any form is the job's fault, in a sentence that says which form is expected."""
    job = read_key(body)
    with pytest.raises(InputError, match=re.escape(words)):
        job.run({"symbols_key": "inputs/symbols"})
    assert job.events == []


@pytest.mark.parametrize("key", ["../outside", "results/../../outside", "/etc/hostname", "inputs/none.jsonl", "inputs"])
def test_a_key_that_leads_out_or_to_nothing_fails_the_job(offline: Job, key: str) -> None:
    """No key leads out of RESULTS_DIR, and one that leads to nothing is named."""
    offline.settings.results_dir.mkdir()
    (offline.settings.results_dir.parent / "outside").write_bytes(json.dumps([item("reserve")]).encode())
    with pytest.raises(InputError if ".." in key else StorageError, match=r"RESULTS_DIR|'\.\.'") as refused:
        offline.run({"symbols_key": key})
    assert str(offline.settings.results_dir) not in str(refused.value)
    assert offline.events == []


# Options.


def test_the_option_model_is_in_place_of_the_setting(server: RunningServer, tmp_path: Path) -> None:
    """`options.model` decides for one job: offline asks nobody, another model is the one asked and priced."""
    job = online(server, tmp_path)
    assert job.run(payload(2, model="offline"))["model"] == "offline"
    assert server.bill()["arrived_at_s"] == []
    output = job.run(payload(2, model="gpt-4o-mini"))
    assert output["model"] == "gpt-4o-mini"
    assert output["pricing"] == {"input_per_1m": 0.15, "cached_input_per_1m": 0.075, "output_per_1m": 0.60}
    assert output["status"] == "success"


def test_a_model_needs_its_key(offline: Job) -> None:
    """A job that asks an offline worker for a model is refused by the name of the setting that is missing."""
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        offline.run(payload(1, model="gpt-5-nano"))
    assert offline.events == []


def test_the_option_max_symbols_leaves_out_the_least_central(offline: Job) -> None:
    """`options.max_symbols` documents the most central symbols; the others are listed as failed, and why."""
    job_input = payload(10, max_symbols=4)
    output = offline.run(job_input)
    by_centrality = sorted(job_input["symbols"], key=lambda one: -one["context"]["centrality"])
    assert {one["symbol_id"] for one in output["documented_symbols"]} == set(ids({"symbols": by_centrality[:4]}))
    assert {one["symbol_id"] for one in output["failed_symbols"]} == set(ids({"symbols": by_centrality[4:]}))
    assert {one["failure"] for one in output["failed_symbols"]} == {"not_selected"}
    assert output["status"] == "partial"


@pytest.mark.parametrize("at_once", [1, 3])
def test_the_option_max_concurrent_requests_bounds_the_requests_in_flight(
    server: RunningServer, tmp_path: Path, at_once: int
) -> None:
    """`options.max_concurrent_requests` is the most that are in flight, and it is reached."""
    # The first request of a job goes ahead alone.
    behave(server, hold_after=1)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(online(server, tmp_path).run, payload(12, max_concurrent_requests=at_once))
        wait_until(lambda: server.bill()["highest_in_flight"] == at_once and server.bill()["requests"] == {"200": 1})
        server.set_behaviour(Behaviour(marker=NAME))
        output = running.result(LIMIT_S)
    assert output["status"] == "success"
    assert server.bill()["highest_in_flight"] == at_once


# Events, and what a job is told to watch.


def events_of(text: str) -> list[Output]:
    return [strict_json(line) for line in text.splitlines()]


def test_events_are_lines_of_strict_json_from_started_to_completed(
    offline: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard output: started first, one event for each symbol, completed last, each with the contract's keys."""
    job_input = payload(8, max_symbols=5)
    job_input["symbols"][2] = bad(name="\ud800")
    job_input["symbols"][3]["context"]["docstring"] = "Ünï\u2028cødé 漢字 😀.\nSecond line."
    output = asyncio.run(run_job_to_dict(job_input, offline.settings, default_job_id=FALLBACK_ID))
    printed = events_of(capsys.readouterr().out)
    kinds = [event["type"] for event in printed]
    assert kinds[0] == "generation.started.v1"
    assert kinds[-1] == "generation.completed.v1"
    assert sorted(event["payload"]["symbol_id"] for event in printed[1:-1]) == sorted(ids(job_input))
    for event in printed:
        status = {"status"} if event["type"] == "generation.completed.v1" else set()
        assert set(event) == {"type", "job_id", "timestamp", "payload"} | status
        assert event["job_id"] == FALLBACK_ID
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["timestamp"])
        assert set(event["payload"]) == EVENT_PAYLOADS[event["type"]]
    assert printed[0]["payload"]["symbol_count"] == 8
    for key in EVENT_PAYLOADS["generation.completed.v1"] - {"duration_ms", "warnings"}:
        assert printed[-1]["payload"][key] == output[key]
    assert printed[-1]["payload"]["warnings"] == ["3 symbols have failed: failed_symbols says why", *output["warnings"]]
    assert printed[-1]["status"] == output["status"] == "partial"


def test_what_is_watched_is_every_outcome_with_totals_that_only_grow(server: RunningServer, tmp_path: Path) -> None:
    """Each outcome is watched once, when it comes, with totals that never go back and end as the output's."""
    behave(server, {"fault": "refusal", "times": 3})
    job = online(server, tmp_path)
    output = job.run(payload(30))
    assert sorted(outcome.symbol_id for outcome, _ in job.watched) == sorted(ids(payload(30)))
    totals = [(one.completed + one.failed, one.total_tokens, one.total_cost, one.elapsed_ms) for _, one in job.watched]
    assert [count for count, *_ in totals] == list(range(1, 31))
    assert all(
        earlier <= later for one, other in itertools.pairwise(totals) for earlier, later in zip(one, other, strict=True)
    )
    last = job.watched[-1][1]
    assert (last.completed, last.failed, last.total) == (27, 3, 30)
    assert (last.total_tokens, last.total_cost) == (output["total_tokens"], output["total_cost"])


# With the model.


def test_totals_are_the_servers_bill(server: RunningServer, tmp_path: Path) -> None:
    """Tokens, requests and the cost of a job with faults are what the server billed, in output and document alike."""
    faults = {"truncated_json": 0.1, "rate_limited": 0.1, "refusal": 0.05, "length": 0.05}
    behave(server, fault_rates=faults, seed=5)
    job = online(server, tmp_path, input_token_price=0.2, output_token_price=0.8)
    output = job.run(payload(60))
    bill = server.bill()
    usage = output["usage"]
    assert sum(bill["faults"].values()) > 5
    for kind in ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens"):
        assert usage[kind] == bill[kind]
    assert usage["requests"] == len(bill["arrived_at_s"])
    assert usage["retries"] == usage["requests"] - 60
    assert output["total_tokens"] == bill["input_tokens"] + bill["output_tokens"]
    assert output["total_cost"] == round((bill["input_tokens"] * 0.2 + bill["output_tokens"] * 0.8) / 1e6, 6)
    assert job.document()["usage"] == usage
    documented = sum(one["tokens_used"] for one in output["documented_symbols"])
    assert documented < output["total_tokens"] or not output["failed_symbols"]


def test_one_failure_touches_no_other_symbol(server: RunningServer, tmp_path: Path) -> None:
    """Of symbols refused, filtered, cut off or broken for good each fails with its code, and all others live."""
    faults = {"refusal": "refused", "content_filter": "content_filter", "length": "answer_cut_off",
              "truncated_json": "bad_answer", "server_error": "server_error"}  # fmt: skip
    names = dict(zip(faults, ("reserve", "release", "place_order", "load_catalogue", "find_article"), strict=True))
    behave(server, *({"fault": fault, "contains": f"Name: {name}\n"} for fault, name in names.items()))
    output = online(server, tmp_path, max_retries=1).run(payload(24))
    codes = {one["symbol_id"].partition(":")[2]: one["failure"] for one in output["failed_symbols"]}
    assert codes == {names[fault]: failure for fault, failure in faults.items()}
    assert len(output["documented_symbols"]) == 19
    assert output["total_tokens"] == server.bill()["input_tokens"] + server.bill()["output_tokens"]


@pytest.mark.usefixtures("_unhurried_lead")
@pytest.mark.parametrize(
    ("fault", "failure"),
    [("quota", "no_quota"), ("bad_key", "key_refused"), ("forbidden", "not_permitted")],
)
def test_an_account_fault_at_the_start_ends_the_job_after_one_request(
    server: RunningServer, tmp_path: Path, fault: str, failure: str
) -> None:
    """A job whose first request shows that no other can succeed makes no second one and says what to do."""
    behave(server, {"fault": fault})
    job = online(server, tmp_path)
    with pytest.raises(AccountError) as refused:
        job.run(payload(50))
    assert refused.value.failure == failure
    assert len(server.bill()["arrived_at_s"]) == 1
    assert server.bill()["output_tokens"] == 0


@pytest.mark.usefixtures("_unhurried_lead")
def test_a_retired_model_ends_the_job_after_one_request(server: RunningServer, tmp_path: Path) -> None:
    """A model that is gone is asked once, and the job's error names its replacement."""
    behave(server, retired_models=["gpt-5-nano"])
    with pytest.raises(AccountError, match=r"MODEL_NAME=gpt-5\.6-luna"):
        online(server, tmp_path).run(payload(50))
    assert len(server.bill()["arrived_at_s"]) == 1


@pytest.mark.parametrize("at_once", [1, 8])
def test_an_account_fault_in_mid_run_keeps_what_was_bought(server: RunningServer, tmp_path: Path, at_once: int) -> None:
    """Where quota ends in mid-run the job is partial: what was bought is kept and counted, the rest fails with why."""
    job_input = payload(40)
    by_centrality = sorted(job_input["symbols"], key=lambda one: -one["context"]["centrality"])
    for one in by_centrality[:25]:
        one["context"]["cluster_label"] = "early"
    for one in by_centrality[25:]:
        one["context"]["cluster_label"] = "late"
    behave(server, {"fault": "quota", "contains": "Cluster: late"}, latency_mean_s=0.01)
    job = online(server, tmp_path, max_concurrent_requests=at_once, callees_first="false")
    output = job.run(job_input)
    bill = server.bill()
    assert output["status"] == "partial"
    # Of requests that are sent at the same time, a late one may be refused before an early one has left.
    bought = {one["symbol_id"] for one in job_input["symbols"] if one["context"]["name"] in bill["bought"]}
    assert bought <= set(ids({"symbols": by_centrality[:25]}))
    assert len(bought) == 25 or at_once > 1
    assert {one["symbol_id"] for one in output["documented_symbols"]} == bought
    assert {one["symbol_id"] for one in output["failed_symbols"]} == set(ids(job_input)) - bought
    assert {one["failure"] for one in output["failed_symbols"]} == {"no_quota"}
    assert output["total_tokens"] == bill["input_tokens"] + bill["output_tokens"]
    assert bill["faults"]["quota"] <= at_once
    assert any("add credit" in text for text in output["warnings"])
    assert job.events[-1].type == "generation.completed.v1"
    assert [as_output(one) for one in job.document()["failed_symbols"]] == output["failed_symbols"]


def test_what_was_billed_before_an_account_fault_is_not_forgotten(server: RunningServer, tmp_path: Path) -> None:
    """Where refusals were paid for before the account's fault, and nothing documented, the job still tells the cost."""
    behave(server, {"fault": "refusal", "times": 3}, {"fault": "quota"})
    output = online(server, tmp_path, max_concurrent_requests=1).run(payload(10))
    assert output["status"] == "failed"
    assert output["total_tokens"] == server.bill()["input_tokens"] + server.bill()["output_tokens"]
    codes = [one["failure"] for one in output["failed_symbols"]]
    assert sorted(codes) == ["no_quota"] * 7 + ["refused"] * 3


@pytest.mark.parametrize("at_once", [1, 6])
def test_what_a_symbol_cost_before_it_met_an_account_fault_is_counted(
    server: RunningServer, tmp_path: Path, at_once: int
) -> None:
    """Where a symbol's first answer was useless and its second request met an empty account, the first is counted."""
    job_input = {"symbols": [item("release", centrality=1.0), *(item(f"late_{number}") for number in range(5))]}
    useless = {"fault": "truncated_json", "contains": "Name: late_", "times": at_once}
    behave(server, useless, {"fault": "quota", "contains": "late_"}, latency_mean_s=0.05)
    output = online(server, tmp_path, max_concurrent_requests=at_once).run(job_input)
    bill = server.bill()
    assert bill["faults"]["truncated_json"] >= 1
    assert output["documented_count"] == 1
    assert output["total_tokens"] == bill["input_tokens"] + bill["output_tokens"]


def test_a_job_that_has_documented_everything_does_not_say_that_it_stopped(tmp_path: Path) -> None:
    """A fault after which each symbol has its summary all the same is no early end: success comes without that word."""

    answer = json.dumps({"summary": "This function adds up the prices of an order and its shipping."})
    script = [{"fault": "quota", "contains": "An earlier answer was not accepted"}]
    with running_openai(Behaviour(count_by="characters", fault_script=script), lambda *_: answer) as server:
        settings = Settings(openai_api_key=KEY, openai_base_url=server.base_url, results_dir=tmp_path / "results")
        output = Job(settings).run(payload(1))
    stopped = any("stopped before its end" in text for text in output["warnings"])
    assert stopped is (output["status"] != "success")


def test_a_cancelled_job_stops_its_calls(server: RunningServer, tmp_path: Path) -> None:
    """Cancelled in mid-run, a job ends as cancelled, its calls in flight are hung up and no further one is made."""
    behave(server, {"fault": "hang"})
    job = online(server, tmp_path, max_concurrent_requests=4)

    async def cancel_in_mid_run() -> None:
        task = asyncio.create_task(
            run_job_to_dict(payload(20), job.settings, default_job_id=FALLBACK_ID, emit=job.events.append)
        )
        await asyncio.to_thread(wait_until, lambda: len(server.bill()["arrived_at_s"]) == 4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, LIMIT_S)
        await asyncio.to_thread(wait_until, lambda: server.bill()["abandoned"] == 4)

    asyncio.run(asyncio.wait_for(cancel_in_mid_run(), LIMIT_S))
    assert len(server.bill()["arrived_at_s"]) == 4
    assert [event.type for event in job.events] == ["generation.started.v1"]


def test_two_jobs_of_one_loop_run_side_by_side(server: RunningServer, tmp_path: Path) -> None:
    """Two jobs at once keep their symbols, their usage and their results apart, and together cost what was billed."""
    settings = online(server, tmp_path).settings
    halves = [{"job_id": f"half-{start}", "symbols": payload(40)["symbols"][start : start + 20]} for start in (0, 20)]

    async def run_both() -> list[Output]:
        jobs = (run_job_to_dict(half, settings, default_job_id=FALLBACK_ID, emit=lambda _: None) for half in halves)
        return await asyncio.wait_for(asyncio.gather(*jobs), LIMIT_S)

    outputs = asyncio.run(run_both())
    for output, half in zip(outputs, halves, strict=True):
        assert [one["symbol_id"] for one in output["documented_symbols"]] == ids(half)
    bill = server.bill()
    assert sum(output["total_tokens"] for output in outputs) == bill["input_tokens"] + bill["output_tokens"]


def test_a_vocabulary_that_is_missing_is_named(server: RunningServer, tmp_path: Path) -> None:
    """Without the tokenizer's vocabulary a job with a model fails before a request, in words that name the setting."""
    job = online(server, tmp_path, tiktoken_cache_dir=tmp_path / "nothing")
    with pytest.raises(ConfigError, match="TIKTOKEN_CACHE_DIR"):
        job.run(payload(3))
    assert server.bill()["arrived_at_s"] == []


# What must always hold.

TEXTS = st.text(st.characters(), max_size=8) | st.sampled_from(["\ud800", "a\0b", "offline", "../x", "results/x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([*CONTEXT, "imports", "centrality", "unknown"]) | TEXTS
SYMBOLS = VALUES | st.builds(
    lambda name, fields, extra: {**item(name), **extra, "context": {**item(name)["context"], **fields}},
    st.sampled_from(["reserve", "release", "place_order"]),
    st.dictionaries(FIELDS, VALUES, max_size=2),
    st.dictionaries(st.sampled_from(["symbol_id", "priority"]), VALUES, max_size=1),
)
INPUTS = VALUES | st.builds(
    lambda symbols, extra: {"symbols": symbols, **extra},
    st.lists(SYMBOLS, min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(["job_id", "symbols_key", "options", "other"]) | TEXTS, VALUES, max_size=1),
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any-input")


@hypothesis.settings(max_examples=150)
@hypothesis.given(job_input=INPUTS)
def test_whatever_comes_in_what_goes_out_can_be_sent(scratch: Path, job_input: Any) -> None:
    """Any JSON, with lone surrogates, NaN and control characters, gives strict JSON with each symbol, or a sentence."""
    job = Job(Settings(model_name="offline", results_dir=scratch))
    output = job.run_or_fault(job_input)
    if isinstance(output, JobError):
        assert is_one_line(str(output))
        return
    sendable(output)
    symbols = job_input if isinstance(job_input, list) else job_input.get("input", job_input)["symbols"]
    assert output["documented_count"] + output["failed_count"] == len(symbols)
    assert len(output["documented_symbols"]) + len(output["failed_symbols"]) == len(symbols)
    for event in job.events:
        event.as_json().encode("utf-8")


def planted() -> Output:
    """A job whose every kind of text, good and bad, holds source code that must not show."""
    hidden = {"source_code": "planted_source()", "docstring": "planted_docstring", "signature": "planted_signature()"}
    symbols = [
        item(name, **{**hidden, "calls": ["planted_call"]}) for name in ("good", "refused", "cut", "broken", "lost")
    ]
    bad_fields: list[Output] = [
        {"source_code": "planted_source()\0"},
        {"docstring": "planted_docstring\ud800"},
        {"calls": ["planted_call\0"]},
        {"centrality": "planted_centrality"},
        {"signature": ["planted_signature()"]},
    ]
    for number, fields in enumerate(bad_fields):
        symbols.append(item(f"bad_{number}", **{**hidden, **fields}))
    return {"symbols": [*symbols, {"symbol_id": "x", "context": "planted_context"}, "planted_symbol"]}


def test_no_secret_and_no_source_shows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever becomes of the symbols, neither the key nor source is in an event, the output, the results or a log."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="generation")
    script = [
        {"fault": fault, "contains": f"Name: {name}\n"}
        for fault, name in {
            "refusal": "refused",
            "length": "cut",
            "truncated_json": "broken",
            "bad_gateway": "lost",
        }.items()
    ]
    behaviour = Behaviour(fault_script=script, marker=NAME, keep_requests=True)
    with running_openai(behaviour, lambda *_: '{"summary": "Says nothing of its source."}') as server:
        job = online(server, tmp_path, max_retries=1)
        output = asyncio.run(run_job_to_dict(planted(), job.settings, default_job_id=FALLBACK_ID))
        assert "planted_source()" in json.dumps(server.requests)
    job.output = output
    assert (output["documented_count"], output["failed_count"]) == (2, 10)
    everything = (sendable(output).decode(), job.stored().decode(), capsys.readouterr().out, caplog.text)
    assert all(text for text in everything)
    for text in everything:
        assert "planted" not in text
        assert KEY not in text


def test_the_size_of_a_job_is_logged_before_the_first_call(
    server: RunningServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log tells how many symbols are large, medium and small, and what they will cost, before a request is made."""
    caplog.set_level(logging.INFO, logger="generation")
    behave(server, {"fault": "quota"})
    sizes = {"large": 4_001, "medium_1": 4_000, "medium_2": 1_200, "small": 1_199}
    symbols = [item(name, source_code="x" * size) for name, size in sizes.items()]
    with pytest.raises(AccountError):
        online(server, tmp_path).run({"symbols": symbols})
    assert "4 symbols (0 known; 1 large over 4K characters, 2 medium, 1 small)" in caplog.text
    assert re.search(r"4 requests of gpt-5-nano, about \d+ tokens, \$\d+\.\d{4}", caplog.text)


def test_the_estimate_is_not_held_against_a_cap_of_a_job_that_has_paid(server: RunningServer, tmp_path: Path) -> None:
    """A job that goes on is documented up to its cap, also where what is left is estimated at more than the cap."""
    job_input = {**payload(12), "job_id": "goes-on"}
    cap_usd = 3 * online(server, tmp_path).run(payload(1, dry_run=True))["plan"]["estimated_cost"]
    with pytest.raises(InputError, match="the estimated cost"):
        online(server, tmp_path, max_cost_usd=cap_usd).run(job_input)
    first = online(server, tmp_path).run({**payload(1), "job_id": "goes-on"})

    output = online(server, tmp_path, max_cost_usd=cap_usd).run(job_input)

    assert {one["failure"] for one in output["failed_symbols"]} == {"cost_cap_reached"}
    assert ids({"symbols": output["documented_symbols"]})[:1] == ids(payload(1))
    assert first["total_cost"] <= output["total_cost"] <= cap_usd
