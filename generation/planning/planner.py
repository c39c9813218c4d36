"""Which symbols are asked for, which together and in which order, and what that will cost. Pure.

Leaves out: the text of prompts (`prompt_builder`), when a request may leave (`schedule`, `limiter`), and what becomes
of a group that does not fit after all (the documenter halves it).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from generation.config import Settings
from generation.domain import output
from generation.domain.catalogue import OFFLINE
from generation.domain.limits import MAX_SUMMARY_TOKENS
from generation.domain.outcome import Failed, Request, Symbol
from generation.domain.usage import Usage, cost_usd
from generation.planning.call_graph import callees_within, levels
from generation.planning.prompt_context import MAX_CALLEES
from generation.prompts.builder import estimate_part_tokens, estimate_rules_tokens

LARGE_CHARS = 4_000
MEDIUM_CHARS = 1_200

# A symbol this central is read by everyone and asked for alone, as large ones are: quality falls with a group's size.
CENTRAL = 0.25

# One or two sentences as JSON; what comes back is measured, this is for the estimate. The second is for limits.
EXPECTED_OUTPUT_TOKENS = 80

# What a callee's summary adds to its caller's prompt.
NOTE_TOKENS = 35


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests in the order of their planning, who waits for whom, and what is expected of the run.

    `symbols` are those that a model documents; of these, `known` have been documented before and are not asked for:
    what costs nothing is not left out either, whatever the limits are.
    """

    requests: tuple[Request, ...]
    symbols: tuple[Symbol, ...]
    known: tuple[Symbol, ...]
    callees: Mapping[int, tuple[int, ...]]
    offline: tuple[Symbol, ...]
    left_out: tuple[Failed, ...]
    large: int
    medium: int
    small: int
    expected: Usage
    expected_cost_usd: float


def make_plan(symbols: Sequence[Symbol], settings: Settings, known: Collection[int] = ()) -> Plan:
    """Select by centrality, leave out whose positions are `known`, group, and order the most central first."""
    ordered = sorted(symbols, key=lambda symbol: (-symbol.centrality, symbol.position))
    known_symbols = [symbol for symbol in ordered if symbol.position in known]
    chosen = [symbol for symbol in ordered[: settings.max_symbols] if symbol.position not in known]
    left_out = [] if settings.max_symbols is None else ordered[settings.max_symbols :]
    offline = [symbol for symbol in chosen if symbol.centrality < settings.min_centrality]
    asked = chosen[: len(chosen) - len(offline)]
    selected = [*asked, *known_symbols]
    callees = callees_within(selected) if settings.callees_first and settings.model_name != OFFLINE else {}
    requests = _group(asked, callees, settings) if settings.batch_mode else [Request((symbol,)) for symbol in asked]
    expected = _expected(requests, callees, settings)
    sizes = [len(symbol.context.source_code or "") for symbol in asked]
    large = sum(size > LARGE_CHARS for size in sizes)
    medium = sum(MEDIUM_CHARS <= size <= LARGE_CHARS for size in sizes)
    return Plan(
        requests=tuple(requests),
        symbols=tuple(selected),
        known=tuple(known_symbols),
        callees=callees,
        offline=tuple(offline),
        left_out=tuple(_left_out(symbol, settings.max_symbols) for symbol in left_out if symbol.position not in known),
        large=large,
        medium=medium,
        small=len(asked) - large - medium,
        expected=expected,
        expected_cost_usd=cost_usd(expected, settings.pricing),
    )


def _left_out(symbol: Symbol, limit: int | None) -> Failed:
    message = f"left out: max_symbols is {limit} and other symbols are more central"
    return Failed(symbol.position, symbol.symbol_id, symbol.context.file_path, "not_selected", message)


def _group(symbols: Sequence[Symbol], callees: Mapping[int, tuple[int, ...]], settings: Settings) -> list[Request]:
    """Symbols of one level of the call graph and one language in a request, clusters and files together.

    Within a level nobody calls anybody, so that no group can wait for itself or for one that waits for it.
    """
    level = levels(callees)
    alone: list[Symbol] = []
    together: list[Symbol] = []
    for symbol in symbols:
        is_alone = symbol.centrality >= CENTRAL or len(symbol.context.source_code or "") > LARGE_CHARS
        (alone if is_alone else together).append(symbol)
    together.sort(
        key=lambda symbol: (
            level.get(symbol.position, 0),
            symbol.context.language,
            symbol.context.cluster_label or "",
            symbol.context.file_path,
            symbol.position,
        )
    )
    groups = _filled(together, level, settings)
    requests = [Request((symbol,)) for symbol in alone] + [Request(tuple(group)) for group in groups]
    return sorted(requests, key=lambda request: (-request.centrality, request.symbols[0].position))


def _filled(symbols: Iterable[Symbol], level: Mapping[int, int], settings: Settings) -> Iterator[list[Symbol]]:
    """Neighbours in the given order, as many as fit into a request."""
    group: list[Symbol] = []
    kind: tuple[int, str] | None = None
    tokens = estimate_rules_tokens()
    for symbol in symbols:
        own_kind = (level.get(symbol.position, 0), symbol.context.language)
        own_tokens = min(settings.max_prompt_tokens, estimate_part_tokens(symbol.context))
        if group and (own_kind != kind or not _fits(len(group) + 1, tokens + own_tokens, settings)):
            yield group
            group, tokens = [], estimate_rules_tokens()
        group.append(symbol)
        kind = own_kind
        tokens += own_tokens
    if group:
        yield group


def _fits(count: int, input_tokens: int, settings: Settings) -> bool:
    output_tokens = count * MAX_SUMMARY_TOKENS
    return (
        count <= settings.batch_size
        and input_tokens <= settings.max_batch_tokens
        and output_tokens <= min(settings.max_completion_tokens, settings.model.max_output_tokens)
        and input_tokens + output_tokens <= settings.model.context_tokens
    )


def _expected(requests: Sequence[Request], callees: Mapping[int, tuple[int, ...]], settings: Settings) -> Usage:
    if settings.model_name == OFFLINE:
        return Usage()
    symbols = [symbol for request in requests for symbol in request.symbols]
    room = settings.max_prompt_tokens - estimate_rules_tokens()
    parts = sum(min(room, _part_tokens(symbol, callees)) for symbol in symbols)
    return Usage(
        input_tokens=estimate_rules_tokens() * len(requests) + parts,
        output_tokens=EXPECTED_OUTPUT_TOKENS * len(symbols),
        requests=len(requests),
    )


def _part_tokens(symbol: Symbol, callees: Mapping[int, tuple[int, ...]]) -> int:
    notes = min(MAX_CALLEES, len(callees.get(symbol.position, ())))
    return estimate_part_tokens(symbol.context) + NOTE_TOKENS * notes


def plan_figures(plan: Plan) -> output.Plan:
    """Return what a plan would ask and what it would cost, as the output of a dry run has it."""
    return {
        "requests": len(plan.requests),
        "symbols": len(plan.symbols) - len(plan.known),
        "known_symbols": len(plan.known),
        "offline_symbols": len(plan.offline),
        "left_out_symbols": len(plan.left_out),
        "large_symbols": plan.large,
        "medium_symbols": plan.medium,
        "small_symbols": plan.small,
        "estimated_input_tokens": plan.expected.input_tokens,
        "estimated_output_tokens": plan.expected.output_tokens,
        "estimated_cost": plan.expected_cost_usd,
    }
