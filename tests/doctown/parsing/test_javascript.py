"""Hostile and broken sources of JavaScript and TypeScript, and components whose scripts are parsed."""

import pytest

from doctown.parsing.extract import extract
from doctown.parsing.javascript import script_parts
from doctown.parsing.javascript_types import parse_doc, written_aliases, written_imports, written_type

DEEP, LONG = 100_000, 20_000
NESTED = {
    "brackets": b"x = " + b"[" * DEEP + b"]" * DEEP,
    "parentheses": b"x = " + b"(" * DEEP + b"1" + b")" * DEEP,
    "calls": b"f(" * DEEP + b")" * DEEP,
    "chained calls": b"f" + b".a()" * LONG,
    "blocks": b"{" * LONG + b"}" * LONG,
    "objects": b"x = " + b"{a:" * LONG + b"1" + b"}" * LONG,
    "arrow functions": b"x = " + b"a=>" * LONG + b"1",
    "patterns": b"const " + b"{a:" * LONG + b"x" + b"}" * LONG + b" = y",
    "operators": b"x = " + b"1+" * LONG + b"1",
    "conditions": b"if (" + b"a instanceof b && " * LONG + b"1) {}",
    "else branches": b"if (a) {} else " * LONG + b"{}",
    "classes": b"x = " + b"class { x = " * LONG + b"1" + b"}" * LONG,
    "braces in JSDoc": b"/** @param {" + b"{" * LONG + b" x */ function f(x) {}",
}


@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("language", ["javascript", "typescript"])
def test_a_source_that_nests_without_end_is_extracted(language: str, name: str) -> None:
    record = extract(language, "deep.js" if language == "javascript" else "deep.ts", NESTED[name])
    assert record.size_bytes == len(NESTED[name])


@pytest.mark.parametrize("written", ["B | " * LONG + "C", "B<" * LONG + "C" + ">" * LONG, "B" + "[]" * LONG])
def test_a_type_that_nests_without_end_is_a_symbol(written: str) -> None:
    record = extract("typescript", "deep.ts", f"type A = {written};".encode())
    assert [symbol.name for symbol in record.symbols] == ["A"]


def test_a_megabyte_on_one_line_gives_all_its_functions() -> None:
    function = b"function f(a){return g(a,[%s],{b:a.c})};" % (b"1234567," * 200)
    record = extract("javascript", "bundle.min.js", function * 600)
    assert record.size_bytes > 900_000
    assert record.lines == 1
    assert len(record.symbols) == len(record.calls) == 600


def test_what_is_whole_in_a_broken_file_is_taken() -> None:
    record = extract("typescript", "broken.ts", b"export function whole() { go(); }\nconst = ;\nclass {{{ \n")
    assert record.partial
    assert record.symbols[0].qualified_name == "whole"
    assert record.symbols[0].exported


def test_bytes_that_are_no_text_leave_a_record() -> None:
    assert extract("javascript", "binary.js", bytes(range(256)) * 400).partial


def test_an_empty_file_leaves_an_empty_record() -> None:
    record = extract("typescript", "empty.ts", b"")
    assert not record.partial
    assert not record.symbols
    assert not record.calls


def test_blanking_a_component_moves_neither_bytes_nor_lines() -> None:
    source = "<p>ä</p>\r\n<script lang='ts'>\nlet x = 1;\n</script>\n<b/>".encode()
    blanked = script_parts(source)
    assert len(blanked) == len(source)
    assert blanked.find(b"let x = 1;") == source.find(b"let x = 1;")
    assert blanked.split() == [b"let", b"x", b"=", b"1;"]
    assert blanked.count(b"\n") == source.count(b"\n")


@pytest.mark.parametrize(
    "source",
    [
        b"<script>" * DEEP,
        b"<script " * DEEP,
        b"<script></script>" * LONG,
        b"</script>" * DEEP,
        b"<script \"'></script>" * LONG,
    ],
    ids=["not closed", "no end", "empty", "no beginning", "quotes"],
)
def test_a_component_of_many_tags_is_blanked(source: bytes) -> None:
    assert script_parts(source).isspace()


def test_a_type_in_the_tag_of_a_script_is_no_end_of_it() -> None:
    source = b'<script setup lang="ts" generic="T extends Record<string, number>">\nfunction f() {}\n</script>\n'
    record = extract("vue", "A.vue", source)
    assert not record.partial
    assert [(symbol.name, symbol.start_line) for symbol in record.symbols] == [("f", 2)]


def test_both_scripts_of_a_component_are_one_module() -> None:
    source = b"<script module>\nexport function a() {}\n</script>\n<h1/>\n<script>\nfunction b() { a(); }\n</script>"
    record = extract("svelte", "App.svelte", source)
    assert [(symbol.name, symbol.start_line) for symbol in record.symbols] == [("a", 2), ("b", 6)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Foo", ("name", "Foo")),
        ("?Foo", ("name", "Foo")),
        ("...Foo", ("name", "Foo")),
        ("any", None),
        ("Foo | null | undefined", ("name", "Foo")),
        ("Foo | Bar", ("any", (("name", "Foo"), ("name", "Bar")))),
        ("Foo[]", ("generic", ("literal", "list"), (("name", "Foo"),))),
        ("Array.<Foo>", ("generic", ("literal", "list"), (("name", "Foo"),))),
        ("Map<string, Foo>", ("generic", ("literal", "dict"), (("literal", "string"), ("name", "Foo")))),
        ("Promise<Foo>", ("generic", ("name", "Promise"), (("name", "Foo"),))),
        ("Readonly<Foo>", ("name", "Foo")),
        ("import('./x').A.B", ("attr", ("attr", ("import", "./x"), "A"), "B")),
        ("import('./x').A[]", ("generic", ("literal", "list"), (("attr", ("import", "./x"), "A"),))),
        ("(a: Foo) => Bar", ("callable", (("name", "Foo"),), ("name", "Bar"))),
        ("{ a: Foo, b?: Bar }", ("dict", "object", (("a", ("name", "Foo")), ("b", ("name", "Bar"))))),
        ("Foo['bar']", ("typeof", ("attr", ("typed", ("name", "Foo")), "bar"))),
        ("typeof x.y", ("typeof", ("attr", ("name", "x"), "y"))),
        ("", None),
        ("<<<", None),
    ],
)
def test_a_type_in_jsdoc_is_read_as_typescript(text: str, expected: object) -> None:
    assert written_type(text) == expected


def test_jsdoc_gives_the_types_of_parameters_and_of_the_result() -> None:
    comment = (
        "*\n * Does it.\n *\n * @param {Foo} a first\n * @param {Bar} [b=1]\n"
        " * @param {X} b.c\n * @returns {Baz} what\n "
    )
    doc = parse_doc(comment)
    assert doc.description == "Does it."
    assert doc.parameters == {"a": ("name", "Foo"), "b": ("name", "Bar"), "b.c": ("name", "X")}
    assert doc.returns == ("name", "Baz")


def test_jsdoc_declares_imports_and_types() -> None:
    assert written_imports("* @import { A, B as C } from './x' ") == [("A", "./x", "A"), ("C", "./x", "B")]
    assert written_imports("* @import D, * as ns from 'y' ") == [("D", "y", "default"), ("ns", "y", None)]
    assert written_aliases("* @typedef {Foo} Bar ") == [("Bar", ("name", "Foo"))]
