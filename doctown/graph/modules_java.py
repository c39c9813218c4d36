"""Java's packages: full names to classes, by the package clauses of the files alone.

A package names no file: what is imported are its classes, each the scope of its body.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from doctown.graph.modules import Modules, Place, ProjectConfig
from doctown.parsing.records import TYPE_KINDS, FileRecord


def modules(  # noqa: C901 - its closures share its tables
    files: Sequence[FileRecord], mine: Sequence[int], _config: ProjectConfig
) -> Modules:
    """Return how the Java files find each other."""
    types: dict[tuple[str, str], list[Place]] = defaultdict(list)  # (package, qualified name) -> its class scope
    homes: dict[tuple[str, str], list[Place]] = defaultdict(list)  # (package, name) -> the module scopes that bind it
    packages: set[str] = set()
    for index in mine:
        package = files[index].package or ""
        while package and package not in packages:
            packages.add(package)
            package = package.rpartition(".")[0]
        package = files[index].package or ""
        for symbol in files[index].symbols:
            if symbol.kind in TYPE_KINDS and "local" not in symbol.flags:
                types[package, symbol.qualified_name].append(Place(index, symbol.scope))
                if symbol.parent < 0:
                    homes[package, symbol.name].append(Place(index))
    stars = {index: [i.module for i in files[index].imports if i.member == "*"] for index in mine}

    @cache
    def named(path: str) -> tuple[Place, ...] | None:
        parts = path.split(".")
        for cut in range(len(parts), -1, -1):
            package = ".".join(parts[:cut])
            found = types.get((package, ".".join(parts[cut:])))
            if found:
                return tuple(found)
        return () if path in packages else None

    def find(_importer: int, module: str) -> tuple[Place, ...] | None:
        return named(module)

    def visible(file: int, name: str) -> tuple[Place, ...]:
        own = homes.get((files[file].package or "", name), ())
        found = tuple(place for place in own if place.file != file)
        if found:
            return found
        for package in stars[file]:
            imported = homes.get((package, name))
            if imported:
                return tuple(imported)
        return ()

    @cache
    def imports_from_outside(file: int) -> bool:
        return any(named(package) is None for package in stars[file])

    def is_root(file: int, name: str) -> bool:
        """Tell whether a name is the first part of a package, or a type that only a package from outside can have."""
        return name in packages or (name[:1].isupper() and not name.endswith("()") and imports_from_outside(file))

    return Modules(find, visible=visible, is_root=is_root)
