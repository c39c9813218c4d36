"""The figures of `make bench-quality` are those of the summaries: texts, ranks and counts worked by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmarks.quality.codebases import first_paragraph, without_docstring
from benchmarks.quality.measure import Result, Summary, likeness
from benchmarks.quality.table import BEGIN, END, PAGE, report

VECTORS = {"a": (1.0, 0.0), "b": (0.0, 1.0), "ab": (0.6, 0.8)}


def embed(texts: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array([VECTORS[text] for text in texts], dtype=np.float32)


def test_the_rank_of_a_docstring_is_its_place_among_all_of_the_codebase() -> None:
    """One summary is nearest to its own docstring, the other to another's."""
    figures = likeness({"one": "a", "two": "ab"}, {"one": "a", "two": "a", "three": "b"}, embed)
    assert figures.tolist() == pytest.approx(np.array([[1.0, 1.0], [0.6, 0.5]]))


@pytest.mark.parametrize(
    ("source", "bare"),
    [
        ('def f():\n    """Do it.\n\n    Well.\n    """\n    return 1', "def f():\n    return 1"),
        ('def f(self):\n        "Do it."\n        return 1', "def f(self):\n        return 1"),
        ('@cached\n    def f(self):\n        "Do it."\n        return 1', "@cached\ndef f(self):\n    return 1"),
        ('def f():\n    """Only this."""', 'def f():\n    """Only this."""'),
        ('def f():\n    """Do it."""\n    def g() [...]', "def f():\n    def g() [...]"),
        ("function f() { return 1 }", "function f() { return 1 }"),
    ],
)
def test_a_docstring_is_taken_out_of_the_source(source: str, bare: str) -> None:
    assert without_docstring(source) == bare


def test_a_docstring_is_one_line_without_markup() -> None:
    assert first_paragraph("Sends a :class:`Request`\nto {@link Server}.\n\nMore.") == "Sends a Request to Server."


def test_the_report_has_a_row_for_each_way_and_what_was_repaired() -> None:
    summary = Summary("a.py::f", "Sends it.", "This function sends `it`.", "Send.", ("opening",))
    result = Result("one by one", [summary], 0.5, 0.25, 0.4, 0.2, 2, 300, 1, 1, 0, Counter({"identifiers": 1}))
    lines = report([result]).splitlines()
    assert "| one by one | 0.500 | 0.250 | 0.400 | 0.200 | 2.00 | 300 | 100% | 0% | identifiers 1 |" in lines
    assert lines[-1] == "- `a.py::f`: Sends it. (opening; written: This function sends `it`.)"
    assert PAGE.read_text("utf-8").count(BEGIN) == PAGE.read_text("utf-8").count(END) == 1
