"""C#'s namespaces: full names to types, by the namespace declarations of the files alone.

A namespace names no file: what is found are its types, each the scope of its body. A name is looked for in the
namespaces around it, from the inside out, then in those of the `using` directives; `global using` holds for all files
of the project, which is the folder of the nearest .csproj.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from doctown.graph.modules import Modules, Place, ProjectConfig
from doctown.parsing.records import FileRecord

GLOBAL = "global "


class _Tables(NamedTuple):
    """The types of all files: by namespace and name the scopes that bind them, by full name their own scopes.

    `inside` has the namespaces that each file declares, in their order; "" is the global one.
    """

    homes: dict[tuple[str, str], list[Place]]
    types: dict[str, list[Place]]
    namespaces: set[str]
    inside: dict[int, list[str]]


def _tables(files: Sequence[FileRecord], mine: Sequence[int]) -> _Tables:
    tables = _Tables(defaultdict(list), defaultdict(list), set(), {})
    for index in mine:
        record = files[index]
        tables.inside[index] = sorted({one.name or "" for one in record.scopes if one.kind == "namespace"}) or [""]
        for name in tables.inside[index]:
            tables.namespaces.update(_and_around(name))
        for symbol in record.symbols:
            if symbol.scope < 0 or record.scopes[symbol.scope].kind != "class" or "local" in symbol.flags:
                continue
            namespace = _namespace_of(record, symbol.within)
            full = f"{namespace}.{symbol.qualified_name}" if namespace else symbol.qualified_name
            tables.types[full].append(Place(index, symbol.scope))
            if symbol.parent < 0:
                tables.homes[namespace, symbol.name].append(Place(index, symbol.within))
    return tables


def modules(  # noqa: C901 - its closures share its tables
    files: Sequence[FileRecord], mine: Sequence[int], config: ProjectConfig
) -> Modules:
    """Return how the C# files find each other."""
    homes, types, namespaces, inside = _tables(files, mine)
    projects = sorted(
        (path.rpartition("/")[0] for path in config.manifests if path.endswith(".csproj")), key=len, reverse=True
    )
    everywhere: dict[str, list[str]] = defaultdict(list)
    for index in mine:
        for imported in files[index].imports:
            if imported.member == "*" and imported.module.startswith(GLOBAL):
                everywhere[_project(projects, files[index].path)].append(imported.module.removeprefix(GLOBAL))

    @cache
    def usings(file: int) -> tuple[str, ...]:
        own = [i.module.removeprefix(GLOBAL) for i in files[file].imports if i.member == "*"]
        return tuple(dict.fromkeys([*own, *everywhere[_project(projects, files[file].path)]]))

    @cache
    def find(importer: int, module: str) -> tuple[Place, ...] | None:
        name = module.removeprefix(GLOBAL)
        around = [space for held in inside.get(importer, ()) for space in _and_around(held) if space]
        for full in (name, *(f"{space}.{name}" for space in around)):
            if full in types:
                return tuple(types[full])
            if full in namespaces:
                return ()
        return None

    @cache
    def visible(file: int, name: str) -> tuple[Place, ...]:
        spaces = [space for held in inside[file] for space in _and_around(held)]
        for space in dict.fromkeys(spaces):
            found = homes.get((space, name))
            if found:
                return tuple(found)
        found = [place for space in usings(file) for place in homes.get((space, name), ())]
        if found:
            return tuple(found)
        # The members of `using static`.
        return tuple(place for full in usings(file) for place in types.get(full, ()))

    @cache
    def uses_outside(file: int) -> bool:
        return any(find(file, space) is None for space in usings(file))

    def is_root(file: int, name: str) -> bool:
        """Tell whether a name begins a namespace, or is a type that only a namespace from outside can have."""
        return name in namespaces or (name[:1].isupper() and uses_outside(file))

    return Modules(find, visible=visible, is_root=is_root)


def _and_around(namespace: str) -> Iterator[str]:
    """Yield a namespace and those around it, the global one last."""
    while namespace:
        yield namespace
        namespace = namespace.rpartition(".")[0]
    yield ""


def _namespace_of(record: FileRecord, scope: int) -> str:
    while scope >= 0:
        if record.scopes[scope].kind == "namespace":
            return record.scopes[scope].name or ""
        scope = record.scopes[scope].parent
    return ""


def _project(projects: Sequence[str], path: str) -> str:
    """Return the folder of the project that a file belongs to."""
    return next((folder for folder in projects if folder == "" or path.startswith(f"{folder}/")), "")
