"""The grader of `make bench-graph`, on a module whose calls are known: a graph and a truth written by hand."""

import pytest

from benchmarks.graph.grading import grade, share_found, without_guesses
from benchmarks.graph.pycg import named_calls
from benchmarks.graph.scip import Occurrence, occurrences
from benchmarks.graph.truth import Definition, Place, Site, Truth, read_truth
from doctown.graph.export import EdgeJson, Node

FILE = "shop.py"
CLASS, INIT, PAY, MAIN = (f"{FILE}::{name}" for name in ("Cart", "Cart.__init__", "Cart.pay", "main"))
MODULE = f"{FILE}::<module>"


def node(name: str, kind: str, lines: tuple[int, int], parent: str | None) -> Node:
    return {
        "id": f"{FILE}::{name}",
        "name": name.rpartition(".")[2],
        "qualified_name": name,
        "kind": kind,
        "language": "python",
        "file": FILE,
        "signature": None,
        "parent": parent,
        "exported": True,
        "is_test": False,
        "start_line": lines[0],
        "end_line": lines[1],
        "resolved_calls": 0,
        "external_calls": [],
        "unresolved_calls": 0,
        "ambiguous_calls": 0,
    }


NODES = [
    node("<module>", "module", (1, 20), None),
    node("Cart", "class", (1, 9), MODULE),
    node("Cart.__init__", "method", (2, 4), CLASS),
    node("Cart.pay", "method", (5, 9), CLASS),  # a decorator in line 5, the name in line 6
    node("main", "function", (11, 20), MODULE),
]
DEFINITIONS = (
    Definition("Cart", FILE, 1),
    Definition("__init__", FILE, 2),
    Definition("pay", FILE, 6),
    Definition("main", FILE, 11),
)
TRUTH = Truth(
    (
        Site(FILE, 12, 12, "Cart", (Place(FILE, 2),), external=False),  # compilers name the constructor
        Site(FILE, 15, 13, "pay", (Place(FILE, 6),), external=False),  # a call over three lines
        Site(FILE, 16, 16, "pay", (), external=True),
        Site(FILE, 17, 17, "pay", (), external=False),
    ),
    DEFINITIONS,
)


def call(target: str, line: int, origin: str = "typed") -> EdgeJson:
    return {"from": MAIN, "to": target, "kind": "calls", "lines": [line], "origin": origin, "confidence": 1.0}


@pytest.mark.parametrize("target", [CLASS, INIT])
def test_a_class_and_its_constructor_stand_for_each_other(target: str) -> None:
    found = grade(NODES, [call(target, 12)], TRUTH)
    assert (found.right, found.wrong, found.recall) == (1, (), 0.5)
    assert found.missed == ("shop.py:15 pay -> shop.py:6",)


def test_an_edge_is_right_on_any_line_of_a_call_below_decorators() -> None:
    assert grade(NODES, [call(PAY, 13)], TRUTH).recall == 0.5


def test_an_edge_is_wrong_where_the_compiler_knows_better() -> None:
    outside, other = grade(NODES, [call(PAY, 16)], TRUTH), grade(NODES, [call(MAIN, 12)], TRUTH)
    assert outside.wrong == ("shop.py:16 -> shop.py::Cart.pay (typed)",)
    assert (other.precision, len(other.wrong)) == (0.0, 1)


def test_an_edge_is_not_graded_where_the_compiler_does_not_know_or_sees_no_call() -> None:
    found = grade(NODES, [call(PAY, 17), call(PAY, 18)], TRUTH)
    assert (found.right, found.wrong, found.not_graded) == (0, (), 2)


def test_edges_that_rest_on_a_unique_name_are_guesses() -> None:
    sure = call(CLASS, 12)
    assert without_guesses([sure, call(PAY, 13, "unique_name")]) == [sure]


def test_a_definition_is_found_as_a_node_of_its_name_in_its_place() -> None:
    far = Definition("pay", FILE, 19)
    assert share_found(NODES, [*DEFINITIONS, far]) == (5, ("shop.py:19 pay",))


def test_pycg_names_the_constructor_of_a_class_and_the_module_of_a_class_body() -> None:
    in_body: EdgeJson = {**call(MAIN, 1), "from": CLASS}
    assert list(named_calls(NODES, [call(CLASS, 12), in_body])) == [
        ("shop.main", "shop.Cart.__init__"),
        ("shop", "shop.main"),
    ]


def test_the_lines_of_an_oracle_are_read() -> None:
    lines = [
        '{"definition": "main", "file": "shop.py", "line": 11}',
        '{"file":"shop.py","line":15,"first_line":13,"name":"pay","targets":[["shop.py",6]],"external":false}',
    ]
    assert read_truth(lines) == Truth((TRUTH.sites[1],), (DEFINITIONS[3],))


def test_the_occurrences_of_a_scip_index_are_read() -> None:
    occurrence = b"\x0a\x03\x04\x02\x07" + b"\x12\x03a#b" + b"\x18\x01"  # range 4:2-7, symbol, roles
    document = b"\x0a\x04a.py" + b"\x12" + bytes([len(occurrence)]) + occurrence
    index = b"\x12" + bytes([len(document)]) + document
    assert list(occurrences(index)) == [Occurrence("a.py", 5, 2, "a#b", is_definition=True)]
