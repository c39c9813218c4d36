"""What a completion says: the text and the finish reason decide, and whatever else is in it may be anything."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from generation.config import Settings
from generation.domain.usage import NO_USAGE, Usage
from generation.errors import (
    AccountError,
    ContextTooLong,
    CutOff,
    DoctownError,
    Rejected,
    SlowDown,
    Transient,
    Unavailable,
)
from generation.model.codec import Summaries, Summary, read_answer, read_reply, summaries_of

SETTINGS = Settings(openai_api_key="sk-loopback-key-that-nobody-may-see")
TEXT = "Turns a title into a short form."
BILLED = Usage(300, 100, 20, 5)
GOOD: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": json.dumps({"summary": TEXT}), "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 300,
        "completion_tokens": 20,
        "total_tokens": 320,
        "prompt_tokens_details": {"cached_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 5},
    },
    "service_tier": "default",
}
NONSENSE: list[Any] = [None, [], {}, "text", -1, 0.5, True, 10**399, [None], {"a": 1}]
# The places that decide; everywhere else anything may stand.
DECIDING = {("choices",), ("choices", 0), ("choices", 0, "message"), ("choices", 0, "message", "content")}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs:
        yield (*path, key)
        yield from places(part, (*path, key))


def with_value(path: tuple[Any, ...], value: Any) -> Any:
    reply = copy.deepcopy(GOOD)
    holder = reply
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return reply


def test_the_answer_and_its_usage_are_read() -> None:
    """A completion as OpenAI writes it gives the summary and all that was billed."""
    assert read_answer(GOOD, Summary, SETTINGS) == (Summary(TEXT), BILLED)


@pytest.mark.parametrize("path", [path for path in places(GOOD) if path not in DECIDING], ids=str)
def test_bookkeeping_does_not_decide_over_an_answer(path: tuple[Any, ...]) -> None:
    """Whatever stands in any other place, the paid summary is taken, and no count is negative or absurd."""
    for value in NONSENSE:
        if path == ("choices", 0, "message", "refusal") and value == "text":
            continue
        answer, usage = read_answer(with_value(path, value), Summary, SETTINGS)
        assert answer == Summary(TEXT)
        assert 0 <= usage.cached_input_tokens <= usage.input_tokens <= 320
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens <= 320


@pytest.mark.parametrize("path", sorted(DECIDING), ids=str)
def test_a_reply_without_an_answer_is_paid_for_and_asked_again(path: tuple[Any, ...]) -> None:
    """Without choices, message or text there is no summary; what was billed for the attempt is kept."""
    for value in NONSENSE:
        with pytest.raises(Transient) as caught:
            read_answer(with_value(path, value), Summary, SETTINGS)
        assert caught.value.failure == "bad_answer"
        assert caught.value.usage == BILLED


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, NO_USAGE),
        ([], NO_USAGE),
        ({"prompt_tokens": None, "completion_tokens": 20, "total_tokens": 320}, Usage(300, 0, 20)),
        ({"prompt_tokens": 300, "total_tokens": 320}, Usage(300, 0, 20)),
        ({"prompt_tokens": "300", "completion_tokens": 20.0}, Usage(300, 0, 20)),
        ({"prompt_tokens": 300, "completion_tokens": 10**400}, Usage(300, 0, 0)),
        ({"total_tokens": 320}, Usage(320, 0, 0)),
        ({"prompt_tokens": 300, "prompt_tokens_details": {"cached_tokens": 900}}, Usage(300, 300, 0)),
    ],
)
def test_a_usage_counts_as_far_as_it_makes_sense(usage: Any, counted: Usage) -> None:
    """What is missing is taken from the total where there is one, and no part is larger than its whole."""
    assert read_answer({**GOOD, "usage": usage}, Summary, SETTINGS)[1] == counted


MESSAGES: list[dict[str, Any]] = [
    {"content": [{"type": "text", "text": json.dumps({"summary": TEXT})}]},
    {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": json.dumps({"summary": TEXT})}]},
    {"content": [json.dumps({"summary": TEXT})]},
    {"content": {"summary": TEXT, "confidence": 1}},
    {"content": {"type": "text", "text": json.dumps({"summary": TEXT})}},
    {"content": None, "reasoning_content": f"I think {json.dumps({'summary': TEXT})} is it."},
    {"content": "", "reasoning": json.dumps({"summary": TEXT})},
]


@pytest.mark.parametrize("message", MESSAGES, ids=range(len(MESSAGES)))
def test_a_message_in_another_form_is_read(message: dict[str, Any]) -> None:
    """A list of parts, the JSON itself and thoughts that hold the answer are as good as a text."""
    reply = {**GOOD, "choices": [None, {"finish_reason": "stop", "message": message}]}
    assert read_answer(reply, Summary, SETTINGS)[0] == Summary(TEXT)


@pytest.mark.parametrize(
    ("choice", "kind", "failure"),
    [
        ({"finish_reason": "length"}, CutOff, "answer_cut_off"),
        ({"finish_reason": "content_filter"}, Rejected, "content_filter"),
        ({"finish_reason": "content_filter", "message": None}, Rejected, "content_filter"),
        ({"message": {"refusal": "I cannot."}}, Rejected, "refused"),
    ],
)
def test_what_decides_is_believed(choice: dict[str, Any], kind: type[Exception], failure: str) -> None:
    """A finish reason and a refusal count, also where a filter has left no message; what was billed is kept."""
    with pytest.raises(kind) as caught:
        read_answer({**GOOD, "choices": [{**GOOD["choices"][0], **choice}]}, Summary, SETTINGS)
    assert caught.value.failure == failure  # type: ignore[attr-defined]
    assert caught.value.usage == BILLED  # type: ignore[attr-defined]


ERRORS_INSIDE: list[tuple[Any, type[DoctownError], str]] = [
    ({"message": "Rate limit exceeded", "code": 429}, SlowDown, "rate_limited"),
    ({"message": "Slow down", "code": "rate_limit_exceeded"}, SlowDown, "rate_limited"),
    ({"message": "Loading model", "code": 503}, Unavailable, "server_unavailable"),
    ({"message": "Insufficient credits", "code": "402"}, AccountError, "no_quota"),
    ({"message": "No such user", "status": 401}, AccountError, "key_refused"),
    ({"message": "too long", "code": "context_length_exceeded"}, ContextTooLong, "context_too_long"),
    ({"message": "blocked", "type": "content_filter"}, Rejected, "content_filter"),
    ({"message": "Provider returned error", "code": 502, "metadata": {}}, Transient, "server_error"),
    ({"message": None, "code": [], "param": 3, "type": {}}, Transient, "server_error"),
    ("something went wrong", Transient, "server_error"),
]


@pytest.mark.parametrize(("error", "kind", "failure"), ERRORS_INSIDE, ids=range(len(ERRORS_INSIDE)))
def test_an_error_inside_a_200_means_what_its_own_status_would(
    error: Any, kind: type[DoctownError], failure: str
) -> None:
    """Gateways send errors under the status 200, in the reply or in its choice: each counts as what it is."""
    for reply in ({"error": error}, {"choices": [{"error": error}]}):
        with pytest.raises(kind) as caught:
            read_answer(reply, Summary, SETTINGS)
        assert type(caught.value) is kind
        assert caught.value.failure == failure  # type: ignore[attr-defined]


def test_an_answer_beside_an_error_is_an_answer() -> None:
    """A reply that holds the paid text is not thrown away for an error object that says nothing."""
    errors: list[Any] = [None, {}, "", [], {"message": "a warning"}]
    for error in errors:
        assert read_answer({**GOOD, "error": error}, Summary, SETTINGS)[0] == Summary(TEXT)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"7", b"\xff", b"[" * 100_000])
def test_a_body_of_any_kind_is_no_more_than_no_answer(body: bytes) -> None:
    """What is no JSON object is no completion."""
    with pytest.raises(Transient):
        read_answer(read_reply(body), Summary, SETTINGS)


def test_one_bad_entry_leaves_the_others() -> None:
    """Of several symbols those whose entry is good are documented; a key with two texts has none that counts."""
    entries = [{"key": "s1", "summary": TEXT}, {"key": "s2", "summary": None}, 3]
    entries += [{"key": "s3", "summary": text} for text in ("One.", "Another.")]
    choice = {"message": {"content": json.dumps({"summaries": entries})}}
    answer, _ = read_answer({"choices": [choice]}, Summaries, SETTINGS)
    assert summaries_of(answer, "s1") == [TEXT]
    assert summaries_of(answer, "s2") == []
    assert len(summaries_of(answer, "s3")) == 2
