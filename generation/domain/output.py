"""The outputs of the worker as types: job outputs, results documents, progress and events.

The JSON Schemas, OpenAPI and the TypeScript client's types are generated from these types (`contract.export`). Nothing
is validated with them at run time: the type checker compares the worker's code with them, and tests validate real
outputs against the schemas. Leaves out: the input (`intake`), and the transport (HTTP statuses, streams).
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from generation.domain.limits import JOB_ID_PATTERN, MAX_PROGRESS_SYMBOLS

Status = Literal["success", "partial", "failed"]
Count = Annotated[int, Field(ge=0)]
Usd = Annotated[float, Field(ge=0, description="US dollars, to a millionth.")]
Price = Annotated[float, Field(ge=0)]
JobId = Annotated[str, Field(pattern=JOB_ID_PATTERN, description="The job, by its own id.")]
SymbolId = Annotated[str, Field(min_length=1, description="The symbol, by the id under which it came.")]
Sentence = Annotated[str, Field(min_length=1, description="A sentence for people; never a text of the payload.")]
Code = Annotated[
    str,
    Field(
        pattern="^[a-z][a-z0-9_]*$",
        description="Why, as a code of the documented table of failures. New ones may come.",
        examples=["timeout"],
    ),
]
ContentHash = Annotated[
    str, Field(pattern="^[0-9a-f]{32}$", description="Changes with whatever of the context the summary rests on.")
]
Warnings = Annotated[list[str], Field(description="What is worth knowing and stopped nothing; a sentence each.")]


@with_config(ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class _Record(TypedDict):
    """One JSON object: every key is named, and no other may be there."""


class TokenUsage(_Record):
    """What the API reported, failed attempts included."""

    input_tokens: Count
    cached_input_tokens: Annotated[Count, Field(description="A part of the input tokens.")]
    output_tokens: Count
    reasoning_tokens: Annotated[Count, Field(description="A part of the output tokens.")]
    requests: Count
    retries: Count
    timeouts: Annotated[Count, Field(description="Requests without an answer in time; what they cost is unknown.")]


class SymbolUsage(_Record):
    """What one symbol was billed; what is not named is 0."""

    input_tokens: NotRequired[Count]
    cached_input_tokens: NotRequired[Count]
    output_tokens: NotRequired[Count]
    reasoning_tokens: NotRequired[Count]
    requests: NotRequired[Count]
    retries: NotRequired[Count]
    timeouts: NotRequired[Count]


class TokenPricing(_Record):
    """The prices by which `total_cost` was worked out, in US dollars for a million tokens."""

    input_per_1m: Price
    cached_input_per_1m: Price
    output_per_1m: Price


class DocumentedSymbol(_Record):
    """A symbol with its summary."""

    symbol_id: SymbolId
    summary: Annotated[str, Field(description="One or two sentences.")]
    tokens_used: Annotated[Count, Field(description="Input and output tokens billed for it, failed attempts included.")]
    source: Annotated[
        Literal["model", "offline", "previous"],
        Field(description="A model, no model at all, or the earlier results that the input named."),
    ]
    content_hash: ContentHash


class FailedSymbol(_Record):
    """A symbol without a summary."""

    symbol_id: SymbolId
    file_path: str | None
    failure: Code
    message: Sentence


class CheckFinding(_Record):
    """What a check found fault with."""

    check: Annotated[str, Field(description="The check, by its name in the documentation.")]
    hard: Annotated[bool, Field(description="Whether it is worth asking again.")]
    reason: Sentence


class SymbolChecks(_Record):
    """The checks of one summary; one that does not apply is in neither list."""

    passed: list[str]
    findings: list[CheckFinding]


class SummaryOrigin(_Record):
    """What a summary was written by. Its wording depends on it; whether it can be taken over does not."""

    prompt_version: Annotated[int, Field(ge=1, description="Version of the prompt; it rises with each new wording.")]
    model: Annotated[str, Field(description="The model.")]
    language: Annotated[str, Field(description="The language that was asked for.")]
    effort: Annotated[str | None, Field(description="The reasoning effort; null where the model takes none.")]


class StoredSymbol(DocumentedSymbol):
    """A documented symbol of the results document."""

    usage: NotRequired[SymbolUsage]
    checks: NotRequired[SymbolChecks]
    origin: NotRequired[SummaryOrigin]
    repairs: NotRequired[
        Annotated[
            list[str], Field(description="What was changed in what the model wrote, by the names of the documentation.")
        ]
    ]
    latency_ms: NotRequired[
        Annotated[Count, Field(description="How long the request was in flight whose answer this is; where measured.")]
    ]


class StoredFailure(FailedSymbol):
    """A failed symbol of the results document."""

    usage: NotRequired[SymbolUsage]
    content_hash: NotRequired[ContentHash]


class CheckCounts(_Record):
    """How the summaries of a model fared in their checks."""

    checked: Count
    passed_all: Count
    rejected: Annotated[
        Count, Field(description="How many failed a hard check, asked again as well: offline summaries stand for them.")
    ]
    findings: Annotated[dict[str, Count], Field(description="How many summaries each check found fault with.")]


class PaidBefore(_Record):
    """What earlier runs of the same job had paid for and this one took over: a part of the totals."""

    symbols: Count
    total_tokens: Count
    total_cost: Usd


class ResultsPointer(_Record):
    """Where the results document is, and how to know it."""

    bucket: Annotated[str | None, Field(description="The bucket; null where the results are in a folder.")]
    key: Annotated[str, Field(description="The object's key in the bucket.")]
    url: Annotated[str | None, Field(description="Its public address; null where it has none.")]
    bytes: Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of its bytes.")]


class _Results(_Record):
    """What the job output and the results document have in common."""

    job_id: JobId
    status: Annotated[Status, Field(description="Whether all, some or none of the symbols have a summary.")]
    model: Annotated[str, Field(description="The model, or `offline`.")]
    documented_count: Count
    failed_count: Count
    total_tokens: Count
    total_cost: Usd
    usage: TokenUsage
    pricing: TokenPricing
    paid_before: PaidBefore
    checks: CheckCounts
    duration_ms: Count
    warnings: Warnings


Removed = Annotated[list[SymbolId], Field(description="Symbols of the earlier results that this job no longer has.")]


RequestOutcome = Literal[
    "answered",
    "unusable",
    "rate_limited",
    "server_error",
    "timeout",
    "connection",
    "rejected",
    "account",
    "cancelled",
]
TokenKind = Literal["input", "cached_input", "output", "reasoning"]
Verdict = Literal["passed", "findings", "rejected", "unchecked", "offline"]
Cache = Literal["summaries", "vectors", "files"]
EndStatus = Literal["success", "partial", "failed", "planned", "error", "cancelled"]
Requests = Annotated[
    dict[RequestOutcome, Count],
    Field(description="Requests to the model that have ended; 429 is rate_limited, 5xx is server_error."),
]
Tokens = Annotated[
    dict[TokenKind, Count],
    Field(description="Cached tokens are a part of the input, those of reasoning a part of the output."),
]
Failures = Annotated[
    dict[str, dict[str, Count]], Field(description="Failed symbols and jobs, by step and then by failure code.")
]
Verdicts = Annotated[dict[Verdict, Count], Field(description="New summaries by the verdict of their checks.")]
CacheHits = Annotated[dict[Cache, Count], Field(description="What was found and not bought or made again.")]


class JobFigures(_Record):
    """What one execution of a job has counted; nothing that an earlier one has paid is in it."""

    requests: Requests
    tokens: Tokens
    cost_usd: Usd
    summaries: Verdicts
    failures: Failures
    cache_hits: CacheHits
    seconds: Annotated[dict[str, Annotated[float, Field(ge=0)]], Field(description="How long each step took.")]


class Distribution(_Record):
    """Values that were counted: how many, their sum and their average."""

    count: Count
    sum: Annotated[float, Field(ge=0)]
    average: Annotated[float, Field(ge=0)]


class Stats(_Record):
    """The figures of a process since its start: what `GET /stats` returns."""

    jobs: Annotated[dict[EndStatus, Count], Field(description="Jobs that have ended, by status.")]
    success_rate: Annotated[
        float | None, Field(ge=0, le=1, description="Of those that ended by themselves, the share without a failure.")
    ]
    jobs_running: Count
    jobs_queued: Count
    job_seconds: Annotated[dict[str, Distribution], Field(description="By kind of job.")]
    step_seconds: Annotated[dict[str, Distribution], Field(description="By step.")]
    tokens: Tokens
    cost_usd: Usd
    job_usd: Annotated[Distribution, Field(description="Cost of the jobs that have asked a model.")]
    errors: Failures
    requests: Requests
    requests_in_flight: Count
    summaries: Verdicts
    cache_hits: CacheHits


class JobOutput(_Results):
    """What a job returns. Where it would be too large its symbols are left out, and are in the results document only.

    Then `documented_symbols`, `failed_symbols` and `removed` are absent.
    """

    figures: NotRequired[Annotated[JobFigures, Field(description="On RunPod: what this execution has counted.")]]

    documented_symbols: NotRequired[list[DocumentedSymbol]]
    failed_symbols: NotRequired[list[FailedSymbol]]
    removed: NotRequired[Removed]
    results: Annotated[
        ResultsPointer | None, Field(description="The results document; null where it could not be stored.")
    ]


class ResultsDocument(_Results):
    """What is stored: every symbol of the input in its order, with what it cost and how its checks went."""

    documented_symbols: list[StoredSymbol]
    failed_symbols: list[StoredFailure]
    removed: NotRequired[Removed]
    results: Annotated[None, Field(description="Always null: this is the document that others point to.")]
    checkpoint: NotRequired[
        Annotated[
            dict[str, int],
            Field(description="Present in a document that a job under way has left; for the worker only."),
        ]
    ]


class Plan(_Record):
    """What a job would do and what it would cost."""

    requests: Count
    symbols: Annotated[int, Field(ge=0, description="Those that a model would be asked for.")]
    known_symbols: Annotated[int, Field(ge=0, description="Those that need not be paid again.")]
    offline_symbols: Count
    left_out_symbols: Count
    large_symbols: Count
    medium_symbols: Count
    small_symbols: Count
    estimated_input_tokens: Count
    estimated_output_tokens: Count
    estimated_cost: Usd


class PlannedOutput(_Record):
    """What a dry run returns."""

    job_id: JobId
    status: Literal["planned"]
    model: str
    plan: Plan
    failed_symbols: list[FailedSymbol]
    pricing: TokenPricing
    warnings: Warnings


class JobFailure(_Record):
    """What is returned where a job could not run at all."""

    error: Annotated[str, Field(min_length=1, description="One sentence that says what to do.")]
    failure: Code


class ProgressPayload(_Record):
    """Where a job stands: cumulative, so that the newest tells all."""

    completed: Count
    failed: Count
    total: Count
    total_tokens: Count
    total_cost: Usd
    elapsed_ms: Count
    symbols: Annotated[
        list[DocumentedSymbol],
        Field(
            max_length=MAX_PROGRESS_SYMBOLS, description="Those documented since the last snapshot, the newest of them."
        ),
    ]


class ProgressSnapshot(_Record):
    """The `output` of RunPod's status while a job is in progress."""

    type: Literal["generation.progress.v1"]
    job_id: JobId
    payload: ProgressPayload


Timestamp = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", description="UTC, in RFC 3339, to a millisecond.")
]


class StartedPayload(_Record):
    """How much there is to do."""

    symbol_count: Count
    estimated_tokens: Count


class StartedEvent(_Record):
    """A job is about to make its first request."""

    type: Literal["generation.started.v1"]
    job_id: JobId
    timestamp: Timestamp
    payload: StartedPayload


class SymbolDocumentedPayload(_Record):
    """A symbol that has its summary."""

    symbol_id: SymbolId
    token_count: Count
    summary: NotRequired[
        Annotated[str, Field(description="In the HTTP service's stream only, not on standard output.")]
    ]


class SymbolDocumentedEvent(_Record):
    """A symbol is documented."""

    type: Literal["generation.symbol_documented.v1"]
    job_id: JobId
    timestamp: Timestamp
    payload: SymbolDocumentedPayload


class SymbolFailedPayload(_Record):
    """A symbol that has none."""

    symbol_id: SymbolId
    failure: Code
    message: Sentence


class SymbolFailedEvent(_Record):
    """A symbol has failed."""

    type: Literal["generation.symbol_failed.v1"]
    job_id: JobId
    timestamp: Timestamp
    payload: SymbolFailedPayload


class CompletedPayload(_Record):
    """How it went."""

    status: Status
    failed_count: Count
    total_tokens: Count
    total_cost: Usd
    duration_ms: Count
    warnings: Warnings


class CompletedEvent(_Record):
    """A job has ended."""

    type: Literal["generation.completed.v1"]
    status: Status
    job_id: JobId
    timestamp: Timestamp
    payload: CompletedPayload


AnyEvent = StartedEvent | SymbolDocumentedEvent | SymbolFailedEvent | CompletedEvent
