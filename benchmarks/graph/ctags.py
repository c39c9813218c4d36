"""The definitions of a tree by Universal Ctags, for languages whose compiler is not asked."""

import json
from pathlib import Path
from typing import Literal

from benchmarks.graph.tools import run, tool
from benchmarks.graph.truth import Definition

KINDS = {
    "Go": frozenset({"func", "struct", "interface", "type"}),
    "Rust": frozenset({"function", "method", "struct", "enum", "interface", "macro"}),
}


def definitions(folder: Path, language: Literal["Go", "Rust"]) -> tuple[Definition, ...]:
    """Return the functions, methods and types of a folder, tests among them. Raises Unmeasured."""
    options = [f"--languages={language}", "--output-format=json", "--fields=+nK", "--recurse", "-f", "-"]
    tags = [json.loads(line) for line in run([tool("ctags", "universal-ctags"), *options, str(folder)]).splitlines()]
    return tuple(
        Definition(tag["name"], Path(tag["path"]).relative_to(folder).as_posix(), tag["line"])
        for tag in tags
        if tag.get("kind") in KINDS[language]
    )
