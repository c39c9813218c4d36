"""A pack in memory, how a build makes one of its records, and the index by which others look things up in it.

Pure. Leaves out whether the records agree with each other: `rules` decides that when a pack is written and read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

from doctown.docpack.schema import (
    FORMAT_VERSION,
    BuildDocumentation,
    Cluster,
    ClustersDocument,
    Counts,
    Edge,
    EdgeKind,
    GeneratorInfo,
    LanguageInfo,
    Level,
    Manifest,
    Node,
    NodeId,
    Repository,
    SourceFile,
    SourceMapDocument,
    Span,
    is_module,
)
from doctown.errors import PackError

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Pack:
    """The documents of a pack. In a pack that is not yet written, the manifest has no `members` and no `embeddings`."""

    manifest: Manifest
    nodes: Sequence[Node]
    edges: Sequence[Edge]
    clusters: ClustersDocument
    source_map: SourceMapDocument


class CallSites(NamedTuple):
    """How many call sites of a repository lead to a symbol of it, out of it, or nobody knows where."""

    resolved: int
    external: int
    unresolved: int


class BuildInfo(NamedTuple):
    """What a pack says of its build; the rest of the manifest is counted.

    `created_at` is the commit's time in UTC (`2026-01-31T12:00:00Z`), `1970-01-01T00:00:00Z` where there is no commit:
    the time of the build would make each build another one. `levels` has every language of the repository.
    """

    generator: GeneratorInfo
    repository: Repository
    created_at: str
    levels: Mapping[str, Level]
    call_sites: CallSites
    documentation: BuildDocumentation
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Index:
    """Where to find the parts of a pack: nodes and spans by id, edges by either end, members of files by path."""

    nodes: Mapping[str, Node]
    outgoing: Mapping[str, Sequence[Edge]]
    incoming: Mapping[str, Sequence[Edge]]
    by_file: Mapping[str, Sequence[Node]]


def make_pack(
    info: BuildInfo,
    *,
    nodes: Iterable[Node],
    edges: Iterable[Edge],
    clusters: ClustersDocument,
    source_map: SourceMapDocument,
) -> Pack:
    """Return a pack of records in any order: sort them as the format wants, and count them for the manifest.

    The records themselves are neither copied nor changed. Raise PackError where a node has no span, a span no file, or
    a language no level; all else that can be wrong is found by `write_pack`.
    """
    ordered_map = _sorted_source_map(source_map)
    ordered_nodes = _sorted_nodes(nodes, ordered_map)
    places = {node["id"]: ordered_map["symbols"][node["id"]] for node in ordered_nodes}
    ordered_edges = sorted(edges, key=edge_key)
    groups: ClustersDocument = {**clusters, "clusters": [_sorted_cluster(one) for one in clusters["clusters"]]}
    manifest: Manifest = {
        "format": "docpack",
        "format_version": FORMAT_VERSION,
        "generator": info.generator,
        "repository": info.repository,
        "created_at": info.created_at,
        "counts": _count(
            info.call_sites, ordered_nodes, len(ordered_edges), ordered_map["files"], len(groups["clusters"])
        ),
        "languages": _languages(info.levels, ordered_nodes, ordered_map["files"]),
        "documentation": info.documentation,
        "embeddings": None,
        "members": {},
        "warnings": list(info.warnings),
    }
    # Spans of no node are kept at the end: the rules say which they are.
    places.update(ordered_map["symbols"])
    return Pack(manifest, ordered_nodes, ordered_edges, groups, {**ordered_map, "symbols": places})


def edge_key(edge: Edge) -> tuple[str, str, str, str]:
    """Return what edges are sorted by, and what no two of them share."""
    return (edge["from"], edge["to"], edge["kind"], edge["origin"])


def place_key(node: Node, span: Span) -> tuple[str, int, int, bool]:
    """Return what nodes are sorted by: the file, the start, outer before inner, and the whole file before all."""
    return (node["file"], span["start_byte"], -span["end_byte"], not is_module(node))


def index_pack(pack: Pack) -> Index:
    """Return the index of a pack."""
    return Index(
        nodes={node["id"]: node for node in pack.nodes},
        outgoing=_grouped((edge["from"], edge) for edge in pack.edges),
        incoming=_grouped((edge["to"], edge) for edge in pack.edges),
        by_file=_grouped((node["file"], node) for node in pack.nodes),
    )


def by_neighbour(index: Index, node: Node, end: Literal["from", "to"], kind: EdgeKind) -> dict[NodeId, list[Edge]]:
    """Return a node's edges of a kind by the node at their other `end`, the surest of each first.

    Edges between the same two nodes differ in how they were found. A node that calls itself is among them.
    """
    found: dict[NodeId, list[Edge]] = {}
    for edge in (index.outgoing if end == "to" else index.incoming).get(node["id"], ()):
        if edge["kind"] == kind:
            found.setdefault(edge[end], []).append(edge)
    return {other: sorted(parallel, key=lambda edge: -edge["confidence"]) for other, parallel in found.items()}


def most_central(nodes: Iterable[Node]) -> list[Node]:
    """Return the symbols, the most central first, equal ones in their order; nodes that stand for a file are none."""
    return sorted((node for node in nodes if not is_module(node)), key=lambda node: -node["centrality"])


def count_symbols(nodes: Iterable[Node]) -> Counter[str]:
    """Return the number of symbols in each language; nodes that stand for a whole file are not counted."""
    return Counter(node["language"] for node in nodes if not is_module(node))


def count_files(files: Iterable[SourceFile]) -> Counter[str]:
    """Return the number of files in each language that is known."""
    return Counter(file["language"] for file in files if file["language"] is not None)


def _grouped(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    groups: dict[Key, list[Value]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def _sorted_source_map(source_map: SourceMapDocument) -> SourceMapDocument:
    """Return the map with its files sorted, and with the files' new places in the spans."""
    files = source_map["files"]
    order = sorted(range(len(files)), key=lambda place: files[place]["path"])
    moved = {old: new for new, old in enumerate(order)}
    spans: dict[str, Span] = {}
    for symbol_id, span in source_map["symbols"].items():
        if span["file"] not in moved:
            message = f"the span of {symbol_id!r} names file {span['file']}, and there are {len(files)}."
            raise PackError(message)
        spans[symbol_id] = {**span, "file": moved[span["file"]]}
    return {**source_map, "files": [files[place] for place in order], "symbols": spans}


def _sorted_nodes(nodes: Iterable[Node], source_map: SourceMapDocument) -> list[Node]:
    spans = source_map["symbols"]

    def key(node: Node) -> tuple[str, int, int, bool]:
        span = spans.get(node["id"])
        if span is None:
            message = f"the symbol {node['id']!r} has no span in the source map."
            raise PackError(message)
        return place_key(node, span)

    return sorted(nodes, key=key)


def _sorted_cluster(cluster: Cluster) -> Cluster:
    return {**cluster, "members": sorted(cluster["members"])}


def _count(sites: CallSites, nodes: Sequence[Node], edges: int, files: Sequence[SourceFile], clusters: int) -> Counts:
    skipped = sum(file["status"] == "skipped" for file in files)
    return {
        "files": len(files),
        "files_parsed": len(files) - skipped,
        "files_skipped": skipped,
        "symbols": sum(not is_module(node) for node in nodes),
        "documented": sum(node["documentation"] is not None for node in nodes),
        "failed": sum(node["failure"] is not None for node in nodes),
        "edges": edges,
        "call_sites": sum(sites),
        "call_sites_resolved": sites.resolved,
        "call_sites_external": sites.external,
        "call_sites_unresolved": sites.unresolved,
        "clusters": clusters,
    }


def _languages(
    levels: Mapping[str, Level], nodes: Sequence[Node], files: Sequence[SourceFile]
) -> dict[str, LanguageInfo]:
    by_files, by_symbols = count_files(files), count_symbols(nodes)
    names = sorted(by_files.keys() | {node["language"] for node in nodes})
    unknown = [name for name in names if name not in levels]
    if unknown:
        message = f"the level of the language {unknown[0]!r} is not given."
        raise PackError(message)
    return {name: {"files": by_files[name], "symbols": by_symbols[name], "level": levels[name]} for name in names}
