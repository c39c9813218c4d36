"""Arguments about the summaries, and the worker's settings that they make."""

import argparse
from collections.abc import Mapping
from typing import NamedTuple

from doctown.errors import ConfigError
from doctown.options import MAX_CONCURRENT_OF_OPENAI
from generation import JobError, Settings
from generation.domain.catalogue import OFFLINE, utc_today

NO_KEY = "OPENAI_API_KEY is not set: summaries are written offline, from signatures and docstrings, at no cost."

# The argument and its setting. What a setting may be is checked by the worker, under its name.
_VALUES = {
    "batch_size": "BATCH_SIZE",
    "max_batch_tokens": "MAX_BATCH_TOKENS",
    "llm_max_concurrent": "MAX_CONCURRENT_REQUESTS",
    "max_symbols": "MAX_SYMBOLS",
    "max_completion_tokens": "MAX_COMPLETION_TOKENS",
    "min_centrality": "MIN_CENTRALITY",
    "max_cost_usd": "MAX_COST_USD",
}
_SWITCHES = {"batch_mode": "BATCH_MODE", "include_semantic_context": "INCLUDE_SEMANTIC_CONTEXT"}
# These are set for the model that is set: another one takes the catalogue's.
_OF_ONE_MODEL = ("INPUT_TOKEN_PRICE", "OUTPUT_TOKEN_PRICE", "REASONING_EFFORT")


class Worker(NamedTuple):
    """The worker's settings; `is_fallback` says that summaries are offline because there is no key."""

    settings: Settings
    is_fallback: bool


def add_worker_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be said about the summaries."""
    group = parser.add_argument_group("summaries")
    group.add_argument("--model", help="the model, or offline for summaries without one (default: MODEL_NAME)")
    group.add_argument("--batch-mode", action="store_true", help="ask for several symbols in one request")
    group.add_argument("--batch-size", metavar="N", help="symbols in one request of batch mode, at most")
    group.add_argument("--max-batch-tokens", metavar="N", help="input tokens of one request of batch mode, at most")
    group.add_argument(
        "--include-semantic-context",
        action="store_true",
        help="tell of nearest neighbours, symbols of the same file and imports",
    )
    group.add_argument(
        "--llm-max-concurrent",
        metavar="N",
        help="requests in flight at once, at most (default: 100; 10 where OPENAI_BASE_URL is set)",
    )
    group.add_argument("--max-completion-tokens", metavar="N", help="most tokens of an answer")
    group.add_argument(
        "--max-symbols", "--llm-max-chunks", metavar="N", help="document at most so many, the most central first"
    )
    group.add_argument("--min-centrality", metavar="X", help="0 to 1; below it summaries are written offline")
    group.add_argument("--max-cost-usd", metavar="X", help="spend no more; refuse a build whose estimate is above")


def worker_settings(options: argparse.Namespace, environ: Mapping[str, str], *, is_plan: bool = False) -> Worker:
    """Return the worker's settings. Raise ConfigError. A plan buys nothing and needs no key."""
    values = {setting: getattr(options, name) for name, setting in _VALUES.items()}
    given = {setting: value for setting, value in values.items() if value is not None}
    given |= {setting: "true" for name, setting in _SWITCHES.items() if getattr(options, name)}
    merged = {**environ, **given}
    if not any(merged.get(name, "").strip() for name in ("MAX_CONCURRENT_REQUESTS", "OPENAI_BASE_URL")):
        merged["MAX_CONCURRENT_REQUESTS"] = str(MAX_CONCURRENT_OF_OPENAI)
    if options.model:
        if options.model != environ.get("MODEL_NAME"):
            merged = {name: value for name, value in merged.items() if name not in _OF_ONE_MODEL}
        merged["MODEL_NAME"] = options.model
    is_keyless = not environ.get("OPENAI_API_KEY", "").strip()
    may_fall_back = options.via == "local" and not is_plan and not merged.get("MODEL_NAME", "").strip()
    is_fallback = is_keyless and may_fall_back
    if is_fallback:
        merged["MODEL_NAME"] = OFFLINE
    try:
        settings = Settings.from_env(merged)
        # RunPod's workers have the key.
        settings.as_of(utc_today()).require_usable_model(needs_key=not is_plan and options.via != "runpod")
        return Worker(settings, is_fallback)
    except JobError as error:
        raise ConfigError(str(error)) from None
