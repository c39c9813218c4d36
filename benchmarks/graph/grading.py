"""Grade the edges and nodes of a graph against what a compiler knows. Pure functions.

Precision is over pairs of a `calls` edge and one of its lines: right when a call on that line has the edge's target
as one of its targets; wrong when every call there that can be meant (those of that name, or else all) is known to lead
elsewhere; not graded where the compiler does not know, or sees no call. Recall is over the call sites whose target is
in the tree: found when an edge from that file has the site's line and leads to one of its targets.

The symbol of a place is the smallest whose span begins there (decorators, annotations and comments may stand above) and
that bears the name which is defined there. A class and its constructor stand for each other.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.graph.truth import Definition, Place, Site, Truth
from doctown.graph.export import EdgeJson, Node

CONSTRUCTORS = frozenset({"__init__", "__new__", "constructor"})
CLASSES = frozenset({"class", "struct", "enum", "interface"})
MAX_LINES_ABOVE_NAME = 15  # of decorators, annotations and comments, from the start of a span
MAX_LINES_APART = 3  # between a definition and the span of its node


class Grade(NamedTuple):
    """What became of the pairs of an edge and a line, and of the call sites that lead into the tree."""

    right: int
    wrong: tuple[str, ...]
    not_graded: int
    sites: int
    missed: tuple[str, ...]

    @property
    def precision(self) -> float:
        return ratio(self.right, self.right + len(self.wrong))

    @property
    def recall(self) -> float:
        return ratio(self.sites - len(self.missed), self.sites)


def without_guesses(edges: Iterable[EdgeJson]) -> list[EdgeJson]:
    """Return the edges that do not rest on a name being the only one of its kind."""
    return [edge for edge in edges if edge["origin"] != "unique_name"]


def grade(nodes: Sequence[Node], edges: Iterable[EdgeJson], truth: Truth) -> Grade:
    symbols = Symbols(nodes, truth.definitions)
    by_line: dict[Place, list[Site]] = defaultdict(list)
    for site in truth.sites:
        for line in lines_of(site):
            by_line[Place(site.file, line)].append(site)
    right, not_graded = 0, 0
    wrong: list[str] = []
    claimed: dict[Place, set[str]] = defaultdict(set)
    for edge in edges:
        if edge["kind"] != "calls":
            continue
        for line in edge["lines"]:
            place = Place(symbols.by_id[edge["from"]]["file"], line)
            claimed[place].add(edge["to"])
            verdict = is_right(symbols, edge["to"], by_line.get(place, []))
            right += verdict is True
            not_graded += verdict is None
            if verdict is False:
                wrong.append(f"{place.file}:{line} -> {edge['to']} ({edge['origin']})")
    inside = [site for site in truth.sites if site.targets]
    missed = tuple(
        f"{site.file}:{site.line} {site.name} -> {site.targets[0].file}:{site.targets[0].line}"
        for site in inside
        if not any(claimed[Place(site.file, line)] & symbols.of(site) for line in lines_of(site))
    )
    return Grade(right, tuple(wrong), not_graded, len(inside), missed)


def is_right(symbols: "Symbols", target: str, here: Sequence[Site]) -> bool | None:
    """Return whether one of the calls on a line leads to the target; None where the compiler does not tell."""
    if any(target in symbols.of(site) for site in here):
        return True
    names = symbols.names_called(target)
    meant = [site for site in here if site.name in names] or here
    known = all(site.targets or site.external for site in meant)
    return False if meant and known else None


def lines_of(site: Site) -> range:
    return range(site.first_line, site.line + 1)


def share_found(nodes: Iterable[Node], definitions: Sequence[Definition]) -> tuple[int, tuple[str, ...]]:
    """Return how many definitions there are, and those that are no node of the same name in about the same place."""
    spans: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for node in nodes:
        spans[node["file"], node["name"]].append((node["start_line"], node["end_line"]))
    missing = tuple(
        f"{file}:{line} {name}"
        for name, file, line in definitions
        if not any(begins_at(start, end, line) for start, end in spans[file, name])
    )
    return len(definitions), missing


def begins_at(start: int, end: int, line: int) -> bool:
    return abs(line - start) <= MAX_LINES_APART or start <= line <= min(end, start + MAX_LINES_ABOVE_NAME)


def ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


class Symbols:
    """The nodes of a graph by their place in the source."""

    def __init__(self, nodes: Iterable[Node], definitions: Iterable[Definition]) -> None:
        self.by_id = {node["id"]: node for node in nodes}
        self._by_file: dict[str, list[Node]] = defaultdict(list)
        self._constructors: dict[str, set[str]] = defaultdict(set)  # by class
        self._names: dict[Place, set[str]] = defaultdict(set)
        self._found: dict[Place, frozenset[str]] = {}
        for node in self.by_id.values():
            if node["kind"] != "module":
                self._by_file[node["file"]].append(node)
            parent = node["parent"]
            if parent is not None and self._is_constructor(node):
                self._constructors[parent].add(node["id"])
        for definition in definitions:
            self._names[Place(definition.file, definition.line)].add(definition.name)

    def of(self, site: Site) -> frozenset[str]:
        """Return the ids of the symbols that are the site's targets."""
        return frozenset().union(*(self._at(place) for place in site.targets))

    def names_called(self, target: str) -> frozenset[str]:
        """Return the names by which a symbol can be called: a constructor also by that of its class."""
        node = self.by_id[target]
        parent = self.by_id.get(node["parent"] or "")
        return frozenset({node["name"], parent["name"]} if parent and self._is_constructor(node) else {node["name"]})

    def _at(self, place: Place) -> frozenset[str]:
        if place not in self._found:
            self._found[place] = self._find(place)
        return self._found[place]

    def _find(self, place: Place) -> frozenset[str]:
        names, here = self._names[place], self._by_file[place.file]
        held = [
            node
            for node in here
            if node["start_line"] <= place.line <= min(node["end_line"], node["start_line"] + MAX_LINES_ABOVE_NAME)
            and (not names or node["name"] in names)
        ]
        size = min((lines_in(node) for node in held), default=0)
        smallest = [node for node in held if lines_in(node) == size]
        found = {node["id"] for node in smallest}
        for node in smallest:
            parent = node["parent"]
            if parent is not None and self._is_constructor(node):
                found.add(parent)
            if node["kind"] in CLASSES:
                found |= self._constructors[node["id"]]
        return frozenset(found)

    def _is_constructor(self, node: Node) -> bool:
        """Return whether a node is a constructor: Java's bears the name of its class."""
        parent = self.by_id.get(node["parent"] or "")
        is_javas = parent is not None and parent["kind"] in CLASSES and parent["name"] == node["name"]
        return node["name"] in CONSTRUCTORS or (is_javas and node["language"] == "java" and node["kind"] not in CLASSES)


def lines_in(node: Node) -> int:
    return node["end_line"] - node["start_line"]
