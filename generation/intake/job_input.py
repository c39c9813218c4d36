"""Parse a job's input as a whole: the source of its symbols, and the job's own options.

Leaves out: the symbols themselves (`symbols`), and where they are read from (`sources`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from generation.domain.context import Key
from generation.domain.limits import (
    JOB_ID,
    BatchSize,
    BatchTokens,
    Centrality,
    ConcurrentRequests,
    CostUsd,
    DeadlineS,
    Language,
    MaxSymbols,
    ModelName,
)
from generation.errors import InputError
from generation.intake.faults import MAX_SHOWN_FAULTS, describe_fault


class JobOptions(BaseModel):
    """A job's own choices; each one's default is the setting of the same name in capitals (`model`: MODEL_NAME)."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, protected_namespaces=())

    model: ModelName | None = Field(default=None, serialization_alias="model_name")
    max_concurrent_requests: ConcurrentRequests | None = None
    max_symbols: MaxSymbols | None = None
    batch_mode: bool | None = None
    batch_size: BatchSize | None = None
    max_batch_tokens: BatchTokens | None = None
    include_semantic_context: bool | None = None
    callees_first: bool | None = None
    output_language: Language | None = None
    min_centrality: Centrality | None = None
    max_cost_usd: CostUsd | None = None
    deadline_s: DeadlineS | None = None
    renew: bool = Field(default=False, exclude=True)
    dry_run: bool = Field(default=False, exclude=True)

    def as_settings(self) -> dict[str, Any]:
        """Return the options that are given, under the names of their settings."""
        return self.model_dump(exclude_none=True, by_alias=True)


class JobInput(BaseModel):
    """RunPod's `input`: what to document and how. The symbols themselves are parsed one by one, by `parse_symbols`."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    job_id: str | None = Field(
        None,
        description="1 to 128 letters, digits, dots, underscores or hyphens, not only dots; default: the caller's ID.",
    )
    symbols: list[Any] | None = Field(None, description="Symbols to document.")
    symbols_key: Key | None = Field(
        None,
        description="Instead of `symbols`: key of an object in the bucket that holds them (JSON, JSON Lines, gzip).",
    )
    previous_results_key: Key | None = Field(
        None,
        description="Key of an earlier results document in the bucket; unchanged symbols are taken over from it.",
    )
    options: JobOptions = Field(default_factory=JobOptions, description="Options of this job.")

    @model_validator(mode="after")
    def _names_its_symbols_once(self) -> JobInput:
        if (self.symbols is None) == (self.symbols_key is None):
            raise ValueError("exactly one of symbols and symbols_key must be given")
        return self


# What RunPod's API takes beside `input`, and the id that it gives a job.
_BESIDE_INPUT = {"id", "webhook", "policy", "s3Config"}


def unwrapped(payload: object) -> object:
    """Return the object under `input` if the payload is a whole request to RunPod, else the payload itself."""
    if isinstance(payload, dict) and "input" in payload and payload.keys() <= {"input", *_BESIDE_INPUT}:
        return payload["input"]
    return payload


def parse_job(payload: object, default_job_id: str) -> JobInput:
    """Return the job's input with its `job_id` filled in. Raise InputError with a sentence that names the place.

    The payload is a job's input, a whole request to RunPod with it under `input`, or a list of symbols.
    """
    job, faults = find_job_faults(payload, default_job_id)
    if job is None:
        raise InputError("; ".join(faults[:MAX_SHOWN_FAULTS]))
    return job


def _known_beside(fault: Mapping[str, Any]) -> Collection[str]:
    """Return the keys that are known where a fault is."""
    return (JobOptions if fault["loc"][:1] == ("options",) else JobInput).model_fields


def find_job_faults(payload: object, default_job_id: str) -> tuple[JobInput | None, list[str]]:
    """Return the job's input and no faults, or None and every fault of the input as a whole."""
    payload = unwrapped(payload)
    if isinstance(payload, list):
        payload = {"symbols": payload}
    if not isinstance(payload, dict):
        return None, ["input must be an object with symbols or symbols_key, or a list of symbols"]
    given = {key: value for key, value in payload.items() if value is not None}
    try:
        job = JobInput.model_validate(given)
    except ValidationError as error:
        return None, [describe_fault("input", fault, _known_beside(fault)) for fault in error.errors()]
    job_id = default_job_id if job.job_id is None else job.job_id
    if not JOB_ID.fullmatch(job_id) or not job_id.strip("."):
        return None, ["input.job_id must be 1 to 128 letters, digits, dots, underscores or hyphens, and not only dots"]
    return job.model_copy(update={"job_id": job_id}), []
