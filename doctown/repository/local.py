"""Read what git knows of a local folder, without trusting its configuration and without writing to it.

A repository's own configuration may name programs: a file system monitor, hooks, filters, signature checkers. The first
two are overridden for every command (`git`); filters are overridden here, by the names that the repository gives them;
no command is used that checks signatures. `git status` does not refresh the index (GIT_OPTIONAL_LOCKS=0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from doctown.errors import SourceError
from doctown.repository.address import clean_url
from doctown.repository.clone import commit_time
from doctown.repository.entries import Entry, read_index
from doctown.repository.git import Git, GitFailed, OutputTooLong, git_environment
from doctown.repository.limits import Deadline, Limits

_MAX_FILTERS = 100
_BRANCHES = "refs/heads/"


@dataclass(frozen=True)
class LocalState:
    """What git says of a folder; without a commit yet, `commit` and `committed_at` are None."""

    commit: str | None
    ref: str | None
    url: str | None
    dirty: bool
    committed_at: datetime | None
    entries: tuple[Entry, ...]


def read_local(root: Path, limits: Limits, environ: Mapping[str, str]) -> LocalState | None:
    """Return what git says of a folder, or None if git tracks no file in it. Raises SourceError."""
    top = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)
    if top is None:
        return None
    deadline = Deadline(limits.timeout_s)
    # Named outright, so that git looks for no other repository and heeds no `core.worktree`.
    variables = {"GIT_DIR": str(top / ".git"), "GIT_WORK_TREE": str(top)}
    home = environ.get("HOME", "/nonexistent")
    git = Git(git_environment(environ, home=home, variables=variables), deadline)
    # A folder that is called .git but is none, or a work tree whose repository is elsewhere.
    if git.answer("rev-parse", "--git-dir", cwd=root) is None:
        return None
    try:
        config = _without_filters(git, root)
        git = Git(git_environment(environ, home=home, config=config, variables=variables), deadline)
        entries = read_index(git, root)
        return _state(git, root, entries) if entries else None
    except (GitFailed, OutputTooLong):
        raise SourceError("Git cannot read the folder's repository: see what `git status` says in it") from None


def _state(git: Git, root: Path, entries: tuple[Entry, ...]) -> LocalState:
    commit = git.answer("rev-parse", "--quiet", "--verify", "HEAD^{commit}", cwd=root)
    branch = git.answer("symbolic-ref", "--quiet", "HEAD", cwd=root)
    remote = git.answer("config", "--get", "remote.origin.url", cwd=root)
    changes = git.run(
        *("status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=all"),
        *("--", "."),
        cwd=root,
    )
    return LocalState(
        commit=commit,
        ref=branch.removeprefix(_BRANCHES) if branch else None,
        url=clean_url(remote) if remote else None,
        dirty=bool(changes),
        committed_at=commit_time(git, commit, root) if commit else None,
        entries=entries,
    )


def _without_filters(git: Git, root: Path) -> dict[str, str]:
    """Return the configuration that turns off every filter that the repository's own configuration defines."""
    keys = git.run("config", "--list", "--name-only", "-z", cwd=root).decode("utf-8", "surrogateescape").split("\0")
    filters = {key.rpartition(".")[0] for key in keys if key.startswith("filter.") and key.count(".") > 1}
    if len(filters) > _MAX_FILTERS:
        raise SourceError(f"The repository's configuration has over {_MAX_FILTERS} filters: remove them")
    off = {"clean": "", "smudge": "", "process": "", "required": "false"}
    return {f"{name}.{key}": value for name in sorted(filters) for key, value in off.items()}
