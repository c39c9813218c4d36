"""Which symbols of a source make a shard together. Pure.

A shard is a job: callees are told to their callers only within one. So symbols of a cluster stay together where the
cluster fits, and symbols of a file where it does not. Leaves out the call graph itself: clusters are made of it, and
resolving it over a whole source would take more memory than reading the source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple


class Entry(NamedTuple):
    """What is known of a symbol when shards are cut."""

    position: int
    cluster: str
    file: str


def cut(entries: Iterable[Entry], size: int) -> list[list[int]]:
    """The positions of each shard: at most `size` of them, in the order of the source, the shards by their first.

    >>> cut([Entry(0, "a", "x"), Entry(1, "b", "y"), Entry(2, "a", "z")], 2)
    [[0, 2], [1]]
    """
    shards: list[list[int]] = []
    shard: list[int] = []
    for group in chain.from_iterable(_that_fit(cluster, size) for cluster in _by_cluster(entries)):
        if shard and len(shard) + len(group) > size:
            shards.append(shard)
            shard = []
        shard = [*shard, *(entry.position for entry in group)]
    if shard:
        shards.append(shard)
    return sorted(sorted(positions) for positions in shards)


def _by_cluster(entries: Iterable[Entry]) -> Iterable[list[Entry]]:
    """Clusters in the order of their first symbols; without a label a file is a cluster of its own."""
    clusters: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        key = (entry.cluster, "") if entry.cluster else ("", entry.file)
        clusters.setdefault(key, []).append(entry)
    return clusters.values()


def _that_fit(cluster: Sequence[Entry], size: int) -> Iterator[Sequence[Entry]]:
    """The cluster itself, or its files one after another where it is larger than a shard."""
    if len(cluster) <= size:
        yield cluster
        return
    files: dict[str, list[Entry]] = {}
    for entry in cluster:
        files.setdefault(entry.file, []).append(entry)
    for symbols in files.values():
        for start in range(0, len(symbols), size):
            yield symbols[start : start + size]
