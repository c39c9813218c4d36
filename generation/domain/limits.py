"""Limits and constrained types that both the settings and a job's options use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from generation.domain.languages import check_language_name

# Patterns of texts, and what a text must be that does not match one.
LANGUAGE_PATTERN = r"^[^\W\d_]+([ -][^\W\d_]+)*$"
MODEL_PATTERN = r"^[!-~]+$"
HOST_PATTERN = r"^[A-Za-z0-9.:-]+$"
ACCOUNT_PATTERN = r"^[A-Za-z0-9.-]+$"
ENDPOINT_PATTERN = r"^[A-Za-z0-9_-]+$"
JOB_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
JOB_ID_PATTERN = f"^{JOB_ID.pattern}$"
TEXT_PATTERN = r"^[^\x00-\x1f\x7f]+$"
_PATTERN_WORDS = {
    LANGUAGE_PATTERN: "must be the name or the code of a language, such as English or pt-BR",
    MODEL_PATTERN: "must be ASCII without spaces",
    HOST_PATTERN: "must be the name or the address of a host",
    ACCOUNT_PATTERN: "must be letters, digits, dots or hyphens",
    ENDPOINT_PATTERN: "must be letters, digits, hyphens or underscores",
    JOB_ID_PATTERN: "must be 1 to 128 letters, digits, dots, hyphens or underscores",
    TEXT_PATTERN: "must have no control characters",
}

ConcurrentRequests = Annotated[int, Field(ge=1, le=1_000)]
MAX_DEADLINE_S = 7 * 24 * 3600.0
DeadlineS = Annotated[float, Field(gt=0, le=MAX_DEADLINE_S, allow_inf_nan=False)]
MaxSymbols = Annotated[int, Field(ge=1, le=1_000_000_000)]
BatchSize = Annotated[int, Field(ge=1, le=50)]
BatchTokens = Annotated[int, Field(ge=2_000, le=500_000)]
Centrality = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
CostUsd = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Language = Annotated[
    str,
    Field(min_length=2, max_length=40, pattern=LANGUAGE_PATTERN),
    AfterValidator(check_language_name),
]
ModelName = Annotated[str, Field(min_length=1, max_length=200, pattern=MODEL_PATTERN)]
MAX_SUMMARY_TOKENS = 150

# A client that polls every few seconds shows the newest symbols; the results document contains all of them.
MAX_PROGRESS_SYMBOLS = 50

# Enough for the rules (about 230 tokens) and the last of CUTS with every part at its maximum length.
MIN_PROMPT_TOKENS = 800

MAX_JOB_SYMBOLS = 50_000
MAX_SOURCE_CHARS = 1_000_000

# Beyond every limit here, and below the 4,300 digits at which Python refuses to convert an integer.
MAX_INTEGER_DIGITS = 300


def parse_integer(digits: str) -> int | float:
    """Return an integer of a JSON text; one that is too long for any field as a number that its field refuses.

    For `json.loads(..., parse_int=parse_integer)`, which otherwise raises ValueError for the document as a whole.
    """
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else float(digits)


def pattern_words(fault: Mapping[str, Any]) -> str | None:
    """Return what a text must be, by pydantic's error about it; None for other errors and for unknown patterns."""
    if fault["type"] != "string_pattern_mismatch":
        return None
    return _PATTERN_WORDS.get(fault["ctx"]["pattern"])
