"""A docpack with the graph alone, for grading: quickpack.py TREE OUT.docpack."""

import gzip
import io
import json
import sys
import tarfile
from pathlib import Path

from doctown.graph.model import Graph, module_id
from doctown.graph.modules import ProjectConfig
from doctown.graph.resolve import resolve
from doctown.parsing.extract import extract
from doctown.parsing.languages import language_of

MANIFESTS = ("package.json", "tsconfig.json", "jsconfig.json", "go.mod", "Cargo.toml")


def read(tree: Path) -> Graph:
    records, manifests = [], {}
    for path in sorted(tree.rglob("*")):
        name = path.relative_to(tree).as_posix()
        if not path.is_file() or "node_modules" in path.parts:
            continue
        language = language_of(name)
        if language is not None:
            records.append(extract(language, name, path.read_bytes()))
        elif path.name in MANIFESTS or path.suffix == ".csproj":
            manifests[name] = path.read_text("utf-8", "replace")
    return resolve(records, ProjectConfig(manifests))


def members(graph: Graph) -> dict[str, object]:
    nodes, spans = [], {}
    for number, (file, ids) in enumerate(zip(graph.files, graph.symbol_ids, strict=True)):
        top = module_id(file.path)
        nodes.append({"id": top, "name": Path(file.path).stem, "qualified_name": "<module>", "kind": "module",
                      "language": file.language, "file": file.path, "parent": None, **counted(graph, top)})  # fmt: skip
        spans[top] = {"file": number, "start_line": 1, "end_line": file.lines}
        for node, symbol in zip(ids, file.symbols, strict=True):
            nodes.append({"id": node, "name": symbol.name, "qualified_name": symbol.qualified_name, "kind": symbol.kind,
                          "language": file.language, "file": file.path,
                          "parent": ids[symbol.parent] if symbol.parent >= 0 else top,
                          **counted(graph, node)})  # fmt: skip
            spans[node] = {"file": number, "start_line": symbol.start_line, "end_line": symbol.end_line}
    edges = [{"from": e.source, "to": e.target, "kind": e.kind, "lines": e.lines, "origin": e.origin,
              "confidence": e.confidence} for e in graph.edges]  # fmt: skip
    return {"nodes.json": {"nodes": nodes}, "graph.json": {"edges": edges}, "source_map.json": {"symbols": spans}}


def counted(graph: Graph, node: str) -> dict[str, object]:
    count = graph.counts[node]
    return {
        "external_calls": sorted(count.external_names), "unresolved_calls": count.unresolved,
        "ambiguous_calls": count.ambiguous,
    }  # fmt: skip


def main(tree: str, out: str) -> None:
    graph = read(Path(tree))
    with gzip.GzipFile(out, "wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in members(graph).items():
            data = json.dumps(content).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    totals = [(c.resolved, c.external, c.unresolved, c.ambiguous) for c in graph.counts.values()]
    print("resolved, external, unresolved, ambiguous:", *(sum(column) for column in zip(*totals, strict=True)))


if __name__ == "__main__":
    main(*sys.argv[1:3])
