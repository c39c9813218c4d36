"""Who calls whom within a job: names resolved, cycles broken, levels counted."""

from __future__ import annotations

import graphlib

from hypothesis import given
from hypothesis import strategies as st

from generation.domain.outcome import Symbol
from generation.intake.symbols import parse_symbols
from generation.planning.call_graph import callees_within, levels
from tests.support.contexts import item


def symbols_of(calls: dict[str, list[str]], centrality: dict[str, float] | None = None) -> list[Symbol]:
    items = [item(name, calls=called, centrality=(centrality or {}).get(name, 0.0)) for name, called in calls.items()]
    verdicts = list(parse_symbols(items, set()))
    assert all(isinstance(verdict, Symbol) for verdict in verdicts)
    return [verdict for verdict in verdicts if isinstance(verdict, Symbol)]


def named(calls: dict[str, list[str]], centrality: dict[str, float] | None = None) -> dict[str, list[str]]:
    names = list(calls)
    found = callees_within(symbols_of(calls, centrality))
    return {names[caller]: [names[called] for called in positions] for caller, positions in found.items()}


def test_a_name_is_a_symbol_only_where_it_can_be_no_other() -> None:
    """Calls are resolved by id or by a name that one symbol has; a shared name, a foreign one and oneself are not."""
    first, second = item("run", symbol_id="a.py:run"), item("run", symbol_id="b.py:run")
    caller = item("main", calls=["run", "b.py:run", "print", "main", "stop"])
    found = callees_within(
        [one for one in parse_symbols([first, second, caller, item("stop")], set()) if isinstance(one, Symbol)]
    )
    assert found == {0: (), 1: (), 2: (1, 3), 3: ()}


def test_callees_that_are_given_are_the_calls_exactly() -> None:
    """Ids in `callees` are the calls, also where names would say otherwise; ids of no symbol are left out."""
    first, second = item("run", symbol_id="a.py:run"), item("run", symbol_id="b.py:run")
    caller = item("main", calls=["stop"], callees=["a.py:run", "b.py:run", "c.py:gone"])
    silent = item("silent", calls=["stop"], callees=[])
    found = callees_within(
        [one for one in parse_symbols([first, second, caller, silent, item("stop")], set()) if isinstance(one, Symbol)]
    )
    assert found == {0: (), 1: (), 2: (0, 1), 3: (), 4: ()}


def test_callees_are_listed_the_most_central_first() -> None:
    """Among a symbol's callees the most central comes first."""
    assert named({"a": ["b", "c"], "b": [], "c": []}, {"c": 0.9, "b": 0.1})["a"] == ["c", "b"]


def test_a_cycle_is_broken_at_its_least_central_edge() -> None:
    """Of the edges a-b (0.9), b-c (0.5) and c-a (0.6) the second goes, wherever the walk begins."""
    centrality = {"a": 0.5, "b": 0.4, "c": 0.1}
    for order in ("abc", "bca", "cab"):
        calls = {name: {"a": ["b"], "b": ["c"], "c": ["a"]}[name] for name in order}
        assert {name: found for name, found in named(calls, centrality).items() if found} == {"a": ["b"], "c": ["a"]}


def test_levels_count_the_longest_chain_of_callees() -> None:
    """A symbol stands one level above the highest of those that it calls."""
    assert levels({0: (1, 2), 1: (2,), 2: (), 3: ()}) == {2: 0, 1: 1, 0: 2, 3: 0}


def test_a_chain_of_thousands_is_no_recursion() -> None:
    """A chain of 5,000 calls is walked without running out of stack."""
    names = [f"f{number}" for number in range(5_000)]
    found = callees_within(symbols_of({name: [f"f{number + 1}"] for number, name in enumerate(names)}))
    assert max(levels(found).values()) == 4_999


@given(
    st.lists(st.lists(st.integers(0, 7), max_size=5), min_size=8, max_size=8),
    st.lists(st.floats(0, 1), min_size=8, max_size=8),
)
def test_what_is_left_has_no_cycle_and_nothing_is_cut_without_one(
    calls: list[list[int]], centrality: list[float]
) -> None:
    """Whatever calls whom, what is kept has an order (graphlib), and is all of it where that had one already."""
    names = "abcdefgh"
    given_calls = {
        names[caller]: sorted({names[called] for called in called_ones} - {names[caller]})
        for caller, called_ones in enumerate(calls)
    }
    found = named(given_calls, dict(zip(names, centrality, strict=True)))
    list(graphlib.TopologicalSorter(found).static_order())
    assert all(set(kept) <= set(given_calls[name]) for name, kept in found.items())
    try:
        list(graphlib.TopologicalSorter(given_calls).static_order())
    except graphlib.CycleError:
        return
    assert {name: sorted(kept) for name, kept in found.items()} == given_calls
