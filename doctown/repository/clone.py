"""Fetch one commit of a git repository into a folder: shallow, checked before its files are written.

The steps are `git init`, `git fetch --depth=1` of the ref, a count of the commit's files and bytes, and only then a
checkout. While git fetches, the folder's size is looked at. Symbolic links are written as plain files, Git LFS files as
their pointers; submodules stay empty. Objects are not checked by fsck: old repositories of good standing fail it, and
git guards the paths that it checks out in any case.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from doctown.errors import SourceError
from doctown.repository.address import GitSource, clean_url, is_commit_id, is_short_commit_id
from doctown.repository.entries import Entry, check_name, read_index
from doctown.repository.git import Git, GitFailed, OutputTooLong, git_environment, token_config
from doctown.repository.limits import Deadline, Limits, too_many_bytes, too_many_files
from doctown.repository.network import Network
from doctown.repository.tunnel import Tunnel, open_tunnel

# A record of `git ls-tree` beside its path, and the longest path that is taken: the bound on a commit's listing.
_MAX_TREE_RECORD_BYTES = 1_200

_ACCESS = re.compile(
    r"could not read (Username|Password)|Authentication failed|terminal prompts disabled|Permission denied"
    r"|returned error: 40[134]|[Rr]epository .*not found|Invalid username or (token|password)"
)
_UNREACHABLE = re.compile(
    r"Could not resolve host|Failed to connect|Couldn't connect|Connection (refused|timed out|reset)|unreachable"
    r"|Could not resolve hostname|No route to host"
)
_NO_REF = re.compile(
    r"couldn't find remote ref|not our ref|unadvertised object|does not allow request for|no such remote ref"
)


@dataclass(frozen=True)
class Commit:
    """What was fetched: its id, the ref it was asked by or the default branch, its time, and its files."""

    commit: str
    ref: str | None
    committed_at: datetime
    entries: tuple[Entry, ...]


def clone(  # noqa: PLR0913, PLR0917 - where from, where to, and what bounds it
    source: GitSource,
    folder: Path,
    limits: Limits,
    environ: Mapping[str, str],
    network: Network | None = None,
    check: Callable[[], None] = lambda: None,
) -> Commit:
    """Fetch a commit into an empty folder and check its files out there; with `network`, only from its hosts.

    `check` is called all the while, and what it raises ends the fetch. Raises SourceError.
    """
    with _connected(source, folder, limits, environ, network, check) as git:
        return _clone(git, source, folder, limits)


def remote_commit(
    source: GitSource, folder: Path, limits: Limits, environ: Mapping[str, str], network: Network | None = None
) -> str | None:
    """Return the commit that a repository's ref, or its default branch, is at now; None where it names no ref there.

    Fetches nothing. `folder` is an empty one for git. Raises SourceError.
    """
    if source.ref is not None and is_commit_id(source.ref):
        return source.ref
    with _connected(source, folder, limits, environ, network) as git:
        git.run("init", "--quiet", "--template=", cwd=folder)
        ref = source.ref or "HEAD"
        listing = git.run("ls-remote", "--", source.url, ref, f"{ref}^{{}}", cwd=folder).decode("utf-8", "replace")
    lines = (line.split("\t", 1) for line in listing.splitlines() if "\t" in line)
    found = {name: commit for commit, name in lines}
    names = [f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", ref]
    # As git fetches a short name: tags before branches (gitrevisions), a tag as the commit that it is on.
    return next((found[name] for name in names if name in found), None)


@contextmanager
def _connected(  # noqa: PLR0913, PLR0917 - as clone
    source: GitSource,
    folder: Path,
    limits: Limits,
    environ: Mapping[str, str],
    network: Network | None,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Git]:
    """Yield git as it reaches a repository; what fails in the block becomes a SourceError."""
    with ExitStack() as stack:
        tunnel = None
        if network is not None:
            network.check_source(source)
            environ = _environ_inside(environ, network)
            tunnel = stack.enter_context(open_tunnel(network))
        try:
            yield Git(_environment(source, folder, environ, tunnel), Deadline(limits.timeout_s), check)
        except GitFailed as failure:
            if tunnel is not None and tunnel.refusals:
                raise tunnel.refusals[-1] from None
            raise SourceError(_explain(failure.complaint, source)) from None
        except OutputTooLong:
            raise too_many_files(limits) from None


def _environ_inside(environ: Mapping[str, str], network: Network) -> dict[str, str]:
    """Leave out what would have git connect by itself, or send a token to a host that it is not for."""
    left_out = {"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"}
    if not network.may_send_any_token:
        left_out.add("GIT_TOKEN")
    return {name: value for name, value in environ.items() if name not in left_out}


def _environment(source: GitSource, folder: Path, environ: Mapping[str, str], tunnel: Tunnel | None) -> dict[str, str]:
    home = folder.parent / "home"
    home.mkdir()
    config = {
        "core.symlinks": "false",
        "core.autocrlf": "false",
        "core.attributesFile": os.devnull,
        "core.bigFileThreshold": "16m",
        # Always a pack: its size is that of one file, and the limit is seen early.
        "fetch.unpackLimit": "1",
        **({} if tunnel is None else {"http.proxy": tunnel.url}),
        **({} if source.protocol not in {"http", "https"} else token_config(environ, source.protocol, source.host)),
    }
    # ssh has the user's own keys and known hosts; the others must not find a .netrc.
    user_home = environ.get("HOME", "") if source.protocol == "ssh" else ""
    return git_environment(
        environ,
        home=user_home or str(home),
        protocol=source.protocol,
        config=config,
        variables={"GIT_DIR": str(folder / ".git"), "GIT_WORK_TREE": str(folder)},
    )


def _clone(git: Git, source: GitSource, folder: Path, limits: Limits) -> Commit:
    git.run("init", "--quiet", "--template=", cwd=folder)
    ref = source.ref or _default_branch(git, source, folder)
    _fetch(git, source, folder, limits)
    commit = git.run("rev-parse", "--verify", "FETCH_HEAD^{commit}", cwd=folder).decode().strip()
    _check_tree(git, commit, folder, limits)
    git.run("checkout", "--quiet", "--detach", commit, cwd=folder)
    return Commit(commit, ref, commit_time(git, commit, folder), read_index(git, folder))


def commit_time(git: Git, commit: str, cwd: Path) -> datetime:
    """Return when a commit was committed, in UTC. Raises GitFailed."""
    # Not `git log`: a repository may have it run a program that verifies signatures.
    text = git.run("cat-file", "commit", commit, cwd=cwd)
    header = text.partition(b"\n\n")[0]
    match = re.search(rb"^committer .*> (-?\d{1,12}) [+-]\d{4}$", header, re.MULTILINE)
    seconds = int(match[1]) if match else 0
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, tz=UTC)


def _default_branch(git: Git, source: GitSource, folder: Path) -> str | None:
    heads = git.run("ls-remote", "--symref", "--", source.url, "HEAD", cwd=folder).decode("utf-8", "replace")
    if not heads.strip():
        raise SourceError(f"{_shown(source)} has no commit yet, or its default branch is missing: give a ref after @")
    match = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", heads, re.MULTILINE)
    return match[1] if match else None


def _fetch(git: Git, source: GitSource, folder: Path, limits: Limits) -> None:
    def check() -> None:
        if _folder_bytes(folder) > limits.max_bytes:
            raise too_many_bytes(limits)

    options = ("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules")
    git.run("fetch", *options, "--", source.url, source.ref or "HEAD", cwd=folder, check=check)
    check()


def _check_tree(git: Git, commit: str, folder: Path, limits: Limits) -> None:
    """Count a commit's files and bytes before any is written. Raises SourceError, OutputTooLong or GitFailed."""
    max_output_bytes = limits.max_files * _MAX_TREE_RECORD_BYTES
    listing = git.run("ls-tree", "-r", "-l", "-z", commit, cwd=folder, max_output_bytes=max_output_bytes)
    records = listing.split(b"\0")[:-1]
    if len(records) > limits.max_files:
        raise too_many_files(limits)
    total_bytes = 0
    for record in records:
        facts, _, name = record.partition(b"\t")
        size = facts.split()[-1]
        total_bytes += int(size) if size.isdigit() else 0
        check_name(name)
    if total_bytes > limits.max_bytes:
        raise too_many_bytes(limits)


def _folder_bytes(folder: Path) -> int:
    total_bytes = 0
    folders = [str(folder)]
    while folders:
        # Git renames and removes its temporary files meanwhile.
        with suppress(FileNotFoundError), os.scandir(folders.pop()) as items:
            for item in items:
                if item.is_dir(follow_symlinks=False):
                    folders.append(item.path)
                else:
                    with suppress(FileNotFoundError):
                        total_bytes += item.stat(follow_symlinks=False).st_size
    return total_bytes


def _shown(source: GitSource) -> str:
    return clean_url(source.url) or "The repository"


def _explain(complaint: str, source: GitSource) -> str:  # noqa: PLR0911 - one line a cause
    """Return a sentence for what git complained of; nothing of the complaint is in it."""
    shown = _shown(source)
    if _NO_REF.search(complaint):
        return _explain_ref(source, shown)
    if "dubious ownership" in complaint:
        return "The repository belongs to another user: give its folder instead of a file URL"
    if "redirect" in complaint or re.search(r"returned error: 30\d", complaint):
        return f"{shown} is redirected to where git may not go with it: give the final URL, often with .git at its end"
    if "Host key verification failed" in complaint:
        return f"ssh does not know the host key of {source.host}: add it to ~/.ssh/known_hosts"
    if _ACCESS.search(complaint):
        return (
            f"{shown} is not there or is private: check the URL, or set GITHUB_TOKEN (GitHub) or GIT_TOKEN (any host) "
            "to a token that may read it"
        )
    if _UNREACHABLE.search(complaint):
        return f"{source.host} cannot be reached: check the URL and the network"
    if "certificate" in complaint:
        return f"The certificate of {source.host} cannot be verified: check the host, or set SSL_CERT_FILE"
    if "does not appear to be a git repository" in complaint or "not valid: is this a git repository" in complaint:
        return f"There is no git repository at {shown}: check the URL"
    return f"Git cannot fetch {shown}: try again, and see what `git ls-remote` says about it"


def _explain_ref(source: GitSource, shown: str) -> str:
    if source.ref is None:
        return f"{shown} has no commit yet, or its default branch is missing: give a ref after @"
    if is_commit_id(source.ref):
        return f"{shown} does not give out a commit {source.ref}: check the id, or give a branch or tag"
    if is_short_commit_id(source.ref):
        return f"{shown} has no branch or tag {source.ref}: if it is a commit id, give it in full"
    return f"{shown} has no branch or tag {source.ref}: check the name"
