"""The order in which a class and its bases are searched for a member."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

C = TypeVar("C", bound=Hashable)

MAX_BASES = 200  # of one class, all levels together


def resolution_order(start: C, bases: Callable[[C], Sequence[C]]) -> list[C]:
    """Return `start` and its bases by C3 linearization, else depth first where C3 finds no order or there is a cycle.

    C3 as in https://docs.python.org/3/howto/mro.html.
    """
    order: dict[C, list[C] | None] = {}
    todo = [start]
    while todo:
        current = todo[-1]
        if order.get(current) is not None:
            todo.pop()
            continue
        if len(order) > MAX_BASES:
            return _depth_first(start, bases)
        parents = bases(current)
        open_parents = [parent for parent in parents if order.get(parent) is None]
        if any(parent in order for parent in open_parents):
            return _depth_first(start, bases)
        if open_parents:
            order[current] = None
            todo += open_parents[:1]
            continue
        merged = _merge([list(order[parent] or ()) for parent in parents] + [list(parents)])
        order[current] = [current, *(merged if merged is not None else _depth_first(current, bases)[1:])]
        todo.pop()
    return order[start] or [start]


def _merge(sequences: list[list[C]]) -> list[C] | None:
    merged: list[C] = []
    sequences = [sequence for sequence in sequences if sequence]
    while sequences:
        tails = {item for sequence in sequences for item in sequence[1:]}
        head = next((sequence[0] for sequence in sequences if sequence[0] not in tails), None)
        if head is None:
            return None
        merged.append(head)
        sequences = [rest for s in sequences if (rest := [item for item in s if item != head])]
    return merged


def _depth_first(start: C, bases: Callable[[C], Sequence[C]]) -> list[C]:
    seen: dict[C, None] = {}
    todo = [start]
    while todo and len(seen) <= MAX_BASES:
        current = todo.pop()
        if current not in seen:
            seen[current] = None
            todo += reversed(bases(current))
    return list(seen)
