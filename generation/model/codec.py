"""The wire format: build the bodies of chat completions and parse the replies. Pure.

Leaves out: sending (`documenter`), and the text of prompts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from generation.config import Settings
from generation.domain.bookkeeping import as_count, as_list, as_object, as_text, count_in, ignore, object_in, parse_json
from generation.domain.catalogue import shutdown_advice
from generation.domain.limits import MAX_SUMMARY_TOKENS, MIN_PROMPT_TOKENS
from generation.domain.usage import NO_USAGE, Usage
from generation.errors import ContextTooLong, CutOff, Refusal, Rejected, Transient, meaning_of
from generation.model.window import TEMPLATE_TOKENS, ContextWindow
from generation.prompts.answers import KeyedSummary, find_summaries, find_summary
from generation.prompts.builder import Prompt, rules

SHORTENED_TO = 0.75

# OpenAI counts a request against the rate limit as the larger of its completion cap and its characters / 4, so a cap up
# to that is free. A summary with little reasoning needs fewer tokens than this minimum.
COUNTED_CHARS_PER_TOKEN = 4
MIN_COMPLETION_TOKENS = 256
MIN_CAP = 16
LITTLE_REASONING = frozenset({"none", "minimal"})

OK = 200
BAD_REQUEST = 400
SERVER_ERROR = 500
# The statuses of errors that servers send inside a 200 without a number.
_STATUS_OF_CODE = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "slow_down": 503,
    "server_is_overloaded": 503,
    "overloaded_error": 503,
    "unavailable_error": 503,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "context_length_exceeded": BAD_REQUEST,
    "exceed_context_size_error": BAD_REQUEST,
    "content_filter": BAD_REQUEST,
    "invalid_request_error": BAD_REQUEST,
}


@dataclass(frozen=True, slots=True)
class Summary:
    """The model's answer for one symbol, in the format ONE_SUMMARY."""

    summary: str


@dataclass(frozen=True, slots=True)
class Summaries:
    """The model's answer for several symbols, in the format SEVERAL_SUMMARIES."""

    summaries: list[KeyedSummary]


Answer = TypeVar("Answer", Summary, Summaries)


def summaries_of(answer: Summaries, key: str) -> list[str]:
    """Return the summaries under a key; a good answer has exactly one."""
    return [one.summary for one in answer.summaries if one.key == key]


def request_parameters(settings: Settings) -> dict[str, Any]:
    """Return the parameters of every request of a job besides its messages: only those the model accepts."""
    model = settings.model
    parameters: dict[str, Any] = {"model": settings.model_name}
    if settings.effort:
        parameters["reasoning_effort"] = settings.effort
    if model.takes_temperature or (not model.listed and settings.temperature is not None):
        parameters["temperature"] = settings.temperature or 0
    if model.listed:
        prefix = rules(settings.output_language, several=settings.batch_mode)
        parameters["prompt_cache_key"] = f"doctown-{hashlib.sha256(prefix.encode()).hexdigest()[:16]}"
    return parameters


def request_body(prompt: Prompt, cap: int, form: dict[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a chat completion; `cap` is in tokens, `parameters` are from `request_parameters`."""
    return {"messages": prompt.messages, "max_completion_tokens": cap, "response_format": form, **parameters}


def first_completion_cap(prompt: Prompt, symbols: int, settings: Settings, window: ContextWindow) -> int:
    """Return the completion cap of a first attempt, in tokens, within the room that the prompt leaves.

    It is the largest cap that does not raise the counted tokens, or more where the summaries need more. For reasoning
    models it is the setting itself, since reasoning tokens count as completion.
    """
    most = min(settings.max_completion_tokens, max(MIN_CAP, window.room(prompt.tokens)))
    if not settings.model.listed or (settings.effort is not None and settings.effort not in LITTLE_REASONING):
        return most
    return min(most, max(MIN_COMPLETION_TOKENS, MAX_SUMMARY_TOKENS * symbols, _counted_chars(prompt)))


def larger_cap(prompt: Prompt, cap: int, settings: Settings, window: ContextWindow) -> int:
    """Return the completion cap, in tokens, after an answer that was cut off at `cap`.

    It is `cap` where the model or its context has no room for more.
    """
    larger = min(max(2 * cap, settings.max_completion_tokens), window.room(prompt.tokens))
    return max(cap, min(larger, settings.model.max_output_tokens) if settings.model.listed else larger)


def shorter_share(prompt: Prompt, settings: Settings, refusal: ContextTooLong | None = None) -> float:
    """Return the share of the budget (0 to 1) for a prompt that replaces one too long for the model.

    It is 75 %, or less where the sizes that the server gave say so, but never less than a prompt needs.
    """
    share = SHORTENED_TO
    if refusal and refusal.context_tokens and refusal.prompt_tokens:
        share = min(share, (refusal.context_tokens - MAX_SUMMARY_TOKENS) / refusal.prompt_tokens)
    shorter = share * min(1.0, prompt.tokens / settings.max_prompt_tokens)
    return max(shorter, MIN_PROMPT_TOKENS / settings.max_prompt_tokens)


def cap_within(refusal: ContextTooLong, prompt: Prompt, cap: int, window: ContextWindow) -> int | None:
    """Return the smaller completion cap with which a prompt fits that was refused, None where it must be shorter."""
    if not refusal.context_tokens:
        return None
    if refusal.prompt_tokens:
        room = refusal.context_tokens - refusal.prompt_tokens - TEMPLATE_TOKENS
    else:
        room = window.room(prompt.tokens)
    return room if min(cap, MIN_COMPLETION_TOKENS) <= room < cap else None


def counted_tokens(prompt: Prompt, cap: int) -> int:
    """Return the tokens for which the rate limit counts a request: the larger of its cap and its characters / 4."""
    return max(cap, _counted_chars(prompt))


def _counted_chars(prompt: Prompt) -> int:
    return -(-sum(len(message["content"]) for message in prompt.messages) // COUNTED_CHARS_PER_TOKEN)


def read_refusal(
    reply: object, status: int, settings: Settings, retry_after_s: float | None = None, *, from_api: bool = True
) -> Refusal:
    """Return what an error reply says, whichever of the usual forms it has: `reply` is its JSON."""
    whole = as_object(reply)
    error = whole.get("error", whole)
    fields = as_object(error)
    message = fields.get("message") or whole.get("detail") or error
    return Refusal(
        status,
        as_text(fields.get("code")),
        message if isinstance(message, str) else "",
        as_text(fields.get("param")),
        retry_after_s,
        settings.model_name,
        _advice_on_404(as_text(fields.get("code")), settings),
        as_text(fields.get("type")),
        from_api,
        as_count(fields.get("n_ctx")),
        as_count(fields.get("n_prompt_tokens")),
    )


def _advice_on_404(code: str | None, settings: Settings) -> str | None:
    if lacks_version(settings) and code != "model_not_found":
        return "has the /v1 of OPENAI_BASE_URL been forgotten?"
    return shutdown_advice(settings.model)


def lacks_version(settings: Settings) -> bool:
    """Return whether OPENAI_BASE_URL looks as if the version at its end, mostly /v1, had been forgotten."""
    return not re.search(r"/v\d", settings.openai_base_url or "/v1")


def is_error_of_api(reply: object) -> bool:
    """Return whether JSON is an error as servers with OpenAI's API write it, and not one of a proxy or a firewall."""
    whole = as_object(reply)
    error = whole.get("error")
    return bool(error and isinstance(error, dict | str)) or whole.get("object") == "error" or "detail" in whole


def error_inside(reply: object, settings: Settings) -> Refusal | None:
    """Return the error that a reply with the status 200 holds in place of an answer, as if it had its own status."""
    whole = as_object(reply)
    choice = as_object(next(iter(as_list(whole.get("choices"))), None))
    holder = whole if whole.get("error") else choice
    error = holder.get("error")
    if not error or not isinstance(error, dict | str) or as_object(choice.get("message")).get("content"):
        return None
    return read_refusal(holder, _status_inside(error), settings)


def _status_inside(error: object) -> int:
    fields = as_object(error)
    for name in ("code", "status", "status_code"):
        status = as_count(fields.get(name)) or 0
        if BAD_REQUEST <= status < 600:  # noqa: PLR2004 - HTTP's errors
            return status
    words = (as_text(fields.get("code")), as_text(fields.get("type")))
    return next((_STATUS_OF_CODE[word] for word in words if word in _STATUS_OF_CODE), SERVER_ERROR)


def read_reply(body: bytes) -> object:
    """Return the JSON of a reply's body, None for a body that is none."""
    try:
        return parse_json(body)
    except ValueError:
        return None


def read_answer(reply: object, answer_type: type[Answer], settings: Settings) -> tuple[Answer, Usage]:
    """Return the answer in a completion, the JSON of a reply with the status 200, and its usage.

    Raise CutOff, Rejected or Transient, each with the usage that was billed for the attempt, and what the error inside
    a reply means. The finish reason and the text decide; everything else may be anything.
    """
    whole = as_object(reply)
    usage = _usage(whole.get("usage"))
    if refusal := error_inside(reply, settings):
        error = meaning_of(refusal)
        if isinstance(error, Transient | Rejected):
            error.usage = usage
        raise error
    choice = _choice(as_list(whole.get("choices")))
    message = as_object(choice.get("message"))
    reason = choice.get("finish_reason")
    if reason == "content_filter":
        raise Rejected("the content filter stopped the answer", failure="content_filter", usage=usage)
    if not message:
        raise Transient("the server's reply is not a completion", failure="bad_answer", usage=usage)
    if as_text(message.get("refusal")):
        raise Rejected("the model refused to answer", failure="refused", usage=usage)
    if reason == "length":
        raise CutOff("the answer was cut off by the token limit: raise MAX_COMPLETION_TOKENS", usage=usage)
    answer = _answer_in(message, answer_type)
    if answer is None:
        raise Transient("the answer is not in the form that was asked for", failure="bad_answer", usage=usage)
    return answer, usage


def _choice(choices: Any) -> Mapping[str, Any]:  # noqa: ANN401 - JSON
    """Return the first choice with a message, else the first that is an object: a content filter sends no message."""
    objects = [choice for choice in choices if isinstance(choice, dict)]
    return next((choice for choice in objects if isinstance(choice.get("message"), dict)), (objects or [{}])[0])


def _answer_in(message: Mapping[str, Any], answer_type: type[Answer]) -> Answer | None:
    """Return the answer in a message's text, else in its thoughts, where some servers leave it."""
    for name in ("content", "reasoning_content", "reasoning"):
        text = _text_of(message.get(name))
        found: Summary | Summaries | None
        if answer_type is Summary:
            found = Summary(summary) if (summary := find_summary(text)) else None
        else:
            found = Summaries(summaries) if (summaries := find_summaries(text)) else None
        if found:
            return cast("Answer", found)
    return None


def _text_of(content: Any) -> str:  # noqa: ANN401 - JSON
    """Return a message's text, whether it is a text, a list of parts or the JSON object itself."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return content["text"] if isinstance(content.get("text"), str) else _dumped(content)
    texts = []
    for part in as_list(content):
        kind, text = as_object(part).get("type", "text"), as_object(part).get("text", part)
        if kind in {"text", "output_text"} and isinstance(text, str):
            texts.append(text)
    return "".join(texts)


def _dumped(value: object) -> str:
    try:
        return json.dumps(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python writes
        return ""


def _usage(reported: Any) -> Usage:  # noqa: ANN401 - JSON
    """Return the usage that a completion reports; what is missing of prompt and completion is taken from the total."""
    if not isinstance(reported, dict):
        if reported is not None:
            ignore("usage")
        return NO_USAGE
    prompt, completion = count_in(reported, "prompt_tokens"), count_in(reported, "completion_tokens")
    total = as_count(reported.get("total_tokens"))
    if prompt is None:
        prompt = max(0, (total or 0) - (completion or 0))
    if completion is None:
        completion = max(0, (total or 0) - prompt)
    cached = count_in(object_in(reported, "prompt_tokens_details"), "cached_tokens") or 0
    reasoning = count_in(object_in(reported, "completion_tokens_details"), "reasoning_tokens") or 0
    return Usage(prompt, min(cached, prompt), completion, min(reasoning, completion))
