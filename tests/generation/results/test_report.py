"""Totals worked by hand, the results document, and outputs that must fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.config import Settings
from generation.domain.outcome import Documented, Failed, Outcome
from generation.domain.usage import Usage
from generation.results.report import Report, Totals, as_json, fitted, limit_symbols, pointer

NANO = Settings.from_env({"OPENAI_API_KEY": "key"})
OUTCOMES: list[Outcome] = [
    Documented(2, "c", "Third.", Usage(1_000, 400, 50, 20, 1, 0), content_hash="c0"),
    Failed(0, "a", "a.py", "refused", "the model refused to answer", Usage(500, 0, 10, 0, 2, 1), "a0"),
    Documented(1, "b", "Second.", Usage(87, 0, 0, 0, 1, 0), content_hash="b0"),
    Failed(3, "d", None, "invalid_symbol", "symbols[3].context.name is missing"),
]


def ticking(*times_s: float) -> Callable[[], float]:
    """A clock that shows these times, and the last one from then on."""
    shown: Iterator[float] = iter(times_s)
    last = [0.0]

    def now_s() -> float:
        last[0] = next(shown, last[0])
        return last[0]

    return now_s


def report(*outcomes: Outcome, now_s: Callable[[], float] | None = None, total: int = 4) -> Report:
    made = Report("j1", NANO, total, now_s or ticking(0.0))
    made.warnings.append("look out")
    for outcome in outcomes:
        made.add(outcome)
    return made


def test_totals_worked_by_hand() -> None:
    """1,587 tokens in, 400 of them cached, and 60 out: 1187 x 0.15 + 400 x 0.015 + 60 x 0.60 = 220.05 millionths."""
    totals = report(*OUTCOMES, now_s=ticking(100.0, 101.2345)).totals

    assert totals == Totals(completed=2, failed=2, total=4, total_tokens=1_647, total_cost=0.00022, elapsed_ms=1_234)


def test_totals_grow_with_each_outcome() -> None:
    """While a job runs its totals tell where it stands, failed attempts and their cost included."""
    running = report()
    seen = []
    for outcome in OUTCOMES:
        running.add(outcome)
        seen.append((running.totals.completed, running.totals.failed, running.totals.total_tokens))

    assert seen == [(1, 0, 1_050), (1, 1, 1_560), (2, 1, 1_647), (2, 2, 1_647)]
    assert running.totals.total == 4


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (OUTCOMES, "partial"),
        ([OUTCOMES[0], OUTCOMES[2]], "success"),
        ([OUTCOMES[1], OUTCOMES[3]], "failed"),
        ([OUTCOMES[0]], "success"),
        ([OUTCOMES[1]], "failed"),
    ],
)
def test_a_status_is_all_some_or_none(outcomes: list[Outcome], status: str) -> None:
    """All documented is success, some partial, none failed."""
    assert report(*outcomes).status == status


def test_the_document_lists_every_symbol_in_the_order_of_the_input() -> None:
    """The whole document of a job whose outcomes came out of order, worked by hand."""
    made = report(*OUTCOMES[:2], now_s=ticking(5.0, 7.5))
    made.add(OUTCOMES[2], OUTCOMES[2].usage)
    made.add(OUTCOMES[3])
    made.removed, made.included = ("gone",), {"run": 3}
    document = made.document()

    assert document == {
        "job_id": "j1",
        "status": "partial",
        "model": "gpt-5-nano",
        "documented_symbols": [
            {
                "symbol_id": "b",
                "summary": "Second.",
                "tokens_used": 87,
                "source": "model",
                "content_hash": "b0",
                "usage": {"input_tokens": 87, "requests": 1},
            },
            {
                "symbol_id": "c",
                "summary": "Third.",
                "tokens_used": 1_050,
                "source": "model",
                "content_hash": "c0",
                "usage": {
                    "input_tokens": 1_000,
                    "cached_input_tokens": 400,
                    "output_tokens": 50,
                    "reasoning_tokens": 20,
                    "requests": 1,
                },
            },
        ],
        "failed_symbols": [
            {
                "symbol_id": "a",
                "file_path": "a.py",
                "failure": "refused",
                "message": "the model refused to answer",
                "usage": {"input_tokens": 500, "output_tokens": 10, "requests": 2, "retries": 1},
                "content_hash": "a0",
            },
            {
                "symbol_id": "d",
                "file_path": None,
                "failure": "invalid_symbol",
                "message": "symbols[3].context.name is missing",
            },
        ],
        "removed": ["gone"],
        "documented_count": 2,
        "failed_count": 2,
        "total_tokens": 1_647,
        "total_cost": 0.00022,
        "paid_before": {"symbols": 1, "total_tokens": 87, "total_cost": 0.000013},
        "usage": {
            "input_tokens": 1_587,
            "cached_input_tokens": 400,
            "output_tokens": 60,
            "reasoning_tokens": 20,
            "requests": 4,
            "retries": 1,
            "timeouts": 0,
        },
        "pricing": {"input_per_1m": 0.15, "cached_input_per_1m": 0.015, "output_per_1m": 0.60},
        "checks": {"checked": 0, "passed_all": 0, "rejected": 0, "findings": {}},
        "duration_ms": 2_500,
        "warnings": ["look out"],
        "results": None,
        "checkpoint": {"run": 3},
    }


def test_two_symbols_under_one_id_are_two() -> None:
    """Outcomes are told apart by their place: a duplicate id is listed as often as it came."""
    document = report(
        Documented(0, "a", "One."), Failed(1, "a", None, "duplicate_symbol_id", "two"), Failed(2, "a", None, "x", "y")
    ).document()

    assert len(document["documented_symbols"]) == 1
    assert [one["message"] for one in document["failed_symbols"]] == ["two", "y"]


@pytest.mark.parametrize("word", ["error", "refresh_worker"])
def test_the_document_has_none_of_the_sdks_own_words(word: str) -> None:
    """RunPod's SDK takes these keys for itself wherever it finds them, so that no level of the document has one."""

    def keys(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from value
            value = list(value.values())
        if isinstance(value, list):
            for part in value:
                yield from keys(part)

    assert word not in set(keys(report(*OUTCOMES).document()))


def test_what_cannot_be_sent_is_not_made() -> None:
    """Strict JSON in strict UTF-8: what is neither is an error here, where it is seen, and not with the receiver."""
    assert as_json({"a": "\u00e9", "b": [1.5, None]}) == '{"a": "é", "b": [1.5, null]}'.encode()
    with pytest.raises(ValueError, match="JSON compliant"):
        as_json({"total_cost": float("inf")})
    with pytest.raises(ValueError, match="surrogates"):
        as_json({"summary": "\ud800"})


def test_a_pointer_says_where_the_results_are_and_how_to_know_them() -> None:
    """Bucket, key, address, size and the SHA-256 of the bytes (that of "{}" is well known)."""
    assert pointer("results", "results/j1.json", None, b"{}") == {
        "bucket": "results",
        "key": "results/j1.json",
        "url": None,
        "bytes": 2,
        "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    }


def big_output(documented: list[str], failed: list[str]) -> dict[str, Any]:
    outcomes: list[Outcome] = [
        *(Documented(place, f"d{place}", text) for place, text in enumerate(documented)),
        *(Failed(len(documented) + place, f"f{place}", None, "x", text) for place, text in enumerate(failed)),
    ]
    return dict(report(*outcomes).document())


def test_an_output_is_whole_up_to_its_limit_and_bare_above_it() -> None:
    """At exactly the limit the symbols stay; one byte above it they go, and a warning says where they are."""
    output = big_output(["Summary."] * 50, ["reason"])
    size = len(json.dumps(output, ensure_ascii=False).encode())

    whole, without_symbols = fitted(output, size), fitted(output, size - 1)

    assert whole == output
    assert {"documented_symbols", "failed_symbols"} & without_symbols.keys() == set()
    assert without_symbols["warnings"][0] == "look out"
    assert all(part in without_symbols["warnings"][1] for part in (str(size - 1), "results.key"))
    assert {key: without_symbols[key] for key in ("job_id", "documented_count", "failed_count", "total_cost")} == {
        key: output[key] for key in ("job_id", "documented_count", "failed_count", "total_cost")
    }
    assert output["warnings"] == ["look out"]


def test_a_size_is_that_of_the_bytes_and_not_of_the_characters() -> None:
    """An output of 1,000 characters of four bytes each is counted as 4,000 bytes."""
    output = big_output(["\U0001f600" * 1_000], [])

    assert "documented_symbols" not in fitted(output, 4_000)
    assert "documented_symbols" in fitted(output, 5_000)


LENGTHS = st.lists(st.integers(0, 400).map(lambda length: "\u00e9" * length), max_size=12)


@given(LENGTHS, LENGTHS, st.integers(1_500, 8_000))
def test_an_emergency_output_fits_and_counts_what_it_leaves_out(
    documented: list[str], failed: list[str], most: int
) -> None:
    """Results that could not be stored go out as far as they fit: never above the limit, in order, the rest counted."""
    output = big_output(documented, failed)
    sent = limit_symbols(output, most, "and are lost")

    assert len(as_json(sent)) <= most
    lost = 0
    for key in ("documented_symbols", "failed_symbols"):
        assert sent[key] == [one for one in output[key] if one in sent[key]]
        lost += len(output[key]) - len(sent[key])
    if lost:
        assert sent["warnings"][:-1] == ["look out"]
        assert sent["warnings"][-1].startswith(f"{lost} symbols did not fit")
    else:
        assert sent == output


def test_summaries_go_before_failures_where_not_all_fit() -> None:
    """What was paid for is kept first."""
    sent = limit_symbols(big_output(["s" * 100] * 5, ["f" * 100] * 20), 2_000, "and are lost")

    assert len(sent["documented_symbols"]) == 5
    assert 0 < len(sent["failed_symbols"]) < 20


def test_one_large_symbol_does_not_push_out_the_small_ones_after_it() -> None:
    """Where one summary does not fit, those after it that do are kept."""
    sent = limit_symbols(big_output(["small", "x" * 50_000, "small too"], []), 5_000, "and are lost")

    assert [one["summary"] for one in sent["documented_symbols"]] == ["small", "small too"]
