"""The wire format: bodies of chat completions, and what is read from the replies. Pure.

Leaves out: sending (`documenter`), and the text of prompts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from generation.config import Settings
from generation.domain.limits import MAX_SUMMARY_TOKENS
from generation.domain.usage import NO_USAGE, Usage
from generation.errors import CutOff, Rejected, Transient
from generation.prompts.builder import Prompt, rules

SHORTENED_TO = 0.75

# OpenAI admits a request by the larger of its completion cap and its characters / 4: up to that the cap is free, and
# a summary with little reasoning needs less than this.
COUNTED_CHARS_PER_TOKEN = 4
MIN_COMPLETION_TOKENS = 256
LITTLE_REASONING = frozenset({"none", "minimal"})

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Summary(_Strict):
    """The model's answer for one symbol, in the form of ONE_SUMMARY."""

    summary: str


class KeyedSummary(_Strict):
    """One of the model's answers for several symbols."""

    key: str
    summary: str


class Summaries(_Strict):
    """The model's answer for several symbols, in the form of SEVERAL_SUMMARIES."""

    summaries: list[KeyedSummary]


Answer = TypeVar("Answer", Summary, Summaries)


class _PromptDetails(BaseModel):
    cached_tokens: int | None = None


class _CompletionDetails(BaseModel):
    reasoning_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: Literal["stop", "length", "content_filter"] | str | None = None  # noqa: PYI051 - the three that matter


class _Completion(BaseModel):
    """As much of a chat completion as is read here: the SDK's own parsing of the rest costs more than all else."""

    choices: list[_Choice]
    usage: _Usage | None = None


def summaries_of(answer: Summaries, key: str) -> list[str]:
    """The summaries under a key; a good answer has exactly one that is not empty."""
    return [text for one in answer.summaries if one.key == key and (text := _one_line(one.summary))]


def request_parameters(settings: Settings) -> dict[str, Any]:
    """What every request of a job carries besides its messages: only what the model is known to take."""
    model = settings.model
    parameters: dict[str, Any] = {"model": settings.model_name}
    if settings.effort:
        parameters["reasoning_effort"] = settings.effort
    if model.takes_temperature:
        parameters["temperature"] = 0
    if model.listed:
        prefix = rules(settings.output_language, several=settings.batch_mode)
        parameters["prompt_cache_key"] = f"doctown-{hashlib.sha256(prefix.encode()).hexdigest()[:16]}"
    return parameters


def request_body(prompt: Prompt, cap: int, form: dict[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a chat completion; `parameters` are those of `request_parameters`."""
    return {"messages": prompt.messages, "max_completion_tokens": cap, "response_format": form, **parameters}


def first_completion_cap(prompt: Prompt, symbols: int, settings: Settings) -> int:
    """The completion cap of a first attempt, in tokens: no larger than what the server counts for the prompt anyway.

    With reasoning the setting itself, since reasoning tokens count as completion.
    """
    if not settings.model.listed or (settings.effort is not None and settings.effort not in LITTLE_REASONING):
        return settings.max_completion_tokens
    wanted = max(MIN_COMPLETION_TOKENS, MAX_SUMMARY_TOKENS * symbols, _counted_chars(prompt))
    return min(settings.max_completion_tokens, wanted)


def larger_cap(cap: int, settings: Settings) -> int:
    """The completion cap after an answer that was cut off at `cap`."""
    larger = max(2 * cap, settings.max_completion_tokens)
    return min(larger, settings.model.max_output_tokens) if settings.model.listed else larger


def shorter_share(prompt: Prompt, settings: Settings) -> float:
    """The share of the budget for a prompt in the place of one that was too long for the model."""
    return SHORTENED_TO * min(1.0, prompt.tokens / settings.max_prompt_tokens)


def counted_tokens(prompt: Prompt, cap: int) -> int:
    """What the server will count a request as: the larger of its cap and its characters / 4."""
    return max(cap, _counted_chars(prompt))


def _counted_chars(prompt: Prompt) -> int:
    return -(-sum(len(message["content"]) for message in prompt.messages) // COUNTED_CHARS_PER_TOKEN)


def read_answer(body: bytes, answer_type: type[Answer]) -> tuple[Answer, Usage]:
    """The answer in a completion's body, and its usage.

    Raises CutOff, Rejected or Transient, each with the usage that was billed all the same.
    """
    try:
        completion = _Completion.model_validate_json(body)
        choice = completion.choices[0]
    except (ValidationError, IndexError):
        raise Transient("the server's reply is not a completion", failure="bad_answer") from None
    usage = _usage(completion.usage)
    if choice.message.refusal:
        raise Rejected("the model refused to answer", failure="refused", usage=usage)
    if choice.finish_reason == "content_filter":
        raise Rejected("the content filter stopped the answer", failure="content_filter", usage=usage)
    if choice.finish_reason == "length":
        raise CutOff("the answer was cut off by the token limit: raise MAX_COMPLETION_TOKENS", usage=usage)
    try:
        answer = answer_type.model_validate_json(choice.message.content or "")
    except ValidationError:
        raise Transient("the answer is not in the form that was asked for", failure="bad_answer", usage=usage) from None
    if isinstance(answer, Summary):
        answer.summary = _one_line(answer.summary)
        if not answer.summary:
            raise Transient("the answer is empty", failure="bad_answer", usage=usage)
    return answer, usage


def _one_line(text: str) -> str:
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def _usage(reported: _Usage | None) -> Usage:
    if reported is None:
        return NO_USAGE
    prompt, completion = (reported.prompt_tokens_details, reported.completion_tokens_details)
    return Usage(
        input_tokens=reported.prompt_tokens,
        cached_input_tokens=(prompt.cached_tokens or 0) if prompt else 0,
        output_tokens=reported.completion_tokens,
        reasoning_tokens=(completion.reasoning_tokens or 0) if completion else 0,
    )
