"""Hash the question that a summary answers, so that an unchanged symbol is not paid for again. Pure.

Hashed are the symbol's own part of the prompt before it is cut, the model, its effort, the language, the budget, and
whether prompts include callees and neighbours. Not hashed are keys, addresses and prices; how symbols are grouped in
requests; a symbol's centrality; and what a prompt says of *other* symbols: callees' summaries differ a little each time
they are written, so hashing them would make one changed function invalidate all its callers, and theirs, up to the top
of the call graph. The wording of the prompt does not count either (`hashed_form`): which version of it wrote a summary
is kept beside the hash, as its `Origin`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import date
from typing import NamedTuple

from generation.config import Settings
from generation.domain.catalogue import OFFLINE, find_model, is_shut_down, models_shut_down
from generation.domain.context import SymbolContext
from generation.domain.outcome import Origin
from generation.prompts.builder import PROMPT_VERSION
from generation.prompts.hashed_form import hashed_prompt, hashed_text

# 128 bits: the chance of a collision among a billion different symbols is below 1 in 10^20.
HASH_BYTES = 16

ContentHash = Callable[[SymbolContext], str]


def hasher(settings: Settings) -> ContentHash:
    """Return the function that hashes a symbol (32 hexadecimal digits) for a job with these settings."""
    job = hashlib.blake2b(json.dumps(_basis(settings)).encode(), digest_size=HASH_BYTES)

    def content_hash(context: SymbolContext) -> str:
        digest = job.copy()
        digest.update(hashed_text(context).encode())
        if settings.include_semantic_context:
            digest.update("\0".join(("", *context.imports)).encode())
        return digest.hexdigest()

    return content_hash


def origin_of(settings: Settings) -> Origin:
    """Return what the summaries of a job with these settings are written by."""
    return Origin(PROMPT_VERSION, settings.model_name, settings.output_language, settings.effort)


class RetiredQuestion(NamedTuple):
    """The same question as a job's, put to a model that has been shut down: its hash, and what it asked."""

    content_hash: ContentHash
    origin: Origin


def retired_questions(settings: Settings, today: date, models: Iterable[str] = ()) -> tuple[RetiredQuestion, ...]:
    """Return the job's question as models put it that have been shut down by `today`: their summaries stay valid.

    Nobody has changed such a model on purpose. `models` are further names to consider, such as snapshots with a date. A
    reasoning effort that is set counts for a model that accepted it; otherwise it is that model's lowest.
    """
    if settings.model_name == OFFLINE:
        return ()
    names = {*models_shut_down(today), *(name for name in models if is_shut_down(find_model(name), today))}
    return tuple(_put_to(name, settings) for name in sorted(names - {settings.model_name}))


def _put_to(model_name: str, settings: Settings) -> RetiredQuestion:
    is_accepted = settings.reasoning_effort in find_model(model_name).reasoning_efforts
    effort = settings.reasoning_effort if is_accepted else None
    asked = settings.model_copy(update={"model_name": model_name, "reasoning_effort": effort})
    return RetiredQuestion(hasher(asked), origin_of(asked))


def _basis(settings: Settings) -> list[object]:
    """Return what determines every summary of a job, in a form that is the same in every process."""
    if settings.model_name == OFFLINE:
        return [OFFLINE]
    context = [settings.callees_first, settings.include_semantic_context]
    asked = [settings.model_name, settings.effort, settings.max_prompt_tokens]
    return [*hashed_prompt(settings.output_language), *asked, *context]
