"""The inputs and outputs of the worker as whole documents.

The input is defined by `intake`, which parses it symbol by symbol and writes its own error messages; the outputs are
typed in `domain.output`. Leaves out: the schemas that are generated from these models (`export`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, RootModel

from generation.domain.context import Line, SymbolContext
from generation.domain.limits import JOB_ID_PATTERN, MAX_JOB_SYMBOLS
from generation.domain.output import AnyEvent, JobFailure, JobOutput, PlannedOutput
from generation.intake.job_input import JobInput

VERSION = 1


class SymbolItem(BaseModel):
    """A symbol to document."""

    model_config = ConfigDict(strict=True, extra="forbid")

    symbol_id: Annotated[Line, Field(description="Its id, different from all others of the job.")]
    context: SymbolContext


class GenerationInput(JobInput):
    """What to document, and how: RunPod's `input`, and the body of the HTTP service's `POST /generate`.

    Exactly one of `symbols` and `symbols_key` must be given.
    """

    job_id: Annotated[str, Field(pattern=JOB_ID_PATTERN)] | None = Field(
        None, description=JobInput.model_fields["job_id"].description
    )
    symbols: Annotated[list[SymbolItem], Field(min_length=1, max_length=MAX_JOB_SYMBOLS)] | None = Field(
        None, description=JobInput.model_fields["symbols"].description
    )


class GenerationEvent(RootModel[Annotated[AnyEvent, Field(discriminator="type")]]):
    """A line on standard output, and a message of the HTTP service's stream."""


class GenerationOutput(RootModel[JobOutput | PlannedOutput | JobFailure]):
    """Whatever a job may return: its output, the plan of a dry run, or why it could not run."""
