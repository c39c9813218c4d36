"""What is a language, and how a prompt names it."""

from __future__ import annotations

import pytest

from generation.config import Settings
from generation.domain.context import SymbolContext
from generation.errors import ConfigError
from generation.prompts.builder import PromptBuilder
from generation.prompts.content_hash import hasher
from generation.prompts.tokens import TokenCounter
from tests.support.contexts import context


@pytest.mark.parametrize(
    ("given", "spoken"),
    [
        ("German", "German"),
        ("de", "German"),
        ("pt-BR", "Portuguese (BR)"),
        ("Brazilian Portuguese", "Brazilian Portuguese"),
        ("Deutsch", "Deutsch"),
        ("日本語", "日本語"),
    ],
)
def test_a_prompt_names_the_language(given: str, spoken: str, counter: TokenCounter) -> None:
    """Names and codes are taken, and the prompt has the name."""
    settings = Settings.from_env({"MODEL_NAME": "offline", "OUTPUT_LANGUAGE": given})
    prompts = PromptBuilder(counter, settings.max_prompt_tokens, settings.output_language)
    rules, _ = prompts.single(prompts.part(SymbolContext(**context("find_article")))).messages
    assert f"sentences of plain {spoken}," in rules["content"]


@pytest.mark.parametrize(
    ("given", "hint"), [("Klingon", "German or de"), ("Englsh", "did you mean English?"), ("xx", "German or de")]
)
def test_what_is_no_language_is_refused(given: str, hint: str) -> None:
    """The sentence names the setting, what would be right, and the nearest name."""
    with pytest.raises(ConfigError, match="OUTPUT_LANGUAGE: is no language") as caught:
        Settings.from_env({"MODEL_NAME": "offline", "OUTPUT_LANGUAGE": given})
    assert hint in str(caught.value)


def test_a_code_keeps_the_hash_that_it_had() -> None:
    """The hash is made from the text that was given: nobody buys a summary again because a code now means its name."""
    key = {"OPENAI_API_KEY": "key"}
    code, name = (Settings.from_env({**key, "OUTPUT_LANGUAGE": text}) for text in ("de", "German"))
    symbol = SymbolContext(**context("find_article"))
    assert hasher(code)(symbol) != hasher(name)(symbol)
