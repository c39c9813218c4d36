"""Count the tokens of a text exactly.

Adds to tiktoken: slicing, so that no text makes its tokenizer panic; cutting by tokens without splitting a character;
and a vocabulary that is only ever read from disk, since tiktoken's own download has no timeout. Leaves out: what the
response schema adds to a prompt, which only the API's usage shows, and the price of tokens (`usage`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken


Message = Mapping[str, str]

# tiktoken names a cached vocabulary by the SHA-1 of its download URL.
VOCABULARY_FILES = {"o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790"}

# tiktoken 0.14 panics on a run of 999,926 or more white space characters, with a BaseException that no handler expects.
SLICE_CHARS = 200_000

# Overhead of the chat format, from the GPT-4 era (OpenAI cookbook, "How to count tokens with tiktoken").
TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3

# Length of the longest token of o200k_base, a run of spaces: gives a lower bound of the tokens without counting.
MAX_CHARS_PER_TOKEN = 128

# Measured on Python source with o200k_base; for estimates before anything is counted.
CHARS_PER_TOKEN = 4.33


class VocabularyMissing(Exception):
    """The vocabulary is not on disk; the message says how to get it."""


@functools.cache
def load_counter(encoding_name: str, vocabulary_dir: Path) -> TokenCounter:
    """Return the counter for an encoding, loaded from tiktoken's cache folder (about 0.2 s and 50 MB, once a process).

    tiktoken itself finds the folder through TIKTOKEN_CACHE_DIR. Raise VocabularyMissing if the file is not there.
    """
    if not (vocabulary_dir / VOCABULARY_FILES[encoding_name]).is_file():
        raise VocabularyMissing(
            f"the vocabulary of {encoding_name} is not in TIKTOKEN_CACHE_DIR ({vocabulary_dir}): run `make vocabulary`"
        )
    import tiktoken
    from tiktoken_ext import openai_public

    # A private encoding: tiktoken's is shared by the whole process, and other code may read its ranks.
    encoding = tiktoken.Encoding(**getattr(openai_public, encoding_name)())
    # The Rust core has its own copy; this one takes 30 MB and is only read by pickling.
    encoding._mergeable_ranks.clear()  # noqa: SLF001
    return TokenCounter(encoding)


class TokenCounter:
    """Counts and cuts text by one encoding."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self._encoding = encoding

    def count(self, text: str) -> int:
        """Return the tokens of a text: tiktoken's count up to 200,000 characters, else the sum over such slices."""
        if len(text) <= SLICE_CHARS:
            return len(self._encoding.encode_ordinary(text))
        return sum(len(self._encoding.encode_ordinary(part)) for part in _slices(text))

    def count_messages(self, messages: Iterable[Message]) -> int:
        """Return the tokens of a chat prompt, including the overhead of its format."""
        parts = sum(TOKENS_PER_MESSAGE + self.count(m["role"]) + self.count(m["content"]) for m in messages)
        return parts + TOKENS_PER_REPLY

    def head(self, text: str, max_tokens: int) -> str:
        """Return the longest prefix of at most `max_tokens` tokens that ends with a whole character."""
        text = text[: max_tokens * MAX_CHARS_PER_TOKEN]
        tokens = self._encode(text)
        return text if len(tokens) <= max_tokens else self._decode(tokens[:max_tokens])

    def tail(self, text: str, max_tokens: int) -> str:
        """Return the longest suffix of at most `max_tokens` tokens that begins with a whole character."""
        if max_tokens <= 0:
            return ""
        text = text[-max_tokens * MAX_CHARS_PER_TOKEN :]
        tokens = self._encode(text)
        return text if len(tokens) <= max_tokens else self._decode(tokens[-max_tokens:])

    def _encode(self, text: str) -> list[int]:
        return [token for part in _slices(text) for token in self._encoding.encode_ordinary(part)]

    def _decode(self, tokens: list[int]) -> str:
        # A token may be a part of a character: drop incomplete characters at the edge.
        return self._encoding.decode_bytes(tokens).decode("utf-8", errors="ignore")


def _slices(text: str) -> Iterable[str]:
    return (text[start : start + SLICE_CHARS] for start in range(0, len(text), SLICE_CHARS))


def estimate_tokens(chars: int) -> int:
    """Estimate the tokens of source code from its number of characters."""
    return round(chars / CHARS_PER_TOKEN)
