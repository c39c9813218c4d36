"""A pack as the shards that the viewer reads: JSON documents, each for what one kind of page needs. Pure.

Symbols are numbered as in `nodes.json`, files as in `source_map.json`, so that a shard need not repeat ids. The viewer
makes the same shards of a pack that it reads itself (`viewer/src/data/pack.ts`). Leaves out the files around them
(`write`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from pydantic_core import to_json
from typing_extensions import TypedDict

from doctown.docpack.compare import Staleness
from doctown.docpack.pack import Pack, most_central
from doctown.docpack.schema import Documentation, EdgeKind, Failure, Kind, Node, Origin, Status, is_guess

VERSION = 1
MAX_SHARD_BYTES = 256 << 10
MAX_CENTRAL = 20

EXPORTED, TEST, FAILED, DOCUMENTED = 1, 2, 4, 8  # bits of `Names.flags`
SUMMARY_SOURCES = {None: 0, "model": 1, "offline": 2, "previous": 3}
KINDS: tuple[Kind, ...] = get_args(Kind)


class Shard(NamedTuple):
    """A document by its name, as JSON in UTF-8."""

    name: str
    json: bytes


class Line(TypedDict):
    """A symbol in one line."""

    node: int
    id: str
    kind: Kind
    summary: str | None


class ClusterLine(TypedDict):
    """A cluster without its members: `Names.cluster` has them."""

    id: int
    label: str
    terms: list[str]
    size: int


class SiteStaleness(TypedDict):
    """How the pack fitted its source when the site was written; lists of ids."""

    up_to_date: int
    stale: list[str]
    new: list[str]
    gone: list[str]
    undocumented: list[str]


class Overview(TypedDict):
    """What the first page needs. `shards` has the number of the first symbol of each shard `symbols-N`."""

    version: int
    manifest: Mapping[str, Any]
    url_template: str | None
    clusters: list[ClusterLine]
    cluster_basis: str
    central: list[Line]
    shards: list[int]
    staleness: SiteStaleness | None


class FileLine(TypedDict):
    """A file of the source map."""

    path: str
    language: str | None
    lines: int
    bytes: int
    status: Status
    reason: str | None


class Names(TypedDict):
    """What search by name, trees and lists need: columns with a row for each symbol.

    `local` is the id without `path::`, `kind` a place in `kinds`, `parent` and `cluster` are -1 where there is none,
    `centrality` is in thousandths.
    """

    kinds: Sequence[str]
    languages: list[str]
    files: list[FileLine]
    local: list[str]
    file: list[int]
    kind: list[int]
    parent: list[int]
    start: list[int]
    end: list[int]
    flags: list[int]
    centrality: list[int]
    cluster: list[int]


class Summaries(TypedDict):
    """The summaries, and who wrote each (`SUMMARY_SOURCES`)."""

    summaries: list[str | None]
    sources: list[int]


# The symbol at the other end, the kind, the lines of the calls, how the edge was found, its confidence.
Link = tuple[int, EdgeKind, list[int], Origin, float]
# `in` is no name that a class body could have.
_Incoming = TypedDict("_Incoming", {"in": list[Link]})


class SymbolDetails(_Incoming):
    """What the page of a symbol needs beside its row in the columns; `nearest` has symbols and their similarities.

    `out` and `in` are its edges in the order of `graph.json`, without containment, which `Names.parent` says.
    """

    signature: str | None
    docstring: str | None
    documentation: Documentation | None
    failure: Failure | None
    external_calls: list[str]
    unresolved_calls: int
    ambiguous_calls: int
    nearest: list[tuple[int, float]]
    out: list[Link]


class CallMap(TypedDict):
    """The numbers of sure calls from one file to another, and from one cluster to another, sorted."""

    files: list[tuple[int, int, int]]
    clusters: list[tuple[int, int, int]]


def make_shards(pack: Pack, staleness: Staleness | None = None) -> Iterator[Shard]:
    """Yield `symbols-0`, `symbols-1`..., `map`, `summaries`, `names` and at last `overview`, which names the first."""
    numbers = {node["id"]: number for number, node in enumerate(pack.nodes)}
    starts: list[int] = []
    for first, shard in _symbol_shards(_details(pack, numbers)):
        yield Shard(f"symbols-{len(starts)}", shard)
        starts.append(first)
    yield Shard("map", to_json(call_map(pack)))
    yield Shard("summaries", to_json(summaries(pack.nodes)))
    yield Shard("names", to_json(names(pack, numbers)))
    yield Shard("overview", to_json(overview(pack, numbers, starts, staleness)))


def overview(pack: Pack, numbers: Mapping[str, int], starts: list[int], staleness: Staleness | None = None) -> Overview:
    """Return what the first page needs; `starts` are the numbers of the first symbols of the shards."""
    central = most_central(pack.nodes)
    return {
        "version": VERSION,
        "manifest": {name: value for name, value in pack.manifest.items() if name != "members"},
        "url_template": pack.source_map["url_template"],
        "clusters": [
            {"id": one["id"], "label": one["label"], "terms": one["terms"], "size": one["size"]}
            for one in pack.clusters["clusters"]
        ],
        "cluster_basis": pack.clusters["basis"],
        "central": [_line(node, numbers[node["id"]]) for node in central[:MAX_CENTRAL]],
        "shards": starts,
        "staleness": None if staleness is None else _staleness(staleness),
    }


def _line(node: Node, number: int) -> Line:
    documentation = node["documentation"]
    return {
        "node": number,
        "id": node["id"],
        "kind": node["kind"],
        "summary": documentation["summary"] if documentation is not None else None,
    }


def _staleness(staleness: Staleness) -> SiteStaleness:
    # Names of files that are new in the source may be no Unicode.
    new = [one.encode("utf-8", "replace").decode() for one in staleness.new]
    return {
        "up_to_date": staleness.current,
        "stale": staleness.stale,
        "new": new,
        "gone": staleness.gone,
        "undocumented": staleness.undocumented,
    }


def names(pack: Pack, numbers: Mapping[str, int]) -> Names:
    """Return the columns of the symbols, and the files."""
    nodes = pack.nodes
    spans = [pack.source_map["symbols"][node["id"]] for node in nodes]
    kinds = {kind: place for place, kind in enumerate(KINDS)}
    return {
        "kinds": KINDS,
        "languages": list(pack.manifest["languages"]),
        "files": [
            {
                "path": file["path"],
                "language": file["language"],
                "lines": file["lines"],
                "bytes": file["bytes"],
                "status": file["status"],
                "reason": file["reason"],
            }
            for file in pack.source_map["files"]
        ],
        "local": [node["id"][len(node["file"]) + 2 :] for node in nodes],
        "file": [span["file"] for span in spans],
        "kind": [kinds[node["kind"]] for node in nodes],
        "parent": [-1 if node["parent"] is None else numbers[node["parent"]] for node in nodes],
        "start": [span["start_line"] for span in spans],
        "end": [span["end_line"] for span in spans],
        "flags": [_flags(node) for node in nodes],
        # Rounded as JavaScript rounds, not to the even neighbour.
        "centrality": [math.floor(1000 * node["centrality"] + 0.5) for node in nodes],
        "cluster": [-1 if node["cluster"] is None else node["cluster"] for node in nodes],
    }


def _flags(node: Node) -> int:
    flags = EXPORTED if node["exported"] else 0
    flags |= TEST if node["is_test"] else 0
    flags |= FAILED if node["failure"] is not None else 0
    return flags | (DOCUMENTED if node["documentation"] is not None else 0)


def summaries(nodes: Iterable[Node]) -> Summaries:
    """Return the summaries of all symbols, None where there is none."""
    documented = [node["documentation"] for node in nodes]
    return {
        "summaries": [None if one is None else one["summary"] for one in documented],
        "sources": [SUMMARY_SOURCES[None if one is None else one["source"]] for one in documented],
    }


def call_map(pack: Pack) -> CallMap:
    """Return how many sure calls lead from file to file and from cluster to cluster, within none of them."""
    file_of = {symbol_id: span["file"] for symbol_id, span in pack.source_map["symbols"].items()}
    cluster_of = {node["id"]: node["cluster"] for node in pack.nodes}
    files: Counter[tuple[int, int]] = Counter()
    clusters: Counter[tuple[int, int]] = Counter()
    for edge in pack.edges:
        if edge["kind"] != "calls" or is_guess(edge):
            continue
        one, other = file_of[edge["from"]], file_of[edge["to"]]
        if one != other:
            files[one, other] += 1
        start, end = cluster_of[edge["from"]], cluster_of[edge["to"]]
        if start is not None and end is not None and start != end:
            clusters[start, end] += 1
    return {
        "files": [(*ends, count) for ends, count in sorted(files.items())],
        "clusters": [(*ends, count) for ends, count in sorted(clusters.items())],
    }


def _details(pack: Pack, numbers: Mapping[str, int]) -> Iterator[SymbolDetails]:
    outgoing: list[list[Link]] = [[] for _ in pack.nodes]
    incoming: list[list[Link]] = [[] for _ in pack.nodes]
    for edge in pack.edges:
        kind, lines, origin, confidence = edge["kind"], edge["lines"], edge["origin"], _number(edge["confidence"])
        if kind != "contains":
            start, end = numbers[edge["from"]], numbers[edge["to"]]
            outgoing[start].append((end, kind, lines, origin, confidence))
            incoming[end].append((start, kind, lines, origin, confidence))
    for node, out, into in zip(pack.nodes, outgoing, incoming, strict=True):
        yield {
            "signature": node["signature"],
            "docstring": node["docstring"],
            "documentation": node["documentation"],
            "failure": node["failure"],
            "external_calls": node["external_calls"],
            "unresolved_calls": node["unresolved_calls"],
            "ambiguous_calls": node["ambiguous_calls"],
            "nearest": [(numbers[one["id"]], _number(one["similarity"])) for one in node.get("nearest", ())],
            "out": out,
            "in": into,
        }


def _number(value: float) -> float:
    """Return the number as JavaScript writes it: 1, not 1.0. Shards end at the same symbols so."""
    return int(value) if value == int(value) else value


def _symbol_shards(details: Iterable[SymbolDetails]) -> Iterator[tuple[int, bytes]]:
    """Yield shards with the numbers of their first symbols; each has one symbol, or at most MAX_SHARD_BYTES of them."""
    first, texts, size_bytes = 0, list[bytes](), 0
    for number, one in enumerate(details):
        text = to_json(one)
        size_bytes += len(text) + 1
        if texts and size_bytes > MAX_SHARD_BYTES:
            yield first, _symbols(first, texts)
            first, texts, size_bytes = number, [], len(text) + 1
        texts.append(text)
    if texts:
        yield first, _symbols(first, texts)


def _symbols(first: int, texts: Iterable[bytes]) -> bytes:
    return b'{"first":%d,"symbols":[%b]}' % (first, b",".join(texts))
