"""Run the tools that the measurements need, and say in one sentence which of them is missing."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

MAX_WORDS = 300  # of what a failed tool wrote


class Unmeasured(Exception):
    """Something cannot be measured here; the message says why."""


def tool(name: str, package: str) -> str:
    """Return the path of a tool. Raises Unmeasured with the Debian package that has it."""
    found = shutil.which(name)
    if found is None:
        raise Unmeasured(f"{name} is not installed (Debian: {package})")
    return found


def run(command: list[str], *, folder: Path | None = None, environ: Mapping[str, str] | None = None) -> str:
    """Return the standard output of a command. Raises Unmeasured where it fails."""
    ended = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if ended.returncode:
        words = (ended.stderr or ended.stdout).strip()[-MAX_WORDS:]
        raise Unmeasured(f"{Path(command[0]).name} failed with {ended.returncode}: {' '.join(words.split())}")
    return ended.stdout
