"""What a file's path says of it: tests, vendored folders, lock files, generated and binary files.

Pure functions of a path with "/" between its parts, relative to the repository or to the part of it that is documented.
The conventions are those of the languages' build tools and test runners; where GitHub's linguist has a list
(vendor.yml, generated.rb), these are its common cases.
"""

from __future__ import annotations

import re

_TEST_FOLDERS = frozenset({"test", "tests", "__tests__", "__mocks__", "testdata", "unittests", "e2e", "androidtest"})
_SPEC_FOLDERS = frozenset({"spec", "specs"})
_SPEC_ENDINGS = (".rb", ".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".cts", ".lua", ".php")
# MyApp.Tests of .NET; src/integrationTest of Gradle, src/it of Maven.
_TEST_FOLDER = re.compile(r"(^|/)([^/]+\.(Unit|Integration)?Tests?|src/(test[A-Z]\w*|\w*Test|it))/")

_TEST_NAMES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(test_.*|.*_test|conftest|tests)\.pyi?",
        r".*_test\.(go|rs|dart|c|cc|cpp|cxx|exs|clj|rb|lua|jl|zig|ml)",
        r"(tests|test|.*_tests)\.rs",
        r".*[.-](test|tests|spec|cy|e2e)\.([cm]?[jt]sx?|vue|svelte)",
        r"(.*Tests?|.*TestCase|.*IT|Test[A-Z].*|.*Spec)\.(java|kt|kts|scala|groovy)",
        r"(.*Tests?|.*Specs?)\.(cs|fs|vb|swift|php|m|mm|hs)",
        r"(test_.*|.*_(unit)?tests?|.*Tests?)\.(c|cc|cpp|cxx|h|hpp)",
        r"(.*_spec|test_.*)\.(rb|lua)",
        r".*\.(bats|feature)",
    )
)

_VENDORED_FOLDERS = frozenset(
    {
        "vendor",
        "vendored",
        "_vendor",
        "third_party",
        "third-party",
        "thirdparty",
        "3rdparty",
        "node_modules",
        "bower_components",
        "jspm_packages",
        "site-packages",
        "dist-packages",
        ".venv",
        "venv",
        ".yarn",
    }
)
# Only so written: in small letters they are ordinary words.
_VENDORED_FOLDERS_EXACT = frozenset({"Pods", "Carthage"})

_LOCK_FILES = frozenset(
    {
        "package-lock.json",
        "npm-shrinkwrap.json",
        "pnpm-lock.yaml",
        "bun.lockb",
        "go.sum",
        "go.work.sum",
        "packages.lock.json",
        "gradle.lockfile",
        "conda-lock.yml",
        "conda-lock.yaml",
        "package.resolved",
        "cartfile.resolved",
        ".terraform.lock.hcl",
        "cabal.project.freeze",
    }
)

_MINIFIED = re.compile(r".*[.-]min\.([cm]?js|css|html?)")
_GENERATED = re.compile(
    r".*(_pb2(_grpc)?\.pyi?|\.pb\.(go|cc|h|validate\.go|gw\.go)|\.(g|freezed|mocks)\.dart|\.(designer|g|g\.i)\.cs"
    r"|[._]generated\.[^/]+|\.(js|css|mjs|cjs)\.map)|zz_generated\..*"
)

_BINARY = re.compile(
    r".*\.(png|jpe?g|gif|bmp|ico|icns|webp|avif|heic|tiff?|psd|mp[34]|m4[av]|wav|ogg|flac|avi|mov|mkv|webm|pdf|docx?"
    r"|xlsx?|pptx?|odt|zip|gz|tgz|bz2|xz|zst|7z|rar|tar|jar|war|whl|egg|gem|so|dylib|dll|exe|a|o|obj|lib|pyc|pyo|class"
    r"|wasm|ttf|otf|woff2?|eot|sqlite3?|db|npy|npz|pkl|pickle|parquet|h5|hdf5|onnx|pt|pth|safetensors|bin|dat\.gz|mo)"
)


def is_test_path(path: str) -> bool:
    """Tell whether a file belongs to the tests, by the conventions of its language."""
    *folders, name = path.split("/")
    small = {folder.lower() for folder in folders}
    if not small.isdisjoint(_TEST_FOLDERS) or _TEST_FOLDER.search(path):
        return True
    if not small.isdisjoint(_SPEC_FOLDERS) and name.endswith(_SPEC_ENDINGS):
        return True
    if "benches" in small and name.endswith(".rs"):
        return True
    return any(pattern.fullmatch(name) for pattern in _TEST_NAMES)


def is_vendored_path(path: str) -> bool:
    """Tell whether a file lies in a folder of other people's code."""
    folders = path.split("/")[:-1]
    return any(folder in _VENDORED_FOLDERS_EXACT or folder.lower() in _VENDORED_FOLDERS for folder in folders)


def is_lock_file(path: str) -> bool:
    """Tell whether a file is what a package manager locked."""
    name = path.rpartition("/")[2].lower()
    return name in _LOCK_FILES or name.endswith(".lock")


def is_minified_name(path: str) -> bool:
    """Tell whether a file's name says that it is minified."""
    return _MINIFIED.fullmatch(path.rpartition("/")[2].lower()) is not None


def is_generated_name(path: str) -> bool:
    """Tell whether a file's name is one that a generator gives."""
    return _GENERATED.fullmatch(path.rpartition("/")[2].lower()) is not None


def is_binary_name(path: str) -> bool:
    """Tell whether a file's ending is that of a format that is no text."""
    return _BINARY.fullmatch(path.rpartition("/")[2].lower()) is not None
