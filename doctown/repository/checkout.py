"""Open a source: a folder in place, an archive or a git repository in a temporary folder.

`open_source` opens them all. A local folder is only read; what is temporary is removed however the block ends.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from doctown.errors import SourceError
from doctown.repository.address import (
    ArchiveSource,
    FolderSource,
    GitSource,
    clean_url,
    parse_source,
    short_name,
)
from doctown.repository.archive import unpack
from doctown.repository.clone import clone, remote_commit
from doctown.repository.entries import Entry, is_plain_file, path_of, walk_folder
from doctown.repository.limits import Limits
from doctown.repository.local import read_local
from doctown.repository.network import Network

# In the order in which they are preferred; an ending such as .md or -MIT may follow.
_LICENCE_NAMES = ("license", "licence", "copying", "unlicense")
_README_SUFFIXES = (b".md", b".markdown", b".rst", b".txt", b"")


@dataclass(frozen=True)
class Checkout:
    """A repository's files at one moment, and what is known of where they come from.

    `url` is a web address without credentials. `ref` is the ref that was asked for, or the branch. `dirty` says that a
    local work tree has changes or untracked files. `licence_file` and `readme_file` are relative to `root`.
    `committed_at` is in UTC.
    `entries` are all files that git tracks or, without git, that `.gitignore` files leave; `select_files` reads them.
    """

    root: Path
    name: str
    url: str | None
    commit: str | None
    ref: str | None
    dirty: bool
    licence_file: str | None
    readme_file: str | None
    committed_at: datetime | None
    is_git: bool
    entries: tuple[Entry, ...] = field(default=(), repr=False)


@contextmanager
def open_source(  # noqa: PLR0913 - what bounds it, all named
    source: str,
    *,
    limits: Limits,
    environ: Mapping[str, str],
    work_dir: Path | None = None,
    network: Network | None = None,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Checkout]:
    """Open a folder, an archive or a git URL (`https://…[@ref]`, `git@host:path[@ref]`, `file:///path[@ref]`).

    `environ` has the PATH that git is found on, and the tokens GITHUB_TOKEN and GIT_TOKEN. A GIT_TOKEN is sent to
    whichever host the source names: leave it out for a source from a stranger. Temporary folders are made in `work_dir`
    and removed when the block ends. With `network` a git URL must be https to one of its hosts; that a folder or an
    archive is the caller's own is the caller's to know (`Network.check_url`). While git fetches, `check` is called, and
    what it raises ends the fetch. Raises SourceError.
    """
    found = parse_source(source)
    if isinstance(found, FolderSource):
        yield _open_folder(found.path, limits, environ)
        return
    with tempfile.TemporaryDirectory(prefix="doctown-", dir=work_dir) as temporary:
        root = Path(temporary) / "tree"
        root.mkdir()
        if isinstance(found, ArchiveSource):
            yield _open_archive(found, root, limits)
        else:
            yield _open_git(found, root, limits, environ, network, check)


def newest_commit(
    source: GitSource, *, limits: Limits, environ: Mapping[str, str], network: Network | None = None
) -> str | None:
    """Return the commit that a git source is at now, None where its ref names none. Fetches nothing; SourceError."""
    with tempfile.TemporaryDirectory(prefix="doctown-") as temporary:
        folder = Path(temporary) / "tree"
        folder.mkdir()
        return remote_commit(source, folder, limits, environ, network)


def _open_folder(folder: Path, limits: Limits, environ: Mapping[str, str]) -> Checkout:
    root = folder.resolve()
    if (root / "HEAD").is_file() and (root / "objects").is_dir() and (root / "refs").is_dir():
        raise SourceError(f"The folder is a git repository without a work tree: give {root.as_uri()}")
    if not os.access(root, os.R_OK | os.X_OK):
        raise SourceError("The folder may not be read: give this user the right to read it")
    name = short_name(root.name)
    state = read_local(root, limits, environ)
    if state is None:
        entries = walk_folder(root)
        return _without_git(root, name, None, entries)
    return Checkout(
        root=root,
        name=name,
        url=state.url,
        commit=state.commit,
        ref=state.ref,
        dirty=state.dirty,
        licence_file=_licence_file(root, state.entries),
        readme_file=_readme_file(root, state.entries),
        committed_at=state.committed_at,
        is_git=True,
        entries=state.entries,
    )


def _open_archive(source: ArchiveSource, root: Path, limits: Limits) -> Checkout:
    unpacked = unpack(source.path, root, limits)
    files = walk_folder(root)
    names = {entry.name for entry in files}
    # A file written for a later member with a link's name is a file.
    entries = tuple(sorted((*files, *(link for link in unpacked.links if link.name not in names))))
    return _without_git(root, short_name(source.path.name), unpacked.commit, entries)


def _open_git(  # noqa: PLR0913, PLR0917 - as clone
    source: GitSource,
    root: Path,
    limits: Limits,
    environ: Mapping[str, str],
    network: Network | None,
    check: Callable[[], None],
) -> Checkout:
    fetched = clone(source, root, limits, environ, network, check)
    return Checkout(
        root=root,
        name=short_name(unquote(source.url)),
        url=clean_url(source.url),
        commit=fetched.commit,
        ref=fetched.ref,
        dirty=False,
        licence_file=_licence_file(root, fetched.entries),
        readme_file=_readme_file(root, fetched.entries),
        committed_at=fetched.committed_at,
        is_git=True,
        entries=fetched.entries,
    )


def _without_git(root: Path, name: str, commit: str | None, entries: tuple[Entry, ...]) -> Checkout:
    return Checkout(
        root=root,
        name=name,
        url=None,
        commit=commit,
        ref=None,
        dirty=False,
        licence_file=_licence_file(root, entries),
        readme_file=_readme_file(root, entries),
        committed_at=None,
        is_git=False,
        entries=entries,
    )


def _licence_file(root: Path, entries: tuple[Entry, ...]) -> str | None:
    """Return the licence's file at the top of the repository."""
    found = []
    for name, kind in entries:
        match = re.fullmatch(rb"([a-z]+)([.-][\w.+-]+)?", name.lower())
        if kind == "file" and match and (stem := match[1].decode()) in _LICENCE_NAMES:
            found.append((_LICENCE_NAMES.index(stem), match[2] is not None, name))
    for _, _, name in sorted(found):
        if is_plain_file(path_of(root, name)):
            return name.decode("ascii")
    return None


def _readme_file(root: Path, entries: tuple[Entry, ...]) -> str | None:
    """Return the README at the top of the repository, in whatever case its name is."""
    suffixes = {name: name.lower().removeprefix(b"readme") for name, kind in entries if kind == "file"}
    found = [(_README_SUFFIXES.index(suffix), name) for name, suffix in suffixes.items() if suffix in _README_SUFFIXES]
    for _, name in sorted(found):
        if is_plain_file(path_of(root, name)):
            return name.decode("ascii")
    return None
