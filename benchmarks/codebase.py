"""Contexts of a real codebase: every function, method and class of the installed `requests` package.

Its version is pinned, so that every machine measures the same code. Calls are matched by name only and centrality is
PageRank, as callers send it, which is enough where sizes and the shape of the call graph matter. Leaves out other
languages.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

GREATEST_CENTRALITY = 0.41
DAMPING = 0.85
ROUNDS = 50

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def contexts_of_requests() -> list[dict[str, Any]]:
    """Return the symbols of a job's input."""
    spec = find_spec("requests")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    symbols = [symbol for path in sorted(package.glob("*.py")) for symbol in read_module(path, package.parent)]
    callers = defaultdict(list)
    for symbol in symbols:
        for name in symbol["calls"]:
            callers[name].append(symbol["name"])
    rank = page_rank({symbol["name"]: symbol["calls"] for symbol in symbols})
    most = max(rank.values())
    for symbol in symbols:
        symbol["called_by"] = callers[symbol["name"]][:20]
        symbol["centrality"] = round(GREATEST_CENTRALITY * rank[symbol["name"]] / most, 4)
    return [{"symbol_id": symbol["symbol_id"], "context": symbol} for symbol in symbols]


def page_rank(calls: dict[str, list[str]]) -> dict[str, float]:
    """Return the PageRank of each name (Page et al., 1999; damping 0.85): callees of central symbols are central."""
    called = {name: [other for other in others if other in calls] for name, others in calls.items()}
    rank = dict.fromkeys(calls, 1.0)
    for _ in range(ROUNDS):
        passed_on: defaultdict[str, float] = defaultdict(float)
        for name, others in called.items():
            for other in others:
                passed_on[other] += DAMPING * rank[name] / len(others)
        rank = {name: 1 - DAMPING + passed_on[name] for name in calls}
    return rank


def read_module(path: Path, root: Path) -> Iterator[dict[str, Any]]:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    imports = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in ast.walk(tree):
        if isinstance(node, Definition):
            body = ast.get_source_segment(source, node) or ""
            file_path = str(path.relative_to(root))
            yield {
                "symbol_id": f"{file_path}:{node.name}:{node.lineno}",
                "name": node.name,
                "kind": "class" if isinstance(node, ast.ClassDef) else "function",
                "language": "python",
                "file_path": file_path,
                "signature": body.split(":\n")[0][:500],
                "calls": called_in(node) if not isinstance(node, ast.ClassDef) else [],
                "imports": imports,
                "cluster_label": path.stem,
                "source_code": body,
            }


def called_in(node: ast.AST) -> list[str]:
    targets = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
    names = {target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "") for target in targets}
    return sorted(names - {""})
