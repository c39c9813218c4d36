"""Jobs as tests run them: their outputs are plain dicts, which a test may index as it likes."""

from __future__ import annotations

from typing import Any

from generation.job import run_job


async def run_job_to_dict(*arguments: Any, **named: Any) -> dict[str, Any]:
    """As `run_job`; the output is untyped."""
    return dict(await run_job(*arguments, **named))
