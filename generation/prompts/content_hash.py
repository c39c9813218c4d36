"""A hash over all that decides a symbol's summary: equal hashes need not be paid again. Pure.

In it: the symbol's own part of the prompt before it is cut, the rules and the form of the answer, the model, its
effort, the language, the budget, and whether callees and neighbours are told of. Not in it: keys, addresses and prices;
how symbols are grouped in requests; a symbol's centrality; and what a prompt says of *other* symbols. Callees'
summaries are worded a little differently each time they are written: were they in it, one changed function would have
all its callers paid again, and theirs, up to the top of the call graph.
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

# 128 bits: two of a billion different symbols are alike with a chance of 1 in 10^20.
HASH_BYTES = 16

# How a cut stands in the hash. The names in it are frozen: they are part of what every customer's stored hashes were
# made of, whatever the fields of `Cut` are called today. A changed text here makes everybody pay for everything again.
_HASHED_CUT = "Cut(relations={!r}, notes={!r}, docstring={!r}, signature={!r}, fact={!r}, source_at_least={!r})"


def hasher(settings: Settings) -> Callable[[SymbolContext], str]:
    """The function that hashes a symbol, in 32 hexadecimal digits, for a job of these settings."""
    job = hashlib.blake2b(json.dumps(_basis(settings)).encode(), digest_size=HASH_BYTES)

    def content_hash(context: SymbolContext) -> str:
        digest = job.copy()
        digest.update(uncut_text(context).encode())
        if settings.include_semantic_context:
            digest.update("\0".join(("", *context.imports)).encode())
        return digest.hexdigest()

    return content_hash


def _basis(settings: Settings) -> list[object]:
    """What decides every summary of a job, in a form that is the same in every process."""
    if settings.model_name == OFFLINE:
        return [OFFLINE]
    language = settings.output_language
    prompt = [rules(language), rules(language, several=True), ONE_SUMMARY, SEVERAL_SUMMARIES, _hashed_cuts()]
    told = [settings.callees_first, settings.include_semantic_context]
    return [*prompt, settings.model_name, settings.effort, settings.max_prompt_tokens, *told]


def _hashed_cuts() -> str:
    cuts = ", ".join(_HASHED_CUT.format(*astuple(cut)) for cut in CUTS)
    return f"({cuts})"
