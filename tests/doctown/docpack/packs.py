"""A small repository and its pack, with everything in it that the format has a place for."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from doctown.docpack import BuildInfo, CallSites, Pack, Vectors, make_pack, source_hash
from doctown.docpack.schema import (
    ClustersDocument,
    Documentation,
    Edge,
    EdgeKind,
    Kind,
    Node,
    Origin,
    Repository,
    SourceFile,
    SourceMapDocument,
    Span,
    SummarySource,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
APP, EMPTY, ROUTER, HUGE, LOGO = "src/app.py", "src/__init__.py", "web/röuter [id].ts", "src/huge.py", "web/logo.png"
SOURCES: dict[str, bytes] = {
    APP: b"""import requests
from base import Base

class Session(Base):
    '''Keeps cookies.'''

    @property
    def limit(self):
        return self._limit

    @limit.setter
    def limit(self, value):
        self._limit = check(value)

def check(value):
    return requests.get(value) or guess(value)

def main():
    Session().limit = check(3)

main()
""",
    EMPTY: b"",
    ROUTER: """// Größe
export class Router extends Base {
  route(path: string) { return check(path) }
}
export function guess(x: number) { return new Router().route(x) }
""".encode(),
    HUGE: b"data = [1]\n",
    LOGO: b"\x89PNG\n",
}
SESSION, LIMIT, SETTER = f"{APP}::Session", f"{APP}::Session.limit", f"{APP}::Session.limit#2"
CHECK, MAIN = f"{APP}::check", f"{APP}::main"
ROUTER_CLASS, ROUTE, GUESS = f"{ROUTER}::Router", f"{ROUTER}::Router.route", f"{ROUTER}::guess"
APP_MODULE, EMPTY_MODULE, ROUTER_MODULE = f"{APP}::<module>", f"{EMPTY}::<module>", f"{ROUTER}::<module>"
NO_COMMIT: Repository = {
    "name": "folder",
    "url": None,
    "commit": None,
    "ref": None,
    "dirty": False,
    "licence": None,
}
REPOSITORY: Repository = {
    "name": "o/r",
    "url": "https://github.com/o/r.git",
    "commit": COMMIT,
    "ref": "main",
    "dirty": True,
    "licence": "MIT",
    "description": "Keeps <b>cookies</b>.",
}


def write_sources(folder: Path) -> None:
    for path, source in SOURCES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(source)


def _file(path: str, language: str | None, status: str = "parsed", reason: str | None = None) -> SourceFile:
    source = SOURCES[path]
    return {
        "path": path,
        "language": language,
        "bytes": len(source),
        "lines": source.count(b"\n"),
        "sha256": hashlib.sha256(source).hexdigest(),
        "status": status,  # type: ignore[typeddict-item]
        "reason": reason,
    }


FILES: list[SourceFile] = [
    _file(APP, "python"),
    _file(EMPTY, "python"),
    _file(ROUTER, "typescript", "partial", "line 3 is not understood."),
    _file(HUGE, "python", "skipped", "it is larger than 1 byte."),
    _file(LOGO, None, "skipped", "it is binary."),
]
PLACES = {file["path"]: place for place, file in enumerate(FILES)}
# Where each symbol begins, and how it ends.
EXTENTS = {
    SESSION: ("class Session", "check(value)\n"),
    LIMIT: ("@property", "return self._limit"),
    SETTER: ("@limit.setter", "= check(value)"),
    CHECK: ("def check", "guess(value)"),
    MAIN: ("def main", "check(3)"),
    ROUTER_CLASS: ("export class", "\n}"),
    ROUTE: ("route(path", "check(path) }"),
    GUESS: ("export function", "route(x) }"),
}


def _span(symbol_id: str) -> Span:
    path = symbol_id.partition("::")[0]
    source = SOURCES[path]
    start, end = 0, len(source)
    if symbol_id in EXTENTS:
        first, last = (text.encode() for text in EXTENTS[symbol_id])
        start = source.index(first)
        end = source.index(last, start) + len(last.rstrip(b"\n"))
    return {
        "file": PLACES[path],
        "start_line": source.count(b"\n", 0, start) + 1,
        "end_line": source.count(b"\n", 0, max(end - 1, start)) + 1,
        "start_byte": start,
        "end_byte": end,
    }


def documentation(symbol_id: str, summary: str, source: SummarySource = "model") -> Documentation:
    span = _span(symbol_id)
    text = SOURCES[symbol_id.partition("::")[0]][span["start_byte"] : span["end_byte"]]
    return {
        "summary": summary,
        "source": source,
        "content_hash": hashlib.sha256(summary.encode()).hexdigest()[:32],
        "checks": {
            "passed": ["length"],
            "findings": [{"check": "names", "hard": False, "reason": "It names `nothing`."}],
            "source_hash": source_hash(text),
        },
    }


def _node(symbol_id: str, kind: Kind, parent: str | None, **changes: Any) -> Node:
    path, _, local = symbol_id.partition("::")
    qualified_name = local.partition("#")[0]
    name = Path(path).stem if qualified_name == "<module>" else qualified_name.rpartition(".")[2]
    node: Node = {
        "id": symbol_id,
        "name": name,
        "qualified_name": qualified_name,
        "kind": kind,
        "language": "typescript" if path.endswith(".ts") else "python",
        "file": path,
        "signature": None if kind == "module" else f"{kind} {name}",
        "parent": parent,
        "exported": True,
        "is_test": False,
        "documentation": None,
        "failure": None,
        "docstring": None,
        "centrality": 0.0,
        "cluster": None,
        "external_calls": [],
        "unresolved_calls": 0,
        "ambiguous_calls": 0,
    }
    return {**node, **changes}  # type: ignore[typeddict-item]


def nodes() -> list[Node]:
    return [
        _node(APP_MODULE, "module", None),
        _node(EMPTY_MODULE, "module", None),
        _node(ROUTER_MODULE, "module", None),
        _node(
            SESSION,
            "class",
            APP_MODULE,
            documentation=documentation(SESSION, "Keeps cookies between requests.", "offline"),
            docstring="Keeps cookies.",
            cluster=0,
        ),
        _node(LIMIT, "property", SESSION, documentation=documentation(LIMIT, "Returns the limit."), cluster=0),
        _node(
            SETTER,
            "property",
            SESSION,
            failure={"failure": "timeout", "message": "The model did not answer in time."},
            cluster=0,
        ),
        _node(
            CHECK,
            "function",
            APP_MODULE,
            documentation=documentation(CHECK, "Returns what is at the address, or a guess.", "previous"),
            centrality=1.0,
            cluster=1,
            external_calls=["requests.get"],
            unresolved_calls=2,
            ambiguous_calls=1,
            nearest=[{"id": GUESS, "similarity": 0.5}, {"id": SESSION, "similarity": 0.25}],
        ),
        _node(MAIN, "function", APP_MODULE, is_test=True, exported=False, docstring="Runs all."),
        _node(ROUTER_CLASS, "class", ROUTER_MODULE, cluster=1),
        _node(ROUTE, "method", ROUTER_CLASS, documentation=documentation(ROUTE, "Führt zum Ziel ✓."), centrality=0.25),
        _node(GUESS, "function", ROUTER_MODULE, signature="guess(x: number)"),
    ]


def edge(  # noqa: PLR0913, PLR0917 -- an edge has six parts
    start: str, end: str, kind: EdgeKind, lines: list[int], origin: Origin = "lexical", confidence: float = 0.98
) -> Edge:
    return {"from": start, "to": end, "kind": kind, "lines": lines, "origin": origin, "confidence": confidence}


def edges() -> list[Edge]:
    return [
        edge(APP_MODULE, MAIN, "calls", [21]),
        edge(MAIN, CHECK, "calls", [19]),
        edge(MAIN, SESSION, "calls", [19]),
        edge(MAIN, SETTER, "calls", [19], "typed", 0.9),
        edge(SETTER, CHECK, "calls", [13]),
        edge(CHECK, GUESS, "calls", [16], "unique_name", 0.4),
        edge(ROUTE, CHECK, "calls", [3], "unique_name", 0.4),
        edge(GUESS, ROUTE, "calls", [5], "typed", 0.9),
        edge(ROUTER_CLASS, SESSION, "inherits", [], "import", 0.7),
        edge(ROUTER_MODULE, APP_MODULE, "imports", [1], "import", 1.0),
        edge(SESSION, LIMIT, "contains", []),
        edge(ROUTE, LIMIT, "overrides", [], "inherited", 0.8),
    ]


def clusters() -> ClustersDocument:
    return {
        "algorithm": "k-means",
        "k": 2,
        "seed": 0,
        "basis": "words",
        "clusters": [
            {
                "id": 0,
                "label": "session limit",
                "terms": ["session", "limit"],
                "size": 3,
                "members": [SETTER, LIMIT, SESSION],
            },
            {"id": 1, "label": "router", "terms": [], "size": 2, "members": [ROUTER_CLASS, CHECK]},
        ],
    }


def source_map(repository: Repository = REPOSITORY) -> SourceMapDocument:
    template = f"https://github.com/o/r/blob/{COMMIT}/{{path}}#L{{start_line}}-L{{end_line}}"
    return {
        "url_template": template if repository["commit"] else None,
        "files": FILES,
        "symbols": {node["id"]: _span(node["id"]) for node in nodes()},
    }


def build_info(repository: Repository = REPOSITORY) -> BuildInfo:
    return BuildInfo(
        generator={"name": "doctown", "version": "0.2.0"},
        repository=repository,
        created_at="2026-01-31T12:00:00Z" if repository["commit"] else "1970-01-01T00:00:00Z",
        levels={"python": "full", "typescript": "symbols"},
        call_sites=CallSites(resolved=8, external=1, unresolved=2),
        documentation={
            "model": "gpt-6-luna",
            "language": "English",
            "usage": {
                "input_tokens": 900,
                "cached_input_tokens": 0,
                "output_tokens": 90,
                "reasoning_tokens": 0,
                "requests": 3,
                "retries": 1,
            },
            "total_cost": 0.000123,
            "checks": {"checked": 3, "passed_all": 0, "findings": {"names": 3}},
        },
        warnings=["1 file was parsed in part."],
    )


def small_pack(repository: Repository = REPOSITORY) -> Pack:
    return make_pack(
        build_info(repository),
        nodes=nodes(),
        edges=edges(),
        clusters=clusters(),
        source_map=source_map(repository),
    )


def parallel_pack() -> Pack:
    """The small pack with a caller that is sure in one line and guessed in another, and a symbol that calls itself."""
    more = [edge(MAIN, CHECK, "calls", [20], "unique_name", 0.4), edge(CHECK, CHECK, "calls", [16])]
    return make_pack(build_info(), nodes=nodes(), edges=[*edges(), *more], clusters=clusters(), source_map=source_map())


def vectors() -> Vectors:
    """Vectors of some symbols, in another order than that of the pack."""
    return Vectors([MAIN, SESSION], np.array([[1, 0, 0.5], [0, 1, 0]], dtype=np.float32), "bge-small", "a" * 64)


def one_file_pack(path: str, **module: Any) -> Pack:
    """A pack of one empty file, of which the module node can be changed."""
    file: SourceFile = {**FILES[1], "path": path}
    node: Node = {**_node(EMPTY_MODULE, "module", None), "id": f"{path}::<module>", "file": path, **module}  # type: ignore[typeddict-item]
    return make_pack(
        build_info(),
        nodes=[node],
        edges=[],
        clusters={**clusters(), "k": 0, "clusters": []},
        source_map={**source_map(), "files": [file], "symbols": {node["id"]: {**_span(EMPTY_MODULE), "file": 0}}},
    )
