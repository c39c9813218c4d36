"""Estimates the cost of documenting sources, with the planner. Makes no requests and stores nothing.

Symbols that are unchanged since the previous results cost nothing. Like every estimate of this project it excludes
reasoning tokens and retries, and also the requests that partitioning into shards adds in batch mode.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from generation.bulk.inputs import opened, read_symbols
from generation.bulk.manifest import Source
from generation.config import Settings
from generation.domain.catalogue import utc_today
from generation.domain.outcome import Failed, Symbol
from generation.errors import InputError
from generation.intake.job_input import JobOptions
from generation.job import questions
from generation.planning.planner import make_plan
from generation.results.reuse import Found, Questions, models_in, read_results, resolve_reuse
from generation.storage.base import Storage

# The Batch API's prices as a share of the normal ones.
BATCH_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """The estimate of a source. `known` symbols are reused; `cost_usd` is at normal prices."""

    name: str
    symbols: int = 0
    known: int = 0
    invalid: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    fault: str | None = None


async def plan_source(
    source: Source, storage: Storage, settings: Settings, *, renew: bool = False, today: date | None = None
) -> SourcePlan:
    """Read a source and estimate its cost. Raises StorageError; an unreadable form is reported as `fault`."""
    previous = await storage.read(source.previous_key) if source.previous_key and not renew else None
    found = Found(previous=await asyncio.to_thread(read_results, previous.body) if previous else None)
    ask = functools.partial(questions, settings, today or utc_today(), models_in(found))
    try:
        async with opened(source, storage) as plain:
            items = read_symbols(plain, source.name, set())
            return await asyncio.to_thread(_planned, source.name, (one for _, one in items), found, settings, ask)
    except InputError as error:
        return SourcePlan(source.name, fault=str(error).removeprefix("symbols_key: "))


def _planned(
    name: str,
    items: Iterable[Symbol | Failed],
    found: Found,
    settings: Settings,
    ask: Callable[[Iterable[Symbol]], Questions],
) -> SourcePlan:
    symbols: list[Symbol] = []
    invalid = 0
    for item in items:
        if isinstance(item, Symbol):
            symbols.append(item)
        else:
            invalid += 1
    if not symbols and not invalid:
        raise InputError(f"{name} holds no symbols")
    known = resolve_reuse(found, symbols, ask(symbols), ()).outcomes.keys() if found.previous else ()
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


def with_options(settings: Settings, options: Mapping[str, Any], *, needs_key: bool) -> Settings:
    """Return the settings with a run's options applied. Raises ConfigError where they are incompatible."""
    changed = settings.with_options(JobOptions.model_validate(dict(options)).as_settings())
    changed.require_usable_model(needs_key=needs_key)
    return changed
