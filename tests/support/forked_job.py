"""What a forked process runs: one job. Imported once by the server that forks, it has everything loaded beforehand.

Left out: whether the process comes to its end, which is the test's to decide.
"""

from __future__ import annotations

import asyncio
import os
from importlib import import_module
from typing import Any

from generation.config import VOCABULARY_DIR, Settings
from generation.prompts.tokens import load_counter
from tests.support.jobs import run_job_to_dict

for name in ("boto3", "generation.model.documenter"):
    import_module(name)
load_counter("o200k_base", VOCABULARY_DIR)

JOB_ID = "job"


def document(job_input: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    """Run a job with these settings, in this process; boto3 itself reads the variables that begin with AWS_."""
    os.environ.update({name: value for name, value in environment.items() if name.startswith("AWS_")})
    settings = Settings.from_env(environment)
    return asyncio.run(run_job_to_dict(job_input, settings, default_job_id=JOB_ID, emit=lambda _: None))
