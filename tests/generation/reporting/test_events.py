"""Events: their records, field by field, and that each is one line of strict JSON."""

from __future__ import annotations

import json
import time
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.domain.outcome import Documented, Failed
from generation.domain.usage import Usage
from generation.reporting import events
from generation.reporting.events import Event
from generation.results.report import Totals

BILLED = Usage(input_tokens=87, output_tokens=13, requests=2, retries=1)
TOTALS = Totals(completed=3, failed=1, total=4, total_tokens=412, total_cost=0.000123, elapsed_ms=1_500)


def test_each_event_has_the_payload_of_the_contract() -> None:
    """The four events of a job have the types and exactly the fields that the contract gives them."""
    sent = [
        events.started("j", 4, 1_600),
        events.of_outcome("j", Documented(0, "a.py:f", "Do it.", BILLED)),
        events.of_outcome("j", Failed(1, "a.py:g", "a.py", "rejected", "the API refused it", BILLED)),
        events.completed("j", "partial", TOTALS, ["look out"]),
    ]

    assert [(event.type, event.payload) for event in sent] == [
        ("generation.started.v1", {"symbol_count": 4, "estimated_tokens": 1_600}),
        ("generation.symbol_documented.v1", {"symbol_id": "a.py:f", "token_count": 100}),
        (
            "generation.symbol_failed.v1",
            {"symbol_id": "a.py:g", "failure": "rejected", "message": "the API refused it"},
        ),
        (
            "generation.completed.v1",
            {
                "status": "partial",
                "failed_count": 1,
                "total_tokens": 412,
                "total_cost": 0.000123,
                "duration_ms": 1_500,
                "warnings": ["1 symbol has failed: failed_symbols says why", "look out"],
            },
        ),
    ]
    assert [event.status for event in sent] == [None, None, None, "partial"]
    assert {event.job_id for event in sent} == {"j"}


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_an_event_is_one_line_of_strict_json(job_id: str, symbol_id: str) -> None:
    """Whatever an event holds, it is one line, valid UTF-8, and read back it is the event."""
    event = events.of_outcome(job_id, Documented(0, symbol_id, "Do it."))
    line = event.as_json()

    line.encode("utf-8")
    assert "\n" not in line
    assert "\r" not in line
    assert json.loads(line) == {
        "type": "generation.symbol_documented.v1",
        "job_id": job_id,
        "timestamp": event.timestamp,
        "payload": {"symbol_id": symbol_id, "token_count": 0},
    }


def test_what_json_does_not_have_is_not_written() -> None:
    """A number that JSON has no word for is an error here, and never a line that nobody can read."""
    with pytest.raises(ValueError, match="JSON compliant"):
        Event("t", "j", {"total_cost": float("nan")}).as_json()


def test_a_timestamp_is_the_time_in_utc(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """An event made now says now, in UTC, to the millisecond, as RFC 3339 writes it, wherever the worker runs."""
    request.addfinalizer(time.tzset)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "JST-9")
        time.tzset()
        before = datetime.now(UTC) - timedelta(milliseconds=1)
        text = events.started("j", 1, 1).timestamp

    said = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert before <= said <= datetime.now(UTC)
    assert len(text) == len("2026-11-21T00:00:00.000Z")


def test_printed_events_are_lines_of_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Events go to standard output, a line each, in their order, and nothing goes to standard error."""
    sent = [events.started("j", 1, 1), events.completed("j", "success", TOTALS, [])]
    for event in sent:
        events.print_event(event)

    written = capsys.readouterr()
    assert [json.loads(line)["type"] for line in written.out.splitlines()] == [event.type for event in sent]
    assert written.out.endswith("\n")
    assert written.err == ""


def test_a_printed_event_is_there_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is flushed as it is written: who reads the log of a job that hangs sees how far it came."""
    calls: list[str] = []

    class Stream:
        def write(self, text: str) -> None:
            calls.append(text)

        def flush(self) -> None:
            calls.append("flushed")

    monkeypatch.setattr("sys.stdout", Stream())
    event = events.started("j", 1, 1)
    events.print_event(event)

    assert calls == [event.as_json() + "\n", "flushed"]


def test_an_event_cannot_be_changed() -> None:
    """What has happened stays as it was, whichever sink has seen it."""
    with pytest.raises(FrozenInstanceError):
        events.started("j", 1, 1).job_id = "k"  # type: ignore[misc]
