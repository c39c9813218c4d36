"""What the documents of a pack must agree on: references resolve, spans are in their files, and counts are true.

Pure. The types of the values have been looked at before (`schema`); here one sentence names the first thing that is
wrong. Leaves out the bytes and hashes of members, which `reader` compares as they come.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise

from doctown.docpack.pack import Pack, count_files, count_symbols, edge_key, place_key
from doctown.docpack.schema import (
    CLUSTER_PAGES,
    CLUSTERS,
    FILE_PAGES,
    GRAPH,
    MANIFEST,
    MIN_SURE_CONFIDENCE,
    MODULE_NAME,
    NAMED_MEMBERS,
    NODES,
    SOURCE_MAP,
    Cluster,
    Counts,
    Node,
    SourceFile,
    Span,
    is_file_path,
    is_module,
)
from doctown.errors import PackError

# An id or a path of a hostile pack can be of any length; a sentence is not.
MAX_SENTENCE_CHARACTERS = 500
PLACEHOLDERS = ("{path}", "{start_line}", "{end_line}")


def check_pack(pack: Pack) -> None:
    """Raise PackError with the first thing of a whole pack in which its documents contradict themselves."""
    _check_files(pack)
    nodes = _check_nodes(pack)
    _check_spans(pack)
    _check_parents(nodes)
    _check_nearest(nodes)
    _check_edges(pack, nodes)
    _check_clusters(pack, nodes)
    _check_manifest(pack)


def _fail(member: str, problem: str) -> PackError:
    if len(problem) > MAX_SENTENCE_CHARACTERS:
        problem = f"{problem[:MAX_SENTENCE_CHARACTERS]}..."
    return PackError(f"{member}: {problem}.")


def _check_files(pack: Pack) -> None:
    files = pack.source_map["files"]
    paths = [file["path"] for file in files]
    for file in files:
        path = file["path"]
        if not is_file_path(path):
            raise _fail(SOURCE_MAP, f"{path!r} is no relative path without '.', '..', '\\' and control characters")
        if file["status"] == "skipped" and not file["reason"]:
            raise _fail(SOURCE_MAP, f"the file {path!r} is skipped without a reason")
    for before, after in pairwise(paths):
        if before >= after:
            wrong = "is there twice" if before == after else "is not in the order of paths"
            raise _fail(SOURCE_MAP, f"the file {after!r} {wrong}")


def _check_nodes(pack: Pack) -> dict[str, Node]:
    """Return the nodes by id."""
    files = {file["path"]: file for file in pack.source_map["files"]}
    named: Counter[str] = Counter()
    nodes: dict[str, Node] = {}
    for node in pack.nodes:
        node_id, file = node["id"], node["file"]
        if node_id in nodes:
            raise _fail(NODES, f"two symbols have the id {node_id!r}")
        nodes[node_id] = node
        base = f"{file}::{node['qualified_name']}"
        named[base] += 1
        expected = base if named[base] == 1 else f"{base}#{named[base]}"
        if node_id != expected:
            raise _fail(NODES, f"the symbol {node_id!r} should have the id {expected!r}")
        if file not in files or files[file]["status"] == "skipped":
            raise _fail(NODES, f"the symbol {node_id!r} is in a file that was not parsed")
        if node["documentation"] is not None and node["failure"] is not None:
            raise _fail(NODES, f"the symbol {node_id!r} has a summary and a failure")
        if node["external_calls"] != sorted(set(node["external_calls"])):
            raise _fail(NODES, f"the external calls of {node_id!r} are not sorted, or one is there twice")
    for path, parsed in files.items():
        module = nodes.get(f"{path}::{MODULE_NAME}")
        if parsed["status"] != "skipped" and (module is None or module["kind"] != "module"):
            raise _fail(NODES, f"the parsed file {path!r} has no node of kind 'module' with the name '{MODULE_NAME}'")
    return nodes


def _check_spans(pack: Pack) -> None:
    files, spans = pack.source_map["files"], pack.source_map["symbols"]
    places = []
    for node in pack.nodes:
        span = spans.get(node["id"])
        if span is None:
            raise _fail(SOURCE_MAP, f"the symbol {node['id']!r} has no span")
        if span["file"] >= len(files) or files[span["file"]]["path"] != node["file"]:
            raise _fail(SOURCE_MAP, f"the span of {node['id']!r} is not in the symbol's file")
        if not _fits(span, files[span["file"]]):
            raise _fail(SOURCE_MAP, f"the span of {node['id']!r} is empty or goes beyond its file")
        places.append(place_key(node, span))
    if len(spans) != len(pack.nodes):
        stray = next(iter(sorted(spans.keys() - {node["id"] for node in pack.nodes})))
        raise _fail(SOURCE_MAP, f"the span of {stray!r} belongs to no symbol")
    for number, (before, after) in enumerate(pairwise(places), start=1):
        if before > after:
            raise _fail(NODES, f"the symbol {pack.nodes[number]['id']!r} is not in the order of files and places")


def _fits(span: Span, file: SourceFile) -> bool:
    lines = 1 <= span["start_line"] <= span["end_line"] <= max(file["lines"], 1)
    # Only a file that is empty itself has an empty symbol: the one that stands for it.
    empty = span["start_byte"] == span["end_byte"]
    return lines and span["start_byte"] <= span["end_byte"] <= file["bytes"] and (not empty or file["bytes"] == 0)


def _check_parents(nodes: Mapping[str, Node]) -> None:
    rooted: set[str] = set()
    for node in nodes.values():
        path: set[str] = set()
        above: Node | None = node
        while above is not None and above["id"] not in rooted:
            if above["id"] in path:
                raise _fail(NODES, f"the symbol {above['id']!r} is its own ancestor")
            path.add(above["id"])
            above = _parent(above, nodes)
        rooted.update(path)


def _parent(node: Node, nodes: Mapping[str, Node]) -> Node | None:
    if node["parent"] is None:
        return None
    parent = nodes.get(node["parent"])
    if parent is None or parent["file"] != node["file"]:
        raise _fail(NODES, f"the parent of {node['id']!r} is no symbol of its file")
    return parent


def _check_nearest(nodes: Mapping[str, Node]) -> None:
    for node in nodes.values():
        near = node.get("nearest")
        if near is None:
            continue
        for one in near:
            if one["id"] not in nodes or one["id"] == node["id"]:
                raise _fail(NODES, f"{one['id']!r}, which {node['id']!r} is near to, is no other symbol")
        similarities = [one["similarity"] for one in near]
        if similarities != sorted(similarities, reverse=True) or len({one["id"] for one in near}) < len(near):
            raise _fail(NODES, f"the nearest of {node['id']!r} are not in their order, or one is there twice")


def _check_edges(pack: Pack, nodes: Mapping[str, Node]) -> None:
    lines_of = {file["path"]: file["lines"] for file in pack.source_map["files"]}
    last = ("", "", "", "")
    for edge in pack.edges:
        key = edge_key(edge)
        start, end = nodes.get(key[0]), nodes.get(key[1])
        if start is None or end is None:
            raise _fail(GRAPH, f"an edge names {key[0] if start is None else key[1]!r}, which is no symbol")
        if key <= last:
            wrong = "is there twice" if key == last else "is not in its order"
            raise _fail(GRAPH, f"the edge from {key[0]!r} to {key[1]!r} {wrong}")
        last = key
        lines = edge["lines"]
        if lines and (lines[-1] > lines_of[start["file"]] or (len(lines) > 1 and lines != sorted(set(lines)))):
            raise _fail(GRAPH, f"the lines of the edge from {key[0]!r} to {key[1]!r} are not sorted or not in the file")
        if edge["kind"] == "calls" and not lines:
            raise _fail(GRAPH, f"the call from {key[0]!r} to {key[1]!r} has no line")
        if edge["origin"] == "unique_name" and edge["confidence"] >= MIN_SURE_CONFIDENCE:
            raise _fail(
                GRAPH, f"the guess from {key[0]!r} to {key[1]!r} has a confidence of {MIN_SURE_CONFIDENCE} or more"
            )


def _check_clusters(pack: Pack, nodes: Mapping[str, Node]) -> None:
    clusters = pack.clusters["clusters"]
    cluster_of: dict[str, int] = {}
    if pack.clusters["k"] != len(clusters):
        raise _fail(CLUSTERS, f"k is {pack.clusters['k']}, and there are {len(clusters)} clusters")
    for place, cluster in enumerate(clusters):
        _check_cluster(cluster, place)
        for member in cluster["members"]:
            if member not in nodes:
                raise _fail(CLUSTERS, f"cluster {place} names {member!r}, which is no symbol")
            if member in cluster_of:
                raise _fail(CLUSTERS, f"the symbol {member!r} is in the clusters twice")
            cluster_of[member] = place
    for node_id, node in nodes.items():
        if node["cluster"] != cluster_of.get(node_id):
            raise _fail(CLUSTERS, f"the symbol {node_id!r} names another cluster than the one that it is in")


def _check_cluster(cluster: Cluster, place: int) -> None:
    size, members = cluster["size"], cluster["members"]
    if cluster["id"] != place:
        raise _fail(CLUSTERS, f"the cluster at place {place} has the id {cluster['id']}")
    if size != len(members):
        raise _fail(CLUSTERS, f"the size of cluster {place} is {size}, and it has {len(members)} members")
    if members != sorted(members):
        raise _fail(CLUSTERS, f"the members of cluster {place} are not sorted")


def _check_manifest(pack: Pack) -> None:
    manifest, files = pack.manifest, pack.source_map["files"]
    counts = manifest["counts"]
    skipped = sum(file["status"] == "skipped" for file in files)
    facts = {
        "files": len(files),
        "files_parsed": len(files) - skipped,
        "files_skipped": skipped,
        "symbols": sum(not is_module(node) for node in pack.nodes),
        "documented": sum(node["documentation"] is not None for node in pack.nodes),
        "failed": sum(node["failure"] is not None for node in pack.nodes),
        "edges": len(pack.edges),
        "clusters": len(pack.clusters["clusters"]),
        "call_sites": _call_sites(counts),
    }
    for name, fact in facts.items():
        if dict(counts)[name] != fact:
            raise _fail(MANIFEST, f"counts.{name} is {dict(counts)[name]}, and it should be {fact}")
    by_files, by_symbols = count_files(files), count_symbols(pack.nodes)
    names = sorted(by_files.keys() | {node["language"] for node in pack.nodes})
    if list(manifest["languages"]) != names:
        raise _fail(MANIFEST, "languages are not those of the files, or not sorted")
    for name, language in manifest["languages"].items():
        if (language["files"], language["symbols"]) != (by_files[name], by_symbols[name]):
            raise _fail(MANIFEST, f"the counts of the language {name!r} are not those of its files and symbols")
    if manifest["embeddings"] is not None and manifest["embeddings"]["rows"] != len(pack.nodes):
        raise _fail(
            MANIFEST, f"embeddings.rows is {manifest['embeddings']['rows']}, and there are {len(pack.nodes)} nodes"
        )
    created_time(manifest["created_at"])
    _check_links(pack)


def _call_sites(counts: Counts) -> int:
    return counts["call_sites_resolved"] + counts["call_sites_external"] + counts["call_sites_unresolved"]


def created_time(created_at: str) -> int:
    """Return the seconds since 1970 of a manifest's `created_at`."""
    try:
        return int(datetime.fromisoformat(re.sub(r"(\.\d+)?Z$", "+00:00", created_at)).timestamp())
    except ValueError:
        raise _fail(MANIFEST, f"created_at is {created_at!r}, which is no time") from None


def _check_links(pack: Pack) -> None:
    template, commit = pack.source_map["url_template"], pack.manifest["repository"]["commit"]
    if template is None:
        return
    if commit is None or commit not in template:
        raise _fail(SOURCE_MAP, "url_template does not name the commit")
    missing = [name for name in PLACEHOLDERS if name not in template]
    if missing:
        raise _fail(SOURCE_MAP, f"url_template has no {missing[0]}")


def page_names(pack: Pack) -> list[str]:
    """Return the names of the pages of a pack, in the order in which they stand in it."""
    parsed = [file["path"] for file in pack.source_map["files"] if file["status"] != "skipped"]
    of_clusters = [f"{CLUSTER_PAGES}{cluster['id']}.md" for cluster in pack.clusters["clusters"]]
    return sorted([*of_clusters, *(f"{FILE_PAGES}{path}.md" for path in parsed)])


def check_pages(pack: Pack) -> None:
    """Raise PackError where the manifest does not name a member that the pack must have."""
    members = pack.manifest["members"]
    missing = [name for name in (*NAMED_MEMBERS[1:], *page_names(pack)) if name not in members]
    if missing:
        raise _fail(MANIFEST, f"members has no {missing[0]!r}")
