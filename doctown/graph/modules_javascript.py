"""Imports of JavaScript, TypeScript, Svelte and Vue: from a module's text to the files of the repository.

In the order of the compilers: relative paths with and without extension (`./x.js` can mean x.ts), index files,
`imports` of package.json (`#alias`), `paths` and `baseUrl` of tsconfig.json and jsconfig.json through `extends`,
packages of the repository by their name, with `exports`. Where a package names what it builds (dist/x.js), its source
is looked for at the same place below src. Left out: aliases that only a bundler's own configuration names, but for
`$lib` and `@/`, which have the same meaning in nearly every project.
"""

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from doctown.graph.modules import Modules, Place, ProjectConfig
from doctown.parsing.records import FileRecord

EXTENSIONS = (
    ".ts",
    ".tsx",
    ".js",
    ".jsx",
    ".mjs",
    ".mts",
    ".cjs",
    ".cts",
    ".d.ts",
    ".d.mts",
    ".d.cts",
    ".svelte",
    ".vue",
)
DECLARATIONS = (".d.ts", ".d.mts", ".d.cts")
# What an extension as written can stand for: the compiler's output is named where the source is meant.
SOURCES = {
    ".js": (".ts", ".tsx", ".js", ".jsx", ".d.ts"),
    ".jsx": (".tsx", ".jsx"),
    ".mjs": (".mts", ".mjs", ".d.mts"),
    ".cjs": (".cts", ".cjs", ".d.cts"),
}
# Conditions of package.json that no compiler and no Node takes unasked.
OTHER_PLATFORMS = frozenset({"browser", "worker", "workerd", "deno", "bun", "edge-light", "react-native", "electron"})
BUILT_FOLDERS = frozenset({"dist", "lib", "build", "out", "es", "esm", "cjs", "types", "dist-types"})
MAX_EXTENDS = 8  # of a configuration, one after the other
_JSON_NOISE = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)


class Package(NamedTuple):
    """One package.json of the repository."""

    folder: str
    manifest: Mapping[str, Any]


class Paths(NamedTuple):
    """`paths` and `baseUrl` of a tsconfig.json; folders are relative to the repository."""

    patterns: Mapping[str, Sequence[str]]  # as written, targets relative to `base`
    base: str
    base_url: str | None


def modules(files: Sequence[FileRecord], mine: Sequence[int], config: ProjectConfig) -> Modules:
    """Return how the JavaScript and TypeScript files find each other."""
    finder = _Finder({files[index].path: index for index in mine}, config)

    @cache
    def find_from(folder: str, module: str) -> tuple[Place, ...] | None:
        paths = finder.find(folder, module)
        return tuple(Place(finder.by_path[path]) for path in paths) or None

    def find(importer: int, module: str) -> tuple[Place, ...] | None:
        return find_from(posixpath.dirname(files[importer].path), module)

    return Modules(find, separator="\0")  # a module's members are never modules


class _Finder:
    """The files and manifests of a repository."""

    def __init__(self, by_path: Mapping[str, int], config: ProjectConfig) -> None:
        self.by_path = by_path
        self.packages: dict[str, Package] = {}  # by folder
        self.by_name: dict[str, Package] = {}
        self.configs: dict[str, Mapping[str, Any]] = {}
        self.paths: dict[str, Paths] = {}  # by folder
        for path, text in sorted(config.manifests.items()):
            name = posixpath.basename(path)
            if name == "package.json":
                package = Package(posixpath.dirname(path), _json(text))
                self.packages[package.folder] = package
                named = package.manifest.get("name")
                if isinstance(named, str):
                    self.by_name.setdefault(named, package)
            elif name.endswith(".json") and name.startswith(("tsconfig", "jsconfig")):
                self.configs[path] = _json(text)
        for path in self.configs:
            if posixpath.basename(path) in ("tsconfig.json", "jsconfig.json"):
                paths = self._paths(path, 0)
                if paths is not None:
                    self.paths.setdefault(posixpath.dirname(path), paths)

    def _paths(self, path: str, depth: int) -> Paths | None:
        """Return the `paths` of a configuration file, from what it extends where it has none itself."""
        config = self.configs.get(path)
        if config is None or depth > MAX_EXTENDS:
            return None
        options = config.get("compilerOptions")
        options = options if isinstance(options, dict) else {}
        folder = posixpath.dirname(path)
        base_url = options.get("baseUrl")
        base = _join(folder, base_url) if isinstance(base_url, str) else None
        patterns = options.get("paths")
        if isinstance(patterns, dict):
            kept = {
                key: [t for t in value if isinstance(t, str)]
                for key, value in patterns.items()
                if isinstance(value, list)
            }
            return Paths(kept, folder if base is None else base, base)
        extended = config.get("extends")
        for name in reversed([extended] if isinstance(extended, str) else extended or []):
            if isinstance(name, str) and name.startswith("."):
                target = _join(folder, name)
                held = self._paths(target if target in self.configs else f"{target}.json", depth + 1)
                if held is not None:
                    return held._replace(base_url=base or held.base_url)
        return Paths({}, base, base) if base is not None else None

    # modules

    def find(self, folder: str, module: str) -> list[str]:
        """Return the paths of the module that a file in `folder` names so; a declaration file after its source."""
        module = module.partition("?")[0]  # ./x.js?raw
        if module.startswith("."):
            return self.at(_join(folder, module))
        if module.startswith("#"):
            return self._package_import(folder, module)
        found = self._by_paths(folder, module) or self._by_package(module)
        if not found and module.startswith(("$lib/", "@/", "~/")):
            below = module.partition("/")[2]
            target = f"lib/{below}" if module.startswith("$lib") else below
            package = self._package_around(folder)
            found = self.at(_join(_join(package.folder if package else "", "src"), target))
        return found

    def at(self, path: str) -> list[str]:
        """Return the files that a path without a definite extension means."""
        stem, extension = posixpath.splitext(path)
        if extension in SOURCES:
            found = self._first(stem, SOURCES[extension])
            if found:
                return found
        if path in self.by_path:
            return self._with_declarations(path)
        return self._first(path, EXTENSIONS) or self._first(_join(path, "index"), EXTENSIONS)

    def _first(self, stem: str, extensions: Iterable[str]) -> list[str]:
        path = next((stem + extension for extension in extensions if stem + extension in self.by_path), None)
        return self._with_declarations(path) if path is not None else []

    def _with_declarations(self, path: str) -> list[str]:
        """Return a JavaScript file with the declaration file beside it."""
        stem, extension = posixpath.splitext(path)
        declared = {".js": ".d.ts", ".mjs": ".d.mts", ".cjs": ".d.cts"}.get(extension)
        beside = f"{stem}{declared}"
        return [path, beside] if declared and beside in self.by_path else [path]

    def _package_around(self, folder: str) -> Package | None:
        for around in _upwards(folder):
            if around in self.packages:
                return self.packages[around]
        return None

    def _package_import(self, folder: str, module: str) -> list[str]:
        for around in _upwards(folder):
            package = self.packages.get(around)
            imports = package.manifest.get("imports") if package else None
            if package is not None and isinstance(imports, dict):
                return self._targets(package, imports, module)
        return []

    def _by_paths(self, folder: str, module: str) -> list[str]:
        for around in _upwards(folder):
            paths = self.paths.get(around)
            if paths is None:
                continue
            for target in _matches(paths.patterns, module):
                found = self.at(_join(paths.base, target))
                if found:
                    return found
            return self.at(_join(paths.base_url, module)) if paths.base_url is not None else []
        return []

    def _by_package(self, module: str) -> list[str]:
        """Return the files of a package of the repository, named `name` or `name/below`."""
        parts = module.split("/")
        name = "/".join(parts[: 2 if module.startswith("@") else 1])
        package = self.by_name.get(name)
        if package is None:
            return []
        below = module[len(name) + 1 :]
        exports = package.manifest.get("exports")
        if exports is not None:
            if not isinstance(exports, dict) or not any(key.startswith(".") for key in exports):
                exports = {".": exports}
            found = self._targets(package, exports, f"./{below}" if below else ".")
            if found:
                return found
        if below:
            return self._source(package, below)
        for key in ("source", "module", "main", "types"):
            entry = package.manifest.get(key)
            if isinstance(entry, str):
                found = self._source(package, entry)
                if found:
                    return found
        return self.at(_join(package.folder, "src/index")) or self.at(_join(package.folder, "index"))

    def _targets(self, package: Package, entries: Mapping[str, Any], module: str) -> list[str]:
        """Return what `imports` or `exports` of a package say of a module: its source, and its declarations."""
        for pattern, entry in sorted(entries.items(), key=lambda item: ("*" in item[0], -len(item[0]))):
            star = _match(pattern, module)
            if star is None:
                continue
            sources: list[str] = []
            declarations: list[str] = []
            for target in sorted(_leaves(entry), key=lambda leaf: leaf[1]):
                found = self._source(package, target[0].replace("*", star))
                for path in found:
                    kept = declarations if path.endswith(DECLARATIONS) else sources
                    if not kept:
                        kept.append(path)
            return sources + declarations
        return []

    def _source(self, package: Package, target: str) -> list[str]:
        """Return the file at a path of a package, or the source that it is built from."""
        found = self.at(_join(package.folder, target))
        if found:
            return found
        parts = posixpath.normpath(target).split("/")
        while parts and parts[0] in BUILT_FOLDERS:
            parts = parts[1:]
            stem = "/".join(parts)
            for extension in DECLARATIONS:
                stem = stem.removesuffix(extension)
            found = self.at(_join(package.folder, f"src/{stem}")) if stem else []
            if found:
                return found
        return []


def _leaves(entry: object) -> Iterator[tuple[str, int]]:
    """Yield the paths in an entry of `exports`, with 1 for those of another platform."""
    todo: list[tuple[object, int]] = [(entry, 0)]
    while todo:
        part, platform = todo.pop()
        if isinstance(part, str):
            yield part, platform
        elif isinstance(part, list):
            todo += [(inner, platform) for inner in reversed(part)]
        elif isinstance(part, dict):
            todo += [(inner, platform or int(key in OTHER_PLATFORMS)) for key, inner in reversed(part.items())]


def _matches(patterns: Mapping[str, Sequence[str]], module: str) -> Iterator[str]:
    """Yield the targets of the patterns that a module matches, the longest prefix first."""
    for pattern, targets in sorted(
        patterns.items(), key=lambda item: ("*" in item[0], -len(item[0].partition("*")[0]))
    ):
        star = _match(pattern, module)
        if star is not None:
            yield from (target.replace("*", star) for target in targets)


def _match(pattern: str, module: str) -> str | None:
    """Return what the `*` of a pattern stands for in a module ("" without one), None where they differ."""
    before, star, after = pattern.partition("*")
    if not star:
        return "" if module == pattern else None
    fits = len(module) >= len(before) + len(after) and module.startswith(before) and module.endswith(after)
    return module[len(before) : len(module) - len(after)] if fits else None


def _upwards(folder: str) -> Iterator[str]:
    """Yield a folder and all around it, the repository's root ("") last."""
    while folder:
        yield folder
        folder = posixpath.dirname(folder)
    yield ""


def _join(folder: str, path: str) -> str:
    joined = posixpath.normpath(posixpath.join(folder, path))
    return "" if joined == "." else joined


def _json(text: str) -> dict[str, Any]:
    """Return a JSON object that may have comments and trailing commas; an empty one for what cannot be read."""
    plain = _JSON_NOISE.sub(lambda match: match[0] if match[0].startswith('"') else "", text.removeprefix("\ufeff"))
    try:
        held = json.loads(plain)
    except (ValueError, RecursionError):
        return {}
    return held if isinstance(held, dict) else {}
