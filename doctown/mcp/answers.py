"""What an agent is told of a pack: small answers with evidence. Pure.

Each answer names the file and the lines that it rests on, and says of an edge how it was found and how sure that is.
Lists come in pages. Texts of a pack are cut, and are data: they are never put into a sentence that tells somebody what
to do. Leaves out the protocol (`server`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

from typing_extensions import TypedDict

from doctown.docpack.compare import Staleness
from doctown.docpack.markdown import source_link
from doctown.docpack.pack import Index, Pack, by_neighbour, most_central
from doctown.docpack.schema import Edge, Node, is_guess, is_module
from doctown.errors import PackError
from doctown.mcp.search import SearchIndex

MAX_ITEMS = 50
MAX_TEXT_CHARACTERS = 500
MAX_NAMED = 10
MAX_DEPTH = 10
# An impact beyond this is no answer any more, but the repository.
MAX_IMPACT = 2_000

Item = TypeVar("Item")


@dataclass(frozen=True)
class OpenPack:
    """A pack with its index and its words."""

    pack: Pack
    index: Index
    words: SearchIndex


class Window(NamedTuple):
    """Which items of a list are wanted."""

    offset: int = 0
    limit: int = 20


class SymbolLine(TypedDict):
    """A symbol in one line; `at` is its file and lines, `summary_from` who wrote its summary."""

    id: str
    kind: str
    at: str
    summary: str | None
    summary_from: str


class Listed(TypedDict):
    """A page of a list: its items, how many there are in all, and where the next page begins."""

    total: int
    items: list[Any]
    next_offset: int | None


class Calls(Listed):
    """A page of other symbols that call a symbol, or are called by it, each once.

    Beyond these there may be as many calls that nobody could resolve. For callees they are those of the symbol itself,
    else all of the repository: any of them may lead here.
    """

    calls_itself: bool
    unresolved_calls: int


class Impact(Calls):
    """A page of transitive callers; not complete where the search was ended by its limits."""

    is_complete: bool


class Overview(TypedDict):
    """What a pack is of."""

    repository: Mapping[str, Any]
    created_at: str
    counts: Mapping[str, int]
    languages: Mapping[str, int]
    summaries: Mapping[str, Any]
    central: list[SymbolLine]
    clusters: list[Mapping[str, Any]]
    warnings: list[str]


def page_of(items: Sequence[Item], window: Window, show: Callable[[Item], Any]) -> Listed:
    """Return a page of items, each as it is shown. Raise PackError where there is no such page."""
    offset, limit = window
    if offset < 0 or not 1 <= limit <= MAX_ITEMS:
        message = f"offset must be from 0, limit from 1 to {MAX_ITEMS}."
        raise PackError(message)
    end = offset + limit
    return {
        "total": len(items),
        "items": [show(one) for one in items[offset:end]],
        "next_offset": end if end < len(items) else None,
    }


def line_of(pack: Pack, node: Node) -> SymbolLine:
    """Return a symbol in one line."""
    documentation = node["documentation"]
    return {
        "id": node["id"],
        "kind": node["kind"],
        "at": at(pack, node),
        "summary": cut(documentation["summary"]) if documentation is not None else None,
        "summary_from": documentation["source"] if documentation is not None else "nobody",
    }


def at(pack: Pack, node: Node) -> str:
    """Return a symbol's file and lines: `src/app.py:15-16`."""
    span = pack.source_map["symbols"][node["id"]]
    return f"{node['file']}:{span['start_line']}-{span['end_line']}"


def cut(text: str) -> str:
    """Return a text of bounded length."""
    return text if len(text) <= MAX_TEXT_CHARACTERS else f"{text[: MAX_TEXT_CHARACTERS - 1]}…"


def search(opened: OpenPack, query: str, window: Window) -> Listed:
    """Return the symbols that a query finds, in one line each."""
    return page_of(opened.words.find(query), window, lambda node: line_of(opened.pack, node))


def symbol(opened: OpenPack, node: Node) -> dict[str, Any]:
    """Return what a pack knows of a symbol, without its neighbours, which are counted."""
    pack, index = opened.pack, opened.index
    documentation, failure = node["documentation"], node["failure"]
    return {
        **line_of(pack, node),
        "url": source_link(pack.source_map, node["id"]),
        "signature": cut(node["signature"]) if node["signature"] else None,
        "docstring": cut(node["docstring"]) if node["docstring"] else None,
        "findings": [cut(one["reason"]) for one in documentation["checks"]["findings"]] if documentation else [],
        "failure": {"failure": failure["failure"], "message": cut(failure["message"])} if failure else None,
        "parent": node["parent"],
        "exported": node["exported"],
        "is_test": node["is_test"],
        "centrality": node["centrality"],
        "cluster": node["cluster"],
        "callers": len(_others(index, node, "from")),
        "callees": len(_others(index, node, "to")),
        "calls_itself": _calls_itself(index, node),
        "bases": [edge["to"] for edge in index.outgoing.get(node["id"], ()) if edge["kind"] == "inherits"][:MAX_NAMED],
        "external_calls": [cut(name) for name in node["external_calls"][:MAX_ITEMS]],
        "unresolved_calls": node["unresolved_calls"],
        "ambiguous_calls": node["ambiguous_calls"],
    }


def _others(index: Index, node: Node, end: Literal["from", "to"]) -> dict[str, list[Edge]]:
    """Return the calls of a symbol by the other symbol, the surest first; those of the symbol itself are left out."""
    found = by_neighbour(index, node, end, "calls")
    found.pop(node["id"], None)
    return found


def _calls_itself(index: Index, node: Node) -> bool:
    calls = by_neighbour(index, node, "to", "calls")
    return any(not is_guess(edge) for edge in calls.get(node["id"], ()))


def callers(opened: OpenPack, node: Node, window: Window) -> Calls:
    """Return the symbols that call one, the surest first, with the lines of the calls."""
    unresolved = opened.pack.manifest["counts"]["call_sites_unresolved"]
    return _called(opened, node, _others(opened.index, node, "from"), window, unresolved)


def callees(opened: OpenPack, node: Node, window: Window) -> Calls:
    """Return the symbols that one calls, the surest first, with the lines of the calls."""
    unresolved = node["unresolved_calls"] + node["ambiguous_calls"]
    return _called(opened, node, _others(opened.index, node, "to"), window, unresolved)


def _called(opened: OpenPack, node: Node, found: Mapping[str, list[Edge]], window: Window, unresolved: int) -> Calls:
    pack, index = opened.pack, opened.index
    calls = sorted(found.items(), key=lambda item: (-item[1][0]["confidence"], item[0]))

    def show(item: tuple[str, list[Edge]]) -> dict[str, Any]:
        other, parallel = item
        surest = parallel[0]
        file = index.nodes[surest["from"]]["file"]
        # Where a call is sure, lines that are only guessed are no evidence of it.
        lines = {line for edge in parallel if is_guess(edge) == is_guess(surest) for line in edge["lines"]}
        return {
            **line_of(pack, index.nodes[other]),
            "evidence": [f"{file}:{line}" for line in sorted(lines)[:MAX_NAMED]],
            "origin": surest["origin"],
            "confidence": surest["confidence"],
            "is_guess": is_guess(surest),
        }

    listed = page_of(calls, window, show)
    return {**listed, "calls_itself": _calls_itself(index, node), "unresolved_calls": unresolved}


def impact(opened: OpenPack, node: Node, window: Window, *, guesses: bool = False) -> Impact:
    """Return what a change of a symbol may reach: its callers, their callers and so on.

    Each has its least number of calls, and the lowest confidence on the surest way of that length. Breadth-first, at
    most MAX_DEPTH calls and MAX_IMPACT symbols.
    """
    pack, index = opened.pack, opened.index
    reached: dict[str, tuple[int, float]] = {node["id"]: (0, 1.0)}
    frontier = [node["id"]]
    for depth in range(1, MAX_DEPTH + 1):
        found: dict[str, float] = {}
        for called in frontier:
            for edge in index.incoming.get(called, ()):
                caller = edge["from"]
                if edge["kind"] != "calls" or caller in reached or (is_guess(edge) and not guesses):
                    continue
                found[caller] = max(found.get(caller, 0.0), min(edge["confidence"], reached[called][1]))
        reached |= {caller: (depth, confidence) for caller, confidence in found.items()}
        frontier = sorted(found)
        if not frontier or len(reached) > MAX_IMPACT:
            break
    del reached[node["id"]]
    ordered = sorted(reached.items(), key=lambda item: (item[1][0], -item[1][1], item[0]))

    def show(item: tuple[str, tuple[int, float]]) -> dict[str, Any]:
        one, (depth, confidence) = item
        return {**line_of(pack, index.nodes[one]), "depth": depth, "lowest_confidence": confidence}

    unresolved = pack.manifest["counts"]["call_sites_unresolved"]
    return {
        **page_of(ordered, window, show),
        "calls_itself": _calls_itself(index, node),
        "unresolved_calls": unresolved,
        "is_complete": not frontier,
    }


def file(opened: OpenPack, path: str, window: Window) -> dict[str, Any]:
    """Return a file with its symbols in their order. Raise PackError where the pack has no such file."""
    pack, index = opened.pack, opened.index
    for one in pack.source_map["files"]:
        if one["path"] == path:
            symbols = [node for node in index.by_file.get(path, ()) if not is_module(node)]
            listed = page_of(symbols, window, lambda node: line_of(pack, node))
            return {"path": path, "status": one["status"], "reason": one["reason"], "lines": one["lines"], **listed}
    message = f"{cut(path)!r} is no file of this pack: give a path as the ids of symbols begin with."
    raise PackError(message)


def cluster(opened: OpenPack, number: int, window: Window) -> dict[str, Any]:
    """Return a cluster with its symbols, the most central first. Raise PackError where there is none of this number."""
    pack, index = opened.pack, opened.index
    for one in pack.clusters["clusters"]:
        if one["id"] == number:
            members = most_central(index.nodes[member] for member in one["members"])
            listed = page_of(members, window, lambda node: line_of(pack, node))
            return {"id": number, "label": cut(one["label"]), "terms": [cut(term) for term in one["terms"]], **listed}
    message = f"there is no cluster {number}: there are {len(pack.clusters['clusters'])}, from 0 on."
    raise PackError(message)


def overview(pack: Pack) -> Overview:
    """Return what a pack is of: where it comes from, its size, what matters most in it."""
    manifest, documentation = pack.manifest, pack.manifest["documentation"]
    central = most_central(pack.nodes)
    clusters = sorted(pack.clusters["clusters"], key=lambda one: -one["size"])
    return {
        "repository": dict(manifest["repository"]),
        "created_at": manifest["created_at"],
        "counts": {key: int(value) for key, value in dict(manifest["counts"]).items() if isinstance(value, int)},
        "languages": {name: one["symbols"] for name, one in manifest["languages"].items()},
        "summaries": {
            "model": documentation["model"],
            "language": documentation["language"],
            "total_cost": documentation["total_cost"],
            "checked": documentation["checks"]["checked"],
            "passed_all": documentation["checks"]["passed_all"],
        },
        "central": [line_of(pack, node) for node in central[:MAX_NAMED]],
        "clusters": [
            {"id": one["id"], "label": cut(one["label"]), "size": one["size"]} for one in clusters[: 2 * MAX_NAMED]
        ],
        "warnings": [cut(warning) for warning in manifest["warnings"][:MAX_NAMED]],
    }


def stale(staleness: Staleness, window: Window) -> dict[str, Any]:
    """Return how many symbols are up to date with the source, and which are not, and how."""
    found = list(_differing(staleness))
    listed = page_of(found, window, lambda item: {"id": item[0], "state": item[1]})
    return {"up_to_date": staleness.current, **listed}


def _differing(staleness: Staleness) -> Iterator[tuple[str, str]]:
    for state in ("stale", "new", "gone", "undocumented"):
        yield from ((one, state) for one in getattr(staleness, state))
