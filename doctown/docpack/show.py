"""A pack, one of its symbols, and comparisons, as tables for a terminal.

What is shown is decided by functions that return sections of plain text; `show`, `show_difference` and `show_staleness`
print such sections on a rich console. Texts of a pack are data there too: no markup, no control characters.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from doctown.docpack.compare import Difference, Staleness
from doctown.docpack.markdown import INCOMING, OUTGOING, line_range, one_line, provenance, source_link
from doctown.docpack.pack import Index, Pack, by_neighbour, index_pack, most_central
from doctown.docpack.schema import EdgeKind, Node, is_guess, is_module
from doctown.errors import PackError

if TYPE_CHECKING:
    from rich.console import Console

MAX_ROWS = 50
MAX_NAMED_SYMBOLS = 10
MAX_SUGGESTIONS = 3


class Section(NamedTuple):
    """A table under a title: rows of cells, with the columns' names where there are any."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def show(pack: Pack, symbol: str | None, console: Console) -> None:
    """Print the overview of a pack, or one symbol of it. Raise PackError where the symbol is not found."""
    if symbol is None:
        _print(overview(pack), console)
    else:
        index = index_pack(pack)
        _print(symbol_sections(pack, index, find_symbol(pack, symbol)), console)


def show_difference(difference: Difference, console: Console) -> None:
    """Print what differs between two packs."""
    _print(difference_sections(difference), console)


def show_staleness(staleness: Staleness, console: Console) -> None:
    """Print how a pack fits the source as it is."""
    _print(staleness_sections(staleness), console)


def find_symbol(pack: Pack, name: str) -> Node:
    """Return the symbol with this id, else this name in its file or path, else the one whose id or name ends in it.

    An end begins at a `.` of the name or a `/` of the path. Raise PackError with the candidates where there are
    several, and with the nearest names where there is none.
    """
    tiers: tuple[list[Node], list[Node], list[Node]] = ([], [], [])
    for node in pack.nodes:
        local = node["id"].removeprefix(f"{node['file']}::")
        if node["id"] == name:
            return node
        if name in (local, node["qualified_name"]) or (is_module(node) and name == node["file"]):
            tiers[0].append(node)
        elif local.endswith(f".{name}") or node["qualified_name"].endswith(f".{name}"):
            tiers[1].append(node)
        elif node["id"].endswith(f"/{name}"):
            tiers[2].append(node)
    found = next((tier for tier in tiers if tier), [])
    if not found:
        raise PackError(f"{name!r} is no symbol of this pack{_suggestions(pack, name)}.")
    if len(found) > 1:
        ids = ", ".join(repr(node["id"]) for node in found[:MAX_NAMED_SYMBOLS])
        more = f" and {len(found) - MAX_NAMED_SYMBOLS} more" if len(found) > MAX_NAMED_SYMBOLS else ""
        raise PackError(f"{name!r} could be {len(found)} symbols, so give the id of one: {ids}{more}.")
    return found[0]


def _suggestions(pack: Pack, name: str) -> str:
    ids: dict[str, str] = {}
    for node in pack.nodes:
        if not is_module(node):
            ids.setdefault(node["qualified_name"], node["id"])
            ids.setdefault(node["name"], node["id"])
    near = difflib.get_close_matches(name.rpartition("::")[2], ids, MAX_SUGGESTIONS)
    unique = dict.fromkeys(ids[one] for one in near)
    return f"; the nearest are {', '.join(map(repr, unique))}" if unique else ""


def overview(pack: Pack) -> list[Section]:
    """Return what a pack is, its languages, its clusters, its most central symbols and its warnings."""
    languages = [
        (name, str(one["files"]), str(one["symbols"]), one["level"]) for name, one in pack.manifest["languages"].items()
    ]
    clusters = [(str(one["id"]), one["label"], str(one["size"])) for one in pack.clusters["clusters"]]
    central = most_central(pack.nodes)
    return [
        Section("Pack", (), list(_facts(pack))),
        Section("Languages", ("language", "files", "symbols", "looked at"), languages),
        Section("Clusters", ("cluster", "label", "symbols"), clusters),
        Section(
            "Central symbols",
            ("symbol", "centrality", "summary"),
            [(node["id"], f"{node['centrality']:.2f}", _said(node)) for node in central[:MAX_NAMED_SYMBOLS]],
        ),
        Section("Warnings", (), [(warning,) for warning in pack.manifest["warnings"]]),
    ]


def _facts(pack: Pack) -> Iterator[tuple[str, str]]:
    manifest = pack.manifest
    repository, counts, documentation = manifest["repository"], manifest["counts"], manifest["documentation"]
    dirty = ", with changes that are not committed" if repository["dirty"] else ""
    yield "repository", f"{repository['name']} {repository['url'] or ''}"
    yield "commit", f"{repository['commit'] or 'none'} {repository['ref'] or ''}{dirty}"
    yield "created", f"{manifest['created_at']} by {manifest['generator']['name']} {manifest['generator']['version']}"
    yield "files", f"{counts['files']}: {counts['files_parsed']} parsed, {counts['files_skipped']} skipped"
    yield "symbols", f"{counts['symbols']}: {counts['documented']} documented, {counts['failed']} failed"
    known = f"{counts['call_sites_resolved']} resolved, {counts['call_sites_external']} external"
    yield "call sites", f"{counts['call_sites']}: {known}, {counts['call_sites_unresolved']} unresolved"
    yield "edges", str(counts["edges"])
    yield (
        "summaries",
        f"{documentation['model']}, in {documentation['language']}, for {documentation['total_cost']:.6f} US dollars",
    )
    vectors = manifest["embeddings"]
    yield "vectors", f"{vectors['rows']} of {vectors['dimensions']} numbers, {vectors['model']}" if vectors else "none"


def _said(node: Node) -> str:
    if node["documentation"] is not None:
        return f"{node['documentation']['summary']}{provenance(node['documentation'])}"
    if node["failure"] is not None:
        return f"documentation failed: {node['failure']['message']} ({node['failure']['failure']})"
    return "not documented"


def symbol_sections(pack: Pack, index: Index, node: Node) -> list[Section]:
    """Return all that a pack knows of one symbol, then a table for each kind of edge that leads from or to it."""
    ends: tuple[tuple[Literal["from", "to"], dict[EdgeKind, str]], ...] = (("to", OUTGOING), ("from", INCOMING))
    return [
        Section(node["id"], (), [row for row in _symbol_facts(pack, node) if row[1]]),
        *(
            Section(title, ("symbol", "lines", "found by", "confidence"), _edge_rows(index, node, end, kind))
            for end, titles in ends
            for kind, title in titles.items()
        ),
    ]


def _symbol_facts(pack: Pack, node: Node) -> Iterator[tuple[str, str]]:
    documentation, cluster = node["documentation"], node["cluster"]
    place = line_range(pack.source_map["symbols"][node["id"]])
    yield "kind", f"{node['kind']}, {'exported' if node['exported'] else 'internal'}{', test' * node['is_test']}"
    yield "place", f"{node['file']}, {place}"
    yield "source", source_link(pack.source_map, node["id"]) or ""
    yield "signature", node["signature"] or ""
    yield "summary", _said(node)
    yield from (("check", f"{one['check']}: {one['reason']}") for one in _findings(node))
    yield "content hash", documentation["content_hash"] if documentation is not None else ""
    yield "docstring", node["docstring"] or ""
    yield "parent", node["parent"] or ""
    yield "centrality", f"{node['centrality']:.2f}"
    yield "cluster", "" if cluster is None else f"{cluster}: {pack.clusters['clusters'][cluster]['label']}"
    yield "calls outside", ", ".join(node["external_calls"])
    yield "calls not listed", f"{node['unresolved_calls']} unresolved, {node['ambiguous_calls']} ambiguous"


def _findings(node: Node) -> Sequence[dict[str, object]]:
    return [] if node["documentation"] is None else [dict(one) for one in node["documentation"]["checks"]["findings"]]


def _edge_rows(index: Index, node: Node, end: Literal["from", "to"], kind: EdgeKind) -> list[tuple[str, ...]]:
    """Return a row for each node at the given end; the node itself is no caller."""
    found = by_neighbour(index, node, end, kind)
    own = found.pop(node["id"], None)
    if own is not None and end == "to":
        found = {"itself": own, **found}
    return [
        (
            other,
            "; ".join(", ".join(map(str, edge["lines"])) for edge in parallel),
            "; ".join(edge["origin"] for edge in parallel),
            "; ".join(f"{edge['confidence']:.2f}{', a guess' if is_guess(edge) else ''}" for edge in parallel),
        )
        for other, parallel in found.items()
    ]


def difference_sections(difference: Difference) -> list[Section]:
    """Return the counts that differ, then the symbols that were added, removed and changed."""
    counts = [
        (name, str(old), str(new), f"{new - old:+}") for name, (old, new) in difference.counts.items() if old != new
    ]
    edges = f"{difference.edges_added} added, {difference.edges_removed} removed"
    symbols = f"{len(difference.added)} added, {len(difference.removed)} removed, {len(difference.changed)} changed"
    return [
        Section("Difference", (), [("symbols", symbols), ("edges", edges)]),
        Section("Counts", ("count", "old", "new", "difference"), counts),
        Section("Added", (), [(one,) for one in difference.added]),
        Section("Removed", (), [(one,) for one in difference.removed]),
        Section("Changed", ("symbol", "what"), [(one.id, ", ".join(one.aspects)) for one in difference.changed]),
    ]


def staleness_sections(staleness: Staleness) -> list[Section]:
    """Return how many symbols are up to date and how many are not, then which."""
    named = {
        "stale": staleness.stale,
        "new": staleness.new,
        "gone": staleness.gone,
        "undocumented": staleness.undocumented,
    }
    numbers = [("up to date", str(staleness.current)), *((name, str(len(ids))) for name, ids in named.items())]
    lists = [Section(name.capitalize(), (), [(one,) for one in ids]) for name, ids in named.items()]
    return [Section("Symbols", (), numbers), *lists]


def _print(sections: Iterable[Section], console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    for section in sections:
        if not section.rows:
            continue
        table = Table(title=Text(one_line(section.title)), title_justify="left", show_header=bool(section.columns))
        for column in section.columns or section.rows[0]:
            table.add_column(column if section.columns else "", overflow="fold")
        for row in section.rows[:MAX_ROWS]:
            table.add_row(*(Text(one_line(cell)) for cell in row))
        console.print(table)
        if len(section.rows) > MAX_ROWS:
            console.print(f"and {len(section.rows) - MAX_ROWS} more", highlight=False)
