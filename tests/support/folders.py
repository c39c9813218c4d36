"""What lies in a folder that other processes write to."""

from __future__ import annotations

import os
from pathlib import Path


def files_below(folder: Path) -> list[Path]:
    """The files at any depth. Unlike `Path.rglob`, it does not fail where a folder is removed while it looks."""
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
