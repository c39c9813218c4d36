"""The context window of a model, in tokens: what servers tell of it, and what fits in it. Pure.

OpenAI's models are in the catalogue. Of any other model vLLM (`max_model_len` of `GET /v1/models`), OpenRouter
(`context_length`), llama.cpp (`GET /props`) and Ollama (`POST /api/show`) tell the context, and every server's refusal
of a request that is too long does. Leaves out: asking (`client`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generation.config import Settings
from generation.domain.bookkeeping import as_count, as_list, as_object, as_text
from generation.domain.limits import MAX_SUMMARY_TOKENS, MIN_PROMPT_TOKENS

# Prompts are counted with OpenAI's vocabulary; others need up to so many times the tokens for source code.
OTHER_VOCABULARY = 1.15
# For the template around the messages.
TEMPLATE_TOKENS = 32
# Room that an answer should have.
ANSWER_TOKENS = 256

OLLAMA, LLAMA_CPP = "library", "llamacpp"
_NUM_CTX = re.compile(r"^\s*num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)


@dataclass(slots=True)
class ContextWindow:
    """The context of one model on one server, shared by its jobs; `is_exact` where prompts are counted as it does."""

    tokens: int
    is_exact: bool

    def learn(self, tokens: int | None) -> None:
        """Take the size that a refusal has told, unless a smaller one is known."""
        if tokens and MIN_PROMPT_TOKENS <= tokens < self.tokens:
            self.tokens = tokens

    def room(self, prompt_tokens: int) -> int:
        """Return the tokens that are left for an answer; 0 or less where there is no room."""
        if self.is_exact:
            return self.tokens - prompt_tokens
        return self.tokens - int(prompt_tokens * OTHER_VOCABULARY) - TEMPLATE_TOKENS

    def takes(self, prompt_tokens: int, symbols: int) -> bool:
        """Return whether a prompt for several symbols and its answer fit."""
        return self.room(prompt_tokens) >= MAX_SUMMARY_TOKENS * symbols

    def prompt_share(self, budget_tokens: int) -> float:
        """Return the share (0 to 1) of a prompt's token budget that leaves room for an answer."""
        answer_tokens = min(ANSWER_TOKENS, self.tokens // 4)
        most = self.room(0) - answer_tokens
        return min(1.0, (most if self.is_exact else most / OTHER_VOCABULARY) / budget_tokens)


def default_window(settings: Settings) -> ContextWindow:
    """Return the window of a model whose server has told nothing."""
    model = settings.model
    return ContextWindow(model.context_tokens if model.listed else settings.model_context_tokens, model.listed)


def model_in_list(reply: object, name: str) -> Mapping[str, Any]:
    """Return the model's entry in the list of models: the one of its name, or the only one; {} where there is none."""
    entries = [as_object(entry) for entry in as_list(as_object(reply).get("data"))]
    named = [entry for entry in entries if name in (entry.get("id"), entry.get("root"))]
    return (named or (entries if len(entries) == 1 else []) or [{}])[0]


def context_in_entry(entry: Mapping[str, Any]) -> int | None:
    """Return the context in a model's entry, as vLLM, SGLang and OpenRouter tell it."""
    return next((size for name in ("max_model_len", "context_length") if (size := _size(entry.get(name)))), None)


def context_in_props(reply: object) -> int | None:
    """Return the context of one slot of llama.cpp's server."""
    props = as_object(reply)
    return _size(as_object(props.get("default_generation_settings")).get("n_ctx")) or _size(props.get("n_ctx"))


def context_in_show(reply: object) -> int | None:
    """Return the context of a model of Ollama: as it is set for it, or else the model's own."""
    shown = as_object(reply)
    if found := _NUM_CTX.search(as_text(shown.get("parameters")) or ""):
        return _size(int(found[1]))
    information = as_object(shown.get("model_info"))
    return next(
        (size for name, value in information.items() if name.endswith(".context_length") and (size := _size(value))),
        None,
    )


def _size(value: object) -> int | None:
    """Return a size that a model's context may have, in tokens."""
    size = as_count(value)
    return size if size is not None and size >= MIN_PROMPT_TOKENS else None
