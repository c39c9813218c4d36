"""What decides a summary is in its hash, and nothing else is: both ways cost money where they are wrong."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import astuple
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from generation.config import Settings
from generation.domain.catalogue import OFFLINE
from generation.domain.context import CONTEXT_FIELDS, SymbolContext
from generation.prompts.builder import CUTS, NO_NOTES, PROMPT_VERSION, build_part, rules
from generation.prompts.content_hash import hasher, retired_questions
from generation.prompts.formats import ONE_SUMMARY, SEVERAL_SUMMARIES
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
    "readable_prefixes": "inputs/",
    "results_dir": Path("elsewhere"),
    "storage_retry_s": 1.0,
    "max_output_bytes": 5_000,
    "tiktoken_cache_dir": Path("elsewhere"),
    "model_context_tokens": 100_000,
    "temperature": 0.5,
    "outage_s": 5.0,
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


GOLDEN_FOLDER = REPOSITORY_ROOT / "tests" / "golden"
GOLDEN = json.loads((GOLDEN_FOLDER / "content_hashes.json").read_text(encoding="utf-8"))
GOLDEN_SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "German with semantic context": {**DECIDING, "max_prompt_tokens": 3_000},
    "offline": {"model_name": OFFLINE},
}


@pytest.mark.parametrize("settings", GOLDEN_SETTINGS)
def test_hashes_are_those_that_customers_have_stored(settings: str) -> None:
    """Twenty symbols keep the hashes that they were released with: were they to change, every customer would pay again.

    A new wording of the prompt has a new PROMPT_VERSION and the same hashes. Whoever changes
    `tests/golden/content_hashes.json` makes each stored summary of each codebase be bought once more.
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
        ("generation.prompts.builder.CUTS", ()),
        ("generation.prompts.builder._folded", str.upper),
    ],
)
def test_a_new_wording_of_the_prompt_leaves_every_hash(
    place: str, changed: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules, steps of truncation and the way in which a context is told may change: nobody buys a summary again."""
    before = hash_of()
    monkeypatch.setattr(place, changed)
    assert hash_of() == before


def test_a_new_wording_has_a_new_version() -> None:
    """What prompts say now is what the digest of its version was made from; a change of it needs a version of its own.

    Whoever changes the prompt raises PROMPT_VERSION and adds the digest under it, so that a record tells who wrote it.
    """
    texts = [rules(), rules("German", several=True), ONE_SUMMARY, SEVERAL_SUMMARIES, [astuple(cut) for cut in CUTS]]
    prompts = {file.name: file.read_text(encoding="utf-8") for file in sorted((GOLDEN_FOLDER / "prompts").iterdir())}
    digest = hashlib.sha256(json.dumps([texts, prompts], sort_keys=True).encode()).hexdigest()
    versions = json.loads((GOLDEN_FOLDER / "prompt_versions.json").read_text(encoding="utf-8"))
    assert versions[str(PROMPT_VERSION)] == digest
    assert len(versions) == PROMPT_VERSION


SHUTDOWN = date(2026, 12, 11)


@pytest.mark.parametrize(
    ("asked", "stored", "day", "holds"),
    [
        # The default and its replacement: nobody has changed the model on purpose.
        ({"model_name": "gpt-5.6-luna"}, {"model_name": "gpt-5-nano"}, SHUTDOWN, True),
        ({"model_name": "gpt-5.6-luna"}, {"model_name": "gpt-5-nano"}, SHUTDOWN - timedelta(1), False),
        # Whatever follows a model that is gone.
        ({"model_name": "gpt-6-luna"}, {"model_name": "gpt-5-mini"}, SHUTDOWN, True),
        ({"model_name": "gpt-6-luna"}, {"model_name": "gpt-5-nano-2025-08-07"}, SHUTDOWN, True),
        # A model that still exists was left on purpose, and so was a language, an effort, a budget.
        ({"model_name": "gpt-6-luna"}, {"model_name": "gpt-5.6-luna"}, SHUTDOWN, False),
        ({"model_name": "gpt-6-luna"}, {"model_name": "gpt-5-nano", "output_language": "German"}, SHUTDOWN, False),
        ({"model_name": "gpt-6-luna"}, {"model_name": "gpt-5-nano", "reasoning_effort": "low"}, SHUTDOWN, False),
        ({"model_name": "gpt-6-luna", "reasoning_effort": "low"}, {"model_name": "gpt-5-nano"}, SHUTDOWN, False),
        ({"model_name": "gpt-6-luna"}, {"model_name": "gpt-5-nano", "max_prompt_tokens": 900}, SHUTDOWN, False),
        # An effort that was set stays; one that the old model did not know was its lowest.
        (
            {"model_name": "gpt-6-luna", "reasoning_effort": "low"},
            {"model_name": "gpt-5-nano", "reasoning_effort": "low"},
            SHUTDOWN,
            True,
        ),
        (
            {"model_name": "gpt-6-luna", "reasoning_effort": "none"},
            {"model_name": "gpt-5-nano", "reasoning_effort": "minimal"},
            SHUTDOWN,
            True,
        ),
        # Offline summaries are asked of nobody.
        ({"model_name": OFFLINE}, {"model_name": "gpt-5-nano"}, SHUTDOWN, False),
    ],
)
def test_a_model_that_is_gone_has_answered_the_same_question(
    asked: dict[str, Any], stored: dict[str, Any], day: date, holds: bool
) -> None:
    """From a model's shutdown date on its summaries hold for any other; what was changed on purpose is asked anew."""
    settings = SETTINGS.model_copy(update=asked)
    retired = retired_questions(settings, day, ["gpt-5-nano-2025-08-07", "llama3.2:3b"])
    assert (hash_of(**stored) in {one.content_hash(SymbolContext(**WHOLE)) for one in retired}) == holds
