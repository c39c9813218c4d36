"""What documenting sources would cost, by the planner's estimate of each. Buys and stores nothing.

Unchanged symbols of previous results cost nothing. Leaves out reasoning and retries, as every estimate of this project
does, and requests that the cut into shards adds in batch mode.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from generation.bulk.inputs import opened, read_symbols
from generation.bulk.manifest import Source
from generation.config import Settings
from generation.domain.outcome import Failed, Symbol
from generation.errors import InputError
from generation.intake.job_input import JobOptions
from generation.planning.planner import make_plan
from generation.prompts.content_hash import hasher
from generation.results.reuse import Found, Results, read_results, resolve_reuse
from generation.storage.base import Storage

# Of OpenAI's prices, for requests that may take a day.
BATCH_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """A source in figures, with its price at once; a batch is half of it."""

    name: str
    symbols: int = 0
    known: int = 0
    invalid: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    fault: str | None = None


async def plan_source(source: Source, storage: Storage, settings: Settings) -> SourcePlan:
    """Read a source and estimate what it would cost."""
    previous = await storage.read(source.previous_key) if source.previous_key else None
    results = read_results(previous.body) if previous else None
    try:
        async with opened(source, storage) as plain:
            verdicts = read_symbols(plain, source.name, set())
            return await asyncio.to_thread(_planned, source.name, (one for _, one in verdicts), results, settings)
    except InputError as error:
        return SourcePlan(source.name, fault=str(error).removeprefix("symbols_key: "))


def _planned(
    name: str, verdicts: Iterable[Symbol | Failed], previous: Results | None, settings: Settings
) -> SourcePlan:
    symbols: list[Symbol] = []
    invalid = 0
    for verdict in verdicts:
        if isinstance(verdict, Symbol):
            symbols.append(verdict)
        else:
            invalid += 1
    if not symbols and not invalid:
        raise InputError(f"{name} holds no symbols")
    content_hash = hasher(settings)
    hashes = {symbol.position: content_hash(symbol.context) for symbol in symbols} if previous else {}
    known = resolve_reuse(Found(previous=previous), symbols, hashes, ()).outcomes.keys() if previous else ()
    plan = make_plan(symbols, settings, known)
    return SourcePlan(
        name,
        symbols=len(symbols) + invalid,
        known=len(known),
        invalid=invalid,
        requests=len(plan.requests),
        input_tokens=plan.expected.input_tokens,
        output_tokens=plan.expected.output_tokens,
        cost_usd=plan.expected_cost_usd,
    )


def with_options(settings: Settings, options: Mapping[str, Any]) -> Settings:
    """The settings with a run's options in their place. Raises ConfigError where they do not work together."""
    return settings.with_options(JobOptions.model_validate(dict(options)).as_settings())
