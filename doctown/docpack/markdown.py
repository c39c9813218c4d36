"""The texts of a pack: README.md, llms.txt (https://llmstxt.org), and a page for each parsed file and each cluster.

Pure, and the same for the same pack. Whatever comes from a repository or from a model is data: `escape` and `code`
keep it from being Markdown, HTML or a link. Links within a pack are relative, links to the source name the commit.
Leaves out how the texts get into the archive (`writer`).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Literal
from urllib.parse import quote

from doctown.docpack.pack import Index, Pack, by_neighbour, most_central
from doctown.docpack.schema import (
    CLUSTER_PAGES,
    FILE_PAGES,
    LLMS,
    README,
    Cluster,
    Documentation,
    Edge,
    EdgeKind,
    Node,
    SourceFile,
    SourceMapDocument,
    Span,
    is_guess,
    is_module,
)

# Of a symbol that a whole repository calls, the first callers; graph.json has all.
MAX_LISTED_EDGES = 50
MAX_CENTRAL_SYMBOLS = 20
# The files that an agent should look at first; the others follow as optional.
MAX_FIRST_FILES = 100
MAX_NAMED_SYMBOLS = 5

OUTGOING: dict[EdgeKind, str] = {
    "calls": "Calls",
    "inherits": "Inherits from",
    "imports": "Imports",
    "contains": "Contains",
    "overrides": "Overrides",
}
INCOMING: dict[EdgeKind, str] = {
    "calls": "Called by",
    "inherits": "Inherited by",
    "imports": "Imported by",
    "contains": "Contained in",
    "overrides": "Overridden by",
}

# Controls, and the marks that let a text be shown in another order than it is written in.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSEEN_BUT_LINES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# In a link: what would end it, be a scheme, an entity, a query or a fragment. Letters of all scripts stay readable.
_NOT_IN_LINKS = re.compile(r"""[\s\x00-\x1f\x7f<>()"`\\%#?|&:]""")
# Texts without underscores of which nothing is markup, wherever they stand; most are such.
_PLAIN = re.compile(r"""[^\W\d_][\w '",.:;/()-]*""")
_MARKUP = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")
_BLOCK_START = re.compile(r"^(?:(?=[#+=-])|(\d{1,9})(?=[.)](?:\s|$)))")
_WEB = re.compile(r"""https?://[^\s<>()"'`\\&]+""")


def one_line(text: str) -> str:
    """Return the text in one line, without controls: for terminals as well as for Markdown."""
    line = " ".join(text.split())
    return line if line.isprintable() else _UNSEEN.sub("\ufffd", line)


def escape(text: str) -> str:
    """Return the text in one line of Markdown that shows it as it is, wherever in a paragraph it stands."""
    line = one_line(text)
    if "_" not in line and _PLAIN.fullmatch(line):
        return line
    escaped = _MARKUP.sub(r"\\\g<0>", html.escape(line, quote=False))
    # A link's parenthesis is escaped too: not every reader of Markdown sees that its bracket is.
    return _BLOCK_START.sub(r"\1\\", escaped.replace("](", "]\\("))


def code(text: str) -> str:
    """Return the text as a code span that nothing in it can end."""
    line = one_line(text)
    if "`" not in line:
        return f"`{line or ' '}`"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def code_block(text: str, language: str) -> str:
    """Return the text as a fenced block that nothing in it can end."""
    lines = _UNSEEN_BUT_LINES.sub("\ufffd", text.replace("\r\n", "\n").replace("\t", "    ")).strip("\n")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", lines)), default=0))
    return f"{fence}{re.sub('[^a-z0-9+-]', '', language)}\n{lines}\n{fence}"


def source_link(source_map: SourceMapDocument, symbol_id: str) -> str | None:
    """Return the address of a symbol's lines at the commit, or None where the pack has no template for it."""
    span = source_map["symbols"][symbol_id]
    return _filled(source_map, source_map["files"][span["file"]]["path"], span["start_line"], span["end_line"])


def _filled(source_map: SourceMapDocument, path: str, start_line: int, end_line: int) -> str | None:
    template = source_map["url_template"]
    if template is None:
        return None
    lines = template.replace("{start_line}", str(start_line)).replace("{end_line}", str(end_line))
    return lines.replace("{path}", quote(path, safe="/"))


def line_range(span: Span) -> str:
    """Return the lines of a symbol in words."""
    if span["start_line"] == span["end_line"]:
        return f"line {span['start_line']}"
    return f"lines {span['start_line']} to {span['end_line']}"


def readme(pack: Pack) -> str:
    """Return README.md: what the pack is of, its size, what matters most in it, and the way to every page."""
    central = most_central(pack.nodes)
    clusters = pack.clusters["clusters"]
    return _text(
        f"# {escape(pack.manifest['repository']['name'])}",
        _description(pack),
        _origin(pack),
        *_section("At a glance", _facts(pack)),
        *_section("Warnings", (f"- {escape(warning)}" for warning in pack.manifest["warnings"])),
        *_section("Central symbols", (_entry(node, README) for node in central[:MAX_CENTRAL_SYMBOLS])),
        *_section(
            "Clusters", (f"- {_cluster_link(cluster, README)}: {cluster['size']} symbols" for cluster in clusters)
        ),
        *_section("Files", (f"- {_file_line(file, README)}" for file in pack.source_map["files"])),
        *_section("Symbols without a summary after a failure", _failures(pack)),
    )


def llms_text(pack: Pack, index: Index) -> str:
    """Return llms.txt: a title, a summary, and lists of links, the most central files first."""
    ranked = sorted(
        (file for file in pack.source_map["files"] if file["status"] != "skipped"),
        key=lambda file: (-max(node["centrality"] for node in index.by_file[file["path"]]), file["path"]),
    )
    lines = [f"- {_file_link(file['path'], LLMS)}: {_contents(index.by_file[file['path']])}" for file in ranked]
    clusters = pack.clusters["clusters"]
    return _text(
        f"# {escape(pack.manifest['repository']['name'])}",
        f"> {_origin(pack)}",
        _description(pack),
        "A symbol's id is `path::qualified.name`. Edges that are marked as guesses were found by a name alone. All "
        "data is in nodes.json, graph.json, clusters.json and source_map.json of the same archive.",
        *_section(
            "Clusters", (f"- {_cluster_link(one, LLMS)}: {one['size']} symbols; {_terms(one)}" for one in clusters)
        ),
        *_section("Files", lines[:MAX_FIRST_FILES]),
        *_section("Optional", lines[MAX_FIRST_FILES:]),
    )


def file_page(pack: Pack, index: Index, file: SourceFile) -> str:
    """Return the page of a parsed file: its symbols in their order."""
    path = file["path"]
    page = f"{FILE_PAGES}{path}.md"
    nodes = index.by_file[path]
    symbols = [node for node in nodes if not is_module(node)]
    address = _filled(pack.source_map, path, 1, max(file["lines"], 1))
    whole = f"[source]({address})" if address else "no link to the source"
    facts = f"{file['language'] or 'unknown language'}, {file['lines']} lines, {len(symbols)} symbols, {whole}"
    partial = f"**Parsed in part:** {escape(file['reason'] or 'the parser met an error')}"
    return _text(
        f"# {code(path)}",
        f"[Overview]({_relative(page, README)}): {facts}",
        partial if file["status"] == "partial" else "",
        *(part for node in nodes if is_module(node) for part in _body(pack, index, node, page)),
        *(part for node in symbols for part in _symbol(pack, index, node, page)),
    )


def cluster_page(pack: Pack, index: Index, cluster: Cluster) -> str:
    """Return the page of a cluster: its members, by their centrality."""
    page = f"{CLUSTER_PAGES}{cluster['id']}.md"
    members = most_central(index.nodes[one] for one in cluster["members"])
    basis = "their embeddings" if pack.clusters["basis"] == "embeddings" else "the words in them"
    return _text(
        f"# Cluster {cluster['id']}: {escape(cluster['label'])}",
        f"[Overview]({_relative(page, README)}): {cluster['size']} symbols that belong together by {basis}",
        f"Terms: {_terms(cluster)}",
        *_section("Symbols", (_entry(node, page) for node in members)),
    )


def pages(pack: Pack, index: Index) -> Iterator[tuple[str, str]]:
    """Yield the pages of clusters and files, by name."""
    clusters = {f"{CLUSTER_PAGES}{cluster['id']}.md": cluster for cluster in pack.clusters["clusters"]}
    for name in sorted(clusters):
        yield name, cluster_page(pack, index, clusters[name])
    files = {f"{FILE_PAGES}{file['path']}.md": file for file in pack.source_map["files"] if file["status"] != "skipped"}
    for name in sorted(files):
        yield name, file_page(pack, index, files[name])


def _text(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    """Return a heading and a list, or nothing where the list is empty."""
    body = "\n".join(lines)
    return [f"## {title}", body] if body else []


def _description(pack: Pack) -> str:
    return escape(pack.manifest["repository"].get("description", ""))


def _origin(pack: Pack) -> str:
    repository, generator = pack.manifest["repository"], pack.manifest["generator"]
    name, url = escape(repository["name"]), repository["url"]
    where = f"[{name}]({url})" if url is not None and _WEB.fullmatch(url) else name
    commit = f" at commit {code(repository['commit'])}" if repository["commit"] else ""
    ref = f" ({escape(repository['ref'])})" if repository["ref"] else ""
    dirty = ", with changes that are not committed" if repository["dirty"] else ""
    counts = pack.manifest["counts"]
    return (
        f"Documentation of {where}{commit}{ref}{dirty}: {counts['symbols']} symbols in {counts['files_parsed']} files, "
        f"{counts['documented']} of them documented. "
        f"Written by {escape(generator['name'])} {escape(generator['version'])}."
    )


def _facts(pack: Pack) -> Iterator[str]:
    counts, documentation = pack.manifest["counts"], pack.manifest["documentation"]
    yield f"- Files: {counts['files']}, {counts['files_parsed']} parsed, {counts['files_skipped']} skipped"
    yield f"- Symbols: {counts['symbols']}, {counts['documented']} documented, {counts['failed']} failed"
    yield (
        f"- Call sites: {counts['call_sites']}, {counts['call_sites_resolved']} resolved, "
        f"{counts['call_sites_external']} lead out of the repository, {counts['call_sites_unresolved']} unresolved"
    )
    levels = {"full": "symbols and calls", "symbols": "symbols, no calls", "files": "files only"}
    for name, language in pack.manifest["languages"].items():
        looked_at = levels[language["level"]]
        yield f"- {escape(name)}: {language['files']} files, {language['symbols']} symbols ({looked_at})"
    yield f"- Summaries: {escape(documentation['model'])}, in {escape(documentation['language'])}"
    licence = pack.manifest["repository"]["licence"]
    yield f"- Licence of the repository: {escape(licence) if licence else 'not known'}"


def _failures(pack: Pack) -> Iterator[str]:
    for node in pack.nodes:
        if node["failure"] is not None:
            yield f"- {_node_link(node, README)}: {_failure(node)}"


def _failure(node: Node) -> str:
    failure = node["failure"]
    return f"{escape(failure['message'])} ({code(failure['failure'])})" if failure is not None else ""


def _entry(node: Node, page: str) -> str:
    """Return a line of a list: the symbol and what it does."""
    if node["documentation"] is not None:
        return f"- {_node_link(node, page)}: {escape(node['documentation']['summary'])}"
    if node["failure"] is not None:
        return f"- {_node_link(node, page)}: documentation failed, {_failure(node)}"
    return f"- {_node_link(node, page)}: {escape(node['docstring']) if node['docstring'] else 'not documented'}"


def _contents(nodes: Sequence[Node]) -> str:
    """Return what a file holds: its own summary, else its most central symbols."""
    for node in nodes:
        if is_module(node) and node["documentation"] is not None:
            return escape(node["documentation"]["summary"])
    symbols = most_central(nodes)
    names = ", ".join(code(node["qualified_name"]) for node in symbols[:MAX_NAMED_SYMBOLS])
    return f"{len(symbols)} symbols: {names}" if names else "no symbols"


def _terms(cluster: Cluster) -> str:
    return ", ".join(escape(term) for term in cluster["terms"]) or "none"


def _symbol(pack: Pack, index: Index, node: Node, page: str) -> Iterator[str]:
    local = _local(node)
    yield f'<a id="{html.escape(one_line(local))}"></a>\n\n## {code(local)}'
    yield from _body(pack, index, node, page)


def _local(node: Node) -> str:
    """Return the part of the id that is the symbol's own in its file."""
    return node["id"].removeprefix(f"{node['file']}::")


def _body(pack: Pack, index: Index, node: Node, page: str) -> Iterator[str]:
    if node["signature"]:
        yield code_block(node["signature"], node["language"])
    yield from _documentation(node)
    yield "\n".join(_properties(pack, node, page))
    yield from _edge_lists(index, node, "to", page)
    yield from _edge_lists(index, node, "from", page)


def _documentation(node: Node) -> Iterator[str]:
    documentation = node["documentation"]
    if documentation is not None:
        yield f"{escape(documentation['summary'])}{provenance(documentation)}"
        findings = documentation["checks"]["findings"]
        if findings:
            yield "\n".join(f"- Check {code(one['check'])}: {escape(one['reason'])}" for one in findings)
    elif node["failure"] is not None:
        yield f"**Documentation failed:** {_failure(node)}"
    elif not is_module(node):
        yield "**Not documented.**"
    if node["docstring"]:
        yield f"> {escape(node['docstring'])}"


def provenance(documentation: Documentation) -> str:
    """Return, in parentheses, how a summary came about where no model wrote it for this build."""
    return {"model": "", "offline": " (written without a model)", "previous": " (from an earlier build)"}[
        documentation["source"]
    ]


def _properties(pack: Pack, node: Node, page: str) -> Iterator[str]:
    span, address = pack.source_map["symbols"][node["id"]], source_link(pack.source_map, node["id"])
    lines = line_range(span)
    kind = "" if is_module(node) else f"{node['kind']}, "
    test = ", test code" if node["is_test"] else ""
    seen = "exported" if node["exported"] else "internal"
    yield f"- {kind}{seen}{test}, {f'[{lines}]({address})' if address else lines}"
    if node["cluster"] is not None:
        yield f"- Cluster: {_cluster_link(pack.clusters['clusters'][node['cluster']], page)}"
    if node["external_calls"]:
        yield f"- Calls outside of the repository: {', '.join(code(call) for call in node['external_calls'])}"
    if node["unresolved_calls"] or node["ambiguous_calls"]:
        unknown = f"{node['unresolved_calls']} unresolved, {node['ambiguous_calls']} ambiguous"
        yield f"- Calls that are not in the lists: {unknown}"


def _edge_lists(index: Index, node: Node, end: Literal["from", "to"], page: str) -> Iterator[str]:
    """Yield a title and a list for each kind of edge, of the nodes at the given end; the node itself is no caller."""
    for kind, title in (OUTGOING if end == "to" else INCOMING).items():
        found = by_neighbour(index, node, end, kind)
        own = found.pop(node["id"], ())
        lines = [f"- itself{_edge_notes(own)}"] if own and end == "to" else []
        lines += [
            f"- {_node_link(index.nodes[other], page)}{_edge_notes(parallel)}"
            for other, parallel in islice(found.items(), MAX_LISTED_EDGES)
        ]
        if len(found) > MAX_LISTED_EDGES:
            lines.append(f"- and {len(found) - MAX_LISTED_EDGES} more, in graph.json")
        if lines:
            yield f"**{title}**\n\n" + "\n".join(lines)


def _edge_notes(edges: Iterable[Edge]) -> str:
    return "".join(edge_note(edge) for edge in edges)


def edge_note(edge: Edge) -> str:
    """Return the lines of an edge, and how sure it is where it is only a guess."""
    lines = f", {'line' if len(edge['lines']) == 1 else 'lines'} {', '.join(map(str, edge['lines']))}"
    guess = f" (a guess, confidence {edge['confidence']:.2f})" if is_guess(edge) else ""
    return f"{lines if edge['lines'] else ''}{guess}"


def _node_link(node: Node, page: str) -> str:
    text, member, fragment = _link_parts(node["id"], node["file"], is_module(node))
    # From a page to itself the fragment is enough.
    target = "" if fragment and page == f"{FILE_PAGES}{node['file']}.md" else "../" * page.count("/") + member
    return f"[{text}]({target}{fragment})"


# The links of a symbol differ in what is before these parts only, and there are several to most.
@lru_cache(maxsize=65_536)
def _link_parts(node_id: str, file: str, whole_file: bool) -> tuple[str, str, str]:  # noqa: FBT001 -- a part of the key
    """Return the text, the page and the fragment of links to a node."""
    member = _quoted(f"{FILE_PAGES}{file}.md")
    if whole_file:
        return code(file), member, ""
    return code(node_id), member, f"#{_quoted(one_line(node_id.removeprefix(f'{file}::')))}"


def _cluster_link(cluster: Cluster, page: str) -> str:
    target = _relative(page, f"{CLUSTER_PAGES}{cluster['id']}.md")
    return f"[{escape(cluster['label'])}]({target})"


def _file_link(path: str, page: str) -> str:
    return f"[{code(path)}]({_relative(page, f'{FILE_PAGES}{path}.md')})"


def _file_line(file: SourceFile, page: str) -> str:
    if file["status"] == "skipped":
        return f"{code(file['path'])}: skipped, {escape(file['reason'] or '')}"
    partial = f": parsed in part, {escape(file['reason'] or '')}" if file["status"] == "partial" else ""
    return f"{_file_link(file['path'], page)}{partial}"


def _relative(page: str, member: str) -> str:
    return "../" * page.count("/") + _quoted(member)


def _quoted(path: str) -> str:
    return _NOT_IN_LINKS.sub(lambda found: quote(found[0], safe=""), path)
