"""What a repository job returns and tells, as types; the JSON Schemas and TypeScript's types are made from them."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from doctown.docpack.schema import Counts, Repository
from generation.domain.output import (
    CheckCounts,
    Code,
    Count,
    JobFigures,
    JobId,
    PaidBefore,
    ResultsPointer,
    Status,
    TokenPricing,
    TokenUsage,
    Usd,
    Warnings,
)

StepName = Literal["fetch", "parse", "embed", "assemble", "document", "pack", "store"]
Seconds = Annotated[float, Field(ge=0)]


@with_config(ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class _Record(TypedDict):
    """One JSON object: every key is named, and no other may be there."""


class RepositoryOutput(_Record):
    """What a repository job returns once its pack is stored."""

    job_id: JobId
    status: Annotated[Status, Field(description="Whether all, some or none of the symbols have a summary.")]
    model: Annotated[str, Field(description="The model, or `offline`.")]
    repository: Repository
    documented_count: Count
    failed_count: Count
    taken_over_count: Annotated[Count, Field(description="Documented symbols with the summary of an earlier pack.")]
    is_unfinished: Annotated[
        bool, Field(description="Whether time was up before all were asked for: the same job goes on from there.")
    ]
    failures: Annotated[dict[Code, Count], Field(description="Symbols without a summary, by failure code.")]
    left_out_count: Annotated[Count, Field(description="Symbols that max_symbols or max_cost_usd left out.")]
    total_tokens: Count
    total_cost: Usd
    usage: TokenUsage
    pricing: TokenPricing
    paid_before: PaidBefore
    checks: CheckCounts
    duration_ms: Count
    warnings: Warnings
    docpack: Annotated[ResultsPointer, Field(description="The pack.")]
    embeddings: Annotated[
        ResultsPointer | None, Field(description="The vectors beside the pack; null where no model made them.")
    ]
    counts: Annotated[Counts, Field(description="What the pack holds, as its manifest has it.")]
    figures: NotRequired[Annotated[JobFigures, Field(description="On RunPod: what this execution has counted.")]]
    seconds: Annotated[dict[StepName, Seconds], Field(description="How long each step took.")]


class RepositoryPlan(_Record):
    """What the summaries would take."""

    symbols: Annotated[int, Field(ge=0, description="Those that a model would be asked for.")]
    known_symbols: Annotated[int, Field(ge=0, description="Those that need not be paid again.")]
    offline_symbols: Count
    left_out_symbols: Count
    large_symbols: Count
    medium_symbols: Count
    small_symbols: Count
    requests: Count
    estimated_input_tokens: Count
    estimated_output_tokens: Count
    estimated_cost: Usd


class PlannedRepository(_Record):
    """What a dry run of a repository job returns."""

    job_id: JobId
    status: Literal["planned"]
    model: str
    plan: RepositoryPlan
    pricing: TokenPricing
    warnings: Warnings


class StepCounts(_Record):
    """How far a step is: files, texts, symbols, or 1 where nothing is counted."""

    done: Count
    total: Count


class RepositoryProgressPayload(_Record):
    """Where a job stands: cumulative, so that the newest tells all."""

    step: Annotated[int, Field(ge=1, description="The present step.")]
    steps: Annotated[int, Field(ge=1, description="How many there are.")]
    name: StepName
    counts: Annotated[dict[StepName, StepCounts], Field(description="By step, of those that have begun.")]
    completed: Annotated[Count, Field(description="Symbols that need nothing more: documented or left out.")]
    failed: Count
    total: Annotated[int, Field(ge=0, description="Symbols to document; 0 until they are known.")]
    total_tokens: Count
    total_cost: Usd
    elapsed_ms: Count


class RepositorySnapshot(_Record):
    """The `output` of RunPod's status while a repository job is in progress."""

    type: Literal["doctown.progress.v1"]
    job_id: JobId
    payload: RepositoryProgressPayload
