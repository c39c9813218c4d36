"""Rust's crates and modules: Cargo.toml, `mod` declarations, paths.

A module's path begins at a crate root (lib.rs, main.rs, src/bin, tests, examples, benches, build.rs, or what Cargo.toml
names). The extractor writes paths from inside of inline modules as `outer::inner>path`. Left out: `cfg`, renamed
dependencies, 2015's rule that `use` begins at the crate root (it is tried last).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from doctown.graph.modules import Modules, Place, ProjectConfig
from doctown.parsing.records import TYPE_KINDS, FileRecord, Import

MAX_STEPS = 12  # of imports behind a path
ROOT_FOLDERS = ("src/bin", "tests", "examples", "benches")


_HEADER = re.compile(r"\s*\[\[?([^\]]+)\]")
_KEY = re.compile(r"""\s*(?:"([^"]+)"|([\w.-]+))\s*=\s*(?:["']([^"']*)["'])?""")


class Entry(NamedTuple):
    """A key of a manifest: its table, and its value where that is a string."""

    section: str
    key: str
    value: str


class Crate(NamedTuple):
    """A crate: the file it begins at, and the name that others call it by (None for binaries and tests)."""

    root: str
    name: str | None


def modules(files: Sequence[FileRecord], mine: Sequence[int], config: ProjectConfig) -> Modules:
    """Return how the Rust files find each other."""
    tree = _Tree(files, mine, config)
    return Modules(tree.find, visible=tree.visible, is_root=tree.is_crate, separator="::")


class _Tree:
    """The modules of all crates, by crate and path."""

    def __init__(self, files: Sequence[FileRecord], mine: Sequence[int], config: ProjectConfig) -> None:
        self.files = files
        self.by_path = {files[index].path: index for index in mine}
        self.places: dict[tuple[str, tuple[str, ...]], Place] = {}
        self.home: dict[int, tuple[str, tuple[str, ...]]] = {}  # file -> crate root, module path
        self.imports: dict[Place, dict[str, Import]] = {}
        self.found: dict[tuple[int, str], tuple[Place, ...] | None] = {}
        crates = _crates(config, self.by_path)
        self.by_name = {crate.name: crate.root for crate in reversed(crates) if crate.name}
        self.dependencies = _dependencies(config)
        for crate in crates:
            self._add_file(self.by_path[crate.root], crate.root, ())
        for index in mine:
            if index not in self.home:  # not reached: a crate of its own, so that its inner paths work
                self._add_file(index, files[index].path, ())
        self.macros: dict[str, list[Place]] = defaultdict(list)
        for index in mine:
            for name in sorted({b.name for b in files[index].bindings if b.name.endswith("!") and b.scope == 0}):
                self.macros[name].append(Place(index))

    def _add_file(self, index: int, crate: str, path: tuple[str, ...]) -> None:
        todo = [(index, path)]
        while todo:
            current, at = todo.pop()
            if (crate, at) in self.places:
                continue
            if current not in self.home:
                self.home[current] = (crate, at)
            self.places[crate, at] = Place(current)
            self._add_inline(current, crate, at)
            is_root = current == self.by_path[crate]
            for prefix, name, written in _declared(self.files[current]):
                below = self._file_of(current, prefix, name, written, is_root=is_root)
                if below is not None:
                    todo.append((below, (*at, *prefix, name)))

    def _add_inline(self, index: int, crate: str, path: tuple[str, ...]) -> None:
        scopes = self.files[index].scopes
        paths: dict[int, tuple[str, ...]] = {0: path}
        for number, scope in enumerate(scopes):
            if scope.kind == "module" and number and scope.parent in paths:
                paths[number] = (*paths[scope.parent], scope.name or "")
                self.places.setdefault((crate, paths[number]), Place(index, number))

    def _file_of(self, index: int, prefix: tuple[str, ...], name: str, written: str, *, is_root: bool) -> int | None:
        """Return the file of `mod name;`: beside a root or mod.rs, else in the folder that bears the file's name."""
        folder, _, file_name = self.files[index].path.rpartition("/")
        if written:
            return self.by_path.get(_normal(f"{folder}/{written}" if folder else written))
        stem = file_name.removesuffix(".rs")
        parts = [folder] if folder else []
        if not is_root and stem not in ("mod", "lib", "main"):
            parts.append(stem)
        parts += prefix
        base = "/".join(parts)
        for path in (f"{name}.rs", f"{name}/mod.rs"):
            found = self.by_path.get(f"{base}/{path}" if base else path)
            if found is not None:
                return found
        return None

    # paths

    def is_crate(self, _file: int, name: str) -> bool:
        """Tell whether a name is a crate's: of the repository, or a dependency's."""
        return name in self.by_name or name in self.dependencies

    def visible(self, file: int, name: str) -> tuple[Place, ...]:
        """Return the modules that have a macro: macros are seen in the whole crate."""
        if not name.endswith("!"):
            return ()
        held = self.macros.get(name, ())
        crate = self.home[file][0]
        own = tuple(place for place in held if self.home[place.file][0] == crate)
        return own or tuple(held if len(held) == 1 else ())

    def find(self, importer: int, module: str) -> tuple[Place, ...] | None:
        """Return the place that a path names from a file."""
        key = (importer, module)
        if key not in self.found:
            self.found[key] = None
            self.found[key] = self._find(importer, module, 0)
        return self.found[key]

    def _find(self, importer: int, module: str, steps: int) -> tuple[Place, ...] | None:
        if module.startswith('"'):
            folder = self.files[importer].path.rpartition("/")[0]
            below = self.by_path.get(_normal(f"{folder}/{module[1:-1]}" if folder else module[1:-1]))
            return None if below is None else (Place(below),)
        prefix, _, path = module.rpartition(">")
        crate, around = self.home[importer]
        base = (*around, *(prefix.split("::") if prefix else ()))
        return self._walk(crate, base, path.split("::"), steps)

    def _walk(  # noqa: C901, PLR0911 - one rule of name lookup a line
        self, crate: str, base: tuple[str, ...], parts: list[str], steps: int
    ) -> tuple[Place, ...] | None:
        first, rest = parts[0], parts[1:]
        if first == "crate":
            return self._below(crate, (), rest, steps)
        if first in ("self", "super"):
            at = base
            remaining = list(parts)
            while remaining and remaining[0] in ("self", "super"):
                at = at[:-1] if remaining[0] == "super" else at
                remaining = remaining[1:]
            return self._below(crate, at, remaining, steps)
        if first == "":
            parts, first, rest = rest, rest[0] if rest else "", rest[1:]
        elif (crate, (*base, first)) in self.places:
            return self._below(crate, base, parts, steps)
        root = self.by_name.get(first)
        if root is not None:
            return self._below(root, (), rest, steps)
        imported = self._imported(self.places.get((crate, base)), first, steps)
        if imported is not None:
            return self._from(imported[0], rest, steps + 1) if imported else ()
        here = self._from(self.places.get((crate, base)), [first], steps) if rest == [] else None
        if here:
            return here
        typed = self._type_scope(self.places.get((crate, base)), first)
        if typed is not None:
            return (typed,)
        if (crate, (first,)) in self.places:
            return self._below(crate, (), parts, steps)
        return None

    def _below(self, crate: str, at: tuple[str, ...], parts: Sequence[str], steps: int) -> tuple[Place, ...]:
        place = self.places.get((crate, at))
        return self._from(place, parts, steps) or ()

    def _from(self, place: Place | None, parts: Sequence[str], steps: int) -> tuple[Place, ...] | None:
        """Follow the parts of a path from a module: modules in it, types in it, what it re-exports."""
        if place is None or steps > MAX_STEPS:
            return None
        for position, part in enumerate(parts):
            below = self._child(place, part)
            if below is None:
                below = self._type_scope(place, part)
            if below is None:
                imported = self._imported(place, part, steps)
                if not imported:
                    return None
                return self._from(imported[0], parts[position + 1 :], steps + 1)
            place = below
        return (place,)

    def _child(self, place: Place, name: str) -> Place | None:
        crate, around = self.home[place.file]
        return self.places.get((crate, (*around, *self._inline_path(place), name)))

    def _inline_path(self, place: Place) -> tuple[str, ...]:
        scopes = self.files[place.file].scopes
        path: list[str] = []
        scope = place.scope
        while scope > 0:
            path.append(scopes[scope].name or "")
            scope = scopes[scope].parent
        return tuple(reversed(path))

    def _type_scope(self, place: Place | None, name: str) -> Place | None:
        """Return the scope of a type that a module defines: `use Enum::*` reads the names in it."""
        if place is None:
            return None
        for symbol in self.files[place.file].symbols:
            if symbol.name == name and symbol.within == place.scope and symbol.kind in TYPE_KINDS:
                return Place(place.file, symbol.scope)
        return None

    def _imported(self, place: Place | None, name: str, steps: int) -> tuple[Place, ...] | None:
        """Return the module that an import of `place` binds to a name; None where it imports none of that name."""
        if place is None or steps > MAX_STEPS:
            return None
        record = self.files[place.file]
        if place not in self.imports:
            held = [i for i in record.imports if i.scope == place.scope]
            self.imports[place] = {i.name: i for i in reversed(held) if i.member != "*"}
        held_import = self.imports[place].get(name)
        if held_import is None:
            for star in (i for i in record.imports if i.scope == place.scope and i.member == "*"):
                for source in self._find(place.file, star.module, steps + 1) or ():
                    found = self._from(source, [name], steps + 1) if source != place else None
                    if found:
                        return found
            return None
        if held_import.member is None:
            text = held_import.module
            return self._find(place.file, text, steps + 1) if text.rpartition(">")[2] != name else None
        return self._find(place.file, f"{held_import.module.removesuffix('::')}::{held_import.member}", steps + 1)


def _declared(record: FileRecord) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield the `mod name;` of a file: the inline modules around it, its name, and the path of its attribute."""
    for imported in record.imports:
        if imported.member is not None:
            continue
        prefix, _, path = imported.module.rpartition(">")
        around = tuple(prefix.split("::")) if prefix else ()
        if path == f"self::{imported.name}":
            yield around, imported.name, ""
        elif path.startswith('"'):
            yield around, imported.name, path[1:-1]


def _crates(config: ProjectConfig, by_path: Mapping[str, int]) -> list[Crate]:
    """Return the crates of a repository, by Cargo.toml files, else by the names of files."""
    found: dict[str, Crate] = {}
    for path in sorted(config.manifests):
        if path.rpartition("/")[2] == "Cargo.toml":
            folder = path.rpartition("/")[0]
            for root, name in _package_roots(
                list(_entries(config.manifests[path])), f"{folder}/" if folder else "", by_path
            ):
                if root in by_path:
                    found.setdefault(root, Crate(root, name))
    for path in sorted(by_path):
        folder, _, file_name = path.rpartition("/")
        covered = any(path.startswith(f"{_folder(crate.root)}/") for crate in found.values())
        if file_name in ("lib.rs", "main.rs") and not covered:
            package = folder.removesuffix("/src").removesuffix("src").rpartition("/")[2].replace("-", "_")
            found.setdefault(path, Crate(path, package or None if file_name == "lib.rs" else None))
    return list(found.values())


def _package_roots(entries: Sequence[Entry], base: str, by_path: Mapping[str, int]) -> Iterator[tuple[str, str | None]]:
    """Yield the root files of a package, and the name of its library."""
    held = {(entry.section, entry.key): entry.value for entry in entries}
    package = held.get(("package", "name"))
    if package is None:
        return
    name = held.get(("lib", "name"), package).replace("-", "_")
    yield _normal(base + held.get(("lib", "path"), "src/lib.rs")), name
    yield base + "src/main.rs", None
    yield base + held.get(("package", "build"), "build.rs"), None
    for entry in entries:
        if entry.section in ("bin", "test", "example", "bench") and entry.key == "path":
            yield _normal(base + entry.value), None
    for path in sorted(by_path):
        for folder in ROOT_FOLDERS:
            inner = path.removeprefix(f"{base}{folder}/")
            if inner != path and ("/" not in inner or (inner.count("/") == 1 and inner.endswith("/main.rs"))):
                yield path, None


def _dependencies(config: ProjectConfig) -> frozenset[str]:
    """Return the names of all crates that manifests ask for."""
    found: set[str] = set()
    for path, text in config.manifests.items():
        for section, key, _ in _entries(text) if path.rpartition("/")[2] == "Cargo.toml" else ():
            table, _, name = section.rpartition("dependencies")
            if section.endswith("dependencies"):
                found.add(key.partition(".")[0].replace("-", "_"))
            elif table.endswith(("", "-", ".")) and name.startswith("."):
                found.add(name[1:].replace("-", "_"))
    return frozenset(found)


def _entries(text: str) -> Iterator[Entry]:
    """Yield the keys of a manifest with their tables; of the values, strings alone are read.

    Enough of TOML for Cargo.toml; Python 3.10 has no reader of its own.
    """
    section = ""
    for line in text.split("\n"):
        header = _HEADER.match(line)
        if header:
            section = header.group(1).replace('"', "").strip()
            continue
        entry = _KEY.match(line)
        if entry:
            value = entry.group(3)
            yield Entry(section, entry.group(1) or entry.group(2), value if value is not None else "")


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _normal(path: str) -> str:
    """Return a path without `.` and `..`."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
