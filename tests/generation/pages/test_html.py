"""Pages are complete in themselves, harmless whatever they show, and of a size that does not grow with it."""

from __future__ import annotations

import re

from generation.pages.blocks import MAX_POINTS, MAX_ROWS, Bars, Block, Line, Note, Page, Section, Table
from generation.pages.html import render_page
from tests.support.pages import check_harmless

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' style='position:fixed",
    "</style></title><h1>",
    "javascript:alert(1)",
    "a\x00\x1bb\u202ec\ud800",
    "x" * 1_000_000,
)


def text_of(number: float) -> str:
    return f"{number:g}"


def page_of(text: str) -> Page:
    blocks: list[Block] = [
        Bars(text, [(text, 3.0, text)]),
        Line(text, [(0.0, 1.0), (2.0, 3.0)], lambda x: text, lambda y: text),
        Table(text, (text, text), [(text, text)]),
        Note(text),
    ]
    return Page(text, [text, text], [(text, text, text)], [Section(text, [blocks, blocks])], [text])


def test_hostile_texts_are_text() -> None:
    """A page full of a hostile text has the elements and attributes of a harmless one, and a bounded size."""
    harmless = check_harmless(render_page(page_of("harmless")))
    for text in HOSTILE:
        page = render_page(page_of(text))
        seen = check_harmless(page)
        assert (seen.elements, seen.attributes) == (harmless.elements, harmless.attributes)
        assert len(page) < 40_000
    assert "<script>alert(1)</script>" in check_harmless(render_page(page_of(HOSTILE[0]))).words


def test_the_size_of_a_page_does_not_grow_with_what_was_counted() -> None:
    """Of a million points and rows a chart shows as many as it can, and says how many more there are."""
    rows = [(str(number), float(number), "n") for number in range(10_000)]
    points = [(float(number), float(number)) for number in range(1_000_000)]
    blocks: list[Block] = [
        Bars("bars", rows),
        Line("line", points, text_of, text_of),
        Table("table", ("a",), [("a",)] * 10_000),
    ]
    page = render_page(Page("large", ["one"], [], [Section("all", [blocks])]))

    [drawn] = re.findall(rb'points="([^"]*)"', page)
    assert len(drawn.split()) == MAX_POINTS
    assert drawn.split()[-1] == b"600.0,0.0", "the last point is among them"
    seen = check_harmless(page)
    assert (seen.elements["i"], seen.elements["td"] + seen.elements["th"]) == (MAX_ROWS, MAX_ROWS + 1)
    assert seen.words.count(f"and {10_000 - MAX_ROWS:,} more") == 2


def test_two_subjects_stand_side_by_side_on_one_scale() -> None:
    """What is compared has one scale: the larger of two values fills its bar, the other one its share of that."""
    one: list[Block] = [Bars("requests", [("a", 10.0, "10")]), Line("cost", [(0.0, 0.0), (5.0, 1.0)], text_of, text_of)]
    two: list[Block] = [
        Bars("requests", [("a", 40.0, "40")]),
        Line("cost", [(0.0, 0.0), (10.0, 4.0)], text_of, text_of),
    ]
    page = render_page(Page("two", ["one", "two"], [("cost", "$1", "$4")], [Section("both", [one, two])])).decode()

    assert re.findall(r"width:([\d.]+)%", page) == ["25.00", "100.00"]
    assert re.findall(r'points="([^"]*)"', page) == ["0.0,160.0 300.0,120.0", "0.0,160.0 600.0,0.0"]
    assert "<h3>one</h3>" in page
    assert '<th scope="row">cost</th><td>$1</td><td>$4</td>' in page


def test_nothing_to_show_is_no_fault() -> None:
    """Empty charts, and values that are all 0, make a page all the same."""
    blocks: list[Block] = [Bars("none", []), Line("none", [], text_of, text_of), Bars("zero", [("a", 0.0, "0")])]
    check_harmless(render_page(Page("empty", ["one"], [], [Section("all", [blocks])])))
