"""Cases of extraction and resolution: a folder with a small project and a hand-written `expected.txt`.

A line of expected.txt is one claim; `#` begins a comment; names are ids (`path::Qualified.name`; a module: `path`):

    call        a.py::f -> b.py::C.m  LINE[,LINE]  ORIGIN     all call edges of the case are listed, and no other exists
    call        a.py::f -> b.py::C.m  LINE[,LINE]  ORIGIN  ~  ... and it rests on what callers pass (a lower confidence)
    inherits    a.py::C -> b.py::D                            if one is listed, all of them are (likewise the next two)
    overrides   a.py::C.m -> b.py::D.m
    imports     a.py -> b.py
    symbol      a.py::C.m  KIND  [exported|private]           if one of a file is listed, all of that file are
    external    a.py::f  NAME                                 all external names of that caller
    unresolved  a.py::f  COUNT                                and `ambiguous` likewise
    signature   a.py::C.m  TEXT
    doc         a.py::C.m  FIRST LINE
    flags       a.py::C.m  FLAG,FLAG                          or `-`
"""

from pathlib import Path

from doctown.graph.model import MODULE, Graph
from doctown.graph.modules import ProjectConfig
from doctown.graph.resolve import resolve
from doctown.graph.sites import ASSUMED_CONFIDENCE
from doctown.parsing.extract import extract
from doctown.parsing.languages import language_of
from doctown.parsing.records import Symbol

EXPECTED = "expected.txt"
LISTED_WHOLE = ("call", "inherits", "overrides", "imports")
EDGE_KINDS = {"calls": "call", "inherits": "inherits", "overrides": "overrides", "imports": "imports"}


def graph_of(folder: Path) -> Graph:
    """Extract and resolve the files of a case."""
    records, manifests = [], {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name == EXPECTED:
            continue
        language = language_of(name)
        if language is None:
            manifests[name] = path.read_text("utf-8")
        else:
            records.append(extract(language, name, path.read_bytes()))
    return resolve(records, ProjectConfig(manifests))


def expected_claims(folder: Path) -> list[str]:
    """Return the claims of a case, spaces folded."""
    lines = (folder / EXPECTED).read_text("utf-8").splitlines()
    return sorted(claim for line in lines if (claim := " ".join(line.partition("# ")[0].split())) and claim[0] != "#")


def found_claims(graph: Graph, expected: list[str]) -> list[str]:
    """Return the claims that hold for a graph, of those kinds and symbols that the expected ones speak of."""
    wanted = {tuple(claim.split()[:2]) for claim in expected}
    kinds = {"call"} | {kind for kind, _ in wanted}
    files = {name.partition("::")[0] for kind, name in wanted if kind == "symbol"}
    claims = [claim for claim in _edge_claims(graph) if claim.split()[0] in kinds]
    claims += [claim for claim in _symbol_claims(graph) if claim.split()[1].partition("::")[0] in files]
    for kind, name, text in _details(graph):
        if (kind, name) in wanted:
            claims.append(" ".join(f"{kind} {name} {text}".split()))
    short = {tuple(claim.split()[:2]): len(claim.split()) for claim in expected if claim.startswith("symbol ")}
    return sorted(
        " ".join(claim.split()[: short.get((claim.split()[0], claim.split()[1]), 4)])
        if claim[:7] == "symbol "
        else claim
        for claim in claims
    )


def _short(node: str) -> str:
    return node.removesuffix(f"::{MODULE}")


def _edge_claims(graph: Graph) -> list[str]:
    claims = []
    for edge in graph.edges:
        if edge.kind not in EDGE_KINDS:
            continue
        claim = f"{EDGE_KINDS[edge.kind]} {_short(edge.source)} -> {_short(edge.target)}"
        if edge.kind == "calls":
            claim += f" {','.join(map(str, edge.lines))} {edge.origin}"
            if edge.origin != "unique_name" and edge.confidence <= ASSUMED_CONFIDENCE:
                claim += " ~"
        claims.append(claim)
    return claims


def _symbols(graph: Graph) -> list[tuple[str, Symbol]]:
    return [
        (node, symbol)
        for file, ids in zip(graph.files, graph.symbol_ids, strict=True)
        for node, symbol in zip(ids, file.symbols, strict=True)
    ]


def _symbol_claims(graph: Graph) -> list[str]:
    return [f"symbol {node} {s.kind} {'exported' if s.exported else 'private'}" for node, s in _symbols(graph)]


def _details(graph: Graph) -> list[tuple[str, str, str]]:
    details = []
    for node, count in graph.counts.items():
        details += [("external", _short(node), name) for name in sorted(count.external_names)]
        details += [
            ("unresolved", _short(node), str(count.unresolved)),
            ("ambiguous", _short(node), str(count.ambiguous)),
        ]
    for node, symbol in _symbols(graph):
        details += [
            ("signature", node, symbol.signature),
            ("doc", node, (symbol.docstring or "-").splitlines()[0]),
            ("flags", node, ",".join(symbol.flags) or "-"),
        ]
    return details


def counted_sites(graph: Graph) -> tuple[int, int]:
    """Return how many call sites the records have, and how many the counts of all symbols add up to."""
    in_records = sum(len(file.calls) for file in graph.files)
    counted = sum(c.resolved + c.external + c.unresolved for c in graph.counts.values())
    return in_records, counted
