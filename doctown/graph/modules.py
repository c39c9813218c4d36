"""Which files an import names. Each language has its own rules, in modules_LANGUAGE.py; this is what they share.

A language without such a module has no imports that lead into the repository.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

from doctown.parsing.records import FileRecord

# language -> the module of doctown.graph that has modules(files, mine, config); those that import each other share one
FINDERS: Mapping[str, str] = {
    "python": "modules_python",
    "rust": "modules_rust",
    "go": "modules_go",
    "java": "modules_java",
    "csharp": "modules_csharp",
    "typescript": "modules_javascript",
    "javascript": "modules_javascript",
    "svelte": "modules_javascript",
    "vue": "modules_javascript",
}


class ProjectConfig(NamedTuple):
    """What module resolution must know beside the sources: manifests by their path in the repository, as text."""

    manifests: Mapping[str, str] = {}  # package.json, tsconfig.json, go.mod, Cargo.toml, *.csproj


class Place(NamedTuple):
    """A module or a part of one: a scope of a file, 0 for the whole file."""

    file: int
    scope: int = 0


class Modules(NamedTuple):
    """How the files of a language find each other."""

    # (importing file, module as written) -> its places; () for a mere folder, None for what is not in the repository
    find: Callable[[int, str], tuple[Place, ...] | None]
    # file -> other module scopes whose names it sees without an import (Go package, Java package)
    siblings: Callable[[int], tuple[Place, ...]] = lambda _file: ()
    separator: str = "."  # between a module and a module in it
    # (file, name) -> scopes that bind a name which the file sees without an import (as `siblings`, by name)
    visible: Callable[[int, str], tuple[Place, ...]] = lambda _file, _name: ()
    # (file, name) -> whether that names a module from everywhere: a Rust crate, the first part of a C# namespace
    is_root: Callable[[int, str], bool] = lambda _file, _name: False


NO_MODULES = Modules(lambda _file, _module: None)


def find_modules(files: Sequence[FileRecord], config: ProjectConfig) -> list[Modules]:
    """Return for each file the modules that it can see."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        groups[FINDERS.get(file.language, "")].append(index)
    found = [NO_MODULES] * len(files)
    for name, mine in sorted(groups.items()):
        if name:
            modules: Modules = import_module(f"doctown.graph.{name}").modules(files, mine, config)
            for index in mine:
                found[index] = modules
    return found
