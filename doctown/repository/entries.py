"""Which files there are: those that git tracks, or, without git, those that `.gitignore` files leave.

Names are bytes, as the file system has them. Nothing is read here but git's index, folders and `.gitignore` files.
Without git, version control's own folders, `node_modules`, virtual environments and caches are left out as if they were
ignored.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from pathspec import GitIgnoreSpec

from doctown.errors import SourceError
from doctown.repository.git import Git

MAX_NAME_BYTES = 1_024
# Python's rmtree, which removes the temporary folder, recurses.
MAX_NAME_PARTS = 100

_MAX_GITIGNORE_BYTES = 1_000_000
_LEFT_OUT_FOLDERS = frozenset(
    b".git .hg .svn .bzr node_modules .venv venv __pycache__ .tox .nox .mypy_cache .pytest_cache .ruff_cache "
    b".hypothesis .eggs .gradle .cache .parcel-cache .next .nuxt .turbo __MACOSX".split()
)
# A virtual environment has the one (PEP 405), a cache the other (bford.info/cachedir).
_LEFT_OUT_BY_FILE = frozenset({b"pyvenv.cfg", b"CACHEDIR.TAG"})


class Entry(NamedTuple):
    """A file by its name relative to the root, with "/" between the parts."""

    name: bytes
    kind: Literal["file", "link", "submodule", "other", "unreadable"]


class _Ignore(NamedTuple):
    """The patterns of one `.gitignore`, which hold for names below `folder` (empty, or with a "/" at its end)."""

    folder: str
    spec: GitIgnoreSpec


def read_index(git: Git, root: Path) -> tuple[Entry, ...]:
    """Return the files below a folder that git tracks. Raises GitFailed."""
    kinds: dict[bytes, Literal["file", "link", "submodule"]] = {}
    for record in git.run("ls-files", "--stage", "-z", cwd=root).split(b"\0")[:-1]:
        facts, _, name = record.partition(b"\t")
        mode = facts[:6]
        # A file in conflict has up to three records.
        kinds[name] = "link" if mode == b"120000" else "submodule" if mode == b"160000" else "file"
    return tuple(Entry(name, kind) for name, kind in sorted(kinds.items()))


def walk_folder(root: Path) -> tuple[Entry, ...]:
    """Return the files of a folder that no `.gitignore` in it leaves out. Never raises for what it cannot read."""
    return tuple(sorted(_walk(root)))


def check_name(name: bytes) -> None:
    """Raise SourceError for a name that is too long or too deep to be written into a temporary folder."""
    if len(name) > MAX_NAME_BYTES or name.count(b"/") >= MAX_NAME_PARTS:
        raise SourceError(
            f"The source has a file name of over {MAX_NAME_BYTES:,} bytes or {MAX_NAME_PARTS} folders: leave it out"
        )


def _walk(root: Path) -> Iterator[Entry]:
    folders: list[tuple[bytes, tuple[_Ignore, ...]]] = [(b"", ())]
    while folders:
        prefix, ignores = folders.pop()
        try:
            with os.scandir(os.fsencode(path_of(root, prefix))) as scan:
                items = list(scan)
        except OSError:
            yield Entry(prefix.rstrip(b"/"), "unreadable")
            continue
        if prefix and not _LEFT_OUT_BY_FILE.isdisjoint(item.name for item in items):
            continue
        ignores = _with_gitignore(ignores, prefix, items)
        for item in items:
            name = prefix + item.name
            if item.is_dir(follow_symlinks=False):
                if item.name not in _LEFT_OUT_FOLDERS and not _is_ignored(name + b"/", ignores):
                    folders.append((name + b"/", ignores))
            elif item.name != b".git" and not _is_ignored(name, ignores):
                yield Entry(name, _kind(item))


def _kind(item: os.DirEntry[bytes]) -> Literal["file", "link", "other"]:
    if item.is_symlink():
        return "link"
    return "file" if item.is_file(follow_symlinks=False) else "other"


def _with_gitignore(
    ignores: tuple[_Ignore, ...], prefix: bytes, items: list[os.DirEntry[bytes]]
) -> tuple[_Ignore, ...]:
    """Put the patterns of a folder's own `.gitignore` before those of the folders above it."""
    item = next((item for item in items if item.name == b".gitignore"), None)
    if item is None or not item.is_file(follow_symlinks=False):
        return ignores
    try:
        with os.fdopen(os.open(item.path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            text = file.read(_MAX_GITIGNORE_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return ignores
    spec = _spec(re.split(r"\r?\n", text.removeprefix("\ufeff")))
    return (_Ignore(_text(prefix), spec), *ignores) if spec.patterns else ignores


def _spec(lines: list[str]) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError:  # one line that is no pattern: git skips it, pathspec refuses them all
        return GitIgnoreSpec.from_lines(line for line in lines if _is_pattern(line))


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _is_ignored(name: bytes, ignores: tuple[_Ignore, ...]) -> bool:
    """Tell whether the nearest `.gitignore` that decides about a name leaves it out."""
    if not ignores:
        return False
    text = _text(name)
    for ignore in ignores:
        decision = ignore.spec.check_file(text[len(ignore.folder) :]).include
        if decision is not None:
            return decision
    return False


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def path_of(root: Path, name: bytes) -> Path:
    """Return the path of an entry, whatever bytes its name has."""
    return root / os.fsdecode(name)


def is_plain_file(path: Path) -> bool:
    """Tell whether there is a regular file, not a link, at a path."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
