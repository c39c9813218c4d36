"""The error tree as it is drawn, and what each refusal of the API means."""

from __future__ import annotations

import inspect
import pkgutil
import re
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import generation
from generation import errors
from generation.domain.usage import NO_USAGE, Usage
from generation.errors import (
    AccountError,
    ConfigError,
    ContextTooLong,
    DoctownError,
    InputError,
    JobError,
    Refusal,
    Rejected,
    RequestError,
    SlowDown,
    StorageError,
    Transient,
    Unavailable,
    meaning_of,
)


def drawn_tree() -> dict[str, str | None]:
    """Each class that the module's docstring draws, with the one it hangs from."""
    lines = re.findall(r"^    ([│├└─ ]*)([A-Z]\w+)", inspect.getdoc(errors) or "", re.MULTILINE)
    path: list[str] = []
    parents: dict[str, str | None] = {}
    for indent, name in lines:
        depth = len(indent) // 4
        parents[name] = path[depth - 1] if depth else None
        path = [*path[:depth], name]
    return parents


def all_subclasses(root: type[DoctownError]) -> set[type[DoctownError]]:
    return {root}.union(*(all_subclasses(child) for child in root.__subclasses__()))


def test_the_tree_that_is_drawn_is_the_tree_of_the_classes() -> None:
    """The docstring's drawing names every class of the project's errors, each under its own base, and no other."""
    for module in pkgutil.walk_packages(generation.__path__, "generation."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    classes = all_subclasses(DoctownError)

    assert drawn_tree() == {
        one.__name__: None if one is DoctownError else str(one.__bases__[0].__name__) for one in classes
    }
    assert {one.__module__ for one in classes} == {"generation.errors"}


def test_each_error_of_the_tree_has_a_code_of_its_own() -> None:
    """No two kinds of error share the code under which a job or a symbol fails."""
    codes = [str(one.failure) for one in all_subclasses(JobError) | all_subclasses(RequestError)]  # type: ignore[attr-defined]

    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


def refusal(status: int, code: str | None = None, message: str = "planted 7731", **facts: Any) -> Refusal:
    return Refusal(status, code, message, model="gpt-5-nano", **{"param": None, "retry_after_s": None, **facts})


MEANINGS = [
    (401, "invalid_api_key", AccountError, "key_refused"),
    (401, None, AccountError, "key_refused"),
    (403, None, AccountError, "not_permitted"),
    (403, "unsupported_country_region_territory", AccountError, "not_permitted"),
    (404, "model_not_found", AccountError, "model_not_found"),
    (429, "insufficient_quota", AccountError, "no_quota"),
    (400, "billing_hard_limit_reached", AccountError, "no_quota"),
    (429, "billing_not_active", AccountError, "no_quota"),
    (400, "unsupported_value", AccountError, "unsupported_parameter"),
    (400, "unsupported_parameter", AccountError, "unsupported_parameter"),
    (429, "rate_limit_exceeded", SlowDown, "rate_limited"),
    (429, None, SlowDown, "rate_limited"),
    (429, "slow_down", SlowDown, "rate_limited"),
    (503, "slow_down", Unavailable, "server_unavailable"),
    (503, "server_is_overloaded", Unavailable, "server_unavailable"),
    (503, None, Unavailable, "server_unavailable"),
    (402, None, AccountError, "no_quota"),
    (500, None, Transient, "server_error"),
    (502, "bad_gateway", Transient, "server_error"),
    (529, None, Transient, "server_error"),
    (408, None, Transient, "server_error"),
    (409, None, Transient, "server_error"),
    (400, "context_length_exceeded", ContextTooLong, "context_too_long"),
    (400, "content_filter", Rejected, "content_filter"),
    (400, "content_policy_violation", Rejected, "content_filter"),
    (400, "invalid_request_error", Rejected, "bad_request"),
    (400, None, Rejected, "bad_request"),
    (413, None, Rejected, "bad_request"),
    (422, None, Rejected, "bad_request"),
]


@pytest.mark.parametrize(("status", "code", "kind", "failure"), MEANINGS)
def test_a_refusal_means(status: int, code: str | None, kind: type[DoctownError], failure: str) -> None:
    """Status and code together tell whether to wait, to try again, to give the symbol up or to stop the job."""
    error = meaning_of(refusal(status, code))

    assert type(error) is kind
    assert error.failure == failure  # type: ignore[attr-defined]
    assert f"HTTP {status}" in str(error)


def test_a_request_above_the_limit_is_not_waited_for() -> None:
    """A 429 for a request that is larger than the whole limit is final, although its code is that of a rate limit."""
    error = meaning_of(refusal(429, "rate_limit_exceeded", "Request too large for gpt-5-nano in organization org-7731"))

    assert isinstance(error, Rejected)
    assert error.failure == "request_too_large"
    assert "MAX_PROMPT_TOKENS" in str(error)
    assert "7731" not in str(error)


@pytest.mark.parametrize(
    ("status", "code", "overloaded"),
    [(429, "rate_limit_exceeded", False), (429, "slow_down", True), (503, "server_is_overloaded", True)],
)
def test_a_used_up_rate_is_told_from_a_busy_server(status: int, code: str, *, overloaded: bool) -> None:
    """Both mean waiting, for as long as the server says, but only a busy server asks for fewer requests at once."""
    error = meaning_of(refusal(status, code, retry_after_s=1.5))

    assert isinstance(error, SlowDown)
    assert (error.overloaded, error.retry_after_s) == (overloaded, 1.5)


PAGES = [(status, Transient) for status in (400, 401, 402, 403, 404, 413, 422, 500, 502)] + [
    (429, SlowDown),
    (503, Unavailable),
]


@pytest.mark.parametrize(("status", "kind"), PAGES)
def test_a_page_of_something_between_says_nothing_of_the_account(status: int, kind: type[DoctownError]) -> None:
    """A status whose body is not the API's JSON costs the request an attempt, and asks to wait where it always does."""
    error = meaning_of(refusal(status, message="", from_api=False))

    assert type(error) is kind
    assert f"HTTP {status}" in str(error)


# Each server's words, and the sizes in them: the context and the prompt, in tokens.
TOO_LONG = {
    "OpenAI": (
        (
            "Input tokens exceed the configured limit of 922000 tokens. Your messages resulted in 1,000,123 tokens. "
            "Please reduce the length of the messages."
        ),
        922_000,
        1_000_123,
    ),
    "Azure": (
        (
            "This model's maximum context length is 8192 tokens. However, you requested 8300 tokens (8000 in the "
            "messages, 300 in the completion). Please reduce the length of the messages or completion."
        ),
        8_192,
        8_000,
    ),
    "vLLM": (
        (
            "'max_completion_tokens' is too large: 4096. This model's maximum context length is 4096 tokens and your "
            "request has 300 input tokens (4096 > 4096 - 300)."
        ),
        4_096,
        300,
    ),
    "vLLM, prompt": ("The decoder prompt (length 5000) is longer than the maximum model length of 4096.", 4_096, 5_000),
    "llama.cpp": (
        "request (2369 tokens) exceeds the available context size (2048 tokens), try increasing it",
        2_048,
        2_369,
    ),
    "Ollama": ("the input length exceeds the context length", None, None),
    "OpenRouter": (
        (
            "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens (38000 "
            "of text input, 2000 in the output)."
        ),
        32_768,
        38_000,
    ),
    "SGLang": ("The input (5000 tokens) is longer than the model's context length (4096 tokens).", 4_096, 5_000),
    "TGI": (
        "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 3000 `inputs` tokens and 2000 `max_new_tokens`",
        4_096,
        3_000,
    ),
    "Mistral": (
        "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        32_768,
        40_000,
    ),
    "LM Studio": (
        (
            "The number of tokens to keep from the prompt is greater than the context length. However, the model is "
            "loaded with context length of only 4096 tokens"
        ),
        4_096,
        None,
    ),
    "a gateway": ("prompt is too long: 210000 tokens > 200000 maximum", 200_000, 210_000),
}


@pytest.mark.parametrize("server", TOO_LONG)
@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_every_servers_words_for_too_long_are_known(server: str, status: int) -> None:
    """A prompt beyond the context is known by the words, whatever the code, and the server's sizes are read."""
    message, context_tokens, prompt_tokens = TOO_LONG[server]
    error = meaning_of(refusal(status, None, message, kind="BadRequestError"))

    assert isinstance(error, ContextTooLong)
    assert (error.context_tokens, error.prompt_tokens) == (context_tokens, prompt_tokens)
    assert "MAX_PROMPT_TOKENS" in str(error)
    assert "MAX_COMPLETION_TOKENS" in str(error)


def test_a_type_of_error_counts_as_its_code() -> None:
    """Servers write the word that decides as `code` or as `type`; sizes beside it are taken."""
    named = refusal(400, None, "", kind="exceed_context_size_error", context_tokens=2_048, prompt_tokens=2_369)
    error = meaning_of(named)

    assert isinstance(error, ContextTooLong)
    assert (error.context_tokens, error.prompt_tokens) == (2_048, 2_369)
    assert meaning_of(refusal(429, None, kind="insufficient_quota")).failure == "no_quota"  # type: ignore[attr-defined]


def test_the_servers_word_on_when_to_try_again_is_kept() -> None:
    """A server that fails and says for how long is believed."""
    error = meaning_of(refusal(500, retry_after_s=3.0))

    assert isinstance(error, Transient)
    assert error.retry_after_s == 3.0


def test_a_retired_models_refusal_names_what_to_set_instead() -> None:
    """With the catalogue's advice at hand the sentence is that advice; without, it says which setting to change."""
    advice = "OpenAI shuts gpt-5-nano down on 2026-12-11: set MODEL_NAME=gpt-5.6-luna"

    assert advice in str(meaning_of(refusal(404, "model_not_found", advice=advice)))
    assert "set MODEL_NAME" in str(meaning_of(refusal(404, "model_not_found")))


@pytest.mark.parametrize(
    ("status", "code", "setting"),
    [
        (401, None, "OPENAI_API_KEY"),
        (400, "unsupported_value", "REASONING_EFFORT"),
        (400, "context_length_exceeded", "MAX_PROMPT_TOKENS"),
    ],
)
def test_a_fault_that_a_setting_can_end_names_the_setting(status: int, code: str | None, setting: str) -> None:
    """Who reads the sentence knows which setting to look at."""
    assert setting in str(meaning_of(refusal(status, code)))


@pytest.mark.parametrize(("status", "code", "kind", "failure"), MEANINGS)
def test_no_text_of_the_api_is_repeated(status: int, code: str | None, kind: type[DoctownError], failure: str) -> None:
    """The API's message, which may quote a key or source code, is in no error; nor is a parameter that is no name."""
    error = meaning_of(refusal(status, code, param="planted 7731"))

    assert "planted" not in f"{error}{error!r}{error.__dict__}"


@given(
    st.integers(400, 599),
    st.text(max_size=90).map(lambda text: f"planted {text}"),
)
def test_a_code_that_does_not_look_like_one_is_not_shown(status: int, code: str) -> None:
    """Whatever a server puts in the place of a code: with a blank in it, it is text, and no text is repeated."""
    error = meaning_of(refusal(status, code, "Request too large"))

    assert isinstance(error, JobError | RequestError)
    assert "planted" not in str(error)
    assert "\n" not in str(error)


def test_a_codes_name_and_a_parameters_name_are_shown() -> None:
    """What looks like an identifier is shown, since it says what to search for."""
    said = str(meaning_of(refusal(400, "unsupported_value", param="reasoning_effort")))

    assert "unsupported_value" in said
    assert "reasoning_effort" in said


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        (JobError, "job_failed"),
        (ConfigError, "bad_setting"),
        (InputError, "bad_input"),
        (AccountError, "account"),
        (StorageError, "storage"),
    ],
)
def test_a_job_error_is_its_sentence_and_its_code(kind: type[JobError], failure: str) -> None:
    """`str` of a job's error is the caller's sentence; its code is its kind's unless it is given one."""
    assert str(kind("a sentence")) == "a sentence"
    assert kind("a sentence").failure == failure
    assert kind("a sentence", "closer").failure == "closer"


def test_a_request_error_carries_what_was_billed() -> None:
    """An attempt that failed may have been paid for, and says so; one that says nothing cost nothing."""
    billed = Usage(input_tokens=87, output_tokens=5)

    assert Rejected("no", usage=billed).usage == billed
    assert Transient("no", failure="timeout").usage == NO_USAGE
    assert Transient("no", failure="timeout").failure == "timeout"
