"""Records of files that were parsed before, by content, in a folder that processes share.

One file holds one record, under a key made of all that the record depends on: the file's text, its path and language
(extractors look at both), the sources of this package with its queries, and the versions of Python, tree-sitter and
the grammars. A changed extractor therefore never meets its old records. Files appear and disappear whole, so the folder
can be used by any number of processes, deleted at any time, and lose single files; what is damaged is parsed again and
replaced. Nothing is compressed: the 45 MB of a repository of 26 MB are read in 0.05 s, unpacking them would take 0.2 s.

Records are loaded with `marshal`, which cannot run code but trusts its input. They lie in a folder that only its
owner may write to; another one is refused.
"""

import hashlib
import os
import platform
import stat
import tempfile
import zlib
from collections.abc import Iterator
from functools import cache
from importlib import metadata, resources
from pathlib import Path

from doctown.errors import ConfigError
from doctown.parsing import codec
from doctown.parsing.languages import LANGUAGES
from doctown.parsing.records import FileRecord

MAX_BYTES = 1_000_000_000
PRUNED_SHARE = 0.8  # of the limit that is left after pruning, so that not every run prunes

_CHECKSUM_BYTES = 4


class RecordCache:
    """The records in one folder."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        """Use `folder`/records, and make it if it is not there.

        Raises ConfigError if it cannot be used or others can write to it.
        """
        self._folder = folder / "records"
        self._max_bytes = max_bytes
        self._has_stored = False
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self._folder.lstat()
        except OSError as error:
            raise ConfigError(f"The cache folder cannot be used ({error.strerror}): give another one") from None
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise ConfigError("The folder `records` in the cache folder can be written by others: remove it")

    def load(self, key: str) -> FileRecord | None:
        """Return the record of a key, None if there is none that is whole."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path)  # used now: pruned last
        except OSError:
            return None
        encoded = data[_CHECKSUM_BYTES:]
        if _checksum(encoded) != data[:_CHECKSUM_BYTES]:
            return None
        return codec.decode(encoded)

    def store(self, key: str, encoded: bytes) -> None:
        """Keep an encoded record; a folder that cannot be written to keeps none."""
        path = self._path(key)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        except OSError:
            return
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_checksum(encoded) + encoded)
            Path(temporary).replace(path)
            self._has_stored = True
        except OSError:
            _remove(temporary)

    def prune(self) -> None:
        """Remove the records that were not used for longest, if there is more than `max_bytes` after storing."""
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
    digest = hashlib.sha256(f"{_version()}\0{language}\0{path}\0".encode("utf-8", "surrogatepass"))
    digest.update(text)
    return digest.hexdigest()


@cache
def _version() -> str:
    """Return a hash of what turns a text into a record: this package's files, Python, tree-sitter and the grammars."""
    digest = hashlib.sha256(platform.python_version().encode())
    package = resources.files("doctown.parsing")
    for folder in (package, package / "queries"):
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith((".py", ".scm")):
                text = file.read_bytes()
                digest.update(f"{file.name}\0{len(text)}\0".encode() + text)
    grammars = {row.grammar.partition(":")[0].replace("_", "-") for row in LANGUAGES}
    for distribution in sorted({"tree-sitter", *grammars}):
        digest.update(f"{distribution} {_installed(distribution)}\0".encode())
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
