"""What a compiler knows of a tree: its call sites with their targets, and its definitions, as the oracles write them.

An oracle writes JSON lines: for a call site `{"file", "line", "first_line", "name", "targets": [[file, line], …],
"external"}`, for a definition `{"definition": name, "file", "line"}`. Paths are relative to the tree, lines 1-based.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple


class Place(NamedTuple):
    """The line in which a name is defined."""

    file: str
    line: int


class Site(NamedTuple):
    """A call site. Without targets it is external (it leads out of the tree), or the compiler does not know."""

    file: str
    line: int  # of the name that is called
    first_line: int  # of the call: the first line of a chain of calls
    name: str
    targets: tuple[Place, ...]  # several: overloads, and conditional definitions
    external: bool


class Definition(NamedTuple):
    """A function, class or method with a name."""

    name: str
    file: str
    line: int  # of the name


class Truth(NamedTuple):
    """All that the compiler knows of a tree."""

    sites: tuple[Site, ...]
    definitions: tuple[Definition, ...]


def read_truth(lines: Iterable[str]) -> Truth:
    sites, definitions = [], []
    for line in lines:
        row = json.loads(line)
        if "definition" in row:
            definitions.append(Definition(row["definition"], row["file"], row["line"]))
        else:
            targets = tuple(Place(file, line) for file, line in row["targets"])
            sites.append(Site(row["file"], row["line"], row["first_line"], row["name"], targets, row["external"]))
    return Truth(tuple(sites), tuple(definitions))
