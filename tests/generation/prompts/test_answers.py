"""The summaries are found in whatever a model writes around them, where there is no doubt which are meant."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.prompts.answers import KeyedSummary, find_summaries, find_summary

TEXT = "Turns a title into a short form."
ANSWER = json.dumps({"summary": TEXT})


@pytest.mark.parametrize(
    "wrapped",
    [
        ANSWER,
        f"\ufeff{ANSWER}",
        f"```json\n{ANSWER}\n```",
        f"```\n{ANSWER}\n```\nHope that helps {{really}}!",
        f"<think>\nIt joins {{words}}.\n</think>\n\n{ANSWER}",
        f'<think>Perhaps {{"summary": "A draft."}}?</think>{ANSWER}',
        f"thoughts without a beginning</think>{ANSWER}",
        f"Here is the JSON of f() {{ return 1 }}:\n{ANSWER}<|im_end|>",
        f"[{ANSWER}]",
        f'{{"answer": {{"text": {ANSWER}}}}}',
        json.dumps(ANSWER),
        json.dumps({"SUMMARY": TEXT, "confidence": 0.9, "notes": ["a"]}),
        ANSWER.replace("short form", "short\nform"),
        f"{ANSWER}\n{ANSWER}",
        f"[[ {ANSWER}",
    ],
)
def test_the_one_summary_is_found(wrapped: str) -> None:
    """Fences, thoughts, text, lists, keys and broken lines around the one answer do not hide it."""
    assert find_summary(wrapped) == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT,
        "yes",
        '{"summary": ""}',
        '{"summary": null}',
        '{"summary": ["a"]}',
        '{"summary": "cut o',
        '{"result": {"text": "another form"}}',
        '{"type": "object", "properties": {"summary": {"type": "string"}}}',
        '{"summary": "One."} or {"summary": "Another."}',
        '{"summary": "\\ud800 lone"}',
        "{" * 50_000,
        "[" * 50_000,
    ],
)
def test_what_holds_no_answer_or_several_holds_none(text: str) -> None:
    """Prose, other forms, halves, blanks, broken Unicode and a choice of answers are not guessed at."""
    assert find_summary(text) is None


def test_a_tag_inside_a_summary_is_no_end_of_thoughts() -> None:
    """An answer that is JSON as asked for is taken as it is, whatever it says."""
    text = "Drops all that stands before </think> in a reply."
    assert find_summary(json.dumps({"summary": text})) == text


@pytest.mark.parametrize(
    "written",
    [
        {"summaries": [{"key": "s1", "summary": "Adds."}, {"key": "s2", "summary": "Takes."}]},
        [{"key": "S1", "summary": "Adds.", "confidence": 1}, {"key": 2, "summary": "Takes."}],
        {"s1": "Adds.", "S2": {"summary": "Takes."}},
        {"summaries": {"1": "Adds.", "2": "Takes."}},
        {"summaries": [{"key": "Symbol s1", "summary": "Adds."}, None, 7, {"key": "s2", "summary": " Takes.\n"}]},
        {
            "summaries": [
                {"key": "s3", "summary": None},
                {"key": "s1", "summary": "Adds."},
                {"key": "s2", "summary": "Takes."},
            ]
        },
    ],
)
def test_each_symbols_summary_is_found_by_its_key(written: Any) -> None:
    """Lists, maps and keys in other spellings are read, and an entry that is no good leaves the others alone."""
    expected = [KeyedSummary("s1", "Adds."), KeyedSummary("s2", "Takes.")]
    assert find_summaries(json.dumps(written)) == expected
    assert find_summaries(f"Sure!\n```json\n{json.dumps(written, indent=1)}\n```") == expected


def test_entries_one_after_the_other_are_read() -> None:
    """A model that writes a JSON object a symbol instead of a list is understood."""
    lines = "\n".join(json.dumps({"key": f"s{number}", "summary": f"Number {number}."}) for number in (1, 2))
    assert find_summaries(lines) == [KeyedSummary("s1", "Number 1."), KeyedSummary("s2", "Number 2.")]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from(["summary", "s1", "key", "summaries"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.sampled_from(["summary", "key"]), inner)
    ),
)


@given(st.text() | JSON.map(json.dumps))
def test_no_text_is_more_than_no_answer(text: str) -> None:
    """Whatever a model writes, reading it raises nothing, and what is found is a line that can be sent."""
    found = [find_summary(text), *(entry.summary for entry in find_summaries(text))]
    assert all(line is None or (line.strip() == line != "" and line.encode()) for line in found)
