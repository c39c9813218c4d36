"""Which files are documented, and why the others are not.

`select_files` takes every file of a checkout once, in the order of paths. What a name, a folder or a size decides comes
first; only then is the beginning of a file read. Tests are selected and marked: their calls count, and whether they are
documented is decided later. Vendored folders and tests are looked for below `subdir`, so that a vendored project can be
documented by naming its folder.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from pathspec import GitIgnoreSpec

from doctown.errors import SourceError
from doctown.repository.checkout import Checkout
from doctown.repository.content import GENERATED, HEAD_BYTES, MINIFIED, reason_to_skip
from doctown.repository.entries import Entry, path_of
from doctown.repository.paths import (
    is_binary_name,
    is_generated_name,
    is_lock_file,
    is_minified_name,
    is_test_path,
    is_vendored_path,
)
from doctown.repository.text import (
    BINARY,
    MAX_FILE_BYTES,
    MISSING,
    NOT_A_FILE,
    SYMBOLIC_LINK,
    UNREADABLE,
    open_file,
    too_large,
)

VENDORED: Final = "vendored"
LOCK_FILE: Final = "lock file"
EXCLUDED: Final = "excluded"
NOT_INCLUDED: Final = "not included"
SUBMODULE: Final = "submodule"
NAME_NOT_UTF8: Final = "name is not UTF-8"

_KIND_REASONS = {"link": SYMBOLIC_LINK, "submodule": SUBMODULE, "other": NOT_A_FILE, "unreadable": UNREADABLE}


@dataclass(frozen=True)
class Selection:
    """What a build is told about its files.

    `include` and `exclude` are patterns as in a `.gitignore`, for paths from the root. With `include`, only
    files that match it are taken; those that match `exclude` never are. Files outside of `subdir` are not listed.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    subdir: str | None = None
    max_file_bytes: int = MAX_FILE_BYTES


@dataclass(frozen=True)
class SourceFile:
    """A file by its path from the repository's root, with "/" between the parts, and what becomes of it.

    In a name that is not UTF-8, each byte that is not is a backslash, an "x" and two hexadecimal digits.
    """

    path: str
    status: Literal["selected", "skipped"]
    reason: str | None
    size_bytes: int
    is_test: bool


def select_files(checkout: Checkout, selection: Selection) -> list[SourceFile]:
    """Return every file of a checkout that is in `subdir`, in the order of paths. Raises SourceError."""
    chooser = _Chooser(checkout.root, selection)
    files = [chooser.choose(entry) for entry in checkout.entries if entry.name.startswith(chooser.prefix)]
    return sorted(_with_unique_paths(files), key=lambda file: file.path)


def _with_unique_paths(files: list[SourceFile]) -> Iterator[SourceFile]:
    """Append "?" to an escaped name that is also the name of another file."""
    taken: set[str] = set()
    for file in sorted(files, key=lambda file: (file.reason == NAME_NOT_UTF8, file.path)):
        path = file.path
        while path in taken:
            path += "?"
        taken.add(path)
        yield file if path == file.path else replace(file, path=path)


def safe_subdir(root: Path, subdir: str | None) -> str:
    """Return a folder of a repository as a prefix of paths: empty, or with a "/" at its end.

    Raises SourceError if it is not there, leads out of the repository, or goes through a symbolic link.
    """
    if subdir is None:
        return ""
    parts = [part for part in PurePosixPath(subdir).parts if part != "."]
    if subdir.startswith("/") or ".." in parts or "\0" in subdir:
        raise SourceError("The subdir leads out of the repository: give a folder in it, such as packages/core")
    folder = root
    for part in parts:
        folder = folder / part
        if folder.is_symlink() or not folder.is_dir():
            raise SourceError(f"There is no folder {subdir!a} in the repository: give one that is, without links")
    return "".join(f"{part}/" for part in parts)


class _Chooser:
    """The rules of one selection in one folder."""

    def __init__(self, root: Path, selection: Selection) -> None:
        self._root = root
        self._max_file_bytes = selection.max_file_bytes
        self._include = _patterns(selection.include, "include")
        self._exclude = _patterns(selection.exclude, "exclude")
        self._behind_link: dict[bytes, bool] = {b"": False}
        self.prefix = safe_subdir(root, selection.subdir).encode("utf-8", "surrogateescape")

    def choose(self, entry: Entry) -> SourceFile:
        try:
            path = entry.name.decode("utf-8")
        except UnicodeDecodeError:
            shown = entry.name.decode("utf-8", "backslashreplace")
            return SourceFile(shown, "skipped", NAME_NOT_UTF8, self._size(entry), is_test_path(shown))
        inner = entry.name[len(self.prefix) :].decode("utf-8")
        size_bytes, reason = self._look(entry, path, inner)
        return SourceFile(path, "skipped" if reason else "selected", reason, size_bytes, is_test_path(inner))

    def _look(self, entry: Entry, path: str, inner: str) -> tuple[int, str | None]:
        """Return a file's size and why it is skipped, by the cheapest check that says so."""
        if entry.kind != "file":
            return self._size(entry), _KIND_REASONS[entry.kind]
        if self._is_unsafe(entry.name):
            return 0, UNREADABLE
        folder = entry.name.rpartition(b"/")[0]
        if self._is_behind_link(folder):
            return 0, SYMBOLIC_LINK
        try:
            status = self._path(entry).lstat()
        except FileNotFoundError:
            return 0, MISSING
        except OSError:
            return 0, UNREADABLE
        size_bytes = status.st_size
        reason = _mode_reason(status.st_mode) or self._path_reason(path, inner)
        if reason is None and size_bytes > self._max_file_bytes:
            reason = too_large(self._max_file_bytes)
        return size_bytes, reason or self._content_reason(entry, path)

    def _path_reason(self, path: str, inner: str) -> str | None:
        checks = (
            (EXCLUDED, self._exclude is not None and self._exclude.match_file(path)),
            (NOT_INCLUDED, self._include is not None and not self._include.match_file(path)),
            (VENDORED, is_vendored_path(inner)),
            (LOCK_FILE, is_lock_file(path)),
            (BINARY, is_binary_name(path)),
            (MINIFIED, is_minified_name(path)),
            (GENERATED, is_generated_name(path)),
        )
        return next((reason for reason, holds in checks if holds), None)

    def _content_reason(self, entry: Entry, path: str) -> str | None:
        try:
            with open_file(self._path(entry)) as file:
                return reason_to_skip(path, file.read(HEAD_BYTES))
        except OSError:
            return UNREADABLE

    def _size(self, entry: Entry) -> int:
        try:
            status = self._path(entry).lstat()
        except (OSError, ValueError):
            return 0
        return status.st_size if stat.S_ISREG(status.st_mode) else 0

    def _is_unsafe(self, name: bytes) -> bool:
        # An index that was tampered with may name files outside of the work tree.
        return name.startswith(b"/") or (b".." in name and b".." in name.split(b"/"))

    def _is_behind_link(self, folder: bytes) -> bool:
        """Tell whether a folder that git tracks files in has become a link, or lies in one."""
        known = self._behind_link.get(folder)
        if known is None:
            known = self._is_behind_link(folder.rpartition(b"/")[0]) or path_of(self._root, folder).is_symlink()
            self._behind_link[folder] = known
        return known

    def _path(self, entry: Entry) -> Path:
        return path_of(self._root, entry.name)


def _mode_reason(mode: int) -> str | None:
    if stat.S_ISLNK(mode):
        return SYMBOLIC_LINK
    return None if stat.S_ISREG(mode) else NOT_A_FILE


def _patterns(globs: Sequence[str], option: str) -> GitIgnoreSpec | None:
    if not globs:
        return None
    try:
        return GitIgnoreSpec.from_lines(globs)
    except ValueError:
        raise SourceError(f"A pattern of --{option} is malformed: give patterns as in a .gitignore") from None
