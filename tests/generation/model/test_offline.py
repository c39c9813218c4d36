"""Summaries without a model: what they say of a symbol, worked by hand, and what they never repeat."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.domain.context import SymbolContext
from generation.domain.outcome import Documented, Symbol
from generation.domain.usage import NO_USAGE
from generation.model.offline import document_offline, summarize_facts
from tests.support.contexts import FUNCTIONS, context


def summary(name: str, /, **fields: Any) -> str:
    return summarize_facts(SymbolContext(**context(name, **fields)))


@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("sort", {}, "Sort: a python function in shop/orders.py."),
        ("read_HTTP_header2", {}, "Read HTTP header 2: a python function in shop/orders.py."),
        ("parseHTTPResponse", {}, "Parse HTTP response: a python function in shop/orders.py."),
        ("__init__", {"kind": "method"}, "Init: a python method in shop/orders.py."),
        ("_", {}, "_: a python function in shop/orders.py."),
        ("\u03bb", {"language": "ada"}, "\u03bb: an ada function in shop/orders.py."),
        ("f", {"docstring": "Do it."}, "Do it."),
        ("f", {"docstring": "Do it"}, "Do it."),
        ("f", {"docstring": "Do these:\n\n- one\n- two"}, "Do these."),
        ("f", {"docstring": "  Do it\n    well. Then stop.\n\nMore."}, "Do it well."),
        ("f", {"docstring": "Use v1.2 e.g. here. Stop."}, "Use v1.2 e.g. here."),
        ("f", {"docstring": "Really? Yes!"}, "Really?"),
        ("f", {"docstring": "  \n "}, "F: a python function in shop/orders.py."),
        ("f", {"docstring": "x" * 301}, "F: a python function in shop/orders.py."),
        ("f", {"calls": ["a"]}, "F: a python function in shop/orders.py. It calls a."),
        ("f", {"docstring": "Do it.", "calls": ["a", "b"]}, "Do it. It calls a and b."),
        ("f", {"docstring": "Do it.", "called_by": ["a", "b", "c"]}, "Do it. It is called by a, b and c."),
        (
            "f",
            {"docstring": "Do it.", "calls": list("abcde"), "called_by": ["m"]},
            "Do it. It calls a, b, c and 2 more and is called by m.",
        ),
    ],
)
def test_a_summary_worked_by_hand(name: str, fields: dict[str, Any], says: str) -> None:
    """The docstring's first sentence where there is one, else the name in words, and then calls and callers."""
    assert summary(name, **fields) == says


@pytest.mark.parametrize("name", FUNCTIONS)
def test_real_functions_get_one_or_two_sentences(name: str) -> None:
    """Each function of the tests' shop gets one or two sentences that end as sentences do."""
    said = summary(name)

    assert len(re.findall(r"[.!?](?= [A-Z]|$)", said)) in {1, 2}
    assert said[0].isupper()
    assert said.endswith(".")


@pytest.mark.parametrize("field", ["source_code", "signature", "imports", "related_symbols", "cluster_label"])
def test_what_is_no_fact_of_the_symbol_is_not_repeated(field: str) -> None:
    """No summary holds any of the source, or of other fields than name, kind, place, docstring, calls and callers."""
    planted: Any = ["planted"] if field in {"imports", "related_symbols"} else "planted"

    assert "planted" not in summary("f", **{field: planted})


LINES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=1_024)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=600)


@given(
    st.builds(
        SymbolContext,
        symbol_id=LINES,
        name=LINES,
        kind=LINES,
        language=LINES,
        file_path=LINES,
        docstring=st.none() | TEXTS,
        calls=st.lists(TEXTS, max_size=6),
        called_by=st.lists(TEXTS, max_size=6),
    )
)
def test_a_summary_is_one_short_line_that_can_be_sent(one: SymbolContext) -> None:
    """Whatever the facts are, their summary is a line of UTF-8 of bounded length and not empty."""
    said = summarize_facts(one)

    said.encode("utf-8")
    assert said.strip()
    assert "\n" not in said
    assert len(said) < 1_500


def test_a_symbol_goes_out_under_its_own_id_and_costs_nothing() -> None:
    """The outcome of a symbol has its place, its id and its summary, and no usage at all."""
    symbol = Symbol(7, SymbolContext(**context("release")))

    assert document_offline(symbol) == Documented(
        7, "shop/orders.py:release", summarize_facts(symbol.context), NO_USAGE, source="offline"
    )
