"""What resolution leaves: nodes with their counts, and edges."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from doctown.parsing.records import FileRecord

EdgeKind = Literal["calls", "inherits", "imports", "contains", "overrides"]
Origin = Literal["lexical", "import", "self", "inherited", "qualified", "typed", "unique_name"]

MODULE = "<module>"


class Edge(NamedTuple):
    """`lines` are 1-based, in the file of `source`, sorted; empty for containment."""

    source: str
    target: str
    kind: EdgeKind
    lines: tuple[int, ...]
    origin: Origin
    confidence: float


@dataclass
class Counts:
    """The call sites of one symbol."""

    resolved: int = 0
    external: int = 0
    unresolved: int = 0  # with the ambiguous ones
    ambiguous: int = 0
    external_names: set[str] = field(default_factory=set)

    def add(self, external: str | None, *, ambiguous: bool) -> None:
        """Count a call site at which no symbol of the repository is called: external, with its name if it has one."""
        if external is not None:
            self.external += 1
            if external:
                self.external_names.add(external)
        else:
            self.unresolved += 1
            self.ambiguous += ambiguous


@dataclass(frozen=True)
class Graph:
    """The graph of a repository: ids of its nodes by file and place, counts by id, edges sorted."""

    files: Sequence[FileRecord]
    symbol_ids: Sequence[Sequence[str]]  # by file, parallel to FileRecord.symbols
    counts: dict[str, Counts]  # by id; module nodes too
    edges: list[Edge]


def module_id(path: str) -> str:
    """Return the id of a file's module node."""
    return f"{path}::{MODULE}"


def symbol_ids(file: FileRecord) -> list[str]:
    """Return the ids of a file's symbols: repeats of a qualified name get `#2`, `#3` in the order of the source."""
    seen: dict[str, int] = {}
    ids = [""] * len(file.symbols)
    for index in sorted(range(len(ids)), key=lambda i: (file.symbols[i].start_byte, -file.symbols[i].end_byte, i)):
        name = file.symbols[index].qualified_name
        seen[name] = seen.get(name, 0) + 1
        ids[index] = f"{file.path}::{name}" if seen[name] == 1 else f"{file.path}::{name}#{seen[name]}"
    return ids
