"""Where the packs of jobs lie in the store, and under which id a job keeps what it has bought. Pure.

    docpacks/{owner}/{repo}/{repo}.docpack            of a repository on GitHub
    docpacks/{host}/{group}/{repo}/{repo}.docpack     on another host: it has dots or a digest, an owner has none
    docpacks/{owner}/{repo}/@{subdir}/{repo}.docpack  of a folder in it
    docpacks/@archives/{key}/{name}.docpack           of an archive in the bucket

Each has its vectors beside it, and replaces the pack that was there before. A part of an address that is no plain name
gets a digest at its end, so that two addresses never share a key. Where a host ignores case, keys are in lower case.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote

from doctown.docpack.schema import PACK_SUFFIX
from doctown.repository import clean_url, identity, short_name

PACKS = "docpacks"
KEPT = "checkpoints/"
INDEX_KEY = f"{PACKS}/index.json"
GITHUB = "github.com"

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_PART_CHARS = 100


def repository_folder(url: str, subdir: str | None) -> str:
    """Return the folder of the packs of a repository with a git URL.

    >>> repository_folder("https://github.com/Owner/Repo.git", None)
    'docpacks/owner/repo'
    >>> repository_folder("https://gitlab.com/group/sub/repo", "packages/Core")
    'docpacks/gitlab.com/group/sub/repo/@packages/Core'
    """
    return _folder(identity(url), subdir)


def spelled_folder(url: str, subdir: str | None) -> str:
    """Return what `repository_folder` was before: with the capitals of the URL."""
    return _folder((clean_url(url) or url).partition("://")[2], subdir)


def _folder(address: str, subdir: str | None) -> str:
    name, *path = address.split("/")
    # A host without a dot gets a digest, for its colon: it could be the name of an owner.
    host = [] if name == GITHUB else [name if "." in name else f"{name}:"]
    return "/".join([PACKS, *map(_part, [*host, *path]), *_of_subdir(subdir)])


def without_capitals(folder: str) -> str:
    """Return a folder of packs as it is where the host ignores case: what is in the repository keeps its capitals.

    >>> without_capitals("docpacks/Owner/Repo/@packages/Core")
    'docpacks/owner/repo/@packages/Core'
    """
    repository, at, subdir = folder.partition("/@")
    return f"{repository.lower()}{at}{subdir}"


def archive_folder(key: str) -> str:
    """Return the folder of the packs of an archive in the bucket.

    >>> archive_folder("uploads/project.zip")
    'docpacks/@archives/uploads/project.zip'
    """
    return "/".join([PACKS, "@archives", *map(_part, key.split("/"))])


def pack_name(url_or_key: str) -> str:
    """Return the file name of the pack of a repository, or of an archive in the bucket.

    >>> pack_name("https://github.com/Owner/Repo.git")
    'repo.docpack'
    """
    return f"{short_name(unquote(identity(url_or_key)))}{PACK_SUFFIX}"


def kept_as(folder: str) -> str:
    """Return the id under which the summaries of a pack's folder are kept while they are bought."""
    name = _UNSAFE.sub("-", folder.removeprefix(f"{PACKS}/"))[-60:].strip("-.")
    return f"{name}-{_digest(folder)}"


def vectors_key(kept_as_id: str, file_name: str) -> str:
    """Return the key of the cache of vectors of a pack's folder: among what no caller may have read."""
    return f"{KEPT}{kept_as_id}.vectors/{file_name}"


def _of_subdir(subdir: str | None) -> list[str]:
    if subdir is None:
        return []
    first, *rest = subdir.strip("/").split("/")
    return [f"@{_part(first)}", *map(_part, rest)]


def _part(text: str) -> str:
    if _PLAIN.fullmatch(text) and len(text) <= _MAX_PART_CHARS:
        return text
    return f"{_UNSAFE.sub('-', text)[:_MAX_PART_CHARS].strip('-.')}-{_digest(text)}".lstrip("-")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
