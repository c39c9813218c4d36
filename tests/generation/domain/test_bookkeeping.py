"""What decides nothing in a server's reply is read forgivingly: nonsense is absent, and named once."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from generation.domain import bookkeeping
from generation.domain.bookkeeping import as_count, as_text, count_in, object_in, parse_json


@pytest.mark.parametrize(
    "value", [None, [], {}, True, -1, -0.5, "n/a", "", "1e3", "٣", 1e12, float("nan"), float("inf"), 10**400, "9" * 400]
)
def test_what_cannot_be_a_count_is_none(value: Any) -> None:
    """Anything but a number from 0 on that a request could have as tokens is no count."""
    assert as_count(value) is None


def test_counts_are_read_in_the_forms_that_servers_use() -> None:
    """Integers, fractions and digits are counts, rounded down."""
    assert [as_count(value) for value in (0, 7, 7.9, "7")] == [0, 7, 7, 7]


@pytest.mark.parametrize("text", ["", "[" * 100_000, "\xff".encode("latin-1"), "{'a': 1}", "1 2"])
def test_what_is_no_json_is_a_value_error(text: bytes | str) -> None:
    """However deep or badly encoded a text is, reading it raises ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_a_number_of_any_length_does_not_spoil_the_rest() -> None:
    """A reply with an integer of more digits than Python reads is read all the same."""
    reply = parse_json(f'{{"usage": {"9" * 5_000}, "text": "good"}}')
    assert isinstance(reply, dict)
    assert reply["text"] == "good"
    assert as_count(reply["usage"]) is None


def test_nonsense_is_named_once_in_the_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that makes no sense is logged by its name, once, and its value never; one that is absent is not."""
    monkeypatch.setattr(bookkeeping, "_named", set())
    caplog.set_level(logging.WARNING)
    fields = json.loads('{"tokens": "planted", "details": ["planted"], "none": null}')
    for _ in range(3):
        assert (count_in(fields, "tokens"), count_in(fields, "absent"), object_in(fields, "none")) == (None, None, {})
        assert object_in(fields, "details") == {}
    assert [record.getMessage() for record in caplog.records] == [
        "the server's tokens makes no sense and is ignored",
        "the server's details makes no sense and is ignored",
    ]


def test_a_text_is_one_that_can_be_sent_on() -> None:
    """What is no text, empty or no valid Unicode is absent."""
    assert [as_text(value) for value in ("a", "ä\n", "", "\ud800", 1, None, ["a"])] == ["a", "ä\n", *[None] * 5]
