"""An analysis and its summaries become the records of a pack: nodes, edges, source map, repository. Pure.

Leaves out what counts and sorts them (`docpack.make_pack`) and what reads the files of a checkout.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from doctown.analysis import AnalysedFile, Analysis
from doctown.assembly.symbols import ProgramSymbol
from doctown.docpack import CallSites, is_file_path
from doctown.docpack.schema import Documentation, Edge, Failure, Near, Node, SourceFile, SourceMapDocument, Span
from doctown.embedding.text import first_paragraph
from doctown.graph.model import MODULE, Counts, Graph, module_id
from doctown.parsing.records import FileRecord, Symbol

# A constant's signature has its value: short ones say much, long ones are source code.
MAX_CONSTANT_CHARS = 60
NO_COMMIT_TIME = "1970-01-01T00:00:00Z"

_GITHUB = "https://github.com"
_GITLAB = "https://gitlab.com"
_MARKS = {"utf-8-sig": 3, "utf-16": 2}  # bytes of the byte order mark
_CODECS = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}


class Documented(NamedTuple):
    """What came of the summaries, by id, and what else nodes show that the graph does not have."""

    documentation: Mapping[str, Documentation]
    failures: Mapping[str, Failure]
    centrality: Mapping[str, float]
    cluster_of: Mapping[str, int]
    nearest: Mapping[str, list[Near]]


class Content(NamedTuple):
    """What a pack must know of a file that was not parsed: its bytes, lines and SHA-256."""

    size_bytes: int
    lines: int
    sha256: str


def nodes(analysis: Analysis, symbols: Iterable[ProgramSymbol], documented: Documented) -> list[Node]:
    """Return the node of each parsed file and each symbol whose path can stand in a pack."""
    tests = {file.path for file in analysis.files if file.is_test}
    found = [
        _module_node(file, analysis.graph.counts[module_id(file.path)], documented, is_test=file.path in tests)
        for file in analysis.graph.files
        if is_file_path(file.path)
    ]
    found += [
        _symbol_node(symbol, analysis.graph.counts[symbol.id], documented)
        for symbol in symbols
        if is_file_path(symbol.file.path)
    ]
    return found


def edges(graph: Graph, node_ids: Container[str]) -> list[Edge]:
    """Return the edges between the nodes."""
    return [
        {
            "from": edge.source,
            "to": edge.target,
            "kind": edge.kind,
            "lines": list(edge.lines),
            "origin": edge.origin,
            "confidence": edge.confidence,
        }
        for edge in graph.edges
        if edge.source in node_ids and edge.target in node_ids
    ]


def call_sites(graph: Graph, node_ids: Container[str]) -> CallSites:
    """Return how many calls the nodes make."""
    counts = [one for node, one in graph.counts.items() if node in node_ids]
    return CallSites(
        sum(one.resolved for one in counts), sum(one.external for one in counts), sum(one.unresolved for one in counts)
    )


def source_files(files: Iterable[AnalysedFile], contents: Mapping[str, Content]) -> list[SourceFile]:
    """Return the files whose paths can stand in a pack; `contents` are of those that the analysis has not read."""
    return [_source_file(file, contents.get(file.path)) for file in files if is_file_path(file.path)]


def source_map(url_template: str | None, files: list[SourceFile], symbols: Mapping[str, Span]) -> SourceMapDocument:
    """Return the source map."""
    return {"url_template": url_template, "files": files, "symbols": dict(symbols)}


def spans(file: FileRecord, ids: Iterable[str], place: int, text: bytes, written: AnalysedFile) -> dict[str, Span]:
    """Return where a file's module node and symbols stand in its bytes; `place` is the file's in the source map.

    `text` is the file as UTF-8, as it was parsed.
    """
    encoding = written.encoding or "utf-8"
    found = {module_id(file.path): _span(place, (1, max(1, written.lines or 0)), (0, written.size_bytes))}
    for symbol_id, symbol in zip(ids, file.symbols, strict=True):
        lines = (symbol.start_line, symbol.end_line)
        ends = (file_offset(text, symbol.start_byte, encoding), file_offset(text, symbol.end_byte, encoding))
        found[symbol_id] = _span(place, lines, ends)
    return found


def file_offset(text: bytes, offset: int, encoding: str) -> int:
    """Return the offset in a file's own bytes of an offset in its text as UTF-8."""
    if encoding == "utf-8":
        return offset
    mark = _MARKS.get(encoding, 0)
    if encoding == "utf-8-sig":
        return offset + mark
    return mark + len(text[:offset].decode("utf-8", "replace").encode(_CODECS.get(encoding, encoding), "replace"))


def url_template(url: str | None, commit: str | None, *, dirty: bool) -> str | None:
    """Return the template of links to the source, None where the host is not known or files differ from the commit."""
    parts = urlsplit(url or "")
    if commit is None or dirty or not parts.path.strip("/"):
        return None
    base = f"https://{(parts.hostname or '').lower()}"
    path = quote(parts.path.rstrip("/").removesuffix(".git"))
    if base == _GITHUB:
        return f"{base}{path}/blob/{commit}/{{path}}#L{{start_line}}-L{{end_line}}"
    if base == _GITLAB:
        return f"{base}{path}/-/blob/{commit}/{{path}}#L{{start_line}}-{{end_line}}"
    return None


def created_at(committed_at: datetime | None) -> str:
    """Return the commit's time as the manifest has it."""
    return NO_COMMIT_TIME if committed_at is None else committed_at.strftime("%Y-%m-%dT%H:%M:%SZ")


# The phrases by which a licence is known, the narrower first; https://spdx.org/licenses/.
_LICENCES = (
    ("AGPL-3.0-only", "gnu affero general public license version 3"),
    ("LGPL-3.0-only", "gnu lesser general public license version 3"),
    ("LGPL-2.1-only", "gnu lesser general public license version 2.1"),
    ("GPL-3.0-only", "gnu general public license version 3"),
    ("GPL-2.0-only", "gnu general public license version 2"),
    ("Apache-2.0", "apache license version 2.0"),
    ("MPL-2.0", "mozilla public license version 2.0"),
    ("Unlicense", "this is free and unencumbered software released into the public domain"),
    ("MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"),
    ("ISC", "permission to use, copy, modify, and/or distribute this software"),
    ("BSD-3-Clause", "neither the name of"),
    ("BSD-2-Clause", "redistributions in binary form must reproduce"),
)


def licence_of(text: str) -> str | None:
    """Return the SPDX identifier of a licence's text, None for one that is not among the common ones."""
    folded = re.sub(r"[\s,]*\s", " ", text.lower())
    return next((name for name, phrase in _LICENCES if re.sub(r"[\s,]*\s", " ", phrase) in folded), None)


def _module_node(file: FileRecord, counts: Counts, documented: Documented, *, is_test: bool) -> Node:
    name = file.path.rpartition("/")[2]
    node_id = module_id(file.path)
    return {
        "id": node_id,
        "name": name.partition(".")[0] or name,
        "qualified_name": MODULE,
        "kind": "module",
        "language": file.language,
        "file": file.path,
        "signature": None,
        "parent": None,
        "exported": True,
        "is_test": is_test,
        "documentation": None,
        "failure": None,
        "docstring": first_paragraph(file.docstring or "") or None,
        "centrality": documented.centrality.get(node_id, 0.0),
        "cluster": None,
        "external_calls": sorted(counts.external_names),
        "unresolved_calls": counts.unresolved,
        "ambiguous_calls": counts.ambiguous,
    }


def _symbol_node(symbol: ProgramSymbol, counts: Counts, documented: Documented) -> Node:
    found = symbol.symbol
    node: Node = {
        "id": symbol.id,
        "name": found.name,
        "qualified_name": found.qualified_name,
        "kind": found.kind,
        "language": symbol.file.language,
        "file": symbol.file.path,
        "signature": _signature(found) or None,
        "parent": symbol.parent or module_id(symbol.file.path),
        "exported": found.exported,
        "is_test": symbol.is_test,
        "documentation": documented.documentation.get(symbol.id),
        "failure": documented.failures.get(symbol.id),
        "docstring": first_paragraph(found.docstring or "") or None,
        "centrality": documented.centrality.get(symbol.id, 0.0),
        "cluster": documented.cluster_of.get(symbol.id),
        "external_calls": sorted(counts.external_names),
        "unresolved_calls": counts.unresolved,
        "ambiguous_calls": counts.ambiguous,
    }
    nearest = documented.nearest.get(symbol.id)
    return {**node, "nearest": nearest} if nearest else node


def _signature(symbol: Symbol) -> str:
    """Return a signature without the value of a constant where that is long."""
    if symbol.kind != "constant" or len(symbol.signature) <= MAX_CONSTANT_CHARS:
        return symbol.signature
    head, equals, _ = symbol.signature.partition("=")
    return f"{head.rstrip()[:MAX_CONSTANT_CHARS]} = ..." if equals else f"{head[:MAX_CONSTANT_CHARS]}..."


def _source_file(file: AnalysedFile, content: Content | None) -> SourceFile:
    size_bytes = file.size_bytes if content is None else content.size_bytes
    lines = (file.lines or 0) if content is None else content.lines
    sha256 = file.sha256 if content is None else content.sha256
    return {
        "path": file.path,
        "language": file.language,
        "bytes": size_bytes,
        "lines": lines,
        "sha256": sha256 or "",
        "status": file.status,
        "reason": file.reason,
    }


def _span(place: int, lines: tuple[int, int], ends: tuple[int, int]) -> Span:
    return {"file": place, "start_line": lines[0], "end_line": lines[1], "start_byte": ends[0], "end_byte": ends[1]}
