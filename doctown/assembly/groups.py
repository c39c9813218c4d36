"""Vectors of symbols become clusters with names, and each symbol's nearest neighbours. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from doctown.assembly.clusters import SEED, cluster_count, k_means
from doctown.assembly.contexts import Neighbour, Semantics
from doctown.assembly.labels import cluster_labels, cluster_terms, label_words
from doctown.assembly.neighbours import nearest_neighbours
from doctown.assembly.stop_words import stop_words
from doctown.assembly.symbols import ProgramSymbol
from doctown.docpack.schema import Cluster, ClustersDocument
from doctown.embedding import Embeddings


@dataclass(frozen=True)
class Groups:
    """The pack's clusters, and the cluster of each symbol by id."""

    document: ClustersDocument
    cluster_of: Mapping[str, int] = field(default_factory=dict)


def no_groups() -> Groups:
    """Return what there is without vectors."""
    return Groups({"algorithm": "k-means", "k": 0, "seed": SEED, "basis": "words", "clusters": []})


def group_symbols(
    symbols: Sequence[ProgramSymbol], embeddings: Embeddings, clusters: int | None, package_name: str
) -> Groups:
    """Return the clusters of symbols, each with its row of the embeddings; `clusters` is their number or None.

    There are fewer where fewer symbols differ.
    """
    if not symbols:
        return no_groups()
    numbers = k_means(embeddings.vectors, clusters or cluster_count(len(symbols))).tolist()
    words = [label_words(one.symbol.qualified_name, one.symbol.docstring) for one in symbols]
    terms = cluster_terms(words, numbers, stop_words({one.file.language for one in symbols}, package_name))
    members: list[list[str]] = [[] for _ in terms]
    for symbol, number in zip(symbols, numbers, strict=True):
        if number >= 0:
            members[number].append(symbol.id)
    found: list[Cluster] = [
        {"id": number, "label": label, "terms": list(of_cluster), "size": len(ids), "members": sorted(ids)}
        for number, (label, of_cluster, ids) in enumerate(zip(cluster_labels(terms), terms, members, strict=True))
    ]
    document: ClustersDocument = {
        "algorithm": "k-means",
        "k": len(found),
        "seed": SEED,
        "basis": embeddings.basis,
        "clusters": found,
    }
    return Groups(document, {one: number for number, ids in enumerate(members) for one in ids})


def semantics_of(symbols: Sequence[ProgramSymbol], embeddings: Embeddings, groups: Groups) -> dict[str, Semantics]:
    """Return by id the label of each symbol's cluster and its three nearest neighbours."""
    near = nearest_neighbours(embeddings.vectors)
    found: dict[str, Semantics] = {}
    for symbol, positions, similarities in zip(
        symbols, near.positions.tolist(), near.similarities.tolist(), strict=True
    ):
        neighbours = tuple(
            Neighbour(symbols[position].symbol.qualified_name, round(similarity, 4))
            for position, similarity in zip(positions, similarities, strict=True)
            if position >= 0
        )
        cluster = groups.cluster_of.get(symbol.id)
        label = None if cluster is None else groups.document["clusters"][cluster]["label"]
        found[symbol.id] = Semantics(label, neighbours)
    return found
