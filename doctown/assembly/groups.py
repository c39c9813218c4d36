"""Vectors of symbols become clusters with names, and each symbol's nearest neighbours. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from doctown.assembly.clusters import SEED, cluster_count, k_means
from doctown.assembly.contexts import Neighbour, clean
from doctown.assembly.labels import cluster_labels, cluster_terms, label_words
from doctown.assembly.neighbours import Neighbours
from doctown.assembly.source_text import first_sentence
from doctown.assembly.stop_words import stop_words
from doctown.assembly.symbols import ProgramSymbol
from doctown.docpack.schema import Cluster, ClustersDocument, Near, is_file_path
from doctown.embedding import Embeddings
from doctown.embedding.embed import Basis
from doctown.parsing.records import Symbol


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
    return _named(symbols, numbers, embeddings.basis, package_name, {})


def name_again(
    groups: Groups, symbols: Sequence[ProgramSymbol], package_name: str, summaries: Mapping[str, str]
) -> Groups:
    """Return the same clusters, named by the words of summaries too; `summaries` are by symbol id."""
    if not groups.document["clusters"]:
        return groups
    numbers = [groups.cluster_of.get(one.id, -1) for one in symbols]
    return _named(symbols, numbers, groups.document["basis"], package_name, summaries)


def _named(
    symbols: Sequence[ProgramSymbol],
    numbers: Sequence[int],
    basis: Basis,
    package_name: str,
    summaries: Mapping[str, str],
) -> Groups:
    words = [label_words(one.symbol.qualified_name, one.symbol.docstring, summaries.get(one.id)) for one in symbols]
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
        "basis": basis,
        "clusters": found,
    }
    return Groups(document, {one: number for number, ids in enumerate(members) for one in ids})


def neighbours_of(symbols: Sequence[ProgramSymbol], near: Neighbours) -> dict[str, list[Neighbour]]:
    """Return by id what contexts say of each symbol's nearest neighbours, the nearest first."""
    return {
        symbol.id: [_neighbour(symbols[position].symbol, similarity) for position, similarity in found]
        for symbol, found in zip(symbols, _rows(near), strict=True)
    }


def nearest_of(symbols: Sequence[ProgramSymbol], near: Neighbours) -> dict[str, list[Near]]:
    """Return by id what a pack says of each symbol's nearest neighbours.

    These are those that can be in a pack themselves and are like the symbol at all. Similarities have two digits:
    processors of other kinds differ in the last ones of a product.
    """
    return {
        symbol.id: [
            {"id": symbols[position].id, "similarity": rounded}
            for position, similarity in found
            if is_file_path(symbols[position].file.path) and (rounded := round(similarity, 2)) > 0
        ]
        for symbol, found in zip(symbols, _rows(near), strict=True)
    }


def _rows(near: Neighbours) -> Iterator[list[tuple[int, float]]]:
    for positions, similarities in zip(near.positions.tolist(), near.similarities.tolist(), strict=True):
        yield [one for one in zip(positions, similarities, strict=True) if one[0] >= 0]


def _neighbour(symbol: Symbol, similarity: float) -> Neighbour:
    return Neighbour(symbol.qualified_name, round(similarity, 4), clean(first_sentence(symbol.docstring or "")) or None)
