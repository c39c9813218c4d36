"""Python's imports: dotted names to files, from the layout alone.

A file's module name is its path below the outermost folder with `__init__.py`; it can also be named from the root of
the repository, from a folder `src` or `lib`, and from beside the importing file (a script's own folder is on its path).
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from doctown.graph.modules import Modules, Place, ProjectConfig
from doctown.parsing.records import FileRecord

SOURCE_FOLDERS = frozenset({"src", "lib", "python"})


class Layout(NamedTuple):
    """Where the modules of a repository are."""

    modules: dict[str, int]  # path without extension -> file
    folders: set[str]  # that have Python files in them, at any depth; "" is the root
    roots: dict[str, list[str]]  # first part of a dotted name -> folders from which imports may start

    def at(self, path: str) -> tuple[Place, ...] | None:
        """Return the module at a path without extension; () for a folder without `__init__.py`."""
        for stem in (f"{path}/__init__" if path else "__init__", path):
            if stem in self.modules:
                return (Place(self.modules[stem]),)
        return () if path in self.folders else None


def modules(files: Sequence[FileRecord], mine: Sequence[int], _config: ProjectConfig) -> Modules:
    """Return how the Python files find each other."""
    layout = _layout([(files[index].path, index) for index in mine])

    @cache
    def absolute(folder: str, module: str) -> tuple[Place, ...] | None:
        return _absolute(layout, folder, module.replace(".", "/"))

    def find(importer: int, module: str) -> tuple[Place, ...] | None:
        folder = files[importer].path.rpartition("/")[0]
        if not module.startswith("."):
            return absolute(folder, module)
        name = module.lstrip(".")
        for _ in range(len(module) - len(name) - 1):
            folder = folder.rpartition("/")[0]
        return layout.at(_join(folder, name.replace(".", "/")) if name else folder)

    return Modules(find)


def _layout(paths: Sequence[tuple[str, int]]) -> Layout:
    by_path: dict[str, int] = {}
    folders: set[str] = {""}
    for path, index in paths:
        stem, _, extension = path.rpartition(".")
        if extension == "py" or stem not in by_path:
            by_path[stem] = index
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return Layout(by_path, folders, _roots(by_path, folders))


def _absolute(layout: Layout, folder: str, path: str) -> tuple[Place, ...] | None:
    """Return the module that an absolute import from a file of `folder` names.

    Of several, one with a file before a mere folder, then the one whose root is nearest around the importing file.
    """
    first = path.partition("/")[0]
    found = {root: layout.at(_join(root, path)) for root in layout.roots.get(first, ())}
    candidates = [root for root, places in found.items() if places is not None]
    if candidates:
        return found[max(candidates, key=lambda root: (found[root] != (), _shared(root, folder), -len(root), root))]
    # A script outside of packages finds what lies beside it.
    return layout.at(_join(folder, path)) if f"{folder}/__init__" not in layout.modules else None


def _roots(by_path: dict[str, int], folders: set[str]) -> dict[str, list[str]]:
    """Return, for each first part of a dotted name, the folders that imports may start from."""
    tops: dict[str, set[str]] = defaultdict(set)
    packages = {stem.removesuffix("__init__").rstrip("/") for stem in by_path if stem.rpartition("/")[2] == "__init__"}
    for entry in [*by_path, *folders]:
        folder, _, name = entry.rpartition("/")
        if not name or name == "__init__":
            continue
        is_root = folder == "" or folder.rpartition("/")[2] in SOURCE_FOLDERS
        if is_root or (entry in packages and folder not in packages):
            tops[name].add(folder)
    return {name: sorted(found) for name, found in tops.items()}


def _join(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path


def _shared(root: str, folder: str) -> int:
    """Return how much of the importing file's folder a root covers, -1 where it stands elsewhere."""
    return len(root) if root in (folder, "") or folder.startswith(f"{root}/") else -1
