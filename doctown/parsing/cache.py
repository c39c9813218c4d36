"""What was computed before, by content, in a folder that processes share: records of files, and resolved graphs.

One file holds one entry, under a key made of all that it depends on. A record's is made of the file's text, its path
and language (extractors look at both), the sources of this package with its queries, and the versions of Python,
tree-sitter and the grammars: a changed extractor never meets its old records. Files appear and disappear whole, so the
folder can be used by any number of processes, deleted at any time, and lose single files; what is damaged is computed
again and replaced. Nothing is compressed: the 45 MB of a repository of 26 MB are read in 0.05 s, unpacking them would
take 0.2 s.

Entries are loaded with `marshal`, which cannot run code but trusts its input. They lie in a folder that only its owner
may write to; another one is refused.
"""

import hashlib
import os
import platform
import stat
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata, resources
from pathlib import Path

from doctown.errors import ConfigError
from doctown.parsing.languages import LANGUAGES

MAX_BYTES = 1_000_000_000
PRUNED_SHARE = 0.8  # of the limit that is left after pruning, so that not every run prunes

_CHECKSUM_BYTES = 4


class Cache:
    """The entries in one folder."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        """Use `folder`/analysis, and make it if it is not there.

        Raises ConfigError if it cannot be used or others can write to it.
        """
        self._folder = folder / "analysis"
        self._max_bytes = max_bytes
        self._has_stored = False
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self._folder.lstat()
        except OSError as error:
            raise ConfigError(f"The cache folder cannot be used ({error.strerror}): give another one") from None
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise ConfigError("The folder `analysis` in the cache folder can be written by others: remove it")

    def load(self, key: str) -> bytes | None:
        """Return the entry of a key, None if there is none that is whole."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path)  # used now: pruned last
        except OSError:
            return None
        entry = data[_CHECKSUM_BYTES:]
        return entry if _checksum(entry) == data[:_CHECKSUM_BYTES] else None

    def store(self, key: str, entry: bytes) -> None:
        """Keep an entry; a folder that cannot be written to keeps none."""
        path = self._path(key)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        except OSError:
            return
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_checksum(entry) + entry)
            Path(temporary).replace(path)
            self._has_stored = True
        except OSError:
            _remove(temporary)

    def prune(self) -> None:
        """Remove the entries that were not used for longest, if there is more than `max_bytes` after storing."""
        if not self._has_stored:
            return
        entries = sorted(self._entries())
        size_bytes = sum(size for _, size, _ in entries)
        if size_bytes <= self._max_bytes:
            return
        for _, size, path in entries:
            _remove(path)
            size_bytes -= size
            if size_bytes <= self._max_bytes * PRUNED_SHARE:
                return

    def _entries(self) -> Iterator[tuple[float, int, str]]:
        """Yield when each file was last used, its size in bytes and its path."""
        for folder in _scan(self._folder):
            for entry in _scan(folder):
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                yield status.st_mtime, status.st_size, entry.path

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]


def default_folder() -> Path:
    """Return the user's cache folder of Doctown."""
    from platformdirs import user_cache_path

    return user_cache_path("doctown", appauthor=False)


def record_key(path: str, language: str, text: bytes) -> str:
    """Return the key of a file's record: a hash of all that the record depends on."""
    digest = hashlib.sha256(f"{_parsing_version()}\0{language}\0{path}\0".encode("utf-8", "surrogatepass"))
    digest.update(text)
    return digest.hexdigest()


def graph_key(record_keys: Iterable[str], manifests: Mapping[str, str]) -> str:
    """Return the key of a repository's graph: a hash of the keys of its records, its manifests, and the resolver."""
    digest = hashlib.sha256(f"{_parsing_version()}\0{_sources_hash('doctown.graph')}\0".encode())
    digest.update("\0".join(record_keys).encode())
    for path, text in sorted(manifests.items()):
        digest.update(f"\0{path}\0{len(text)}\0{text}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


@cache
def _parsing_version() -> str:
    """Return a hash of what turns a text into a record: this package's files, Python, tree-sitter and the grammars."""
    versions = [platform.python_version(), _sources_hash("doctown.parsing")]
    grammars = {row.grammar.partition(":")[0].replace("_", "-") for row in LANGUAGES}
    versions += [f"{name} {_installed(name)}" for name in sorted({"tree-sitter", *grammars})]
    return hashlib.sha256("\0".join(versions).encode()).hexdigest()


@cache
def _sources_hash(package: str) -> str:
    """Return a hash of the sources and queries of a package."""
    digest = hashlib.sha256()
    root = resources.files(package)
    for folder in (root, root / "queries"):
        for file in sorted(folder.iterdir(), key=lambda file: file.name) if folder.is_dir() else ():
            if file.name.endswith((".py", ".scm")):
                text = file.read_bytes()
                digest.update(f"{file.name}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "-"


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "big")


def _scan(folder: os.DirEntry[str] | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _remove(path: str) -> None:
    try:
        Path(path).unlink()
    except OSError:
        return
