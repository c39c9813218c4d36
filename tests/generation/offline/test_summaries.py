"""Summaries without a model: what they say of a symbol, worked by hand, and what they never repeat."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.checks import check_summary, known_names
from generation.domain.context import SymbolContext
from generation.domain.outcome import Documented, Symbol
from generation.domain.usage import NO_USAGE
from generation.offline.summaries import document_offline, summarize_facts
from tests.support.contexts import FUNCTIONS, context


def summary(name: str, /, **fields: Any) -> str:
    return summarize_facts(SymbolContext(**context(name, **fields)))


@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("sort", {}, "Sort: a python function."),
        ("read_HTTP_header2", {}, "Read HTTP header 2: a python function."),
        ("parseHTTPResponse", {}, "Parse HTTP response: a python function."),
        ("__init__", {"kind": "method"}, "Init: a python method."),
        ("_", {}, "_: a python function."),
        ("\u03bb", {"language": "ada"}, "\u03bb: an ada function."),
        ("f", {"docstring": "Do it."}, "Do it."),
        ("f", {"docstring": "Do it"}, "Do it."),
        ("f", {"docstring": "Do these:\n\n- one\n- two"}, "Do these."),
        ("f", {"docstring": "  Do it\n    well. Then stop.\n\nMore."}, "Do it well. It is a python function."),
        (
            "f",
            {"docstring": "Use v1.2 e.g. here. Stop."},
            "Use v1.2 e.g. here. It is a python function.",
        ),
        ("f", {"docstring": "Really? Yes!"}, "Really? It is a python function."),
        ("f", {"docstring": "  \n "}, "F: a python function."),
        ("f", {"docstring": "x" * 301}, "F: a python function."),
        ("f", {"calls": ["a"]}, "F: a python function. It calls a."),
        ("f", {"docstring": "Do it.", "calls": ["a", "b"]}, "Do it. It calls a and b."),
        ("f", {"called_by": ["a", "b", "c", "d"]}, "F: a python function for a, b, c and 1 more."),
        (
            "f",
            {"docstring": "Do it.", "calls": list("abcde"), "called_by": ["m"]},
            "Do it. It calls a, b, c and 2 more.",
        ),
    ],
)
def test_a_summary_worked_by_hand(name: str, fields: dict[str, Any], says: str) -> None:
    """The docstring's first sentence where there is one, else the name in words, and then calls and callers."""
    assert summary(name, **fields) == says


DOCUMENTED = {
    "python": (
        'async def f(self, a: int, *, b=None) -> str:\n    """Return the item of a key.\n\n    Then more.\n    """\n',
        "Return the item of a key. It takes a and b and returns str.",
    ),
    "python, cut off": (
        'def f(a):\n    """\n    Return the :class:`~x.Item` of a ``key``\n\n    Usage::\n\n>>> f()\n    """\n  x = (',
        "Return the Item of a key. It takes a.",
    ),
    "python, a role at the start of a line": (
        'def f(a):\n    """Return an instance of\n    :class:`Item` for a key.\n    :param a: the key\n    """\n',
        "Return an instance of Item for a key. It takes a.",
    ),
    "python, decorated": ('@cached\ndef f():\n    "Item of a key."\n', "Item of a key. It is a python function"),
    "typescript": (
        "/**\n * This function returns the {@link Item} of a `key`.\n * @param a the key\n */\n"  # noqa: ISC004
        "export async function f(a: string, b?: () => void): Promise<Item> {}",
        "Returns the Item of a key. It takes a and b and returns Promise<Item>.",
    ),
    "java": (
        "/** Returns the <b>item</b> of a key. */\n@Override\nItem f(final String a, int b) throws IOException {}",
        "Returns the item of a key. It takes a and b and raises IOException.",
    ),
    "rust": (
        "/// Returns the item of a key.\n///\n/// # Examples\n#[inline]\npub fn f<T>(&self, a: &str) -> Option<T> {}",
        "Returns the item of a key. It takes a and returns Option<T>.",
    ),
    "go": (
        "// f returns the item of a key.\nfunc f(a, b int) (Item, error) {}",
        "f returns the item of a key. It takes a and b.",
    ),
    "csharp": (
        "/// <summary>\n/// Returns the item of a key.\n/// </summary>\npublic Item f(string a) { throw new E(); }",
        "Returns the item of a key. It takes a and raises E.",
    ),
    "ruby": ("# Returns the item of a key.\n#\n# @param a\ndef f(a)\nend\n", "Returns the item of a key. It takes a."),
    "lua": ("--- Returns the item of a key.\nfunction f(a)\nend\n", "Returns the item of a key. It takes a."),
    "c": (
        "/*\n * Returns the item of a key.\n */\nstatic item *f(const char *a) {}",
        "Returns the item of a key. It takes a.",
    ),
    "cpp": ("/// \\brief Returns the item of a key.\nItem f(int a) {}", "Returns the item of a key. It takes a."),
    "php": ("/** Returns the item of a key. */\nfunction f($a) {}", "Returns the item of a key. It takes a."),
    "swift": (
        "/// Returns the item of a key.\nfunc f(a: Int) -> Item {}",
        "Returns the item of a key. It takes a and returns Item.",
    ),
    "bash": ("# Prints the item of a key.\nf() {\n}\n", "Prints the item of a key. It is a bash function"),
}


@pytest.mark.parametrize("case", DOCUMENTED)
def test_the_documentation_in_the_source_is_found_in_every_language(case: str) -> None:
    """Its first sentence is the summary's, as plain text, and facts of the declaration follow it."""
    source, says = DOCUMENTED[case]
    language = case.split(",", maxsplit=1)[0]

    assert summary("f", source_code=source, signature=None, calls=[], called_by=[], language=language).startswith(says)


@pytest.mark.parametrize(
    "documentation",
    [
        ">>> f(1)\n2",
        ":param a: the key",
        "@param a the key",
        "Args:\n    a: the key",
        "Usage::\n\n    f(1)",
        "Parameters\n----------\na: the key",
        "----",
    ],
)
def test_examples_and_lists_of_parameters_are_no_summary(documentation: str) -> None:
    """Where there is no prose, the declaration says what there is to say."""
    source = f'def f(a, b=1) -> int:\n    """{documentation}"""\n    if not a:\n        raise KeyError(a)\n'

    said = summary("f", source_code=source, signature=None, calls=[], called_by=["g"])
    assert said == ("F: a python function that takes a and b, returns int and raises KeyError.")


def test_what_is_said_of_a_class_is_its_bases() -> None:
    """Bases are facts too."""
    fields: dict[str, Any] = {"kind": "class", "bases": ["Base"], "calls": [], "called_by": []}
    assert summary("Inner", **fields) == "Inner: a python class that extends Base."


def test_summaries_of_documented_functions_pass_the_checks() -> None:
    """Each function of the tests' shop, documented in its source or not, has a summary that no hard check refuses."""
    contexts = [SymbolContext(**context(name)) for name in FUNCTIONS]
    findings = [check_summary(summarize_facts(one), one, known_names(contexts)) for one in contexts]
    assert [one.hard for one in findings] == [()] * len(contexts)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_real_functions_get_one_or_two_sentences(name: str) -> None:
    """Each function of the tests' shop gets one or two sentences that end as sentences do."""
    said = summary(name)

    assert len(re.findall(r"[.!?](?= [A-Z]|$)", said)) in {1, 2}
    assert said[0].isupper()
    assert said.endswith(".")


@pytest.mark.parametrize("field", ["source_code", "signature", "imports", "related_symbols", "cluster_label"])
def test_what_is_no_fact_of_the_symbol_is_not_repeated(field: str) -> None:
    """No summary holds source that neither declares nor documents, or fields other than those it tells of."""
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
