"""What the worker is told of a symbol, from real sources parsed by the real parsers."""

import os
from pathlib import Path

import numpy as np
import pytest

from doctown.analysis import Analysis, analyse
from doctown.assembly.choice import is_documented, is_minor, spending_centrality
from doctown.assembly.contexts import Facts, Neighbour, make_context
from doctown.assembly.groups import nearest_of
from doctown.assembly.neighbours import nearest_neighbours
from doctown.assembly.records import created_at, file_offset, licence_of, url_template
from doctown.assembly.source_text import Nesting, first_sentence, prompt_source, shorten_literals
from doctown.assembly.symbols import ProgramSymbol, program_symbols, sure_calls
from doctown.repository import Limits, Selection, open_source
from generation import SymbolContext
from tests.doctown.test_analysis import write

SOURCE = '''class Store(Base):
    """A store. It is small."""

    size: int = 0

    def load(self, path):
        """Return the items. Raise OSError."""
        text = read(path)
        return text

    @property
    def name(self):
        return self._name

    def get_all(self):
        return sort(self.load("x"))


def read(path):
    def opened():
        secret = path
        return open(secret)
    return opened().read()


def sort(items):
    return items

VISIBLE = 1
_hidden = 2
'''
RUST = """/// A point. On a plane.
pub struct Point { pub x: i32 }

impl Point {
    /// Its length.
    pub fn length(&self) -> i32 { self.x }
}
"""


def analysed(folder: Path, files: dict[str, str]) -> Analysis:
    with open_source(str(write(folder, files)), limits=Limits(), environ=os.environ) as checkout:
        return analyse(checkout, Selection())


@pytest.fixture(scope="module")
def symbols(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ProgramSymbol]:
    files = {"a.py": SOURCE, "p.rs": RUST, "tests/test_a.py": "from a import read\n\ndef test_read(): read('x')\n"}
    analysis = analysed(tmp_path_factory.mktemp("source"), files)
    return {one.id: one for one in program_symbols(analysis)}


def shown(symbol: ProgramSymbol, source: str = SOURCE) -> str:
    return prompt_source(source.encode(), symbol.symbol, Nesting(symbol.file), symbol.file.language)


def test_a_class_is_shown_as_its_outline(symbols: dict[str, ProgramSymbol]) -> None:
    """Fields and documentation stay; of a member stay the signature and the first sentence."""
    assert (
        shown(symbols["a.py::Store"])
        == '''class Store(Base):
    """A store. It is small."""

    size: int = 0

    def load(self, path) [...] Return the items.

    @property
    def name(self) [...]

    def get_all(self) [...]'''
    )


def test_a_definition_inside_of_another_is_one_line(symbols: dict[str, ProgramSymbol]) -> None:
    assert shown(symbols["a.py::read"]) == "def read(path):\n    def opened() [...]\n    return opened().read()"


def test_a_method_is_shown_whole(symbols: dict[str, ProgramSymbol]) -> None:
    assert shown(symbols["a.py::Store.load"]).endswith("text = read(path)\n        return text")
    assert shown(symbols["p.rs::Point"], RUST) == "pub struct Point { pub x: i32 }"


def test_long_literals_are_shortened_and_code_is_not() -> None:
    """Texts lose their ends and tables their middles; short ones and lines of code stay as they are."""
    table = "\n".join(f"    ({n}, 'a{n}'," + " True)," for n in range(40))
    source = f'x = "{"y" * 500}"\nT = [\n{table}\n]\nreturn f(x, 1)\ny = "short"'
    assert shorten_literals(source, "python") == "\n".join([
        f'x = "{"y" * 60}[...]"',
        "T = [",
        *table.split("\n")[:4],
        "[... 35 lines of data ...]",
        table.split("\n")[-1],
        "]",
        "return f(x, 1)",
        'y = "short"',
    ])  # fmt: skip
    block = f'd = """{"z" * 900}"""\n'
    assert shorten_literals(block, "python") == f'd = """{"z" * 400}[...]"""\n'


def test_backticks_are_quotation_marks_in_some_languages_only() -> None:
    source = f"a := `{'q' * 900}`"
    assert shorten_literals(source, "go") == f"a := `{'q' * 400}[...]`"
    assert shorten_literals(source, "rust") == source


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [("Return it.", "Return it."), ("One\nline. Two.", "One line."), ("", ""), ("No end\n\nMore.", "No end")],
)
def test_a_first_sentence(docstring: str, sentence: str) -> None:
    assert first_sentence(docstring) == sentence


def context(tmp_path: Path, symbol_id: str, *neighbours: Neighbour) -> SymbolContext:
    tests = {"tests/test_a.py": "from a import read\n\ndef test_read(): read('x')\n"}
    analysis = analysed(tmp_path, {"a.py": SOURCE, **tests})
    found = {one.id: one for one in program_symbols(analysis)}
    of_tests = frozenset(one.id for one in found.values() if one.is_test)
    names = {one.id: one.symbol.qualified_name for one in found.values()}
    external = {one: counts.external_names for one, counts in analysis.graph.counts.items()}
    facts = Facts(names, sure_calls(analysis.graph, of_tests), {symbol_id: 0.5}, external)
    return make_context(found[symbol_id], "source\x00", facts, neighbours)


def test_a_context_has_what_the_graph_knows(tmp_path: Path) -> None:
    made = context(tmp_path, "a.py::Store.get_all")
    assert (made.name, made.kind, made.parent, made.exported) == ("get_all", "method", "Store", True)
    assert made.calls == ("Store.load", "sort")
    assert made.callees == ("a.py::Store.load", "a.py::sort")
    assert (made.centrality, made.cluster_label, made.related_symbols) == (0.5, None, ())
    assert made.source_code == "source\N{REPLACEMENT CHARACTER}"
    assert context(tmp_path, "a.py::Store").bases == ("Base",)
    assert context(tmp_path, "a.py::Store.name").decorators == ("property",)


def test_a_test_that_calls_a_symbol_is_not_in_its_context(tmp_path: Path) -> None:
    """A new test does not change what a summary rests on, and so costs nothing."""
    assert context(tmp_path, "a.py::read").called_by == ("Store.load",)


def test_neighbours_are_told_where_they_are_given(tmp_path: Path) -> None:
    made = context(tmp_path, "a.py::read", Neighbour("sort", 1.0000001, "Sort items."))
    (related,) = made.related_symbols
    assert not isinstance(related, str)
    assert (related.name, related.similarity, related.note) == ("sort", 1.0, "Sort items.")


def test_what_is_documented_by_default(symbols: dict[str, ProgramSymbol]) -> None:
    chosen = {name for name, one in symbols.items() if is_documented(one, None, include_tests=False)}
    assert chosen == {
        "a.py::Store", "a.py::Store.load", "a.py::Store.name", "a.py::Store.get_all", "a.py::read",
        "a.py::read.opened", "a.py::sort", "a.py::VISIBLE", "p.rs::Point", "p.rs::Point.length",
    }  # fmt: skip
    tests = {name for name, one in symbols.items() if is_documented(one, {"function"}, include_tests=True)}
    assert tests == {"a.py::read", "a.py::read.opened", "a.py::sort", "tests/test_a.py::test_read"}


def test_tests_and_trivial_accessors_come_last(symbols: dict[str, ProgramSymbol]) -> None:
    assert is_minor(symbols["tests/test_a.py::test_read"], 1)
    assert is_minor(symbols["a.py::Store.name"], 0)
    assert not is_minor(symbols["a.py::Store.get_all"], 2)
    assert spending_centrality(symbols["a.py::Store.name"], 0.9, 0) == 0.0
    assert spending_centrality(symbols["a.py::read"], 0.9, 1) == 0.9


@pytest.mark.parametrize(
    ("url", "template"),
    [
        ("https://github.com/o/r.git", "https://github.com/o/r/blob/C/{path}#L{start_line}-L{end_line}"),
        ("https://gitlab.com/g/s/r", "https://gitlab.com/g/s/r/-/blob/C/{path}#L{start_line}-{end_line}"),
        ("https://example.com/o/r", None),
        (None, None),
    ],
)
def test_links_name_the_commit(url: str | None, template: str | None) -> None:
    assert url_template(url, "C", dirty=False) == template
    assert url_template(url, "C", dirty=True) is None
    assert url_template(url, None, dirty=False) is None


def test_offsets_in_other_encodings() -> None:
    text = "é = 1".encode()
    assert [file_offset(text, 3, name) for name in ("utf-8", "utf-8-sig", "utf-16", "latin-1")] == [3, 6, 6, 2]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Apache License\n   Version 2.0, January 2004", "Apache-2.0"),
        ("Permission is hereby granted, free of charge,\nto any person obtaining a copy", "MIT"),
        ("GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007", "GPL-3.0-only"),
        ("All rights reserved", None),
    ],
    ids=["apache", "mit", "gpl", "none"],
)
def test_a_licence_is_known_by_its_words(text: str, name: str | None) -> None:
    assert licence_of(text) == name


def test_without_a_commit_the_time_is_the_epoch() -> None:
    assert created_at(None) == "1970-01-01T00:00:00Z"


def test_a_pack_names_only_what_is_like_a_symbol(tmp_path: Path) -> None:
    """Neighbours are named with two digits; one that is not alike, or whose path no pack can have, is not."""
    files = {"a.py": "def f(): pass\ndef g(): pass\ndef h(): pass\n", "b\\c.py": "def i(): pass\n"}
    symbols = program_symbols(analysed(tmp_path, files))
    assert [one.id for one in symbols] == ["a.py::f", "a.py::g", "a.py::h", "b\\c.py::i"]
    vectors = np.array([[1, 0, 0], [0.936, 0.352, 0], [0, 0, 1], [1, 0, 0]], dtype=np.float32)
    found = nearest_of(symbols, nearest_neighbours(vectors))
    assert found["a.py::f"] == [{"id": "a.py::g", "similarity": 0.94}]
    assert found["a.py::h"] == []
