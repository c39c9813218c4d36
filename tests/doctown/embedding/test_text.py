"""What of a symbol is embedded, and how identifiers fall into words."""

from __future__ import annotations

import doctest

import pytest

from doctown.embedding import embedding_text, split_words, text
from doctown.embedding.text import MAX_BODY_CHARS


def test_the_examples_in_the_docstrings_hold() -> None:
    ended = doctest.testmod(text)

    assert ended.attempted >= 5
    assert ended.failed == 0


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("parse_http_header", ["parse", "http", "header"]),
        ("parseHTTPHeader", ["parse", "http", "header"]),
        ("XMLHttpRequest2", ["xml", "http", "request2"]),
        ("sha256", ["sha256"]),
        ("vec2Mat", ["vec2", "mat"]),
        ("MAX_SIZE", ["max", "size"]),
        ("__init__", ["init"]),
        ("a::b->c", ["a", "b", "c"]),
        ("Größe", ["größe"]),
        ("", []),
        ("___", []),
    ],
)
def test_an_identifier_falls_into_its_words(identifier: str, words: list[str]) -> None:
    assert split_words(identifier) == words


def test_the_body_is_cut_and_its_white_space_folded() -> None:
    """Code that differs in white space alone has one text, of at most `MAX_BODY_CHARS` characters of body."""
    body = "\n".join(f"    line_{number} = {number}" for number in range(500))

    shown = embedding_text("f", None, None, body).removeprefix("f\n")

    assert len(shown) == MAX_BODY_CHARS
    assert shown.startswith("line_0 = 0 line_1 = 1 ")
    assert embedding_text("f", None, None, body.replace("    ", "\t")) == f"f\n{shown}"


def test_signature_and_docstring_are_not_said_twice() -> None:
    """A symbol's whole source gives what its body alone gives, with the decorators kept."""
    source = '@cache\ndef twice(\n    x,\n):\n    """Double x.\n\n    Or fail.\n    """\n    return 2 * x\n'

    shown = embedding_text("twice", "def twice( x, )", "Double x.\n\nOr fail.", source)

    assert shown == "twice\ndef twice( x, )\nDouble x.\n@cache return 2 * x"


def test_a_docstrings_text_inside_the_code_stays() -> None:
    """Only what stands where a docstring stands is left out of the body."""
    assert embedding_text("f", "def f()", "Go", 'def f(): run("Go")').endswith('\nrun("Go")')


def test_a_symbol_of_nothing_has_an_empty_text() -> None:
    assert embedding_text("_", "", "  ", "\n") == ""
