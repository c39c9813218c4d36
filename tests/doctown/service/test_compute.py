"""What the service computes at once: graphs of given symbols, as a build makes them of parsed ones."""

from __future__ import annotations

from typing import Any

import pytest

from doctown.service.compute import AssembleInput, assemble, parse
from doctown.service.openapi import EXAMPLES
from generation import InputError
from generation.domain.context import CONTEXT_FIELDS

Json = dict[str, Any]


def symbol(name: str, **more: Any) -> Json:
    return {
        "symbol_id": f"a.py::{name}",
        "name": name,
        "kind": "function",
        "language": "python",
        "file_path": "a.py",
        **more,
    }


def assembled(**body: Any) -> Json:
    return assemble(parse(AssembleInput, body))


def test_calls_make_the_graph_and_the_contexts() -> None:
    """A symbol that is called is more central, and contexts name callers and callees as the worker takes them."""
    names = ("main", "helper", "other")
    result = assembled(
        symbols=[symbol(name, source_code=f"def {name}(): ...", exported=True) for name in names],
        edges=[
            {"from": "a.py::main", "to": "a.py::helper"},
            {"from": "a.py::other", "to": "a.py::helper"},
            {"from": "a.py::main", "to": "a.py::other", "confidence": 0.5},
        ],
    )
    nodes = {node["symbol_id"]: node for node in result["graph"]["nodes"]}
    assert nodes["a.py::helper"]["centrality"] == 1.0 > nodes["a.py::main"]["centrality"]
    assert [node["cluster"] for node in nodes.values()] == [None] * 3
    contexts = {context["symbol_id"]: context for context in result["contexts"]}
    assert contexts["a.py::helper"]["called_by"] == ["main", "other"]
    assert contexts["a.py::main"]["callees"] == ["a.py::helper"]
    assert contexts["a.py::main"]["source_code"] == "def main(): ..."
    assert all(context.keys() <= CONTEXT_FIELDS for context in contexts.values())


def test_vectors_make_clusters_and_neighbours() -> None:
    """Symbols whose vectors are near are in one cluster, and each other's neighbours."""
    vectors = {"read": [1.0, 0.0], "load": [0.9, 0.1], "draw": [0.0, 2.0], "paint": [0.1, 1.9]}
    result = assembled(
        symbols=[symbol(name) for name in vectors],
        embeddings={f"a.py::{name}": vector for name, vector in vectors.items()},
        clusters=2,
    )
    cluster = {node["symbol_id"].rpartition(":")[2]: node["cluster"] for node in result["graph"]["nodes"]}
    assert cluster["read"] == cluster["load"] != cluster["draw"] == cluster["paint"]
    assert result["clusters"]["k"] == 2
    related = {one["name"]: one["related_symbols"] for one in result["contexts"]}
    assert related["read"][0]["name"] == "load"


def test_the_example_is_one() -> None:
    result = assembled(**EXAMPLES["AssembleInput"])
    assert [context["name"] for context in result["contexts"]] == ["slugify", "publish"]


WRONG: dict[str, tuple[Json, str]] = {
    "no symbols": ({"symbols": []}, "body.symbols"),
    "twice": ({"symbols": [symbol("a"), symbol("a")]}, "has a symbol_id twice"),
    "unknown target": (
        {"symbols": [symbol("a")], "edges": [{"from": "a.py::a", "to": "b"}]},
        "edges[0] names a symbol",
    ),
    "a vector missing": (
        {"symbols": [symbol("a"), symbol("b")], "embeddings": {"a.py::a": [1.0]}},
        "must have a vector",
    ),
    "lengths": (
        {"symbols": [symbol("a"), symbol("b")], "embeddings": {"a.py::a": [1.0], "a.py::b": [1.0, 2.0]}},
        "different lengths",
    ),
    "unknown key": ({"symbols": [symbol("a")], "vectors": {}}, "body.vectors is not a key that is known here"),
    "a wrong symbol": ({"symbols": [{**symbol("a"), "name": 1}]}, "body.symbols[0].name must be a text"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named(name: str) -> None:
    body, words = WRONG[name]
    with pytest.raises(InputError) as refused:
        assembled(**body)
    assert words in str(refused.value)
