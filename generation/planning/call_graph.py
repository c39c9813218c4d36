"""Who calls whom within a job, without cycles, so that callees can be documented before their callers. Pure.

Where a context has `callees`, these ids are its calls, exactly. Otherwise a name in `calls` counts as a symbol of the
job only where it can be no other: it is a symbol's id, or the name of exactly one symbol. Leaves out: what becomes of
the order (`planner`), and calls to anything outside the job.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from generation.domain.outcome import Symbol

Callees = dict[int, tuple[int, ...]]


def callees_within(symbols: Sequence[Symbol]) -> Callees:
    """For each symbol's position the positions of those it calls, the most central first, cycles broken.

    A cycle is broken at its least central edge: the one whose two ends have the least centrality together.
    """
    centrality = {symbol.position: symbol.centrality for symbol in symbols}
    return _without_cycles(_resolved(symbols, centrality), centrality)


def _resolved(symbols: Sequence[Symbol], centrality: Mapping[int, float]) -> Callees:
    ids = {symbol.symbol_id: symbol.position for symbol in symbols}
    named = defaultdict(list)
    for symbol in symbols:
        named[symbol.context.name].append(symbol.position)
    unambiguous = {name: positions[0] for name, positions in named.items() if len(positions) == 1} | ids

    def resolve(symbol: Symbol) -> tuple[int, ...]:
        names, known = (
            (symbol.context.calls, unambiguous) if symbol.context.callees is None else (symbol.context.callees, ids)
        )
        found = {known[name] for name in names if name in known} - {symbol.position}
        return tuple(sorted(found, key=lambda position: (-centrality[position], position)))

    return {symbol.position: resolve(symbol) for symbol in symbols}


def _without_cycles(callees: Callees, centrality: Mapping[int, float]) -> Callees:
    """Walk depth first; where the walk meets its own path, cut that cycle and go back to where it was cut."""
    kept = {caller: list(called) for caller, called in callees.items()}
    done: set[int] = set()
    for start in kept:
        path: list[int] = []
        on_path: dict[int, int] = {}
        following = [start]
        while following:
            node = following[-1]
            if node not in on_path and node not in done:
                on_path[node] = len(path)
                path.append(node)
            ahead = next((called for called in kept[node] if called not in done), None)
            if node in done or ahead is None:
                following.pop()
                if path and path[-1] == node:
                    path.pop()
                    del on_path[node]
                done.add(node)
            elif ahead in on_path:
                cut = _least_central_edge([*path[on_path[ahead] :], ahead], centrality)
                kept[cut[0]].remove(cut[1])
                while path[-1] != cut[0]:
                    del on_path[path.pop()]
                    following.pop()
            else:
                following.append(ahead)
    return {caller: tuple(called) for caller, called in kept.items()}


def _least_central_edge(cycle: Sequence[int], centrality: Mapping[int, float]) -> tuple[int, int]:
    return min(pairwise(cycle), key=lambda edge: (centrality[edge[0]] + centrality[edge[1]], edge))


def levels(callees: Mapping[int, tuple[int, ...]]) -> dict[int, int]:
    """How many calls deep each symbol's longest chain of callees is; 0 where it calls nobody in the job.

    >>> levels({1: (2, 3), 2: (3,), 3: ()})
    {3: 0, 2: 1, 1: 2}
    """
    found: dict[int, int] = {}
    for start in callees:
        following = [start]
        while following:
            node = following[-1]
            missing = [called for called in callees[node] if called not in found]
            if missing and node not in found:
                following.extend(missing)
            else:
                following.pop()
                found[node] = max((found[called] + 1 for called in callees[node]), default=0)
    return found
