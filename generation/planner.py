"""Which symbols are asked for, in which order, and what that will cost. Pure: no request is made here.

Leaves out: the text of prompts (`prompt_builder`), and when a request may leave (`generator`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from generation.outcomes import Failed, Symbol
from generation.prompt_builder import estimate_prompt_tokens
from generation.token_counter import Usage, cost_usd

if TYPE_CHECKING:
    from generation.config import Settings

LARGE_CHARS = 4_000
MEDIUM_CHARS = 1_200

# One or two sentences as JSON, with a little reasoning; what comes back is measured, this is for the estimate.
EXPECTED_OUTPUT_TOKENS = 80


@dataclass(frozen=True, slots=True)
class Plan:
    """The symbols in the order in which they are asked for, and what is expected of the run."""

    symbols: tuple[Symbol, ...]
    left_out: tuple[Failed, ...]
    large: int
    medium: int
    small: int
    estimated_input_tokens: int
    estimated_tokens: int
    estimated_cost_usd: float


def make_plan(symbols: Sequence[Symbol], settings: Settings) -> Plan:
    """Order the most central symbols first and leave out what is beyond `max_symbols`."""
    ordered = sorted(symbols, key=lambda symbol: (-symbol.centrality, symbol.position))
    chosen = tuple(ordered[: settings.max_symbols])
    sizes = [len(symbol.context.source_code or "") for symbol in chosen]
    large = sum(size > LARGE_CHARS for size in sizes)
    medium = sum(MEDIUM_CHARS <= size <= LARGE_CHARS for size in sizes)
    budget = settings.max_prompt_tokens
    expected = Usage(
        input_tokens=sum(estimate_prompt_tokens(symbol.context, budget) for symbol in chosen),
        output_tokens=EXPECTED_OUTPUT_TOKENS * len(chosen),
    )
    return Plan(
        symbols=chosen,
        left_out=tuple(_left_out(symbol, len(chosen)) for symbol in ordered[len(chosen) :]),
        large=large,
        medium=medium,
        small=len(chosen) - large - medium,
        estimated_input_tokens=expected.input_tokens,
        estimated_tokens=expected.total_tokens,
        estimated_cost_usd=cost_usd(expected, settings.pricing),
    )


def _left_out(symbol: Symbol, limit: int) -> Failed:
    message = f"left out: max_symbols is {limit} and other symbols are more central"
    return Failed(symbol.position, symbol.symbol_id, symbol.context.file_path, "not_selected", message)
