"""What a job counts while it runs: requests, tokens, verdicts, failures, cache hits and times.

The caller of a job makes a `JobFigures`, hands it to the job and may read it at any time; what it counts never falls,
but for the requests in flight. Leaves out: the sums of many jobs (`process`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, cast, get_args

from generation.domain import output
from generation.domain.bookkeeping import as_count, as_object
from generation.domain.catalogue import Pricing
from generation.domain.outcome import Documented, Outcome
from generation.domain.output import Cache, RequestOutcome, TokenKind, Verdict
from generation.domain.usage import NO_USAGE, Usage, cost_usd

REQUEST_OUTCOMES: Final = get_args(RequestOutcome)
VERDICTS: Final = get_args(Verdict)
TOKEN_KINDS: Final = get_args(TokenKind)
CACHES: Final = get_args(Cache)

# No job costs as many dollars or takes as many seconds.
MAX_NUMBER = 1e12
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(slots=True)
class JobFigures:
    """The figures of one job; `failures` are counted by step and code, `seconds` are those of ended steps.

    What requests cost follows from `pricing`, or is `told_usd` where another worker has told it.
    """

    requests: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    usage: Usage = NO_USAGE
    pricing: Pricing | None = None
    told_usd: float | None = None
    verdicts: Counter[str] = field(default_factory=Counter)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    cache_hits: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def cost_usd(self) -> float:
        """Return what this job's requests have cost, in USD; without what earlier runs of the job paid."""
        if self.told_usd is not None:
            return self.told_usd
        return 0.0 if self.pricing is None else cost_usd(self.usage, self.pricing)

    @property
    def tokens(self) -> dict[str, int]:
        """Return the tokens by kind; cached ones are a part of the input, those of reasoning of the output."""
        usage = self.usage
        counts = (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.reasoning_tokens)
        return dict(zip(TOKEN_KINDS, counts, strict=True))

    def count_outcome(self, outcome: Outcome, *, is_known: bool = False) -> None:
        """Count the outcome of a symbol; `is_known` says that it was taken over and nothing was asked."""
        if not isinstance(outcome, Documented):
            self.failures["document", outcome.failure] += 1
        elif is_known:
            self.cache_hits["summaries"] += 1
        else:
            self.verdicts[_verdict(outcome)] += 1

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Count the seconds of a step, however it ends."""
        started_s = monotonic()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + monotonic() - started_s

    def record(self) -> output.JobFigures:
        """Return the figures as one JSON object, which has no ids."""
        return cast(
            "output.JobFigures",
            {
                "requests": {outcome: self.requests[outcome] for outcome in REQUEST_OUTCOMES},
                "tokens": self.tokens,
                "cost_usd": self.cost_usd,
                "summaries": {verdict: self.verdicts[verdict] for verdict in VERDICTS},
                "failures": by_step(self.failures),
                "cache_hits": {cache: self.cache_hits[cache] for cache in CACHES},
                "seconds": {step: round(seconds, 3) for step, seconds in self.seconds.items()},
            },
        )


def read_figures(record: object) -> JobFigures:
    """Return the figures of a job's output, such as one of RunPod; what makes no sense in them counts as 0."""
    given = as_object(record)
    counts = {
        name: Counter({key: as_count(value) or 0 for key, value in as_object(given.get(name)).items() if key in known})
        for name, known in (("requests", REQUEST_OUTCOMES), ("summaries", VERDICTS), ("cache_hits", CACHES))
    }
    tokens = [as_count(as_object(given.get("tokens")).get(kind)) or 0 for kind in TOKEN_KINDS]
    failures = {
        (step, failure): as_count(count) or 0
        for step, codes in as_object(given.get("failures")).items()
        for failure, count in as_object(codes).items()
        if _WORD.fullmatch(step) and _WORD.fullmatch(failure)
    }
    seconds = as_object(given.get("seconds")).items()
    return JobFigures(
        requests=counts["requests"],
        usage=Usage(*tokens),
        told_usd=_as_number(given.get("cost_usd")),
        verdicts=counts["summaries"],
        failures=Counter(failures),
        cache_hits=counts["cache_hits"],
        seconds={step: _as_number(value) for step, value in seconds if _WORD.fullmatch(step)},
    )


def _as_number(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < MAX_NUMBER else 0.0  # type: ignore[operator, arg-type]


def by_step(failures: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """Return counts of failures by step, and in each by code.

    >>> by_step({("document", "timeout"): 2, ("fetch", "bad_source"): 1})
    {'document': {'timeout': 2}, 'fetch': {'bad_source': 1}}
    """
    found: dict[str, dict[str, int]] = {}
    for (step, failure), count in sorted(failures.items()):
        found.setdefault(step, {})[failure] = count
    return found


def _verdict(outcome: Documented) -> str:
    if outcome.is_rejected:
        return "rejected"
    if outcome.source == "offline":
        return "offline"
    if outcome.checks is None:
        return "unchecked"
    return "findings" if outcome.checks.findings else "passed"
