"""The sources that are measured, by pinned version from the package registries, unpacked once into the cache.

The wheels and npm packages contain the sources as they are in the repositories, without their tests. A Debian package
is downloaded and unpacked, not installed.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks.graph.tools import Unmeasured, run, tool

WHOLE = "."


class Source(NamedTuple):
    """A package, and what of it is measured: the folder in the archive, or of it the paths alone."""

    registry: Literal["wheel", "sdist", "npm", "debian"]
    package: str
    folder: str
    paths: tuple[str, ...] = ()


SOURCES = {
    "flask": Source("wheel", "flask==3.1.3", WHOLE, ("flask",)),
    "requests": Source("wheel", "requests==2.34.2", WHOLE, ("requests",)),
    "zod": Source("npm", "zod@4.6.7", "package", ("src", "package.json")),
    "rxjs": Source("npm", "rxjs@7.8.1", "package", ("src", "package.json")),
    "svelte": Source("npm", "svelte@5.57.3", "package", ("src", "package.json")),
    "pycg": Source("sdist", "PyCG==0.0.8", "pycg-0.0.8/micro-benchmark/snippets"),
    "sympy": Source("sdist", "sympy==1.14.0", "sympy-1.14.0"),
    "jpype": Source("sdist", "JPype1==1.7.1", "jpype1-1.7.1/native/jpype_module/src/main/java"),
    "pflag": Source("debian", "golang-github-spf13-pflag-dev", "usr/share/gocode/src/github.com/spf13/pflag"),
    "mux": Source("debian", "golang-github-gorilla-mux-dev", "usr/share/gocode/src/github.com/gorilla/mux"),
    "regex-syntax": Source("debian", "librust-regex-syntax-dev", "usr/share/cargo/registry/regex-syntax-*"),
}
TESTS = ("tests", "test", "__tests__", "*.test.*", "node_modules")


def lay(name: str, cache: Path) -> Path:
    """Return the folder with the files of a source, downloaded if it is not in the cache. Raises Unmeasured."""
    source = SOURCES[name]
    folder = cache / "sources" / source.package.replace("==", "-").replace("@", "-")
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            work = Path(temporary)
            (work / "unpacked").mkdir()
            unpack(download(source, work), work / "unpacked")
            unpacked = work / "unpacked"
            chosen = unpacked if source.folder == WHOLE else next(iter(sorted(unpacked.glob(source.folder))), None)
            if chosen is None:
                raise Unmeasured(f"{source.package} has no folder {source.folder}")
            copy(chosen, work / "chosen", source.paths)
            (work / "chosen").rename(folder)
    return folder


def download(source: Source, folder: Path) -> Path:
    """Return the package's archive in the folder."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    if source.registry == "npm":
        run([tool("npm", "npm"), "pack", "--silent", source.package], folder=folder)
    elif source.registry == "debian":
        run([tool("apt-get", "apt"), "download", source.package], folder=folder)
    elif source.registry == "wheel":
        run([*pip, "--only-binary", ":all:", source.package], folder=folder)
    else:
        run([*pip, "--no-binary", ":all:", source.package], folder=folder)
    found = [path for path in folder.iterdir() if path.is_file()]
    if not found:
        raise Unmeasured(f"the registry has no {source.package}")
    return found[0]


def unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".deb":
        run([tool("dpkg-deb", "dpkg"), "--extract", str(archive), str(folder)])
    elif archive.suffix == ".whl":
        shutil.unpack_archive(archive, folder, "zip")
    else:
        shutil.unpack_archive(archive, folder, "gztar", filter="data")


def copy(folder: Path, to: Path, paths: tuple[str, ...]) -> None:
    """Copy what is measured; of npm packages not the tests, which import what is not in the package."""
    if not paths:
        shutil.copytree(folder, to)
        return
    to.mkdir()
    for path in paths:
        if (folder / path).is_dir():
            shutil.copytree(folder / path, to / path, ignore=shutil.ignore_patterns(*TESTS))
        else:
            shutil.copy(folder / path, to / path)
