"""Go's packages: import paths to folders, by go.mod, by vendor folders, and by a GOPATH's layout.

A package is all files of a folder with the same package clause. Build constraints are not read: a name that is defined
for several systems has several places.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from doctown.graph.modules import Modules, Place, ProjectConfig
from doctown.parsing.records import FileRecord

_MODULE = re.compile(r"^\s*module\s+\"?([^\s\"]+)", re.MULTILINE)


def modules(  # noqa: C901 - its closures share its tables
    files: Sequence[FileRecord], mine: Sequence[int], config: ProjectConfig
) -> Modules:
    """Return how the Go files find each other."""
    packages: dict[tuple[str, str], list[int]] = defaultdict(list)  # (folder, package name) -> files
    by_folder: dict[str, list[int]] = defaultdict(list)
    for index in mine:
        folder = files[index].path.rpartition("/")[0]
        packages[folder, files[index].package or ""].append(index)
        by_folder[folder].append(index)
    roots = _roots(config)
    names: dict[tuple[str, str], dict[str, list[Place]]] = {
        key: _names(files, members) for key, members in packages.items()
    }

    @cache
    def importable(folder: str) -> tuple[Place, ...] | None:
        """Return the files of a folder that others see: those of its package, not of its tests."""
        held = by_folder.get(folder)
        if held is None:
            return None
        return tuple(Place(index) for index in held if not files[index].path.endswith("_test.go")) or None

    @cache
    def folder_of(path: str) -> str | None:
        for module, root in roots:
            if path == module or path.startswith(f"{module}/"):
                folder = _join(root, path[len(module) + 1 :])
                if folder in by_folder:
                    return folder
        for folder in (f"vendor/{path}", f"src/{path}", f"src/vendor/{path}"):
            if folder in by_folder:
                return folder
        # Without a go.mod the repository stands somewhere below a GOPATH: its folders are ends of import paths.
        parts = path.split("/")
        if not roots and "." in parts[0]:
            for cut in range(len(parts)):
                folder = "/".join(parts[cut:])
                if folder in by_folder:
                    return folder
        return None

    def find(_importer: int, path: str) -> tuple[Place, ...] | None:
        folder = folder_of(path)
        return None if folder is None else importable(folder)

    def visible(file: int, name: str) -> tuple[Place, ...]:
        key = (files[file].path.rpartition("/")[0], files[file].package or "")
        return tuple(place for place in names.get(key, {}).get(name, ()) if place.file != file)

    return Modules(find, visible=visible, separator="/")


def _roots(config: ProjectConfig) -> list[tuple[str, str]]:
    """Return the modules that go.mod files declare with their folders, the longest path first."""
    found: list[tuple[str, str]] = []
    for path, text in config.manifests.items():
        if path.rpartition("/")[2] == "go.mod":
            declared = _MODULE.search(text)
            if declared:
                found.append((declared.group(1), path.rpartition("/")[0]))
    return sorted(found, key=lambda entry: (-len(entry[0]), entry))


def _names(files: Sequence[FileRecord], members: Sequence[int]) -> dict[str, list[Place]]:
    """Return where a package binds its names."""
    found: dict[str, list[Place]] = defaultdict(list)
    for index in members:
        for name in sorted({binding.name for binding in files[index].bindings if binding.scope == 0}):
            found[name].append(Place(index))
    return found


def _join(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder and path else folder or path
