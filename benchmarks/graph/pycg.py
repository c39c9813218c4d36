"""Grade the graphs of PyCG's micro-benchmark: small programs with the call graphs that people wrote down for them.

Edges become dotted names, in PyCG's conventions: a call of a class is one of its `__init__` where it has one, and the
code of a class body belongs to the module. Graded are edges to functions and methods that the program defines, from
callers that the truth names; builtins, other packages and lambdas are left out on both sides, and so are the truth's
edges to classes and modules, which are no calls.

V. Salis et al., "PyCG: Practical Call Graph Generation in Python", ICSE 2021.
"""

import ast
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.graph.grading import ratio, without_guesses
from benchmarks.graph.graphs import graph_of
from benchmarks.graph.python_oracle import definitions_in, module_name, sources_in
from doctown.graph.export import EdgeJson, Node

Pair = tuple[str, str]  # caller and callee


class PycgGrade(NamedTuple):
    """All programs together."""

    programs: int
    right: int
    wrong: tuple[str, ...]
    missed: tuple[str, ...]

    @property
    def precision(self) -> float:
        return ratio(self.right, self.right + len(self.wrong))

    @property
    def recall(self) -> float:
        return ratio(self.right, self.right + len(self.missed))


def grade_programs(folder: Path) -> PycgGrade:
    """Grade the edges without guesses of all programs in a folder."""
    right, wrong, missed = 0, [], []
    truths = sorted(folder.glob("*/*/callgraph.json"))
    for file in truths:
        truth = json.loads(file.read_text())
        defined = functions(file.parent)
        wanted = {(caller, callee) for caller, callees in truth.items() for callee in callees if callee in defined}
        graph = graph_of(file.parent)
        pairs = named_calls(graph.nodes, without_guesses(graph.edges))
        found = {(caller, callee) for caller, callee in pairs if caller in truth and callee in defined}
        program = file.parent.relative_to(folder).as_posix()
        right += len(found & wanted)
        wrong += [f"{program}: {caller} -> {callee}" for caller, callee in sorted(found - wanted)]
        missed += [f"{program}: {caller} -> {callee}" for caller, callee in sorted(wanted - found)]
    return PycgGrade(len(truths), right, tuple(wrong), tuple(missed))


def functions(folder: Path) -> set[str]:
    """Return the dotted names of the functions and methods that a program defines."""
    return {
        ".".join((module_name(path), *names))
        for path, source in sources_in(folder)
        for names, node in definitions_in(source.tree, ())
        if not isinstance(node, ast.ClassDef)
    }


def named_calls(nodes: Iterable[Node], edges: Iterable[EdgeJson]) -> Iterator[Pair]:
    """Yield the calls of a graph by dotted names."""
    by_id = {node["id"]: node for node in nodes}
    constructors = {node["parent"]: node for node in by_id.values() if node["name"] == "__init__"}
    for edge in edges:
        target = by_id[edge["to"]]
        callee = constructors.get(target["id"]) if target["kind"] == "class" else target
        if edge["kind"] == "calls" and callee is not None:
            yield dotted(caller_of(by_id, edge["from"])), dotted(callee)


def caller_of(by_id: dict[str, Node], source: str) -> Node:
    """Return the function, method or module that runs the code of a node: for a class body, what is around it."""
    node = by_id[source]
    while node["kind"] == "class" and node["parent"]:
        node = by_id[node["parent"]]
    return node


def dotted(node: Node) -> str:
    module = module_name(node["file"])
    return module if node["kind"] == "module" else f"{module}.{node['qualified_name']}"
