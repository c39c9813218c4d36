"""The tokens of a text, counted exactly.

Adds to tiktoken: slices, so that no text makes its tokenizer panic; cutting by tokens without splitting a character;
and a vocabulary that is read from disk or not at all, since tiktoken's own download has no time-out. Leaves out: what
the response schema adds to a prompt, which no tokenizer shows and the API's usage does, and what tokens cost (`usage`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken


Message = Mapping[str, str]

# tiktoken looks for a vocabulary under the SHA-1 of the address it would download it from.
VOCABULARY_FILES = {"o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790"}

# A run of 999,926 or more white space characters panics in tiktoken 0.14, as a BaseException that no handler expects.
SLICE_CHARS = 200_000

# Overhead of the chat format, from the GPT-4 era (OpenAI cookbook, "How to count tokens with tiktoken").
TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3

# The longest token of o200k_base, a row of blanks: a text of more characters has more tokens, and need not be counted.
MAX_CHARS_PER_TOKEN = 128

# 4.33 bytes a token measured on Python source with o200k_base; for estimates before anything is counted.
CHARS_PER_TOKEN = 4.33


class VocabularyMissing(Exception):
    """The vocabulary is not on disk; the message says how to get it."""


@functools.cache
def load_counter(encoding_name: str, vocabulary_dir: Path) -> TokenCounter:
    """The counter for an encoding, from tiktoken's cache folder (about 0.2 s and 50 MB, once a process).

    tiktoken itself finds the folder through TIKTOKEN_CACHE_DIR. Raises VocabularyMissing where the file is not there.
    """
    if not (vocabulary_dir / VOCABULARY_FILES[encoding_name]).is_file():
        raise VocabularyMissing(
            f"the vocabulary of {encoding_name} is not in TIKTOKEN_CACHE_DIR ({vocabulary_dir}): run `make vocabulary`"
        )
    import tiktoken
    from tiktoken_ext import openai_public

    # An encoding of our own: tiktoken's is shared by the whole process, and other code may read its ranks.
    encoding = tiktoken.Encoding(**getattr(openai_public, encoding_name)())
    # The Rust core has a copy of its own; this one takes 30 MB and is read by pickling alone.
    encoding._mergeable_ranks.clear()  # noqa: SLF001
    return TokenCounter(encoding)


class TokenCounter:
    """Counts and cuts text by one encoding."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self._encoding = encoding

    def count(self, text: str) -> int:
        """Tokens of a text: tiktoken's own count up to 200,000 characters, then the sum over slices of that size."""
        if len(text) <= SLICE_CHARS:
            return len(self._encoding.encode_ordinary(text))
        return sum(len(self._encoding.encode_ordinary(part)) for part in _slices(text))

    def count_messages(self, messages: Iterable[Message]) -> int:
        """Tokens of a chat prompt, with the overhead of its format."""
        parts = sum(TOKENS_PER_MESSAGE + self.count(m["role"]) + self.count(m["content"]) for m in messages)
        return parts + TOKENS_PER_REPLY

    def head(self, text: str, max_tokens: int) -> str:
        """The longest beginning of the text that has at most `max_tokens` tokens and ends with a whole character."""
        text = text[: max_tokens * MAX_CHARS_PER_TOKEN]
        tokens = self._encode(text)
        return text if len(tokens) <= max_tokens else self._decode(tokens[:max_tokens])

    def tail(self, text: str, max_tokens: int) -> str:
        """The longest end of the text that has at most `max_tokens` tokens and begins with a whole character."""
        if max_tokens <= 0:
            return ""
        text = text[-max_tokens * MAX_CHARS_PER_TOKEN :]
        tokens = self._encode(text)
        return text if len(tokens) <= max_tokens else self._decode(tokens[-max_tokens:])

    def _encode(self, text: str) -> list[int]:
        return [token for part in _slices(text) for token in self._encoding.encode_ordinary(part)]

    def _decode(self, tokens: list[int]) -> str:
        # A token may be a part of a character: what is not whole at the edge goes.
        return self._encoding.decode_bytes(tokens).decode("utf-8", errors="ignore")


def _slices(text: str) -> Iterable[str]:
    return (text[start : start + SLICE_CHARS] for start in range(0, len(text), SLICE_CHARS))


def estimate_tokens(chars: int) -> int:
    """Tokens of so many characters of source, before anything is counted."""
    return round(chars / CHARS_PER_TOKEN)
