"""The nearest symbols by embedding, and what prompts are told of them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from generation.domain.outcome import Documented, Failed, Symbol
from generation.intake.symbols import parse_symbols
from generation.planning import neighbours
from generation.planning.neighbours import nearest_neighbours
from generation.planning.prompt_context import PromptContext, semantic_context
from generation.prompts.builder import Related
from tests.support.contexts import SEED, item


def symbols_of(*items: dict[str, Any]) -> list[Symbol]:
    return [one for one in parse_symbols(items, set()) if isinstance(one, Symbol)]


def test_the_nearest_are_those_of_the_greatest_cosine() -> None:
    """By hand: (1,0) is nearest to (2,0.1), then (1,1), then (0,1), and never to itself."""
    vectors = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.1], [-1.0, 0.0]]
    found = nearest_neighbours(symbols_of(*(item(f"f{i}", embedding=vector) for i, vector in enumerate(vectors))))
    assert [position for position, _ in found[0]] == [3, 2, 1]
    assert found[0][1][1] == pytest.approx(0.7071, abs=1e-4)


def test_blocks_give_what_all_pairs_at_once_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """With blocks of 7 rows the neighbours of 50 symbols are those of the full matrix of similarities."""
    monkeypatch.setattr(neighbours, "BLOCK_ROWS", 7)
    chance = random.Random(SEED)  # noqa: S311 - no secret
    vectors = [[chance.gauss(0, 1) for _ in range(12)] for _ in range(50)]
    found = nearest_neighbours(symbols_of(*(item(f"f{i}", embedding=vector) for i, vector in enumerate(vectors))))
    units = np.array(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarities = units @ units.T
    np.fill_diagonal(similarities, -2)
    for position, nearest in found.items():
        assert [other for other, _ in nearest] == np.argsort(-similarities[position])[:3].tolist()


def test_a_job_of_one_or_of_none_has_no_neighbours() -> None:
    """Without a second embedding there is nobody to be near to."""
    assert nearest_neighbours(symbols_of(item("a", embedding=[1.0]), item("b"))) == {}
    assert nearest_neighbours([]) == {}


@pytest.mark.parametrize(
    ("embedding", "fault"),
    [
        ([0.0, 0.0], "zero vector"),
        ([1.0, float("nan")], "finite"),
        ([1.0, "2"], "number"),
        ([], "symbols[1].context.embedding"),
        ([1.0, 2.0, 3.0], "symbols[1].context.embedding has 3 numbers and that of symbols[0] has 2"),
    ],
)
def test_a_bad_embedding_fails_its_symbol_alone(embedding: list[Any], fault: str) -> None:
    """A zero vector, a NaN, a text, an empty list or another dimension is named by its place; the others go on."""
    first, second, third = parse_symbols(
        [item("a", embedding=[1.0, 0.0]), item("b", embedding=embedding), item("c", embedding=[0.0, 1.0])], set()
    )
    assert isinstance(first, Symbol)
    assert isinstance(third, Symbol)
    assert isinstance(second, Failed)
    assert "symbols[1].context.embedding" in second.message
    assert fault in second.message


def test_related_symbols_that_are_objects_are_used_as_they_are() -> None:
    """Where a context names its related symbols with notes, embeddings are not asked."""
    related = [{"name": "parse", "similarity": 0.8, "note": "Reads."}, {"name": "dump"}, "plain"]
    symbols = symbols_of(item("a", embedding=[1.0], related_symbols=related), item("b", embedding=[1.0]))
    notes = PromptContext(symbols, {}, semantic_context(symbols)).notes(symbols[0])
    assert notes.related == (Related("parse", 0.8, "Reads."), Related("dump"))


def test_same_file_and_imports_are_there_without_embeddings() -> None:
    """Symbols of the same file, the most central first, and the imports need no embedding; other files are left out."""
    symbols = symbols_of(
        item("a", imports=["import os"]),
        item("b", centrality=0.1),
        item("c", centrality=0.9),
        item("d", file_path="x.py"),
    )
    notes = PromptContext(symbols, {}, semantic_context(symbols)).notes(symbols[0])
    assert notes.same_file == ("c", "b")
    assert notes.imports == ("import os",)
    assert notes.related == ()


def test_summaries_of_documented_callees_are_known_to_their_callers() -> None:
    """A caller's notes hold the summaries of its documented callees, in their order; a failed one is left out."""
    symbols = symbols_of(item("caller"), item("x"), item("y"), item("z"))
    prompt_context = PromptContext(symbols, {0: (3, 1, 2)})
    prompt_context.add_summary(Documented(1, "x", "Does x."))
    prompt_context.add_summary(Failed(2, "y", None, "timeout", "late"))
    prompt_context.add_summary(Documented(3, "z", "Does z."))
    assert prompt_context.notes(symbols[0]).callees == (("z", "Does z."), ("x", "Does x."))
