"""Logging is set up alike for every process, and shows no header, signature or address of the libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.worker_process import REPOSITORY_ROOT

PROGRAM = """
import logging, sys
from generation.logs import set_up_logging
logging.basicConfig(level="DEBUG", stream=sys.stdout)  # as the RunPod SDK does before
set_up_logging(sys.argv[1])
for name in ("generation.job", "botocore.auth", "openai._base_client", "httpx2", "s3transfer.tasks", "aiohttp.client"):
    for level in ("DEBUG", "INFO", "WARNING"):
        logging.getLogger(name).log(getattr(logging, level), "planted %s", level.lower())
"""


def lines_at(level: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, level]
    done = subprocess.run(command, cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.mark.parametrize(("level", "shown"), [("DEBUG", 3), ("info", 2), ("WARNING", 1), ("nonsense", 1)])
def test_own_lines_follow_the_level_and_libraries_stay_quiet(level: str, shown: int) -> None:
    """At each level, DEBUG too, the libraries log warnings only; an unknown level means WARNING."""
    lines = lines_at(level)

    assert sum(line.split(" ")[1] == "generation.job:" for line in lines) == shown
    assert {line.split(" ")[0] for line in lines if "generation.job:" not in line} == {"WARNING"}
    assert len(lines) == shown + 5
