"""Extraction takes whatever bytes a file has, and its places agree with the source."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctown.parsing.extract import extract
from doctown.parsing.languages import LANGUAGES, language_of, language_of_first_line
from doctown.parsing.records import FileRecord

CASES = Path(__file__).parent.parent / "cases"
SOURCES = sorted(p.relative_to(CASES).as_posix() for p in CASES.rglob("*") if p.is_file() and language_of(p.name))
EXTENSIONS = sorted({row.extensions[0] for row in LANGUAGES})


def record_of(source: bytes, path: str = "a.py") -> FileRecord:
    return extract(language_of(path) or "", path, source)


@pytest.mark.parametrize("path", SOURCES)
def test_places_of_symbols_agree_with_the_source(path: str) -> None:
    source = (CASES / path).read_bytes()
    record = record_of(source, path)
    for symbol in record.symbols:
        text = source[symbol.start_byte : symbol.end_byte]
        assert symbol.name.encode() in text
        assert symbol.start_line == source[: symbol.start_byte].count(b"\n") + 1
        assert symbol.end_line == source[: symbol.end_byte - 1].count(b"\n") + 1
        assert -1 <= symbol.parent < len(record.symbols)
    for call in record.calls:
        assert 1 <= call.line <= record.lines
        assert 0 <= call.scope < len(record.scopes)


@pytest.mark.parametrize("path", SOURCES)
def test_a_file_that_breaks_off_anywhere_still_gives_a_record(path: str) -> None:
    source = (CASES / path).read_bytes()
    for end in range(0, len(source), max(1, len(source) // 40)):
        record = record_of(source[:end], path)
        assert record.size_bytes == end
        assert all(symbol.end_byte <= end for symbol in record.symbols)


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\n",
        b"\x00\xff\xfe",
        "é = ß\n".encode("latin-1"),
        b"(" * 100_000,
        b"a(" * 20_000,
        b"x." * 20_000,
        b"[" * 999,
    ],
    ids=["empty", "newline", "binary", "latin-1", "brackets", "calls", "attributes", "lists"],
)
def test_strange_bytes_give_a_record(extension: str, source: bytes) -> None:
    path = f"a{extension}"
    assert record_of(source, path).path == path


@given(st.text(alphabet="abf()[]{}:=.,@\n \"'#*", max_size=200))
def test_any_text_gives_a_record(source: str) -> None:
    encoded = f"def f(a):\n {source}".encode()
    assert record_of(encoded).size_bytes == len(encoded)


def test_a_file_with_errors_is_partial_and_one_without_is_not() -> None:
    assert record_of(b"def f(:\n  pass\n").partial
    assert not record_of(b"def f():\n  pass\n").partial


def test_the_same_bytes_give_the_same_record() -> None:
    source = (CASES / "python/decorators/app.py").read_bytes()
    assert record_of(source) == record_of(source)


def test_languages_are_told_by_name_and_by_the_first_line() -> None:
    assert language_of("src/a.PY") == "python"
    assert language_of("SConstruct") == "python"
    assert language_of("README") is None
    assert language_of_first_line(b"#!/usr/bin/env python3.12") == "python"
    assert language_of_first_line(b"import os") is None


def test_an_unknown_language_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match="klingon"):
        extract("klingon", "a.kl", b"")
