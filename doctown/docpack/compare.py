"""What differs between two packs, and between a pack and the source as it is. Pure, and without a model.

A symbol is known by its id: one that has moved within its file is the same, one that has a new name is gone and new. A
pack holds no source, so source is compared by the hashes of it (`schema.source_hash`) that stand beside the summaries.
Leaves out reading and parsing the source: records of it are passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias, cast

from doctown.docpack.pack import Pack, edge_key
from doctown.docpack.schema import MODULE_NAME, Node, SourceFile, is_module

Aspect: TypeAlias = Literal["kind", "signature", "source", "basis", "summary"]


class ChangedSymbol(NamedTuple):
    """A symbol of both packs and what of it differs; `basis` is what its summary rests on, by `content_hash`."""

    id: str
    aspects: tuple[Aspect, ...]


class Difference(NamedTuple):
    """What differs between two packs: symbols by id, edges by number, and each count of the manifests, old and new."""

    added: list[str]
    removed: list[str]
    changed: list[ChangedSymbol]
    edges_added: int
    edges_removed: int
    counts: dict[str, tuple[int, int]]


class CurrentFile(NamedTuple):
    """A file of the source as it is.

    `symbols` gives the `source_hash` of each symbol by its id. It is None where the file was not parsed: because its
    SHA-256 is that of the pack, or because it cannot be.
    """

    path: str
    sha256: str
    symbols: Mapping[str, str] | None


class Staleness(NamedTuple):
    """How a pack fits the source as it is; ids, sorted. Nodes that stand for a whole file are in none of the lists.

    `stale` have a summary of another text than theirs, or of one that the pack does not tell; `new` are not in the
    pack; `gone` are only in the pack; `undocumented` are in both, without a summary; `current` counts the others.
    """

    stale: list[str]
    new: list[str]
    gone: list[str]
    undocumented: list[str]
    current: int


def compare_packs(old: Pack, new: Pack) -> Difference:
    """Return what differs between two packs of one repository."""
    before, after = ({node["id"]: node for node in pack.nodes} for pack in (old, new))
    old_edges, new_edges = ({edge_key(edge) for edge in pack.edges} for pack in (old, new))
    old_files, new_files = (_files(pack) for pack in (old, new))
    changed: list[ChangedSymbol] = []
    for symbol_id in sorted(before.keys() & after.keys()):
        aspects = [*_aspects(before[symbol_id], after[symbol_id])]
        if old_files[before[symbol_id]["file"]]["sha256"] != new_files[after[symbol_id]["file"]]["sha256"]:
            one, other = (_source_of(side, nodes[symbol_id]) for side, nodes in ((old, before), (new, after)))
            # Without a hash on either side, an edit that keeps the length is not seen.
            comparable = one[0] is not None and other[0] is not None
            aspects += ["source"] if one[not comparable] != other[not comparable] else []
        if aspects:
            changed.append(ChangedSymbol(symbol_id, tuple(aspects)))
    old_counts, new_counts = (cast("Mapping[str, int]", pack.manifest["counts"]) for pack in (old, new))
    return Difference(
        added=sorted(after.keys() - before.keys()),
        removed=sorted(before.keys() - after.keys()),
        changed=changed,
        edges_added=len(new_edges - old_edges),
        edges_removed=len(old_edges - new_edges),
        counts={name: (old_counts[name], new_counts[name]) for name in new_counts},
    )


def files_to_parse(pack: Pack, sha256_of: Mapping[str, str]) -> list[str]:
    """Return the paths, sorted, of those files that the pack does not have as they are. `sha256_of` is by path."""
    known = {path: file["sha256"] for path, file in _files(pack).items()}
    return sorted(path for path, sha256 in sha256_of.items() if known.get(path) != sha256)


def find_stale(pack: Pack, files: Iterable[CurrentFile]) -> Staleness:
    """Return how the pack fits the files as they are; all files of the repository are passed in.

    Where a file has the pack's SHA-256, so have its symbols. Elsewhere a documented symbol is up to date where its
    source has the hash that the pack noted when it was documented; where it noted none, or the file cannot be parsed,
    nobody can tell, and the symbol is called stale.
    """
    known = _files(pack)
    now = {file.path: file for file in files}
    found = Staleness([], [], [], [], 0)
    current = 0
    for node in pack.nodes:
        if is_module(node):
            continue
        verdict = _verdict(node, known[node["file"]], now.get(node["file"]))
        if verdict is None:
            current += 1
        else:
            verdict_list = {"stale": found.stale, "gone": found.gone, "undocumented": found.undocumented}[verdict]
            verdict_list.append(node["id"])
    ids = {node["id"] for node in pack.nodes}
    new = (symbol_id for file in now.values() for symbol_id in _symbols(file, known.get(file.path)))
    found.new.extend(symbol_id for symbol_id in new if symbol_id not in ids)
    for one in (found.stale, found.new, found.gone, found.undocumented):
        one.sort()
    return found._replace(current=current)


def _files(pack: Pack) -> dict[str, SourceFile]:
    return {file["path"]: file for file in pack.source_map["files"]}


def _aspects(old: Node, new: Node) -> Iterator[Aspect]:
    if old["kind"] != new["kind"]:
        yield "kind"
    if old["signature"] != new["signature"]:
        yield "signature"
    before, after = old["documentation"], new["documentation"]
    if before is not None and after is not None and before["content_hash"] != after["content_hash"]:
        yield "basis"
    if (before and before["summary"]) != (after and after["summary"]):
        yield "summary"


def _source_of(pack: Pack, node: Node) -> tuple[str | None, int]:
    """Return the hash of a symbol's source, if the pack has it, and its length in bytes."""
    span = pack.source_map["symbols"][node["id"]]
    return (_noted_hash(node), span["end_byte"] - span["start_byte"])


def _noted_hash(node: Node) -> str | None:
    documentation = node["documentation"]
    return None if documentation is None else documentation["checks"].get("source_hash")


def _verdict(node: Node, file: SourceFile, now: CurrentFile | None) -> Literal["stale", "gone", "undocumented"] | None:
    if now is None:
        return "gone"
    same = now.sha256 == file["sha256"]
    if not same and now.symbols is not None and node["id"] not in now.symbols:
        return "gone"
    if node["documentation"] is None:
        return "undocumented"
    noted = _noted_hash(node)
    if same or (now.symbols is not None and noted is not None and now.symbols[node["id"]] == noted):
        return None
    return "stale"


def _symbols(file: CurrentFile, known: SourceFile | None) -> Iterator[str]:
    """Yield the symbols of a file that the pack does not have as it is."""
    if file.symbols is not None and (known is None or known["sha256"] != file.sha256):
        yield from (symbol_id for symbol_id in file.symbols if not symbol_id.endswith(f"::{MODULE_NAME}"))
