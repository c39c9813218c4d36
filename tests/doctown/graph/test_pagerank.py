"""Centrality is PageRank over known calls, on a logarithmic scale."""

from pathlib import Path

import pytest

from doctown.graph.model import Graph
from doctown.graph.pagerank import centrality
from doctown.graph.resolve import resolve
from doctown.parsing.extract import extract

CASES = Path(__file__).parent.parent / "cases"


def graph_of(**sources: str) -> Graph:
    return resolve([extract("python", f"{name}.py", source.encode()) for name, source in sources.items()])


def test_what_is_called_more_is_more_central() -> None:
    found = centrality(
        graph_of(a="def hub():\n    leaf()\ndef leaf(): pass\ndef x():\n    hub()\ndef y():\n    hub()\n")
    )
    assert found["a.py::hub"] > found["a.py::x"] == found["a.py::y"] == 0
    assert max(found.values()) == 1


def test_it_agrees_with_a_solution_of_the_equations() -> None:
    """Two nodes, one calls the other, one module beside them: solved by hand for d = 0.85."""
    found = centrality(graph_of(a="def f():\n    g()\ndef g(): pass\n"))
    # r_f = r_m = b, r_g = b (1 + d), so log(r_g / b) is the largest and f and the module are at the least.
    assert found == {"a.py::<module>": 0.0, "a.py::f": 0.0, "a.py::g": 1.0}


def test_a_class_gains_from_the_calls_of_its_methods() -> None:
    found = centrality(graph_of(a="class C:\n    def m(self): pass\nclass D:\n    pass\ndef f(c: C):\n    c.m()\n"))
    assert found["a.py::C"] > found["a.py::D"]


def test_a_guess_is_no_base_of_it() -> None:
    graph = graph_of(a="class C:\n    def rare_name(self): pass\ndef f(x):\n    x.rare_name()\n")
    assert [edge.origin for edge in graph.edges if edge.kind == "calls"] == ["unique_name"]
    assert set(centrality(graph).values()) == {0.0}


@pytest.mark.parametrize("sources", [{}, {"empty": ""}])
def test_a_graph_without_calls_has_zeros(sources: dict[str, str]) -> None:
    assert not any(centrality(graph_of(**sources)).values())
