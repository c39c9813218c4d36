"""Outcomes become records of JSON and come back as they were; what others have written is read with care."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.domain.context import SymbolContext
from generation.domain.finding import Finding, Findings
from generation.domain.outcome import Documented, Failed, Origin, Outcome, Source, Symbol
from generation.domain.usage import NO_USAGE, Usage
from generation.results.records import as_output, output_record, read_records, stored_record
from generation.results.report import as_json
from generation.results.reuse import Questions, adopted, read_results, reusable
from tests.support.contexts import context

COUNTS = st.integers(0, 10**9)
USAGES = st.just(NO_USAGE) | st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
WORDS = TEXTS.filter(bool)
FINDINGS = st.builds(Finding, TEXTS, st.booleans(), TEXTS)
CHECKS = st.none() | st.builds(Findings, st.lists(TEXTS).map(tuple), st.lists(FINDINGS).map(tuple))
SOURCES: st.SearchStrategy[Source] = st.sampled_from(["model", "offline", "previous"])
POSITIONS = st.integers(0, 50_000)
ORIGINS = st.none() | st.builds(Origin, COUNTS, TEXTS, TEXTS, st.none() | TEXTS)
OUTCOMES: st.SearchStrategy[Outcome] = st.builds(
    Documented, POSITIONS, WORDS, WORDS, USAGES, SOURCES, CHECKS, TEXTS, ORIGINS
) | st.builds(Failed, POSITIONS, WORDS, st.none() | TEXTS, WORDS, TEXTS, USAGES, TEXTS)

GOOD = {"symbol_id": "a", "summary": "Adds.", "content_hash": "0a", "usage": {"input_tokens": 5}}
DOCUMENTED_KEYS = {"symbol_id", "summary", "tokens_used", "source", "content_hash"}
FAILED_KEYS = {"symbol_id", "file_path", "failure", "message"}


def through_json(record: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(as_json(record))
    return read


@given(OUTCOMES)
def test_an_outcome_survives_its_record(outcome: Outcome) -> None:
    """Whatever an outcome holds, its kept record makes the same outcome again, to the last token and letter."""
    (record,) = read_records([through_json(stored_record(outcome))])
    assert record.outcome(outcome.position) == outcome


@given(OUTCOMES)
def test_an_output_lists_what_the_contract_says_and_nothing_else(outcome: Outcome) -> None:
    """`as_output` of what is kept is the symbol as outputs list it, with the contract's keys exactly."""
    listed = as_output(through_json(stored_record(outcome)))
    assert listed == output_record(outcome)
    assert listed.keys() == (DOCUMENTED_KEYS if isinstance(outcome, Documented) else FAILED_KEYS)


def test_a_position_is_that_of_the_job_that_reads() -> None:
    """A symbol has its place in the input of now, not of then."""
    (record,) = read_records([stored_record(Documented(3, "a", "Adds."))])
    assert record.outcome(8) == Documented(8, "a", "Adds.")


@pytest.mark.parametrize(
    "garbage",
    [
        None, 7, "a", [], [GOOD], {}, {"summary": "Adds."}, {**GOOD, "symbol_id": None}, {**GOOD, "symbol_id": 7},
        {**GOOD, "summary": ""}, {**GOOD, "summary": ["Adds."]}, {**GOOD, "source": "elsewhere"},
        {**GOOD, "usage": 5}, {**GOOD, "usage": {"input_tokens": "many"}}, {**GOOD, "usage": {"input_tokens": 0.5}},
        {**GOOD, "checks": {"passed": "all"}}, {**GOOD, "content_hash": 5}, {**GOOD, "summary": "\ud800"},
    ],
)  # fmt: skip
def test_garbage_among_records_is_left_out_and_nothing_else(garbage: object) -> None:
    """What is no record takes none of its neighbours with it."""
    ids = [record.symbol_id for record in read_records([GOOD, garbage, {**GOOD, "symbol_id": "b"}])]
    assert ids == ["a", "b"]


def test_a_record_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """Keys that are new are passed over, in the record, in its usage and in its checks."""
    checks = {"passed": ["language"], "findings": [{"check": "x", "hard": True, "reason": "y", "new": 1}], "new": 1}
    (record,) = read_records([{**GOOD, "new": 1, "usage": {"input_tokens": 5, "new": 1}, "checks": checks}])
    findings = Findings(("language",), (Finding("x", hard=True, reason="y"),))
    assert record.outcome(0) == Documented(0, "a", "Adds.", Usage(5), "model", findings, "0a")


ORIGIN = {"prompt_version": 2, "model": "m", "language": "English", "effort": None}


@pytest.mark.parametrize(
    ("stored", "origin"),
    [
        ({**ORIGIN, "new": 1}, Origin(2, "m", "English", None)),
        ({"prompt_version": 2}, None),
        ({**ORIGIN, "model": 7}, None),
        ("here", None),
        (None, None),
    ],
)
def test_a_summary_stays_whatever_its_origin_looks_like(stored: object, origin: Origin | None) -> None:
    """Keys that are new are passed over; an origin that cannot be read counts as none, and loses no summary."""
    (record,) = read_records([{**GOOD, "origin": stored}])
    assert record.outcome(0) == Documented(0, "a", "Adds.", Usage(5), content_hash="0a", origin=origin)


OLD_SUMMARY = {"symbol_id": "a", "summary": "Adds.", "tokens_used": 5, "source": "model"}
OLD_FAILURE = {"symbol_id": "a", "file_path": "a.py", "failure": "refused", "message": "the model refused"}


@pytest.mark.parametrize(
    ("stored", "latency_ms"),
    [(1_234, 1_234), (None, None), (-1, None), ("soon", None), ([], None), (10**400, None)],
    ids=["milliseconds", "null", "negative", "text", "list", "endless"],
)
def test_a_latency_is_kept_and_decides_nothing(stored: object, latency_ms: int | None) -> None:
    """It comes back as it was kept; one that makes no sense counts as none, and loses no summary."""
    (record,) = read_records([{**GOOD, "latency_ms": stored}])
    outcome = record.outcome(0)
    assert isinstance(outcome, Documented)
    assert outcome.latency_ms == latency_ms
    assert stored_record(outcome).get("latency_ms") == latency_ms
    assert "latency_ms" not in as_output(stored_record(outcome))
    assert outcome == replace(outcome, latency_ms=99), "it is no part of what an outcome is"


def test_a_summary_that_is_taken_over_has_no_latency() -> None:
    """Nobody has waited for it in this job."""
    earlier = read_results(as_json({"documented_symbols": [{**GOOD, "latency_ms": 7}], "failed_symbols": []}))
    symbol = Symbol(0, SymbolContext(**context("a", symbol_id="a")))
    outcome = reusable(earlier, symbol, Questions({0: "0a"}))
    assert outcome is not None
    assert (outcome.source, outcome.latency_ms) == ("previous", None)


def test_records_without_a_hash_are_read() -> None:
    """Results that were written before there were hashes are outcomes all the same."""
    outcomes = [record.outcome(0) for record in read_records([OLD_SUMMARY, OLD_FAILURE])]
    assert outcomes == [Documented(0, "a", "Adds."), Failed(0, "a", "a.py", "refused", "the model refused")]


def test_records_without_a_hash_match_no_symbol() -> None:
    """What a summary without a hash was written from is not known: it is never taken over."""
    theirs = read_results(as_json({"documented_symbols": [OLD_SUMMARY]}))
    assert theirs is not None
    for content_hash in ("0a", "f" * 32):
        assert (
            reusable(theirs, Symbol(0, SymbolContext(**context("a", symbol_id="a"))), Questions({0: content_hash}))
            is None
        )
        assert adopted(theirs, Failed(0, "a", None, "timeout", "late", content_hash=content_hash)) is None


@pytest.mark.parametrize(
    "spoiled",
    [
        {"symbol_id": "\ud800"},
        {"content_hash": "\ud800"},
        {"summary": "\ud800"},
        {"checks": {"passed": ["\ud800"], "findings": []}},
        {"checks": {"passed": [], "findings": [{"check": "a", "hard": True, "reason": "\ud800"}]}},
        {"usage": {"input_tokens": -1}},
    ],
)
def test_what_could_not_be_sent_again_is_no_record(spoiled: dict[str, Any]) -> None:
    """Lone surrogates, which JSON can hold and an output cannot, and counts below 0 are left out with their record."""
    good = {"symbol_id": "s", "summary": "Sums.", "content_hash": "c"}
    assert [one.symbol_id for one in read_records([{**good, **spoiled}, good])] == ["s"]
