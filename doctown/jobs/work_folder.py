"""The folder of a job on this machine: source code, archives and packs while the job runs. Removed when it ends.

A process that is killed cannot remove its own: the next job on the machine does. A folder is in use while its lock file
is locked (flock), which ends with the process. It gets its name when it is locked.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "doctown-job-"
_NEW_PREFIX = "doctown-new-"
_LOCK_FILE = "lock"


@contextmanager
def work_folder() -> Iterator[Path]:
    """Yield a new folder and remove it afterwards. Raise OSError where the disk is full."""
    parent = Path(tempfile.gettempdir())
    new = Path(tempfile.mkdtemp(prefix=_NEW_PREFIX, dir=parent))
    folder = parent / new.name.replace(_NEW_PREFIX, _PREFIX, 1)
    try:
        lock = os.open(new / _LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(folder)
            yield folder
        finally:
            os.close(lock)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(new, ignore_errors=True)


def remove_abandoned(parent: Path) -> None:
    """Remove the folders in `parent` of jobs whose processes were killed: 100,000 files take some 4 s."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # in use, another user's, or removed meanwhile
            lock = os.open(folder / _LOCK_FILE, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
