"""What a container of the image runs: the RunPod handler under RunPod, and the worker's HTTP service elsewhere.

It becomes that program (exec), so that Python stays process 1 and gets the signals. Another command in its place runs
another program: `docker run … doctown-generation-worker python -u -m doctown.service`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def program(environ: Mapping[str, str]) -> list[str]:
    """Return the arguments of Python: RunPod names its queue of jobs in the environment.

    >>> program({"RUNPOD_WEBHOOK_GET_JOB": "https://api.runpod.ai/..."}), program({})
    (['handler.py'], ['-m', 'generation.service'])
    """
    return ["handler.py"] if environ.get("RUNPOD_WEBHOOK_GET_JOB") else ["-m", "generation.service"]


if __name__ == "__main__":
    os.execv(sys.executable, [sys.executable, "-u", *program(os.environ)])  # noqa: S606 - no shell is wanted
