"""Plans: who is asked for, in which order, and what that is expected to cost."""

from __future__ import annotations

from typing import Any

import pytest

from generation.config import Settings
from generation.domain.context import SymbolContext
from generation.domain.limits import MAX_SUMMARY_TOKENS
from generation.domain.outcome import Failed, Request, Symbol
from generation.planning.planner import make_plan
from generation.prompts.builder import estimate_part_tokens, estimate_rules_tokens
from tests.support.contexts import FUNCTIONS, context

OFFLINE = Settings.from_env({"MODEL_NAME": "offline"})
NANO = Settings.from_env({"OPENAI_API_KEY": "sk-test"})


def estimate(one: Symbol) -> int:
    """What the prompt for one symbol alone is expected to have."""
    return min(2_000, estimate_rules_tokens() + estimate_part_tokens(one.context))


def symbol(position: int, name: str = "f", **fields: Any) -> Symbol:
    return Symbol(position, SymbolContext(**context(name, **fields)))


def test_the_most_central_come_first_and_equals_in_the_order_of_the_input() -> None:
    """Symbols are asked for by falling centrality; those without one count as 0 and keep their order."""
    centralities = [0.2, None, 0.9, 0.2, 0.0, 1.0, None]
    symbols = [symbol(place, centrality=value) for place, value in enumerate(centralities)]

    plan = make_plan(symbols, OFFLINE)

    assert [one.position for one in plan.symbols] == [5, 2, 0, 3, 1, 4, 6]
    assert plan.left_out == ()


def test_what_is_beyond_max_symbols_fails_with_the_reason() -> None:
    """With max_symbols the most central are kept; each of the others is a failure under its own id that says why."""
    symbols = [symbol(place, f"f{place}", centrality=place / 10) for place in range(5)]

    plan = make_plan(symbols, OFFLINE.with_options({"max_symbols": 2}))

    assert [one.symbol_id for one in plan.symbols] == ["shop/orders.py:f4", "shop/orders.py:f3"]
    assert [(one.position, one.symbol_id, one.failure) for one in plan.left_out] == [
        (2, "shop/orders.py:f2", "not_selected"),
        (1, "shop/orders.py:f1", "not_selected"),
        (0, "shop/orders.py:f0", "not_selected"),
    ]
    assert all(isinstance(one, Failed) and "max_symbols is 2" in one.message for one in plan.left_out)
    assert {one.file_path for one in plan.left_out} == {"shop/orders.py"}


@pytest.mark.parametrize("limit", [3, 4, 50_000])
def test_a_limit_that_is_not_reached_leaves_nobody_out(limit: int) -> None:
    """max_symbols at or above the number of symbols changes nothing."""
    symbols = [symbol(place) for place in range(3)]

    assert make_plan(symbols, OFFLINE.with_options({"max_symbols": limit})) == make_plan(symbols, OFFLINE)


def test_sizes_at_their_boundaries() -> None:
    """Large is over 4,000 characters of source, medium 1,200 to 4,000, small the rest, no source at all included."""
    sizes = [0, 1_199, 1_200, 4_000, 4_001, 900_000]
    symbols = [symbol(place, source_code="x" * size) for place, size in enumerate(sizes)]

    plan = make_plan([*symbols, symbol(6, source_code=None)], OFFLINE)

    assert (plan.large, plan.medium, plan.small) == (2, 2, 3)


def test_only_what_is_asked_for_is_counted() -> None:
    """Sizes and estimates are those of the symbols that are kept, not of those that are left out."""
    symbols = [symbol(0, source_code="x" * 5_000, centrality=0.1), symbol(1, source_code="x", centrality=0.9)]

    plan = make_plan(symbols, NANO.with_options({"max_symbols": 1}))

    assert (plan.large, plan.medium, plan.small) == (0, 0, 1)
    assert plan.expected.input_tokens == estimate(symbols[1])


def test_an_estimate_worked_by_hand() -> None:
    """Two symbols at a full budget of 2,000 tokens with answers of 80: 4,160 tokens, $0.000696 at 0.15 and 0.60."""
    symbols = [symbol(place, source_code="x" * 100_000) for place in range(2)]

    plan = make_plan(symbols, NANO)

    assert (plan.expected.input_tokens, plan.expected.total_tokens) == (4_000, 4_160)
    assert plan.expected_cost_usd == 0.000696


def test_the_estimate_of_a_plan_is_the_sum_of_its_prompts() -> None:
    """What is expected of a plan is what is expected of each of its prompts, and the answers."""
    symbols = [symbol(place, name) for place, name in enumerate(FUNCTIONS)]

    plan = make_plan(symbols, NANO.with_options({"callees_first": False}))

    assert plan.expected.input_tokens == sum(estimate(one) for one in symbols)
    assert plan.expected.total_tokens == plan.expected.input_tokens + 80 * 12


def test_a_plan_of_nothing() -> None:
    """No symbols make an empty plan that costs nothing."""
    plan = make_plan([], NANO)

    assert (plan.symbols, plan.left_out, plan.expected.total_tokens, plan.expected_cost_usd) == ((), (), 0, 0.0)


def test_a_group_fits_into_the_context_of_its_model() -> None:
    """Of symbols that a large model is asked for together, a model of 8,192 tokens is asked for fewer at a time."""
    symbols = [symbol(place, f"f{place}", source_code="value = 1\n" * 390) for place in range(12)]
    batch = {"OPENAI_API_KEY": "sk-test", "BATCH_MODE": "true"}
    large = make_plan(symbols, Settings.from_env(batch))
    small = make_plan(symbols, Settings.from_env({**batch, "MODEL_NAME": "a-model-of-ones-own"}))

    def tokens(request: Request) -> int:
        parts = sum(min(2_000, estimate_part_tokens(one.context)) for one in request.symbols)
        return estimate_rules_tokens() + parts + len(request.symbols) * MAX_SUMMARY_TOKENS

    assert max(map(tokens, large.requests)) > 8_192
    assert max(map(tokens, small.requests)) <= 8_192
    assert max(len(request.symbols) for request in small.requests) > 1
    assert sorted(one.position for request in small.requests for one in request.symbols) == list(range(12))
