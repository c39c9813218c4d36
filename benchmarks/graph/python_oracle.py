"""What pyright, through scip-python, knows of the call sites of a Python tree.

The call sites and definitions come from the standard library's `ast`, what the name at a place means from the index
that scip-python writes.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.graph.scip import occurrences
from benchmarks.graph.truth import Definition, Place, Site, Truth

PROJECT = "tree"  # the name under which the tree is indexed
DESCRIBED = re.compile(rf"scip-python python {PROJECT} \S+ `?([^`/]+)`?/(.+)")
DESCRIPTOR = re.compile(r"`?(\w+)`?(?:\(\)\.|#)")  # of a function or class

Definable = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Symbol = tuple[str, str]  # the file of a local symbol or "", and the symbol


class Source(NamedTuple):
    """A file that Python can parse."""

    tree: ast.Module
    lines: list[str]


class NamePlace(NamedTuple):
    """Where a name stands; the column counts UTF-16 units."""

    file: str
    line: int
    column: int


class QualifiedName(NamedTuple):
    """A name with its module, dotted."""

    module: str
    name: str


class Index:
    """What each name means, from the definitions of the sources and the occurrences of the index."""

    def __init__(self, sources: dict[str, Source], scip: bytes) -> None:
        self.definitions: dict[NamePlace, Definition] = {}
        self._places: dict[QualifiedName, list[NamePlace]] = defaultdict(list)  # overloads, conditional definitions
        self._symbols: dict[NamePlace, list[Symbol]] = defaultdict(list)
        self._homes: dict[Symbol, list[NamePlace]] = defaultdict(list)
        for file, source in sources.items():
            for path, node in definitions_in(source.tree, ()):
                place = name_place(file, node, source.lines)
                self.definitions[place] = Definition(node.name, file, place.line)
                self._places[QualifiedName(module_name(file), ".".join(path))].append(place)
        self._alike = {place: places for places in self._places.values() for place in places}
        for file, line, column, name, is_definition in occurrences(scip):
            symbol = (file if name.startswith("local ") else "", name)
            self._symbols[NamePlace(file, line, column)].append(symbol)
            if is_definition:
                self._homes[symbol].append(NamePlace(file, line, column))

    def targets(self, name: NamePlace) -> tuple[Place, ...]:
        """Return the definitions in the tree that a name means."""
        places = [
            place
            for symbol in self._symbols.get(name, [])
            for place in self._homes.get(symbol) or self._places.get(described(symbol), [])
            if place in self.definitions
        ]
        with_overloads = dict.fromkeys([*places, *(other for place in places for other in sorted(self._alike[place]))])
        return tuple(dict.fromkeys(Place(place.file, place.line) for place in with_overloads))

    def is_external(self, name: NamePlace) -> bool:
        """Return whether all that a name means is known to be outside of the tree."""
        symbols = self._symbols.get(name, [])
        return bool(symbols) and not any(
            symbol[0] or symbol in self._homes or described(symbol).module for symbol in symbols
        )


def python_truth(folder: Path, scip: bytes) -> Truth:
    """Return what the index tells of the calls by name in a folder's Python files."""
    sources = dict(sources_in(folder))
    index = Index(sources, scip)
    sites = []
    for file, source in sources.items():
        for call in ast.walk(source.tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name | ast.Attribute):
                place, name = called_name(file, call.func, source.lines)
                targets = index.targets(place)
                external = not targets and index.is_external(place)
                sites.append(Site(file, place.line, call.lineno, name, targets, external))
    return Truth(tuple(sites), tuple(index.definitions.values()))


def sources_in(folder: Path) -> Iterator[tuple[str, Source]]:
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            yield path.relative_to(folder).as_posix(), Source(ast.parse(text), text.split("\n"))
        except SyntaxError:
            continue  # no compiler knows its calls


def definitions_in(parent: ast.AST, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Definable]]:
    """Yield the functions and classes below a node, each with the names that lead to it."""
    for node in ast.iter_child_nodes(parent):
        inner = path
        if isinstance(node, Definable):
            inner = (*path, node.name)
            yield inner, node
        yield from definitions_in(node, inner)


def called_name(file: str, called: ast.Name | ast.Attribute, lines: list[str]) -> tuple[NamePlace, str]:
    if isinstance(called, ast.Name):
        return NamePlace(file, called.lineno, utf16_column(lines[called.lineno - 1], called.col_offset)), called.id
    line, end = called.end_lineno or called.lineno, called.end_col_offset or 0
    return NamePlace(file, line, utf16_column(lines[line - 1], end) - len(called.attr)), called.attr


def name_place(file: str, node: Definable, lines: list[str]) -> NamePlace:
    """Return where the name of a definition stands; `node.col_offset` is that of `def`, `async` or `class`."""
    line = lines[node.lineno - 1]
    return NamePlace(file, node.lineno, line.find(node.name, utf16_column(line, node.col_offset)))


def utf16_column(line: str, offset: int) -> int:
    """Return the column in UTF-16 units, as pyright counts, of an offset in UTF-8 bytes, as `ast` counts."""
    return len(line.encode()[:offset].decode(errors="replace").encode("utf-16-le")) // 2


def described(symbol: Symbol) -> QualifiedName:
    """Return what a symbol of the tree says of itself: the index has no definition of a class with a builtin's name."""
    found = DESCRIBED.match(symbol[1])
    return QualifiedName(found[1], ".".join(DESCRIPTOR.findall(found[2]))) if found else QualifiedName("", "")


def module_name(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
