"""What decides a summary is in its hash, and nothing else is: both ways cost money where they are wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from generation.config import Settings
from generation.domain.catalogue import OFFLINE
from generation.domain.context import CONTEXT_FIELDS, SymbolContext
from generation.prompts.builder import NO_NOTES, build_part
from generation.prompts.content_hash import hasher
from generation.prompts.tokens import TokenCounter
from tests.support.contexts import FUNCTIONS, context, payload
from tests.support.worker_process import REPOSITORY_ROOT

SETTINGS = Settings.from_env({"OPENAI_API_KEY": "key"})
WHOLE = context("order_total", cluster_label="orders", centrality=0.5, imports=["import decimal"])

# Of every field of a context another value than WHOLE has.
OTHER_FIELDS: dict[str, Any] = {
    "symbol_id": "elsewhere",
    "name": "order_sum",
    "kind": "method",
    "language": "cython",
    "file_path": "shop/sums.py",
    "signature": "def order_total(lines):",
    "calls": ["line_total"],
    "called_by": ["place_order", "quote"],
    "imports": ["import fractions"],
    "related_symbols": [{"name": "line_total", "similarity": 0.9, "note": "Price of a line."}],
    "cluster_label": "sums",
    "centrality": 0.9,
    "docstring": "Sum an order up.",
    "source_code": "def order_total(lines):\n    return sum(lines)",
    "embedding": [0.1, 0.2],
    "callees": ["shop/orders.py:line_total"],
    "parent": "Order",
    "bases": ["Total"],
    "decorators": ["cached"],
    "exported": True,
}

# Settings that decide what a summary says, each with another value than its default ...
DECIDING: dict[str, Any] = {
    "model_name": "gpt-5-mini",
    "reasoning_effort": "low",
    "output_language": "German",
    "max_prompt_tokens": 3_000,
    "callees_first": False,
    "include_semantic_context": True,
}
# ... and all others.
NOT_DECIDING: dict[str, Any] = {
    "openai_api_key": "another",
    "openai_base_url": "https://example.com/v1",
    "max_concurrent_requests": 99,
    "jobs_per_worker": 1,
    "max_retries": 9,
    "max_completion_tokens": 1_000,
    "request_timeout_s": 5.0,
    "input_token_price": 9.0,
    "output_token_price": 9.0,
    "max_symbols": 7,
    "batch_mode": True,
    "batch_size": 3,
    "max_batch_tokens": 5_000,
    "min_centrality": 0.1,
    "max_cost_usd": 1.0,
    "deadline_s": 30.0,
    "shutdown_grace_s": 1.0,
    "r2_account_id": "a",
    "r2_access_key_id": "b",
    "r2_secret_access_key": "c",
    "r2_bucket": "d",
    "r2_endpoint_url": "https://example.com",
    "r2_public_base_url": "https://example.com",
    "results_dir": Path("elsewhere"),
    "storage_retry_s": 1.0,
    "max_output_bytes": 5_000,
    "tiktoken_cache_dir": Path("elsewhere"),
    "log_level": "DEBUG",
}


def hash_of(facts: dict[str, Any] = WHOLE, **settings: Any) -> str:
    return hasher(SETTINGS.model_copy(update=settings))(SymbolContext(**facts))


@pytest.mark.parametrize("field", sorted(CONTEXT_FIELDS))
def test_the_hash_follows_what_the_prompt_says_of_the_symbol_itself(field: str, counter: TokenCounter) -> None:
    """A field that changes the symbol's part of a prompt changes the hash, and no other does, but for centrality."""
    changed = {**WHOLE, field: OTHER_FIELDS[field]}
    texts = [build_part(SymbolContext(**one), NO_NOTES, counter, 10_000).text for one in (WHOLE, changed)]
    assert (hash_of(changed) != hash_of()) == (texts[0] != texts[1] and field != "centrality")


def test_what_a_prompt_leaves_out_is_in_the_hash() -> None:
    """One letter in the middle of a body that is far over the budget counts: cuts depend on what is told beside it."""
    lines = [f"    step_{number}()" for number in range(5_000)]
    bodies = ["\n".join([*lines[:2_500], middle, *lines[2_500:]]) for middle in ("    a()", "    b()")]
    assert len({hash_of({**WHOLE, "source_code": body}) for body in bodies}) == 2


@pytest.mark.parametrize(("semantic", "counts"), [(False, False), (True, True)])
def test_imports_count_where_prompts_have_them(semantic: bool, counts: bool) -> None:
    """With semantic context the imports are told to the model and are in the hash; without it they are not."""
    one, two = (hash_of({**WHOLE, "imports": [line]}, include_semantic_context=semantic) for line in ("import a", "b"))
    assert (one != two) == counts


@pytest.mark.parametrize("field", ["related_symbols", "embedding", "centrality"])
def test_what_moves_with_other_symbols_does_not_count(field: str) -> None:
    """Neighbours and centrality change all over a codebase at once, and are not in the hash with semantic context."""
    changed = {**WHOLE, field: OTHER_FIELDS[field]}
    assert hash_of(changed, include_semantic_context=True) == hash_of(include_semantic_context=True)


def test_every_setting_is_decided_upon() -> None:
    """A setting that is new to the project is in one of the two tables above, so that somebody has thought of it."""
    assert DECIDING.keys() | NOT_DECIDING.keys() == Settings.model_fields.keys()
    assert OTHER_FIELDS.keys() == CONTEXT_FIELDS


@pytest.mark.parametrize("setting", DECIDING)
def test_what_decides_a_summary_changes_the_hash(setting: str) -> None:
    """Model, effort, language, budget, and what callees and neighbours there are to tell of."""
    assert hash_of(**{setting: DECIDING[setting]}) != hash_of()


@pytest.mark.parametrize("setting", NOT_DECIDING)
def test_what_does_not_decide_a_summary_leaves_the_hash(setting: str) -> None:
    """Keys, addresses, prices, pace, groups, caps, places: none of them makes a symbol be paid anew."""
    assert NOT_DECIDING[setting] != getattr(SETTINGS, setting)
    assert hash_of(**{setting: NOT_DECIDING[setting]}) == hash_of()


def test_the_effort_counts_as_it_is_asked_for() -> None:
    """An effort that is set to what the model gets anyway is the same request, and the same hash."""
    assert hash_of(reasoning_effort="minimal") == hash_of()


GOLDEN = json.loads((REPOSITORY_ROOT / "tests" / "golden" / "content_hashes.json").read_text(encoding="utf-8"))
GOLDEN_SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "German with semantic context": {**DECIDING, "max_prompt_tokens": 3_000},
    "offline": {"model_name": OFFLINE},
}


@pytest.mark.parametrize("settings", GOLDEN_SETTINGS)
def test_hashes_are_those_that_customers_have_stored(settings: str) -> None:
    """Twenty symbols keep the hashes that they were released with: were they to change, every customer would pay again.

    A hash may change only where the summary that it stands for would be written differently. Whoever changes
    `tests/golden/content_hashes.json` makes each stored summary of each codebase be bought once more: that is a new
    version of the prompt, to be announced, and never the side effect of a renamed field.
    """
    content_hash = hasher(SETTINGS.model_copy(update=GOLDEN_SETTINGS[settings]))
    contexts = [{**item["context"], "imports": ["import decimal"]} for item in payload(20)["symbols"]]

    assert {one["symbol_id"]: content_hash(SymbolContext(**one)) for one in contexts} == GOLDEN[settings]


def test_other_symbols_leave_the_hash() -> None:
    """A symbol has one hash, whoever was hashed before it in the same job."""
    content_hash = hasher(SETTINGS)
    contexts = [SymbolContext(**context(name)) for name in FUNCTIONS]
    forwards = [content_hash(one) for one in contexts]
    assert [content_hash(one) for one in reversed(contexts)] == forwards[::-1]
    assert forwards == [hasher(SETTINGS)(one) for one in contexts]


def test_different_symbols_have_different_hashes_of_32_digits() -> None:
    """A hash is 32 hexadecimal digits in lower case, and no two of a dozen functions share one."""
    hashes = {hash_of(context(name)) for name in FUNCTIONS}
    assert len(hashes) == len(FUNCTIONS)
    assert all(len(one) == 32 and set(one) <= set("0123456789abcdef") for one in hashes)


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_the_hash_is_the_same_in_another_process(seed: str) -> None:
    """A job that starts anew on another worker finds what it has paid for: nothing in a hash is of one process."""
    script = (
        "from tests.generation.prompts.test_content_hash import hash_of\n"
        "print(hash_of(), hash_of(include_semantic_context=True))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY_ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [hash_of(), hash_of(include_semantic_context=True)]


def test_offline_is_apart_from_models_and_knows_no_settings() -> None:
    """A summary without a model is never taken for a model's, and no setting of requests changes it."""
    offline = hash_of(model_name=OFFLINE)
    assert offline not in {hash_of(), hash_of(model_name="gpt-5-mini"), hash_of(model_name="llama3.2:3b")}
    for setting in DECIDING.keys() - {"model_name", "include_semantic_context"}:
        assert hash_of(model_name=OFFLINE, **{setting: DECIDING[setting]}) == offline


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        ("generation.prompts.builder._RULES", "\n- is in rhyme, in {language}."),
        ("generation.prompts.builder._ONE_SYMBOL", "Document this:"),
        ("generation.prompts.builder._SEVERAL_SYMBOLS", "Document these:"),
        ("generation.prompts.content_hash.ONE_SUMMARY", {"type": "text"}),
        ("generation.prompts.content_hash.SEVERAL_SUMMARIES", {"type": "text"}),
        ("generation.prompts.content_hash.CUTS", ()),
        ("generation.prompts.builder._folded", str.upper),
    ],
)
def test_a_change_of_the_prompt_changes_the_hash_by_itself(
    place: str, changed: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who rewords the rules, the schema, the cuts or the way in which a context is told need not think of the hash."""
    before = hash_of()
    monkeypatch.setattr(place, changed)
    assert hash_of() != before
