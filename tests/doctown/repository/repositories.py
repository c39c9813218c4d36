"""Real repositories for tests, made by git in a folder of the test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

ENVIRON = {"PATH": os.environ["PATH"]}
COMMIT_TIME = "2024-05-06T07:08:09+02:00"
_GIT_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": COMMIT_TIME,
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_COMMITTER_DATE": COMMIT_TIME,
}


def git(folder: Path, *arguments: str, data: bytes = b"") -> str:
    """Return what a git command says in a folder."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=_GIT_ENVIRONMENT, input=data, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def write_files(folder: Path, files: Mapping[str, bytes | str]) -> None:
    """Write files into a folder, with the folders they need."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def make_repository(folder: Path, files: Mapping[str, bytes | str]) -> str:
    """Make a repository with one commit on the branch main, and return the commit."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    write_files(folder, files)
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message=first")
    return git(folder, "rev-parse", "HEAD")


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return size, mode and time of the last change of all that is in a folder, by its path."""
    paths = [folder, *folder.rglob("*")]
    return {
        str(path): (status.st_size, status.st_mode, status.st_mtime_ns) for path in paths for status in [path.lstat()]
    }
