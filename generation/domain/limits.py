"""Shared limits and the types of options, used by what reads settings and by what reads a job's options."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

ConcurrentRequests = Annotated[int, Field(ge=1, le=1_000)]
DeadlineS = Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)]
MaxSymbols = Annotated[int, Field(ge=1)]
BatchSize = Annotated[int, Field(ge=1, le=50)]
BatchTokens = Annotated[int, Field(ge=2_000, le=500_000)]
Centrality = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
CostUsd = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Language = Annotated[str, Field(min_length=2, max_length=40, pattern=r"^[^\W\d_]+([ -][^\W\d_]+)*$")]
ModelName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[!-~]+$")]
MAX_SUMMARY_TOKENS = 150

# A client that looks every few seconds shows the newest; the results document has them all.
MAX_PROGRESS_SYMBOLS = 50

# The rules (about 230 tokens) and the last of CUTS with every part at its longest fit in this.
MIN_PROMPT_TOKENS = 800

MAX_JOB_SYMBOLS = 50_000
MAX_SOURCE_CHARS = 1_000_000

JOB_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
