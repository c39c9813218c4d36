"""Hash everything that determines a symbol's summary, so that an unchanged symbol is not paid for again. Pure.

Hashed are the symbol's own part of the prompt before it is cut, the rules and the form of the answer, the model, its
effort, the language, the budget, and whether prompts include callees and neighbours. Not hashed are keys, addresses and
prices; how symbols are grouped in requests; a symbol's centrality; and what a prompt says of *other* symbols: callees'
summaries differ a little each time they are written, so hashing them would make one changed function invalidate all its
callers, and theirs, up to the top of the call graph.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import astuple

from generation.config import Settings
from generation.domain.catalogue import OFFLINE
from generation.domain.context import SymbolContext
from generation.prompts.builder import CUTS, rules, uncut_text
from generation.prompts.formats import ONE_SUMMARY, SEVERAL_SUMMARIES

# 128 bits: the chance of a collision among a billion different symbols is below 1 in 10^20.
HASH_BYTES = 16

# The hashed form of a cut. Its names are frozen, whatever the fields of `Cut` are called now: every stored hash was
# made from this text, so a change here makes every customer pay for every symbol again.
_HASHED_CUT = "Cut(relations={!r}, notes={!r}, docstring={!r}, signature={!r}, fact={!r}, source_at_least={!r})"


def hasher(settings: Settings) -> Callable[[SymbolContext], str]:
    """Return the function that hashes a symbol (32 hexadecimal digits) for a job with these settings."""
    job = hashlib.blake2b(json.dumps(_basis(settings)).encode(), digest_size=HASH_BYTES)

    def content_hash(context: SymbolContext) -> str:
        digest = job.copy()
        digest.update(uncut_text(context).encode())
        if settings.include_semantic_context:
            digest.update("\0".join(("", *context.imports)).encode())
        return digest.hexdigest()

    return content_hash


def _basis(settings: Settings) -> list[object]:
    """Return what determines every summary of a job, in a form that is the same in every process."""
    if settings.model_name == OFFLINE:
        return [OFFLINE]
    language = settings.output_language
    prompt = [rules(language), rules(language, several=True), ONE_SUMMARY, SEVERAL_SUMMARIES, _hashed_cuts()]
    context = [settings.callees_first, settings.include_semantic_context]
    return [*prompt, settings.model_name, settings.effort, settings.max_prompt_tokens, *context]


def _hashed_cuts() -> str:
    cuts = ", ".join(_HASHED_CUT.format(*astuple(cut)) for cut in CUTS)
    return f"({cuts})"
