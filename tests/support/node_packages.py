"""Node's packages for tests, installed once into the cache folder as a lock file says."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.worker_process import REPOSITORY_ROOT

NODE_MAJOR_MIN = 20
NPM_LIMIT_S = 300.0


def node_missing() -> str | None:
    """Why tests that need Node cannot run here, for a skip; None where they can."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    major = re.match(r"v(\d+)\.", version)
    if major is None or int(major[1]) < NODE_MAJOR_MIN:
        return f"node {version} is too old: the tests in TypeScript need {NODE_MAJOR_MIN}"
    return None


def install_packages(folder: Path, cache_name: str) -> Path:
    """Install what `folder/package-lock.json` says, unless it is there; the path of the node_modules in the cache."""
    cache = REPOSITORY_ROOT / ".cache" / cache_name
    cache.mkdir(parents=True, exist_ok=True)
    (cache / ".gitignore").write_text("*\n", encoding="utf-8")
    installed, lock = cache / "installed-lock.json", folder / "package-lock.json"
    with (cache / "busy").open("w") as busy:
        # Two test runs at once must not install over each other; closing the file lets go.
        fcntl.flock(busy, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != lock.read_bytes():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(folder / name, cache / name)
            run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cache)
            shutil.copy(lock, installed)
    return cache / "node_modules"


def run(command: list[str], folder: Path, **environment: str) -> str:
    """The standard output of a command that must succeed."""
    own = {**os.environ, **environment}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=NPM_LIMIT_S, check=False, env=own
    )
    assert done.returncode == 0, f"{command} failed\n{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}"
    return done.stdout
