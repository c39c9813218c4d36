"""What a repository says of itself: which paragraph of a README it is, and what is left of it."""

from __future__ import annotations

import pytest

from doctown.assembly.description import MAX_README_CHARACTERS, description_of

MARKDOWN = {
    "the first paragraph": ("# Tool\n\nA *fast* **tool**\nfor `x` &amp; y.\n\nMore.\n", "A fast tool for x & y."),
    "badges before it": ("[![ci](a.svg)](b) ![x](c)\n\n[Docs](d) | [Blog](e)\n\nA tool.", "A tool."),
    "links in it": (
        "[Tool](javascript:x) is a [tool](b) for all, see <https://c.example>.",
        "Tool is a tool for all, see .",
    ),
    "a line of addresses": ("**Documentation**: https://a.example/documentation\n\nA tool.", "A tool."),
    "html before it": ('<p align="center">\n<img src="a">\nhello\n</p>\n\n<!-- x -->\nA tool.\n', "A tool."),
    "html in it": ("A <b>fast</b> <img src=x onerror=alert(1)> tool<br>of &lt;i&gt;.", "A fast tool of <i>."),
    "front matter, lists, quotes, code": ("---\ntitle: x\n---\n\n> quote\n\n- list\n\n    code\n\nA tool.", "A tool."),
    "a link reference": ("[a]: https://b.example\n\nA tool.", "A tool."),
    "line ends of Windows": ("Tool\r\n====\r\n\r\nA\r\ntool.\r\n", "A tool."),
    "controls and marks of direction": ("A\x07 \u202etool\0.", "A� �tool�."),
    "headings only": ("# Tool\n\n## Install\n", None),
    "nothing": ("", None),
}
PLAIN = {
    "a title above and below": ("====\nTool\n====\n\nA *fast* ``tool``.\n", "A fast tool."),
    "a title with text below": ("Tool\n----\nA tool.\n", "A tool."),
    "directives and substitutions": (".. image:: a\n   :alt: b\n\n   more\n\n|ci| |docs|\n\nA tool.", "A tool."),
    "links and roles": ("A `tool <javascript:x>`_ with :class:`~a.B`, docs_::\n\n  code", "A tool with ~a.B, docs:"),
    "a line of links": ("`Docs <a>`__ `Blog <b>`__\n\nA tool.", "A tool."),
    "lists and fields": (":Author: me\n\n- a\n\n1. b\n\n>>> c\n\nA tool.", "A tool."),
    "names with underscores": ("Use snake_case and __init__ in a tool.", "Use snake_case and __init__ in a tool."),
    "nothing": ("\n\n", None),
}


@pytest.mark.parametrize("name", MARKDOWN)
def test_the_paragraph_of_markdown_is_plain_text(name: str) -> None:
    text, expected = MARKDOWN[name]
    assert description_of("README.md", text) == expected
    assert description_of("ReadMe.MARKDOWN", text) == expected


@pytest.mark.parametrize("name", PLAIN)
def test_the_paragraph_of_restructured_text_is_plain_text(name: str) -> None:
    text, expected = PLAIN[name]
    assert {description_of(file, text) for file in ("README.rst", "README.txt", "readme")} == {expected}


@pytest.mark.parametrize("file", ["README.md", "README.rst"])
def test_a_long_paragraph_is_cut_between_words(file: str) -> None:
    assert description_of(file, "word " * 200) == f"{'word ' * 98}word…"
    assert description_of(file, "x" * 501) == f"{'x' * 499}…"
    assert description_of(file, "x" * 500) == "x" * 500


@pytest.mark.parametrize("file", ["README.md", "README.rst"])
@pytest.mark.parametrize(
    "part", ["[", "![", "*a", "**a", "`a <", "`", "|a", ":a:`", "<a ", "a_", "[a](", "> ", "<!--", "[a]: x (\n"]
)
def test_no_text_holds_up_a_build(file: str, part: str) -> None:
    """Marks that are never closed, by the thousand: what is found is bounded, and the test's time-out is far."""
    found = description_of(file, part * MAX_README_CHARACTERS)
    assert found is None or len(found) <= 500


def test_only_the_beginning_of_a_readme_counts() -> None:
    """A paragraph behind 20,000 characters of headings is none."""
    assert description_of("README.md", "# a\n" * 4_000 + "\nA tool.") == "A tool."
    assert description_of("README.md", "# a\n" * 5_000 + "\nA tool.") is None
